//! What one borrower does to its connection does not reach the next one.

use entities::user;
use sea_dao::{Error, Session};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};

use crate::support::{TestDb, count_users, insert_user, nonce};

for_each_backend!(
    transaction_control_as_plain_sql_is_refused,
    a_setting_does_not_reach_the_next_borrower,
    a_variable_does_not_reach_the_next_borrower,
    a_lock_does_not_reach_the_next_borrower,
    locked_tables_do_not_reach_the_next_borrower,
    a_temporary_table_does_not_reach_the_next_borrower,
    an_open_transaction_does_not_reach_the_next_borrower,
    a_definition_hides_nothing_that_follows_it,
    everyday_statements_keep_the_connection,
);

mod only {
    mod mariadb {
        macro_rules! on_mariadb {
            ($($test:ident),+ $(,)?) => {
                $(#[test]
                fn $test() {
                    crate::support::run(crate::support::Place::MariaDb, super::super::$test);
                })+
            };
        }

        on_mariadb!(a_compound_statement_leaves_no_transaction_to_others, definitions_pass_as_they_are_written);
    }
}

async fn transaction_control_as_plain_sql_is_refused(db: TestDb) {
    let session = db.session();
    for sql in ["BEGIN", "COMMIT", "rollback", "SAVEPOINT a", "/* now */ COMMIT", "SELECT 1; COMMIT; SELECT 2"] {
        let refused = session.execute_unprepared(sql).await.map(drop).map_err(Error::from);
        assert!(matches!(refused, Err(Error::TransactionControl { .. })), "{sql}: {refused:?}");
    }
    let statement = Statement::from_string(db.backend(), "COMMIT");
    let refused = session.execute_raw(statement).await.map(drop).map_err(Error::from);
    assert!(matches!(&refused, Err(Error::TransactionControl { keyword }) if keyword == "COMMIT"), "{refused:?}");
    assert_eq!(db.recorder().begun(), 0, "nothing was sent");

    // In a transaction it is refused without harm.
    let tx = session.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    let refused = tx.execute_unprepared("COMMIT").await.map(drop).map_err(Error::from);
    assert!(matches!(refused, Err(Error::TransactionControl { .. })), "{refused:?}");
    tx.rollback().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn text(session: &Session, sql: &str) -> String {
    let row = session.query_one_raw(Statement::from_string(session.backend(), sql)).await.unwrap().unwrap();
    match row.try_get_by_index::<String>(0) {
        Ok(text) => text,
        Err(_) => row.try_get_by_index::<i64>(0).unwrap().to_string(),
    }
}

async fn a_setting_does_not_reach_the_next_borrower(db: TestDb) {
    let db = db.open(|config| config.pool_size(1)).await;
    let (change, read) = match db.backend() {
        DbBackend::Postgres => ("SET work_mem = '123kB'", "SELECT current_setting('work_mem')"),
        DbBackend::MySql => ("SET sort_buffer_size = 123456", "SELECT CAST(@@sort_buffer_size AS SIGNED)"),
        _ => ("PRAGMA cache_size = 1234", "PRAGMA cache_size"),
    };
    let session = db.session();
    let before = text(&session, read).await;
    session.execute_unprepared(change).await.unwrap();
    assert_ne!(text(&session, read).await, before, "it holds for the session");
    drop(session);
    assert_eq!(text(&db.session(), read).await, before);

    let tx = db.begin().await.unwrap();
    tx.execute_unprepared(change).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(text(&db.session(), read).await, before);
}

async fn a_variable_does_not_reach_the_next_borrower(db: TestDb) {
    let db = db.open(|config| config.pool_size(1)).await;
    let (change, read) = match db.backend() {
        DbBackend::Postgres => {
            ("SELECT set_config('suite.leak', 'x', false)", "SELECT COALESCE(current_setting('suite.leak', true), '')")
        }
        DbBackend::MySql => ("SELECT @leak := 'x'", "SELECT COALESCE(CAST(@leak AS CHAR), '')"),
        _ => ("PRAGMA user_version", "SELECT ''"),
    };
    db.query_one_raw(Statement::from_string(db.backend(), change)).await.unwrap();
    assert_eq!(text(&db.session(), read).await, "");
}

async fn a_lock_does_not_reach_the_next_borrower(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    let (lock, try_outside) = match db.backend() {
        DbBackend::Postgres => ("SELECT pg_advisory_lock(4711)", "SELECT pg_try_advisory_lock(4711)::int::bigint"),
        DbBackend::MySql => ("SELECT GET_LOCK('suite-leak', 1)", "SELECT CAST(GET_LOCK('suite-leak', 0) AS SIGNED)"),
        // Locks exist only in transactions there.
        _ => ("SELECT 1", "SELECT 1"),
    };
    let session = db_of_one.session();
    session.query_one_raw(Statement::from_string(db.backend(), lock)).await.unwrap();
    if db.capabilities().server {
        let mut other = db.session();
        assert_eq!(text(&other, try_outside).await, "0", "it is locked");
        other = db.session();
        nonce(&other, 1).await.unwrap();
    }
    drop(session);
    crate::support::eventually("the lock goes with the connection", async || {
        text(&db.session(), try_outside).await == "1"
    })
    .await;
}

async fn locked_tables_do_not_reach_the_next_borrower(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    // Elsewhere it is possible in a transaction only, and goes with it.
    let lock = if db.backend() == DbBackend::MySql { "LOCK TABLES tag READ" } else { "SELECT 1" };
    let session = db_of_one.session();
    session.execute_unprepared(lock).await.unwrap();
    drop(session);
    // With some tables locked, no other could be used.
    insert_user(&db_of_one, "a").await.unwrap();
    assert_eq!(count_users(&db_of_one).await, 1);
}

async fn a_temporary_table_does_not_reach_the_next_borrower(db: TestDb) {
    let db = db.open(|config| config.pool_size(1)).await;
    let other_way = match db.backend() {
        DbBackend::Postgres => "CREATE LOCAL TEMPORARY TABLE scratch (a INT)",
        DbBackend::MySql => "CREATE OR REPLACE TEMPORARY TABLE scratch (a INT)",
        _ => "CREATE TEMP TABLE scratch (a INT)",
    };
    for sql in ["CREATE TEMPORARY TABLE scratch (a INT)", other_way] {
        let session = db.session();
        session.execute_unprepared(sql).await.unwrap();
        session.execute_unprepared("INSERT INTO scratch VALUES (1)").await.unwrap();
        drop(session);
        assert!(db.execute_unprepared("INSERT INTO scratch VALUES (2)").await.is_err(), "{sql}");
        assert_eq!(nonce(&db, 1).await.unwrap(), 1);
    }
}

async fn an_open_transaction_does_not_reach_the_next_borrower(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    for round in 0..10 {
        let tx = db_of_one.begin().await.unwrap();
        insert_user(&tx, &format!("undone {round}")).await.unwrap();
        drop(tx);
        // It waits for the rollback, and then writes outside of any transaction.
        insert_user(&db_of_one, &format!("kept {round}")).await.unwrap();
        assert_eq!(count_users(db.outside()).await, round + 1);
    }
    assert_eq!(db_of_one.status().size, 1);
}

async fn a_definition_hides_nothing_that_follows_it(db: TestDb) {
    let definition = match db.backend() {
        DbBackend::Postgres => "CREATE FUNCTION hiding() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
        DbBackend::MySql => {
            "CREATE TRIGGER hiding BEFORE INSERT ON tag FOR EACH ROW \
             BEGIN DECLARE a INT DEFAULT 1; IF a THEN SET a = 2; END IF; END"
        }
        _ => "CREATE TRIGGER hiding AFTER INSERT ON tag BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 1; END",
    };
    let pool = db.open(|config| config.pool_size(1)).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "undone").await.unwrap();
    for control in ["BEGIN", "COMMIT", "SELECT 1; ROLLBACK"] {
        let script = format!("{definition}; {control}");
        let refused = tx.execute_unprepared(&script).await.map(drop).map_err(Error::from);
        assert!(matches!(refused, Err(Error::TransactionControl { .. })), "{script}: {refused:?}");
    }
    tx.rollback().await.unwrap();
    pool.execute_unprepared(definition).await.unwrap();
    insert_user(&pool, "kept").await.unwrap();
    assert_eq!(count_users(db.outside()).await, 1);
    assert_eq!(pool.counters().opened, 1, "a definition costs no connection");
}

