//! SQLite in memory: the data live as long as the `Database`, and every session sees the same.

use entities::user;
use sea_dao::{BaseDao, Database, Result, prelude::*};
use sea_orm::TransactionTrait;

use crate::support::{TestDb, count_users, insert_user, new_user, nonce, poll_times, usernames};

macro_rules! in_memory {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                crate::support::run(crate::support::Place::SqliteMemory, super::$test);
            })+
        }
    };
}

in_memory!(
    every_session_sees_the_same_data,
    the_data_outlive_every_connection,
    two_databases_share_nothing,
    readers_see_what_is_committed,
    writers_take_turns,
    a_failure_that_rolls_back_by_itself_aborts_the_transaction,
    an_index_made_by_another_connection_is_known_to_an_upsert,
    connections_for_migrations_know_what_the_other_did,
);

async fn every_session_sees_the_same_data(db: TestDb) {
    let (first, second) = (db.session(), db.session());
    insert_user(&first, "a").await.unwrap();
    assert_eq!(usernames(&second).await, ["a"]);
    assert_eq!(db.status().checked_out, 2);
    let connection = db.sea_orm_connection().await.unwrap();
    assert_eq!(usernames(&connection).await, ["a"]);
}

async fn the_data_outlive_every_connection(db: TestDb) {
    insert_user(&*db, "a").await.unwrap();
    for polls in 1..10 {
        // Dropped half way, the only connection is closed.
        let _ = poll_times(nonce(&*db, 1), polls).await;
        assert_eq!(usernames(&*db).await, ["a"]);
    }
}

async fn two_databases_share_nothing(db: TestDb) {
    insert_user(&*db, "a").await.unwrap();
    let other = Database::connect("sqlite::memory:").await.unwrap();
    assert!(insert_user(&other, "b").await.is_err(), "there is no such table");
    other.close().await;
    assert_eq!(count_users(&*db).await, 1);
}

async fn readers_see_what_is_committed(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    tx.commit().await.unwrap();
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "b").await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(usernames(&*db).await, ["a"]);
}

async fn writers_take_turns(db: TestDb) {
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                db.execute_transaction(async |tx| -> Result<()> {
                    let before = count_users(tx).await;
                    insert_user(tx, &task.to_string()).await?;
                    assert_eq!(count_users(tx).await, before + 1);
                    Ok(())
                })
                .await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(count_users(&*db).await, 16);
}

async fn a_failure_that_rolls_back_by_itself_aborts_the_transaction(db: TestDb) {
    insert_user(&*db, "taken").await.unwrap();
    let ended = db
        .execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, "first").await?;
            let sql = "INSERT OR ROLLBACK INTO user (username, phone) VALUES ('taken', 'x')";
            let _ = tx.execute_unprepared(sql).await;
            assert!(insert_user(tx, "later").await.is_err(), "it would be committed by itself");
            Ok(())
        })
        .await;
    assert!(matches!(ended, Err(sea_dao::Error::TransactionAborted { .. })), "{ended:?}");
    assert_eq!(usernames(&*db).await, ["taken"]);

    // An ordinary violation leaves the transaction open.
    db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "first").await?;
        assert!(insert_user(tx, "taken").await.is_err());
        insert_user(tx, "later").await?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(usernames(&*db).await, ["first", "later", "taken"]);
}

async fn an_index_made_by_another_connection_is_known_to_an_upsert(db: TestDb) {
    let (first, second) = (db.session(), db.session());
    assert_eq!(count_users(&first).await, 0);
    second.execute_unprepared("CREATE UNIQUE INDEX uq_user_balance ON user (balance)").await.unwrap();
    let users = BaseDao::<user::Entity>::new(first);
    assert!(users.upsert(new_user("a")).on([user::Column::Balance]).await.is_ok());
}

async fn connections_for_migrations_know_what_the_other_did(db: TestDb) {
    let connection = db.sea_orm_connection().await.unwrap();
    let tx = connection.begin().await.unwrap();
    assert_eq!((count_users(&tx).await, count_users(&connection).await), (0, 0));
    tx.commit().await.unwrap();
    for _ in 0..4 {
        connection.execute_unprepared("CREATE INDEX ix_user_balance ON user (balance)").await.unwrap();
        connection.execute_unprepared("DROP INDEX ix_user_balance").await.unwrap();
    }
}
