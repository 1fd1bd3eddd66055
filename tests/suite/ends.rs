//! Transactions that the database ends by itself, and what sessions are left with.

use entities::{customer_order, tag, user};
use futures_util::StreamExt;
use sea_dao::{BaseDao, Error, FlushMode, Result, prelude::*};
use sea_orm::{ActiveModelTrait, ConnectionTrait, JoinType, RelationTrait, StreamTrait};

use crate::support::{TestDb, count_users, insert_user, new_user, nonce, poll_times};

for_each_backend!(
    a_definition_inside_a_transaction_does_not_commit_it,
    a_definition_outside_of_a_transaction_runs,
    the_flush_mode_of_a_transaction_ends_with_it,
    values_of_other_types_find_the_same_rows,
    joined_rows_are_counted_and_added_up,
    an_aggregate_of_groups_is_refused,
    a_transaction_ended_by_a_procedure_is_an_error,
    a_stream_dropped_inside_of_a_row_does_not_reach_the_next_borrower,
    arrays_where_there_are_none_are_refused,
);

async fn a_definition_inside_a_transaction_does_not_commit_it(db: TestDb) {
    let ended = db
        .execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, "first").await?;
            // Refused where it would commit; else part of the transaction.
            let _ = tx.execute_unprepared("CREATE TABLE extra (a INT)").await;
            insert_user(tx, "second").await?;
            Err(Error::SessionClosed)
        })
        .await;
    assert!(matches!(ended, Err(Error::SessionClosed)), "{ended:?}");
    assert_eq!(count_users(db.outside()).await, 0);
    let left = db.outside().execute_unprepared("SELECT a FROM extra").await;
    assert!(left.is_err(), "the table was rolled back, or never made");
}

async fn a_definition_outside_of_a_transaction_runs(db: TestDb) {
    db.session().execute_unprepared("CREATE TABLE extra (a INT); DROP TABLE extra").await.unwrap();
    assert_eq!(db.status().checked_out, 0);
}

async fn the_flush_mode_of_a_transaction_ends_with_it(db: TestDb) {
    let session = db.session();
    let tx = session.begin().await.unwrap();
    drop(tx);
    let tx = sea_dao::session::TransactionBuilder::new(&session).flush_mode(FlushMode::Manual).begin().await.unwrap();
    tx.add(new_user("pending"));
    assert_eq!(count_users(&tx).await, 0, "nothing is flushed by itself");
    tx.commit().await.unwrap();
    assert_eq!(session.flush_mode(), FlushMode::Auto);
    assert_eq!(count_users(&session).await, 1, "commit flushes");
}

async fn values_of_other_types_find_the_same_rows(db: TestDb) {
    // One connection, so that each statement meets what the one before has prepared.
    let db = db.open(|config| config.pool_size(1).max_overflow(0)).await;
    let users = BaseDao::<user::Entity>::new(db.clone());
    for name in ["a", "b", "c"] {
        insert_user(&db, name).await.unwrap();
    }
    let third = users.query().eq(user::Column::Username, "c").one().await.unwrap().id;
    let third_i32 = i32::try_from(third).unwrap();
    for _ in 0..2 {
        assert_eq!(users.query().eq(user::Column::Id, third_i32).count().await.unwrap(), 1);
        assert_eq!(users.query().eq(user::Column::Id, third).count().await.unwrap(), 1);
        assert_eq!(users.query().ge(user::Column::Id, 0_i64).count().await.unwrap(), 3);
        assert_eq!(users.query().ge(user::Column::Id, 0.5_f64).count().await.unwrap(), 3);
        assert_eq!(users.query().ge(user::Column::Id, 1_000_000_i32).count().await.unwrap(), 0);
        assert_eq!(users.query().ge(user::Column::Id, 1e6_f64).count().await.unwrap(), 0);
        assert_eq!(users.query().gt(user::Column::Balance, 100_f64).count().await.unwrap(), 0);
        assert_eq!(users.delete_where().hard().gt(user::Column::Balance, 100_i64).exec().await.unwrap(), 0);
        assert_eq!(users.delete_where().hard().gt(user::Column::Balance, 100_f64).exec().await.unwrap(), 0);
    }
    assert_eq!(users.count().await.unwrap(), 3);
}

