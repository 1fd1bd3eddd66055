//! Failures inside a transaction: what they abort, and that a swallowed one is never a silent loss.

use std::sync::Arc;

use entities::user;
use sea_dao::{Error, Result, error::ErrorClass, execute_transaction};
use sea_orm::{ConnectionTrait, EntityTrait};
use tokio::sync::Barrier;

use crate::support::{
    Ended, TestDb, add_to_balance, balances, count_users, eventually, insert_user, new_user_with, nonce, poll_times,
    slow_query, usernames,
};

for_each_backend!(
    a_swallowed_failure_never_loses_writes_in_silence,
    a_failure_in_a_nested_transaction_spares_the_outer_one,
    a_swallowed_failure_aborts_a_nested_transaction,
    an_aborted_transaction_refuses_statements_and_can_be_rolled_back,
    a_swallowed_deadlock_is_not_committed,
    a_statement_dropped_in_a_transaction_aborts_it,
    a_connection_killed_in_a_transaction_is_an_error_and_the_pool_recovers,
    a_connection_killed_before_commit_is_an_error,
    a_commit_that_the_database_refuses_writes_nothing,
);

async fn a_swallowed_failure_never_loses_writes_in_silence(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let result = db
        .execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, "first").await?;
            let refused = insert_user(tx, "taken").await;
            assert!(refused.unwrap_err().is_unique_violation());
            Ok(())
        })
        .await;
    if db.capabilities().failure_aborts_transaction {
        let Err(Error::TransactionAborted { source: Some(source), .. }) = result else {
            panic!("{result:?}");
        };
        assert!(Error::from(source).is_unique_violation(), "the failure is told");
        assert_eq!(usernames(db.outside()).await, ["taken"]);
    } else {
        result.unwrap();
        assert_eq!(usernames(db.outside()).await, ["first", "taken"]);
    }
    assert_eq!((db.status().checked_out, db.status().size), (0, 1), "the connection is kept");
}

async fn a_failure_in_a_nested_transaction_spares_the_outer_one(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "before").await?;
        let refused = execute_transaction(tx, async |inner| -> Result<()> {
            insert_user(inner, "inner").await?;
            insert_user(inner, "taken").await?;
            Ok(())
        })
        .await;
        assert!(refused.unwrap_err().is_unique_violation());
        insert_user(tx, "later").await?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(usernames(db.outside()).await, ["before", "later", "taken"]);
}

async fn a_swallowed_failure_aborts_a_nested_transaction(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let outer = db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    assert!(insert_user(&inner, "taken").await.is_err());
    let committed = inner.commit().await;
    let aborts = db.capabilities().failure_aborts_transaction;
    if aborts {
        assert!(matches!(committed, Err(Error::TransactionAborted { .. })), "{committed:?}");
    } else {
        committed.unwrap();
    }
    insert_user(&outer, "outer").await.unwrap();
    outer.commit().await.unwrap();
    let expected: &[&str] = if aborts { &["outer", "taken"] } else { &["inner", "outer", "taken"] };
    assert_eq!(usernames(db.outside()).await, expected);
}

async fn an_aborted_transaction_refuses_statements_and_can_be_rolled_back(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let tx = db.begin().await.unwrap();
    assert!(insert_user(&tx, "taken").await.is_err());
    let next = nonce(&tx, 1).await;
    let nested = tx.begin().await;
    if db.capabilities().failure_aborts_transaction {
        assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
        assert!(matches!(nested, Err(Error::TransactionAborted { .. })), "{nested:?}");
    } else {
        assert_eq!(next.unwrap(), 1);
        nested.unwrap().commit().await.unwrap();
    }
    tx.rollback().await.unwrap();
    assert_eq!(nonce(&*db, 2).await.unwrap(), 2);
    assert_eq!(db.status().size, 1, "the connection is kept");
}

