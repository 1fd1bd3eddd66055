//! A server that stops, starts, fills up, or takes no more writes. Each test has one of its own.

use std::time::Duration;

use sea_dao::{Database, DatabaseConfig, Error, PoolConfig, error::ErrorClass, pool::CloseReason};
use sea_orm::ConnectionTrait;

use crate::{
    common::{Load, all_at_once, at_rest, check_books, in_time},
    server::Server,
    support::{Place, eventually, nonce},
};

macro_rules! for_each_own_server {
    ($($test:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::support::Place::Postgres).await;
            })+
        }

        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::support::Place::MariaDb).await;
            })+
        }
    };
}

for_each_own_server!(
    a_restart_under_load_is_waited_out,
    a_full_server_is_waited_for,
    a_primary_that_takes_no_more_writes_is_left,
    a_wrong_password_is_an_error_at_once,
    tls_that_the_server_does_not_have_is_an_error,
);

/// Starting takes seconds, in which nothing may stand still.
async fn start(place: Place, extra: &'static [&'static str]) -> Server {
    tokio::task::spawn_blocking(move || Server::start(place, extra)).await.unwrap()
}

async fn connect(server: &Server, settings: PoolConfig) -> Database {
    DatabaseConfig::new(server.url()).pool(settings).no_slow_log().connect().await.unwrap()
}

async fn a_restart_under_load_is_waited_out(place: Place) {
    let mut server = start(place, &[]).await;
    let settings = PoolConfig::default().pool_size(4).max_overflow(2);
    let patient = connect(&server, settings.clone()).await;
    let hasty = connect(&server, settings.pool_timeout(Duration::from_millis(500))).await;
    let load = Load::start(&patient, 12);
    load.goes_on(200).await;
    let mut server = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    })
    .await
    .unwrap();

    // The first finds the connection dead, the second that there is no other.
    let _ = in_time("a statement", nonce(&hasty, 1)).await;
    let error = in_time("a statement", nonce(&hasty, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. } | Error::PoolTimeout(_)), "{error:?}");
    assert!(error.to_string().contains("refused"), "it says why: {error}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let server = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    })
    .await
    .unwrap();
    load.goes_on(200).await;
    let failures = load.stop().await;
    assert!(failures.len() <= 6 + 6, "one for each connection that was executing: {failures:?}");
    for error in &failures {
        assert!(error.is_disconnect(), "{error:?}");
    }
    for pool in [&patient, &hasty] {
        at_rest(pool).await;
        let sessions = all_at_once(pool, 6).await;
        drop(sessions);
        at_rest(pool).await;
        assert_eq!(pool.status().checked_out, 0);
        check_books(pool);
        assert!(in_time("closing", pool.close_within(Duration::from_secs(5))).await.is_complete());
    }
    assert_eq!(patient.counters().timeouts, 0);
    drop(server);
}

/// Connects as soon as the server has seen that others have gone.
async fn once_there_is_room(config: DatabaseConfig) -> Database {
    let mut opened = None;
    eventually("there is room", async || {
        opened = config.clone().connect().await.ok();
        opened.is_some()
    })
    .await;
    opened.unwrap()
}

async fn a_full_server_is_waited_for(place: Place) {
    let options: &[&str] = match place {
        Place::Postgres => {
            &["-c", "max_connections=5", "-c", "superuser_reserved_connections=0", "-c", "max_wal_senders=0"]
        }
        _ => &["--max-connections=10", "--extra-port=0"],
    };
    let server = start(place, options).await;
    let room = if place == Place::Postgres { 5 } else { 11 };
    let settings = PoolConfig::default().pool_size(room).max_overflow(0);
    let greedy = connect(&server, settings).await;
    let sessions = all_at_once(&greedy, room as usize).await;
    let late = DatabaseConfig::new(server.url()).pool_size(1).max_overflow(0);
    let refused = late.clone().connect().await.unwrap_err();
    assert!(matches!(refused, Error::Connect { .. }), "{refused:?}");
    assert!(refused.to_string().to_lowercase().contains("too many"), "{refused}");

    // A pool that lives already waits until there is room.
    let last = sessions.into_iter().next_back().unwrap();
    drop(last);
    at_rest(&greedy).await;
    greedy.close().await;
    let waiting = once_there_is_room(late.pool_size(2)).await;
    let first = waiting.session();
    nonce(&first, 1).await.unwrap();
    let greedy = once_there_is_room(DatabaseConfig::new(server.url()).pool_size(room - 1).max_overflow(0)).await;
    let mut sessions = all_at_once(&greedy, room as usize - 1).await;
    let second = tokio::spawn({
        let waiting = waiting.clone();
        async move { nonce(&waiting, 2).await }
    });
    eventually("it was refused at least once", async || waiting.status().waiting == 1 || second.is_finished()).await;
    assert!(!second.is_finished(), "{:?}", second.await);
    sessions.truncate(1);
    in_time("closing", greedy.close_within(Duration::from_millis(100))).await;
    assert_eq!(in_time("the second", second).await.unwrap().unwrap(), 2);
    check_books(&waiting);
}

