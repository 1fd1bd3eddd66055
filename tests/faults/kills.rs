//! What ends a dropped statement on the server ends nobody else's; on MariaDB that takes a server that was started again,
//! see `own_server.rs`.

use sea_orm::ConnectionTrait;

use crate::{
    common::{at_rest, server_id, text},
    dropped::{sleep, sleeping},
    support::{TestDb, eventually},
};

mod postgres {
    use crate::support::{Place, run};

    #[test]
    fn a_kill_hits_no_later_session_with_the_same_number() {
        run(Place::Postgres, super::a_kill_hits_no_later_session_with_the_same_number);
    }
}

/// The system deals its process numbers out again sooner or later. Here the pool's connection is told at once that its
/// number is the one that somebody else has by then.
async fn a_kill_hits_no_later_session_with_the_same_number(db: TestDb) {
    let innocent = db.session();
    let same = server_id(&innocent).await;
    let outside = db.outside();
    let database = text(outside, "SELECT current_database()::text").await;
    for sql in [
        "CREATE SCHEMA before".to_owned(),
        format!(
            "CREATE FUNCTION before.pg_stat_get_activity(integer) \
             RETURNS TABLE (pid integer, backend_start timestamptz) LANGUAGE sql \
             AS 'SELECT {same}, backend_start FROM pg_catalog.pg_stat_get_activity($1)'"
        ),
        format!("ALTER DATABASE {database} SET search_path = before, pg_catalog, public"),
    ] {
        outside.execute_unprepared(&sql).await.unwrap();
    }
    let pool = db.open(|config| config.pool_size(1)).await;
    outside.execute_unprepared(&format!("ALTER DATABASE {database} RESET search_path")).await.unwrap();
    let task = tokio::spawn({
        let pool = pool.clone();
        async move { sleep(&pool).await }
    });
    eventually("it sleeps", async || sleeping(&db).await == 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    eventually("it is closed", async || pool.status().size == 0).await;
    at_rest(&pool).await;
    assert_eq!(server_id(&innocent).await, same, "the other one goes on");
    assert_eq!(sleeping(&db).await, 1, "it was not the dropped one's own number");
    drop(innocent);
    db.kill_server_sessions().await;
}