async fn two_orders(db: &TestDb) -> BaseDao<user::Entity> {
    let orders = BaseDao::<customer_order::Entity>::new((**db).clone());
    let buyer = insert_user(&**db, "buyer").await.unwrap();
    insert_user(&**db, "window shopper").await.unwrap();
    for number in ["1", "2"] {
        let order = customer_order::ActiveModel {
            user_id: sea_orm::Set(buyer.id),
            number: sea_orm::Set(number.to_owned()),
            ..Default::default()
        };
        orders.insert(order).await.unwrap();
    }
    BaseDao::new((**db).clone())
}

async fn joined_rows_are_counted_and_added_up(db: TestDb) {
    let users = two_orders(&db).await;
    let joined = || users.query().join(JoinType::InnerJoin, user::Relation::CustomerOrder.def());
    assert_eq!(joined().count().await.unwrap(), 2);
    assert_eq!(joined().limit(1).all().await.unwrap().len(), 1);
    let id = users.query().eq(user::Column::Username, "buyer").one().await.unwrap().id;
    assert_eq!(joined().sum(user::Column::Id).await.unwrap(), 2 * id);
    assert_eq!(joined().max::<i64>(user::Column::Id).await.unwrap(), Some(id));
    let page = joined().order_asc(user::Column::Id).page(1, 10).await.unwrap();
    assert_eq!((page.total, page.items.len()), (2, 2));
}

async fn an_aggregate_of_groups_is_refused(db: TestDb) {
    let users = two_orders(&db).await;
    let refused = users.query().group_by(user::Column::Status).sum(user::Column::Balance).await;
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
}

async fn a_transaction_ended_by_a_procedure_is_an_error(db: TestDb) {
    // Where there is no such procedure, calling it is an ordinary failure.
    let made = db.session().execute_unprepared("CREATE PROCEDURE ends_it() BEGIN COMMIT; END").await.is_ok();
    let ended = db
        .execute_transaction(async |tx| -> Result<()> {
            let _ = tx.execute_unprepared("CALL ends_it()").await;
            let later = insert_user(tx, "later").await;
            assert!(!made || later.is_err(), "it would be committed by itself");
            Ok(())
        })
        .await;
    if made || db.capabilities().failure_aborts_transaction {
        assert!(matches!(ended, Err(Error::TransactionAborted { .. })), "{ended:?}");
        assert_eq!(count_users(db.outside()).await, 0);
    } else {
        ended.unwrap();
        assert_eq!(count_users(db.outside()).await, 1);
    }
}

async fn a_stream_dropped_inside_of_a_row_does_not_reach_the_next_borrower(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).max_overflow(0)).await;
    for number in 0..4 {
        let tag = tag::ActiveModel {
            id: sea_orm::Set(sea_orm::prelude::Uuid::from_u128(number)),
            name: sea_orm::Set(format!("{number}")),
        };
        tag.insert(&pool).await.unwrap();
    }
    let sql = match pool.backend() {
        sea_orm::DbBackend::Sqlite => "SELECT name, hex(zeroblob(200000)) FROM tag",
        _ => "SELECT name, REPEAT('x', 400000) FROM tag",
    };
    for polls in 0..60 {
        let statement = sea_orm::Statement::from_string(pool.backend(), sql);
        let mut rows = pool.stream_raw(statement).await.unwrap();
        rows.next().await.unwrap().unwrap();
        let _ = poll_times(rows.next(), polls % 6).await;
        drop(rows);
        assert_eq!(nonce(&pool, polls as i64).await.unwrap(), polls as i64);
    }
}

async fn arrays_where_there_are_none_are_refused(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let counted = users.query().filter(sea_orm::ColumnTrait::eq(&user::Column::Id, vec![1_i64, 2])).count().await;
    let error = counted.unwrap_err();
    let refused = matches!(error.root(), Error::InvalidArgument { .. });
    assert!(refused || db.capabilities().failure_aborts_transaction, "{error:?}");
    assert_eq!(users.count().await.unwrap(), 0);
}