/// Two transactions update two rows in opposite orders. Where several connections may write at once, one of the two
/// loses, and the loser ignores it.
async fn a_swallowed_deadlock_is_not_committed(db: TestDb) {
    user::Entity::insert_many([new_user_with("a", 0), new_user_with("b", 0)]).exec(db.outside()).await.unwrap();
    if !db.capabilities().concurrent_writers {
        // There is one writer at a time: the second waits for the first, and there is no deadlock.
        let first = db.begin().await.unwrap();
        add_to_balance(&first, "a", 1).await.unwrap();
        let second = tokio::spawn({
            let db = db.clone();
            async move {
                let second = db.begin().await.unwrap();
                add_to_balance(&second, "b", 1).await.unwrap();
                add_to_balance(&second, "a", 1).await.unwrap();
                second.commit().await.unwrap();
            }
        });
        add_to_balance(&first, "b", 1).await.unwrap();
        first.commit().await.unwrap();
        second.await.unwrap();
        assert_eq!(balances(db.outside()).await, [2, 2]);
        return;
    }
    let barrier = Arc::new(Barrier::new(2));
    let tasks = [("a", "b"), ("b", "a")].map(|(first, second)| {
        let (db, barrier) = (db.clone(), barrier.clone());
        tokio::spawn(async move {
            let mut failure = None;
            let result = db
                .execute_transaction(async |tx| -> Result<()> {
                    add_to_balance(tx, first, 1).await?;
                    barrier.wait().await;
                    if let Err(error) = add_to_balance(tx, second, 1).await {
                        failure = Some(error);
                        // A careless program goes on.
                        let next = add_to_balance(tx, first, 100).await;
                        assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
                    }
                    Ok(())
                })
                .await;
            (failure, result)
        })
    });
    let mut committed = 0;
    for task in tasks {
        match task.await.unwrap() {
            (None, result) => {
                result.unwrap();
                committed += 1;
            }
            (Some(failure), result) => {
                assert_eq!(failure.class(), Some(ErrorClass::Deadlock), "{failure:?}");
                assert!(failure.is_retryable());
                assert!(matches!(result, Err(Error::TransactionAborted { .. })), "{result:?}");
            }
        }
    }
    assert_eq!(committed, 1, "one of the two wins");
    assert_eq!(balances(db.outside()).await, [1, 1]);
}

async fn a_statement_dropped_in_a_transaction_aborts_it(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "before").await.unwrap();
    assert!(poll_times(slow_query(&tx), 1).await.is_none());
    assert_eq!(db.recorder().take().last().map(|seen| seen.ended), Some(Ended::Cancelled));

    let next = insert_user(&tx, "later").await;
    assert!(matches!(next, Err(Error::TransactionAborted { source: None, .. })), "{next:?}");
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(Error::TransactionAborted { .. })), "{committed:?}");
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);

    // Behind a savepoint too: the connection is gone, and with it the outer transaction.
    let outer = db.begin().await.unwrap();
    insert_user(&outer, "outer").await.unwrap();
    let inner = outer.begin().await.unwrap();
    assert!(poll_times(slow_query(&inner), 1).await.is_none());
    inner.rollback().await.unwrap();
    let next = insert_user(&outer, "later").await;
    assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
    let committed = outer.commit().await;
    assert!(matches!(committed, Err(Error::TransactionAborted { .. })), "{committed:?}");
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_connection_killed_in_a_transaction_is_an_error_and_the_pool_recovers(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "lost").await.unwrap();
    if db.capabilities().server {
        assert!(db.kill_server_sessions().await > 0);
        let failed = insert_user(&tx, "later").await.unwrap_err();
        assert!(failed.is_disconnect(), "{failed:?}");
        let next = nonce(&tx, 1).await;
        assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
        let committed = tx.commit().await;
        assert!(matches!(committed, Err(Error::TransactionAborted { .. })), "{committed:?}");
    } else {
        // There is no server that could end it: only the program can.
        drop(tx);
    }
    eventually("the pool has a working connection", async || nonce(&*db, 1).await.is_ok()).await;
    assert_eq!(count_users(&*db).await, 0);
}

async fn a_connection_killed_before_commit_is_an_error(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "lost").await.unwrap();
    if db.capabilities().server {
        assert!(db.kill_server_sessions().await > 0);
        let failed = tx.commit().await.unwrap_err();
        assert!(failed.is_disconnect(), "{failed:?}");
        assert!(!failed.is_retryable(), "nobody knows whether it took effect: {failed:?}");
    } else {
        drop(tx);
    }
    eventually("the pool has a working connection", async || nonce(&*db, 1).await.is_ok()).await;
    assert_eq!(count_users(&*db).await, 0);
}

async fn a_commit_that_the_database_refuses_writes_nothing(db: TestDb) {
    db.execute_unprepared("CREATE TABLE parent (id INT PRIMARY KEY)").await.unwrap();
    let constraint = "parent INT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED";
    let created = db.execute_unprepared(&format!("CREATE TABLE child (id INT PRIMARY KEY, {constraint})")).await;
    if let Err(error) = created {
        // Constraints that wait for the commit do not exist there.
        assert!(error.to_string().contains("syntax"), "{error}");
        return;
    }
    let result = db
        .execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, "undone").await?;
            tx.execute_unprepared("INSERT INTO child VALUES (1, 2)").await?;
            Ok(())
        })
        .await;
    assert!(result.unwrap_err().is_foreign_key_violation());
    db.is_quiet().await;
    assert_eq!((count_users(db.outside()).await, db.status().size), (0, 1));
}