async fn a_compound_statement_leaves_no_transaction_to_others(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    let raw = |sql: &str| Statement::from_string(DbBackend::MySql, sql);
    for (name, sql) in [("a", "IF 1 THEN START TRANSACTION; END IF"), ("b", "BEGIN NOT ATOMIC START TRANSACTION; END")]
    {
        pool.execute_unprepared(sql).await.unwrap();
        pool.execute_raw(raw(sql)).await.unwrap();
        insert_user(&pool, name).await.unwrap();
    }
    assert_eq!(count_users(db.outside()).await, 2);

    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "c").await.unwrap();
    let refused = tx.execute_raw(raw("IF 1 THEN COMMIT; END IF")).await.map(drop).map_err(Error::from);
    assert!(matches!(refused, Err(Error::TransactionControl { .. })), "{refused:?}");
}

/// By mysqldump, and by people.
async fn definitions_pass_as_they_are_written(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    for sql in [
        "CREATE DEFINER = CURRENT_USER TRIGGER a BEFORE INSERT ON tag FOR EACH ROW BEGIN DECLARE b INT; END",
        "/*!50003 CREATE*/ /*!50017 DEFINER=CURRENT_USER*/ /*!50003 TRIGGER c BEFORE INSERT ON tag FOR EACH ROW \
         BEGIN DECLARE b INT; SET b = 1; END */",
        "CREATE PROCEDURE d() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; END; \
         a: WHILE 0 DO CASE 1 WHEN 2 THEN DO 1; ELSE DO 2; END CASE; END WHILE; END; SELECT 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO BEGIN DELETE FROM tag; END",
        "ALTER EVENT e DO IF 1 THEN DELETE FROM tag; END IF",
    ] {
        pool.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    assert_eq!(pool.counters().opened, 1, "{:?}", pool.counters());
    let package = "SET sql_mode = 'ORACLE'; CREATE OR REPLACE PACKAGE f AS FUNCTION g RETURN INT; END";
    pool.execute_unprepared(package).await.unwrap();
}

async fn everyday_statements_keep_the_connection(db: TestDb) {
    let session = db.session();
    insert_user(&session, "a").await.unwrap();
    user::Entity::find().all(&session).await.unwrap();
    session.execute_unprepared("CREATE TABLE extra (a INT)").await.unwrap();
    session.execute_unprepared("DROP TABLE extra").await.unwrap();
    drop(session);
    assert_eq!((db.status().idle, db.status().size), (1, 1));
}
