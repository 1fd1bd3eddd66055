//! Which statements cost a connection because of what they leave in its session, and which do not.

use sea_dao::{Database, PoolConfig, config::ResetOnReturn, pool::CloseReason};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use crate::{
    common::{at_rest, check_books, number, server_id},
    support::{TestDb, nonce},
};

for_each_backend!(
    a_table_that_is_called_like_a_lock_costs_nothing,
    a_table_that_has_changed_fails_at_most_once,
    a_lasting_change_is_found_wherever_it_stands,
);

mod only {
    mod sqlite {
        #[test]
        fn a_transaction_that_changes_a_table_sees_all_its_columns() {
            crate::support::run(
                crate::support::Place::SqliteFile,
                super::super::a_transaction_that_changes_a_table_sees_all_its_columns,
            );
        }

        #[test]
        fn what_another_session_has_defined_is_there() {
            crate::support::run(
                crate::support::Place::SqliteFile,
                super::super::what_another_session_has_defined_is_there,
            );
        }
    }

    mod mariadb {
        #[test]
        fn a_transaction_that_a_procedure_began_is_rolled_back() {
            crate::support::run(
                crate::support::Place::MariaDb,
                super::super::a_transaction_that_a_procedure_began_is_rolled_back,
            );
        }
    }

    mod postgres {
        macro_rules! on_postgres {
            ($($test:ident),+ $(,)?) => {
                $(#[test]
                fn $test() {
                    crate::support::run(crate::support::Place::Postgres, super::super::$test);
                })+
            };
        }

        on_postgres!(
            a_setting_of_the_transaction_costs_nothing,
            statements_that_were_deallocated_are_prepared_again,
            an_error_about_another_server_costs_nothing,
        );
    }
}

async fn pool_of_one(db: &TestDb, reset: ResetOnReturn) -> Database {
    db.open(|config| config.pool(PoolConfig::default().pool_size(1).max_overflow(0).reset_on_return(reset))).await
}

async fn ask(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await
}

async fn a_table_that_is_called_like_a_lock_costs_nothing(db: TestDb) {
    db.outside().execute_unprepared("CREATE TABLE block (id INTEGER)").await.unwrap();
    let pool = pool_of_one(&db, ResetOnReturn::Rollback).await;
    for sql in ["INSERT INTO block(id) VALUES (1)", "WITH lock_ (a) AS (SELECT id FROM block) SELECT a FROM lock_"] {
        pool.execute_unprepared(sql).await.unwrap();
        ask(&pool, sql).await.unwrap();
    }
    assert_eq!(pool.counters().opened, 1, "{:?}", pool.counters());
}