async fn a_primary_that_takes_no_more_writes_is_left(place: Place) {
    let server = start(place, &[]).await;
    let admin = connect(&server, PoolConfig::default().pool_size(1).max_overflow(0)).await;
    admin.execute_unprepared("CREATE TABLE thing (id INTEGER)").await.unwrap();
    let url = if place == Place::Postgres {
        server.url()
    } else {
        admin.execute_unprepared("CREATE USER app@'127.0.0.1'").await.unwrap();
        admin.execute_unprepared("GRANT SELECT, INSERT ON mysql.* TO app@'127.0.0.1'").await.unwrap();
        server.url().replace("root@", "app@")
    };
    let pool = DatabaseConfig::new(url).pool_size(2).max_overflow(0).connect().await.unwrap();
    pool.warm_up(2).await.unwrap();
    let insert = async || pool.session().execute_unprepared("INSERT INTO thing VALUES (1)").await.map_err(Error::from);
    insert().await.unwrap();
    let make_read_only: &[&str] = match place {
        Place::Postgres => &["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"],
        _ => &["SET GLOBAL read_only = 1"],
    };
    for sql in make_read_only {
        admin.execute_unprepared(sql).await.unwrap();
    }
    eventually("writes are refused", async || pool.health().await.unwrap().read_only).await;
    let opened = pool.counters().opened;
    let error = insert().await.unwrap_err();
    assert_eq!(error.class(), Some(ErrorClass::ReadOnly), "{error:?}");
    at_rest(&pool).await;
    nonce(&pool, 1).await.unwrap();
    let counters = pool.counters();
    assert_eq!(counters.opened, opened + 1, "{counters:?}");
    assert!(counters.closed_for(CloseReason::Broken) == 1 && counters.invalidations == 1, "{counters:?}");

    // In a transaction that only reads by its own choice, it is the caller's mistake.
    let tx = pool.transaction().read_only().begin().await.unwrap();
    let error = Error::from(tx.execute_unprepared("INSERT INTO thing VALUES (1)").await.unwrap_err());
    drop(tx);
    assert_eq!(error.class(), Some(ErrorClass::ReadOnly), "{error:?}");
    let broken = pool.counters().closed_for(CloseReason::Broken);
    if place == Place::Postgres {
        assert_eq!(broken, 1);
    }
    at_rest(&pool).await;
    // After it, not any more.
    let broken = pool.counters().closed_for(CloseReason::Broken);
    insert().await.unwrap_err();
    at_rest(&pool).await;
    assert_eq!(pool.counters().closed_for(CloseReason::Broken), broken + 1);
    let make_writable: &[&str] = match place {
        Place::Postgres => &["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"],
        _ => &["SET GLOBAL read_only = 0"],
    };
    let old = admin.session();
    if place == Place::Postgres {
        old.execute_unprepared("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE").await.unwrap();
    }
    for sql in make_writable {
        old.execute_unprepared(sql).await.unwrap();
    }
    eventually("writes succeed", async || insert().await.is_ok()).await;
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_wrong_password_is_an_error_at_once(place: Place) {
    let mut server = start(place, &[]).await;
    let admin = connect(&server, PoolConfig::default().pool_size(1).max_overflow(0)).await;
    let hard = "p@ss/w:rd%41 #?&é";
    let create: &[&str] = match place {
        Place::Postgres => &["CREATE ROLE ada LOGIN PASSWORD 'p@ss/w:rd%41 #?&é'", "CREATE DATABASE \"my db%41\""],
        _ => &[
            "CREATE USER ada@'127.0.0.1' IDENTIFIED BY 'p@ss/w:rd%41 #?&é'",
            "CREATE DATABASE `my db%41`",
            "GRANT ALL ON `my db%41`.* TO ada@'127.0.0.1'",
        ],
    };
    for sql in create {
        admin.execute_unprepared(sql).await.unwrap();
    }
    admin.close().await;
    if place == Place::Postgres {
        std::fs::write(server.data().join("pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n").unwrap();
        server = tokio::task::spawn_blocking(move || {
            server.stop();
            server.start_again();
            server
        })
        .await
        .unwrap();
    }
    let kind = if place == Place::Postgres { "postgres" } else { "mariadb" };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("db.toml");
    let parts = |password: &str| {
        let port = server.port();
        let text = format!(
            "type = '{kind}'\nhost = '127.0.0.1'\nport = {port}\nuser = 'ada'\npassword = '{password}'\nname = 'my db%41'\n"
        );
        std::fs::write(&file, text).unwrap();
        DatabaseConfig::from_file(&file).unwrap()
    };
    let config = parts("wr0ng-s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    let error = in_time("the refusal", config.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("ada"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");

    let config = parts(hard);
    let shown = format!("{config:?}");
    assert!(!shown.contains("p@ss") && !shown.contains("w%3Ard"), "{shown}");
    let db = in_time("connecting", config.connect()).await.unwrap();
    let ask = if place == Place::Postgres { "SELECT current_database()::text" } else { "SELECT DATABASE()" };
    assert_eq!(crate::common::text(&db, ask).await, "my db%41");
    db.close().await;
}

async fn tls_that_the_server_does_not_have_is_an_error(place: Place) {
    let options: &[&str] = if place == Place::Postgres { &["-c", "ssl=off"] } else { &["--skip-ssl"] };
    let server = start(place, options).await;
    let query = if place == Place::Postgres { "sslmode=require" } else { "ssl-mode=REQUIRED" };
    let url = format!("{}?{query}", server.url().replace("@127", ":s3cret@127"));
    let error = in_time("the refusal", DatabaseConfig::new(url).connect()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    let shown = error.to_string();
    assert!(shown.contains("TLS") && shown.contains("in the URL asks for TLS"), "{shown}");
    assert!(!format!("{error:?} {shown}").contains("s3cret"), "{error:?}");
}

mod only_mariadb {
    use super::*;
    use crate::{
        common::{number, server_id},
        dropped::sleep,
        proxy::Proxy,
    };

    const SLEEPING: &str = "SELECT COUNT(*) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(600)'";

    /// A server that was started again deals its numbers out from the beginning.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_hits_no_later_session_with_the_same_number_on_mariadb() {
        let mut server = start(Place::MariaDb, &[]).await;
        let one = || PoolConfig::default().pool_size(1).max_overflow(0);
        let before: Vec<Database> = vec![connect(&server, one()).await, connect(&server, one()).await];
        let watcher = connect(&server, one()).await;
        let proxy = Proxy::to(&server.url()).await;
        let pool = DatabaseConfig::new(proxy.url()).pool(one()).connect().await.unwrap();
        let same = server_id(&pool).await;
        let sleeping = tokio::spawn({
            let pool = pool.clone();
            async move { sleep(&pool).await }
        });
        eventually("it sleeps", async || number(&watcher, SLEEPING).await == 1).await;
        // Its client is not told that the server goes.
        proxy.half_open();
        let server = tokio::task::spawn_blocking(move || {
            server.stop();
            server.start_again();
            server
        })
        .await
        .unwrap();
        let mut later = Vec::new();
        let innocent = loop {
            let session = connect(&server, one()).await.session();
            let id = server_id(&session).await;
            assert!(id <= same, "{id} was dealt out after {same}, which was not");
            if id == same {
                break session;
            }
            later.push(session);
        };
        sleeping.abort();
        eventually("the dropped one is closed", async || pool.status().size == 0).await;
        assert_eq!(in_time("the later one", server_id(&innocent)).await, same);
        drop(before);
    }

    /// Error 1290 names whatever option stands in the way.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_refuses_something_else_is_no_demoted_primary_on_mariadb() {
        let server = start(Place::MariaDb, &["--secure-file-priv=/usr"]).await;
        let pool = connect(&server, PoolConfig::default().pool_size(1).max_overflow(0)).await;
        let refused = pool.execute_unprepared("SELECT 1 INTO OUTFILE '/tmp/sea-dao-never'").await;
        let error = Error::from(refused.unwrap_err());
        assert!(error.to_string().contains("1290") && error.class() == Some(ErrorClass::Other), "{error:?}");
        assert_eq!((pool.counters().invalidations, pool.status().idle), (0, 1));
    }
}
