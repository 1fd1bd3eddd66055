//! Errors: the same predicates on every database, and the way through SeaORM and back.

use entities::customer_order;
use sea_dao::{
    Error,
    error::{ErrorClass, PoolTimeout},
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbErr, SqlErr, Statement};

use crate::support::{TestDb, insert_user, nonce};

for_each_backend!(violations_have_predicates, other_failures_have_classes, an_error_travels_through_seaorm_and_back,);

async fn violations_have_predicates(db: TestDb) {
    insert_user(&*db, "a").await.unwrap();
    let unique = insert_user(&*db, "a").await.unwrap_err();
    assert!(unique.is_unique_violation() && !unique.is_foreign_key_violation(), "{unique:?}");
    let Error::Database { source, .. } = &unique else { panic!("{unique:?}") };
    assert!(matches!(source.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "SeaORM sees the same");

    let order = customer_order::ActiveModel { user_id: Set(-1), number: Set("1".to_owned()), ..Default::default() };
    let foreign_key = Error::from(order.insert(&*db).await.unwrap_err());
    assert!(foreign_key.is_foreign_key_violation(), "{foreign_key:?}");

    let quote = if db.backend() == sea_orm::DbBackend::MySql { '`' } else { '"' };
    let sql = format!("INSERT INTO {quote}user{quote} (username, phone) VALUES ('b', NULL)");
    let not_null = Error::from(db.execute_unprepared(&sql).await.unwrap_err());
    assert!(not_null.is_not_null_violation(), "{not_null:?}");

    db.execute_unprepared("CREATE TABLE checked (a INT CHECK (a > 0))").await.unwrap();
    let check = Error::from(db.execute_unprepared("INSERT INTO checked VALUES (0)").await.unwrap_err());
    assert!(check.is_check_violation(), "{check:?}");

    for error in [unique, foreign_key, not_null, check] {
        assert!(!error.is_retryable() && !error.is_disconnect() && !error.is_timeout() && !error.is_not_found());
    }
    assert_eq!(db.status().size, 1, "the connection is kept");
}

async fn other_failures_have_classes(db: TestDb) {
    let missing = Error::from(db.execute_unprepared("SELECT * FROM nowhere").await.unwrap_err());
    assert_eq!(missing.class(), Some(ErrorClass::Other), "{missing:?}");

    let row = db.query_one_raw(Statement::from_string(db.backend(), "SELECT 'text'")).await.unwrap().unwrap();
    let decode = Error::from(row.try_get_by_index::<i64>(0).unwrap_err());
    assert_eq!(decode.class(), Some(ErrorClass::Decode), "{decode:?}");

    let zero = db.execute_unprepared("SELECT 1\0, 2").await.map_err(Error::from);
    assert!(matches!(zero, Err(Error::InvalidArgument { .. })), "{zero:?}");
    let limit = db.capabilities().bind_limit;
    let values = sea_orm::Values(vec![1.into(); limit + 1]);
    let statement = Statement { sql: "SELECT 1".to_owned(), values: Some(values), db_backend: db.backend() };
    let many = db.query_all_raw(statement).await.map_err(Error::from);
    assert!(matches!(many, Err(Error::InvalidArgument { .. })), "{many:?}");
    assert_eq!(nonce(&*db, 1).await.unwrap(), 1);
}

async fn an_error_travels_through_seaorm_and_back(db: TestDb) {
    insert_user(&*db, "a").await.unwrap();
    let unique = insert_user(&*db, "a").await.unwrap_err();
    let back = Error::from(DbErr::from(unique.clone()));
    assert!(back.is_unique_violation());
    assert_eq!(back.to_string(), unique.to_string());

    let tx = db.begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    let refused = tx.execute_unprepared("SELECT 1").await.unwrap_err();
    let shown = refused.to_string();
    assert!(shown.contains("nested transaction is open") && !shown.contains("Any driver"), "{shown}");
    assert!(matches!(Error::from(refused), Error::NestedTransactionOpen));
    drop(inner);
    drop(tx);

    let full = db.open(|config| config.pool_size(1).pool_timeout(std::time::Duration::from_millis(300))).await;
    let _held = {
        let session = full.session();
        nonce(&session, 1).await.unwrap();
        session
    };
    let timeout = Error::from(full.execute_unprepared("SELECT 1").await.unwrap_err());
    assert!(timeout.is_timeout(), "{timeout:?}");
    let Error::PoolTimeout(timeout) = timeout else { panic!("{timeout:?}") };
    let PoolTimeout { size: 1, limit: 1, checked_out: 1, .. } = *timeout else { panic!("{timeout:?}") };

    let wrapped = Error::SessionClosed.during("insert", "user");
    let back = Error::from(DbErr::from(wrapped));
    assert!(matches!(back.root(), Error::SessionClosed), "{back:?}");
    assert!(back.to_string().starts_with("insert user: "), "{back}");
}