async fn a_table_that_has_changed_fails_at_most_once(db: TestDb) {
    const ALL: &str = "SELECT * FROM changing";
    for sql in ["CREATE TABLE changing (a INTEGER)", "INSERT INTO changing VALUES (1)"] {
        db.outside().execute_unprepared(sql).await.unwrap();
    }
    let pool = pool_of_one(&db, ResetOnReturn::Rollback).await;
    assert_eq!(ask(&pool, ALL).await.unwrap().len(), 1);
    for (change, columns) in [
        ("ALTER TABLE changing ADD COLUMN b INTEGER", &["a", "b"][..]),
        ("ALTER TABLE changing RENAME COLUMN b TO c", &["a", "c"]),
        ("ALTER TABLE changing DROP COLUMN c", &["a"]),
    ] {
        db.outside().execute_unprepared(change).await.unwrap();
        // PostgreSQL does not prepare it anew by itself.
        let first = ask(&pool, ALL).await;
        assert!(first.is_ok() || db.backend() == DbBackend::Postgres, "{change}: {first:?}");
        let rows = ask(&pool, ALL).await.unwrap();
        assert_eq!(rows.len(), 1, "{change}");
        assert_eq!(rows[0].column_names(), columns, "{change}");
        assert_eq!(rows[0].try_get::<i32>("", "a").unwrap(), 1);
        let one = pool.query_one_raw(Statement::from_string(db.backend(), ALL)).await.unwrap().unwrap();
        assert_eq!(one.column_names(), columns, "{change}");
        if db.backend() != DbBackend::MySql {
            let update = Statement::from_string(db.backend(), "UPDATE changing SET a = 1 RETURNING *");
            assert_eq!(pool.execute_raw(update).await.unwrap().rows_affected(), 1, "{change}");
        }
    }
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_transaction_that_changes_a_table_sees_all_its_columns(db: TestDb) {
    const ALL: &str = "SELECT t.* FROM changing t";
    for sql in ["CREATE TABLE changing (a INTEGER)", "INSERT INTO changing VALUES (1)"] {
        db.outside().execute_unprepared(sql).await.unwrap();
    }
    let pool = pool_of_one(&db, ResetOnReturn::Rollback).await;
    assert_eq!(ask(&pool, ALL).await.unwrap()[0].column_names(), ["a"]);
    let tx = pool.begin().await.unwrap();
    tx.execute_unprepared("ALTER TABLE changing ADD COLUMN b INTEGER").await.unwrap();
    assert_eq!(ask(&tx, ALL).await.unwrap()[0].column_names(), ["a", "b"]);
    tx.commit().await.unwrap();
    assert_eq!(ask(&pool, ALL).await.unwrap()[0].column_names(), ["a", "b"]);
    assert_eq!(pool.counters().opened, 1, "{:?}", pool.counters());
    check_books(&pool);
}

async fn what_another_session_has_defined_is_there(db: TestDb) {
    let pool = db.open(|config| config.pool(PoolConfig::default().pool_size(2).max_overflow(0))).await;
    let (one, other) = (pool.session(), pool.session());
    one.execute_unprepared("CREATE TABLE t (x INTEGER); CREATE TABLE z (x INTEGER)").await.unwrap();
    other.execute_unprepared("SELECT count(*) FROM t").await.unwrap();
    for (session, sql) in [
        (&one, "ALTER TABLE t ADD COLUMN y INTEGER"),
        (&other, "ALTER TABLE t DROP COLUMN y"),
        (&one, "CREATE UNIQUE INDEX i ON t (x)"),
        (&other, "insert into t (x) values (1) on conflict (x) do nothing"),
        (&other, "DROP INDEX i"),
        (&one, "CREATE UNIQUE INDEX i ON t (x)"),
        (&other, "/* now */ drop index i"),
        (&one, "SELECT 1; CREATE UNIQUE INDEX i ON t (x)"),
        (&one, "CREATE UNIQUE INDEX j ON z (x)"),
        (&other, "INSERT INTO z (x) VALUES (1)\nON CONFLICT (x) DO NOTHING"),
        (&one, "DROP TABLE z"),
        (&other, "CREATE TABLE z (x INTEGER)"),
    ] {
        session.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    for (session, sql) in [
        (&one, "ALTER TABLE t ADD COLUMN y INTEGER"),
        (&other, "ALTER TABLE t DROP COLUMN y"),
        (&one, "DROP INDEX i"),
        (&other, "CREATE UNIQUE INDEX i ON t (x)"),
        (&one, "insert into t (x) values (1)\non conflict (x) do nothing"),
        (&other, "DROP INDEX i"),
        (&one, "CREATE UNIQUE INDEX i ON t (x)"),
    ] {
        let statement = Statement::from_string(DbBackend::Sqlite, sql);
        session.execute_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

async fn a_lasting_change_is_found_wherever_it_stands(db: TestDb) {
    let changes: &[&str] = match db.backend() {
        DbBackend::Postgres => &[
            "VALUES (pg_advisory_lock(1))",
            "EXPLAIN ANALYZE SELECT pg_advisory_lock(1)",
            r#"SELECT "pg_advisory_lock"(1)"#,
            "SELECT pg_advisory_lock/**/(1)",
            "UPDATE pg_settings SET setting = '1s' WHERE name = 'lock_timeout'",
            "CREATE TABLE pg_temp.x (a int)",
            "CREATE/**/TEMP/**/TABLE x (a int)",
            "SELECT 1 AS a INTO TEMP x",
            "SELECT 1 AS a INTO LOCAL TEMP TABLE x",
            "SELECT 1 AS a INTO pg_temp.x",
            "SELECT 1 AS a INTO TABLE pg_temp.x",
            "EXPLAIN ANALYZE CREATE TEMP TABLE x AS SELECT 1",
            "SELECT setseed(0.5)",
        ],
        DbBackend::MySql => &[
            "FLUSH TABLES note WITH READ LOCK",
            "CREATE TABLE locked AS SELECT GET_LOCK('changed', 1)",
            "ANALYZE SELECT GET_LOCK('changed', 1)",
            "SELECT GET_LOCK /* x */ ('changed', 1)",
            "SELECT 7 INTO\n@x",
            "CREATE /*! TEMPORARY */ TABLE x (a int)",
            "CREATE /*M!100100 TEMPORARY */ TABLE x (a int)",
            "SELECT 7 INTO /*! @x */",
            "SELECT GET_LOCK/*!('changed', 0)*/",
            "GET DIAGNOSTICS @x = NUMBER",
            "IF 1 THEN SET @x = 1; END IF",
            "CREATE PROCEDURE made() SELECT 1; SET @x = 1",
        ],
        _ => &[
            "CREATE TABLE temp.x (a int)",
            "CREATE/**/TEMP/**/TABLE x (a int)",
            "CREATE TRIGGER made AFTER INSERT ON note BEGIN SELECT 1; END; CREATE TEMP TABLE x (a int)",
        ],
    };
    db.outside().execute_unprepared("CREATE TABLE IF NOT EXISTS note (a INTEGER)").await.unwrap();
    let pool = pool_of_one(&db, ResetOnReturn::Rollback).await;
    for (closed, sql) in (1..).zip(changes) {
        pool.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        at_rest(&pool).await;
        assert_eq!(pool.counters().closed_for(CloseReason::SessionChanged), closed, "{sql}");
    }
    check_books(&pool);
}

async fn a_transaction_that_a_procedure_began_is_rolled_back(db: TestDb) {
    db.outside().execute_unprepared("CREATE PROCEDURE opens() START TRANSACTION").await.unwrap();
    let pool = pool_of_one(&db, ResetOnReturn::None).await;
    let before = server_id(&pool).await;
    for sql in ["SET @kept = 7", "CALL opens()"] {
        pool.execute_unprepared(sql).await.unwrap();
        at_rest(&pool).await;
        assert_eq!(number(&pool, "SELECT CAST(@@in_transaction AS SIGNED)").await, 0, "{sql}");
    }
    // What else was left in the session stays.
    assert_eq!(number(&pool, "SELECT CAST(@kept AS SIGNED)").await, 7);
    assert_eq!((server_id(&pool).await, pool.counters().opened), (before, 1));
    check_books(&pool);
}

/// As it is done for row-level security, at the beginning of each transaction.
async fn a_setting_of_the_transaction_costs_nothing(db: TestDb) {
    let pool = pool_of_one(&db, ResetOnReturn::Rollback).await;
    let set =
        |backend| Statement::from_sql_and_values(backend, "SELECT set_config('app.user_id', $1, true)", ["7".into()]);
    for _ in 0..3 {
        let tx = pool.begin().await.unwrap();
        tx.query_one_raw(set(tx.get_database_backend())).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(pool.counters().opened, 1, "{:?}", pool.counters());
}

async fn statements_that_were_deallocated_are_prepared_again(db: TestDb) {
    for reset in [ResetOnReturn::Rollback, ResetOnReturn::Full] {
        let pool = pool_of_one(&db, reset).await;
        assert_eq!(nonce(&pool, 1).await.unwrap(), 1);
        pool.execute_unprepared("DEALLOCATE ALL").await.unwrap();
        assert_eq!(nonce(&pool, 2).await.unwrap(), 2, "{reset:?}");
    }
    // Where nothing is reset, the driver finds out by a failure, and the connection goes.
    let pool = pool_of_one(&db, ResetOnReturn::None).await;
    assert_eq!(nonce(&pool, 1).await.unwrap(), 1);
    pool.execute_unprepared("DEALLOCATE ALL").await.unwrap();
    let error = nonce(&pool, 2).await.unwrap_err();
    assert!(!error.is_disconnect(), "{error:?}");
    assert_eq!(nonce(&pool, 3).await.unwrap(), 3);
    // One of the caller's own says nothing of the driver's.
    let opened = pool.counters().opened;
    pool.execute_unprepared("EXECUTE nobody").await.unwrap_err();
    assert_eq!(nonce(&pool, 4).await.unwrap(), 4);
    assert_eq!(pool.counters().opened, opened);
}

/// As that of a foreign table whose server is down.
async fn an_error_about_another_server_costs_nothing(db: TestDb) {
    let function = "CREATE FUNCTION far() RETURNS int LANGUAGE plpgsql \
                    AS $$ BEGIN RAISE 'could not connect to server' USING ERRCODE = '08001'; END $$";
    db.outside().execute_unprepared(function).await.unwrap();
    let pool = pool_of_one(&db, ResetOnReturn::Rollback).await;
    let before = server_id(&pool).await;
    for _ in 0..3 {
        let error = sea_dao::Error::from(ask(&pool, "SELECT far()").await.unwrap_err());
        assert!(!error.is_disconnect(), "{error:?}");
    }
    assert_eq!(server_id(&pool).await, before);
    assert_eq!(pool.counters().opened, 1, "{:?}", pool.counters());
}
