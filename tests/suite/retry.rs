//! Transactions that are run again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use entities::user;
use sea_dao::{
    Error, Result, RetryPolicy, Session,
    config::PrePing,
    error::ErrorClass,
    execute_transaction,
    session::{RetryDisconnects, TransactionBuilder},
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, IsolationLevel, QueryFilter};
use tokio::sync::Barrier;

use crate::support::{
    TestDb, add_to_balance, balances, count_users, eventually, insert_user, new_user_with, nonce, usernames,
};

for_each_backend!(
    a_transaction_that_collides_is_run_again,
    a_swallowed_collision_is_run_again,
    a_collision_behind_a_savepoint_is_run_again_as_a_whole,
    a_collision_that_was_dealt_with_is_not_run_again,
    the_callbacks_own_errors_are_not_tried_again,
    when_attempts_run_out_the_last_error_comes_back,
    when_the_budget_runs_out_the_last_error_comes_back,
    a_lock_that_somebody_holds_is_waited_for,
    on_a_transaction_the_callback_runs_once,
    a_session_runs_its_transaction_again,
    nothing_of_a_failed_attempt_is_left,
    a_serialization_failure_at_commit_is_run_again,
    a_connection_that_died_idle_is_replaced,
    a_connection_that_dies_before_the_first_statement_is_replaced,
    a_connection_that_dies_before_the_flush_of_a_commit_is_replaced,
    a_connection_that_dies_later_is_replaced_when_asked,
    a_connection_that_dies_before_commit_is_replaced_when_asked,
    a_policy_that_makes_no_sense_is_refused,
    pauses_beyond_the_budget_end_the_attempts,
);

/// No pauses worth mentioning.
fn policy() -> RetryPolicy {
    RetryPolicy::default().base_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(5))
}

/// Fails as a collision with another transaction does. Only for servers.
async fn collide(tx: &impl ConnectionTrait) -> Result<()> {
    let sql = match tx.get_database_backend() {
        DbBackend::Postgres => "DO $$ BEGIN RAISE 'on purpose' USING ERRCODE = '40001'; END $$",
        _ => "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
    };
    tx.execute_unprepared(sql).await?;
    Ok(())
}

/// Runs `work` with the write lock taken by somebody else, for a pool that does not wait for locks.
async fn locked_out<T>(db: &TestDb, work: impl AsyncFnOnce(&sea_dao::Database) -> T) -> T {
    let hasty = db.open_set_up("PRAGMA busy_timeout = 0").await;
    let holder = db.begin().await.unwrap();
    let result = work(&hasty).await;
    holder.rollback().await.unwrap();
    result
}

async fn a_transaction_that_collides_is_run_again(db: TestDb) {
    user::Entity::insert(new_user_with("a", 0)).exec(db.outside()).await.unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let attempts = Arc::new(AtomicU32::new(0));
    let tasks = [1, 2].map(|_| {
        let (db, barrier, attempts) = (db.clone(), barrier.clone(), attempts.clone());
        tokio::spawn(async move {
            let first = AtomicU32::new(0);
            let (db, barrier, attempts) = (&db, &barrier, &attempts);
            let builder = db.transaction().isolation(IsolationLevel::Serializable).retry(policy());
            builder
                .run(async |tx| -> Result<()> {
                    attempts.fetch_add(1, SeqCst);
                    let named = user::Entity::find().filter(user::Column::Username.eq("a"));
                    let balance = named.one(tx).await?.unwrap().balance;
                    if db.capabilities().concurrent_writers && first.fetch_add(1, SeqCst) == 0 {
                        barrier.wait().await;
                    }
                    add_to_balance(tx, "a", 1).await?;
                    let balance_now = balances(tx).await[0];
                    assert_eq!(balance_now, balance + 1);
                    Ok(())
                })
                .await
        })
    });
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(balances(db.outside()).await, [2]);
    let expected = if db.capabilities().concurrent_writers { 3.. } else { 2.. };
    assert!(expected.contains(&attempts.load(SeqCst)));
}

async fn a_swallowed_collision_is_run_again(db: TestDb) {
    if !db.capabilities().server {
        return a_lock_that_somebody_holds_is_waited_for(db).await;
    }
    let attempts = AtomicU32::new(0);
    let done = db.transaction().retry(policy()).run(async |tx| -> Result<u32> {
        insert_user(tx, "a").await?;
        let attempt = attempts.fetch_add(1, SeqCst);
        if attempt == 0 {
            let _ = collide(tx).await;
        }
        Ok(attempt)
    });
    assert_eq!(done.await.unwrap(), 1);
    assert_eq!(usernames(db.outside()).await, ["a"]);
}

async fn a_collision_behind_a_savepoint_is_run_again_as_a_whole(db: TestDb) {
    if !db.capabilities().server {
        return a_lock_that_somebody_holds_is_waited_for(db).await;
    }
    let attempts = AtomicU32::new(0);
    let done = db.transaction().retry(policy()).run(async |tx| -> Result<u32> {
        insert_user(tx, "outer").await?;
        let attempt = attempts.fetch_add(1, SeqCst);
        execute_transaction(tx, async |inner| -> Result<()> {
            insert_user(inner, "inner").await?;
            if attempt == 0 { collide(inner).await } else { Ok(()) }
        })
        .await?;
        Ok(attempt)
    });
    assert_eq!(done.await.unwrap(), 1);
    assert_eq!(usernames(db.outside()).await, ["inner", "outer"]);
}

#[derive(Debug)]
struct OwnError;

impl From<Error> for OwnError {
    fn from(error: Error) -> Self {
        panic!("{error:?}")
    }
}

/// The database goes on after a savepoint that failed, where a collision leaves the rest of the transaction.
async fn a_collision_that_was_dealt_with_is_not_run_again(db: TestDb) {
    let attempts = AtomicU32::new(0);
    let failed = db.transaction().retry(policy()).run(async |tx| -> Result<(), OwnError> {
        attempts.fetch_add(1, SeqCst);
        if db.capabilities().failure_aborts_transaction {
            let inner = execute_transaction(tx, async |inner| -> Result<()> { collide(inner).await }).await;
            assert!(inner.unwrap_err().is_retryable());
        }
        assert_eq!(nonce(tx, 1).await?, 1);
        Err(OwnError)
    });
    assert!(failed.await.is_err());
    assert_eq!(attempts.load(SeqCst), 1);
}

async fn the_callbacks_own_errors_are_not_tried_again(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let attempts = AtomicU32::new(0);
    let own = db.transaction().retry(policy()).run(async |tx| -> Result<(), OwnError> {
        attempts.fetch_add(1, SeqCst);
        insert_user(tx, "a").await?;
        Err(OwnError)
    });
    assert!(own.await.is_err());
    let taken = db.transaction().retry(policy()).run(async |tx| -> Result<()> {
        attempts.fetch_add(1, SeqCst);
        insert_user(tx, "taken").await.map(drop)
    });
    assert!(taken.await.unwrap_err().is_unique_violation());
    assert_eq!(attempts.load(SeqCst), 2);
    assert_eq!(usernames(db.outside()).await, ["taken"]);
}

async fn when_attempts_run_out_the_last_error_comes_back(db: TestDb) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let policy = policy().attempts(4).on_retry(move |retry| {
        log.lock().unwrap().push((retry.attempt, retry.error.class()));
        assert!(retry.delay <= Duration::from_millis(5));
    });
    let class = if db.capabilities().server {
        #[derive(Debug)]
        struct Numbered(u32);
        impl From<Error> for Numbered {
            fn from(_: Error) -> Self {
                Self(0)
            }
        }
        let attempts = AtomicU32::new(0);
        let failed = db.transaction().retry(policy).run(async |tx| -> Result<(), Numbered> {
            let attempt = attempts.fetch_add(1, SeqCst) + 1;
            collide(tx).await.map_err(|_| Numbered(attempt))
        });
        assert_eq!(failed.await.unwrap_err().0, 4, "the callback's own error of the last attempt");
        if db.backend() == DbBackend::Postgres { ErrorClass::SerializationFailure } else { ErrorClass::Deadlock }
    } else {
        let failed = locked_out(&db, async |hasty| {
            hasty.transaction().retry(policy).run(async |_| -> Result<()> { panic!("it cannot begin") }).await
        });
        assert_eq!(failed.await.unwrap_err().class(), Some(ErrorClass::LockTimeout));
        ErrorClass::LockTimeout
    };
    let told = told.lock().unwrap().clone();
    assert_eq!(told, [(1, Some(class)), (2, Some(class)), (3, Some(class))]);
}

async fn when_the_budget_runs_out_the_last_error_comes_back(db: TestDb) {
    let policy = RetryPolicy::default().attempts(u32::MAX).budget(Duration::from_millis(30));
    let failed = if db.capabilities().server {
        db.transaction().retry(policy).run(async |tx| -> Result<()> { collide(tx).await }).await
    } else {
        locked_out(&db, async |hasty| {
            hasty.transaction().retry(policy).run(async |_| -> Result<()> { panic!("it cannot begin") }).await
        })
        .await
    };
    assert!(failed.unwrap_err().is_retryable());
}

async fn a_lock_that_somebody_holds_is_waited_for(db: TestDb) {
    insert_user(db.outside(), "a").await.unwrap();
    let hasty = db.open_set_up(match db.backend() {
        DbBackend::Sqlite => "PRAGMA busy_timeout = 0",
        DbBackend::Postgres => "SET lock_timeout = '1ms'",
        _ => "SET innodb_lock_wait_timeout = 0",
    });
    let hasty = hasty.await;
    let holder = db.begin().await.unwrap();
    add_to_balance(&holder, "a", 1).await.unwrap();
    let failed = hasty.transaction().retry(policy().attempts(3).lock_timeouts(false));
    let failed = failed.run(async |tx| -> Result<()> { add_to_balance(tx, "a", 10).await }).await;
    assert_eq!(failed.unwrap_err().class(), Some(ErrorClass::LockTimeout));

    let (waits, waiting) = tokio::sync::watch::channel(0);
    let policy =
        policy().attempts(u32::MAX).on_retry(move |retry| waits.send_modify(|attempt| *attempt = retry.attempt));
    let waiter = tokio::spawn(async move {
        hasty.transaction().retry(policy).run(async |tx| -> Result<()> { add_to_balance(tx, "a", 10).await }).await
    });
    eventually("it is tried again", async || *waiting.borrow() >= 3).await;
    holder.commit().await.unwrap();
    waiter.await.unwrap().unwrap();
    assert_eq!(balances(db.outside()).await, [11]);
}

async fn on_a_transaction_the_callback_runs_once(db: TestDb) {
    let attempts = AtomicU32::new(0);
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "outer").await.unwrap();
    let inner = TransactionBuilder::new(&tx).retry(policy()).run(async |inner| -> Result<()> {
        attempts.fetch_add(1, SeqCst);
        insert_user(inner, "inner").await?;
        if db.capabilities().server { collide(inner).await } else { Err(Error::SessionClosed) }
    });
    assert!(inner.await.is_err());
    assert_eq!(attempts.load(SeqCst), 1, "only the outermost is run again");
    tx.rollback().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

/// Fails where a collision can be made, and does nothing elsewhere.
async fn collide_at_first(db: &TestDb, tx: &Session, attempt: u32) -> Result<()> {
    if attempt == 0 && db.capabilities().server { collide(tx).await } else { Ok(()) }
}

async fn a_session_runs_its_transaction_again(db: TestDb) {
    let session = db.session();
    insert_user(&session, "before").await.unwrap();
    let attempts = AtomicU32::new(0);
    TransactionBuilder::new(&session)
        .retry(policy())
        .run(async |tx| -> Result<()> {
            assert_eq!(tx.id(), session.id());
            insert_user(tx, "in it").await?;
            collide_at_first(&db, tx, attempts.fetch_add(1, SeqCst)).await
        })
        .await
        .unwrap();
    assert_eq!(db.status().size, 1, "on the session's own connection");
    assert_eq!(usernames(&session).await, ["before", "in it"]);
}

async fn nothing_of_a_failed_attempt_is_left(db: TestDb) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let attempts = AtomicU32::new(0);
    db.transaction()
        .retry(policy())
        .run(async |tx| -> Result<()> {
            let attempt = attempts.fetch_add(1, SeqCst);
            let inner = log.clone();
            tx.after_end(async move |outcome| inner.lock().unwrap().push(format!("{attempt} {outcome}")))?;
            assert_eq!(tx.pending(), 0);
            tx.set_flush_mode(sea_dao::FlushMode::Manual);
            tx.add(crate::support::new_user("pending"));
            collide_at_first(&db, tx, attempt).await
        })
        .await
        .unwrap();
    let expected: &[&str] = if db.capabilities().server { &["0 rolled back", "1 committed"] } else { &["0 committed"] };
    assert_eq!(*log.lock().unwrap(), expected);
    assert_eq!(usernames(db.outside()).await, ["pending"]);
}

/// Each of two transactions counts what the other one adds to: only one of them may be true.
async fn a_serialization_failure_at_commit_is_run_again(db: TestDb) {
    if !db.capabilities().failure_aborts_transaction {
        // Locks keep them apart there: the second waits, at its first statement.
        return a_transaction_that_collides_is_run_again(db).await;
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = told.clone();
    let policy = policy().on_retry(move |retry| log.lock().unwrap().push(retry.error.class()));
    let serializable = || db.transaction().isolation(IsolationLevel::Serializable);
    let attempts = AtomicU32::new(0);
    let done = serializable().retry(policy).run(async |tx| -> Result<u64> {
        let first = attempts.fetch_add(1, SeqCst) == 0;
        let seen = count_users(tx).await;
        if first {
            let other = serializable().begin().await?;
            assert_eq!(count_users(&other).await, 0);
            insert_user(tx, "mine").await?;
            insert_user(&other, "other's").await?;
            other.commit().await?;
        } else {
            insert_user(tx, "mine").await?;
        }
        Ok(seen)
    });
    assert_eq!(done.await.unwrap(), 1, "the second attempt has seen the other one");
    assert_eq!(*told.lock().unwrap(), [Some(ErrorClass::SerializationFailure)]);
    assert_eq!(usernames(db.outside()).await, ["mine", "other's"]);
}

/// Whatever the policy: nothing was done on it.
async fn a_connection_that_died_idle_is_replaced(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).pool_pre_ping(PrePing::Never)).await;
    for disconnects in [RetryDisconnects::BeforeFirstStatement, RetryDisconnects::Never] {
        assert_eq!(nonce(&pool, 1).await.unwrap(), 1);
        db.end_server_sessions().await;
        let attempts = AtomicU32::new(0);
        let policy = policy().disconnects(disconnects);
        let done = pool.transaction().retry(policy).run(async |tx| -> Result<i64> {
            attempts.fetch_add(1, SeqCst);
            nonce(tx, 2).await
        });
        assert_eq!(done.await.unwrap(), 2, "{disconnects:?}");
        assert_eq!(attempts.load(SeqCst), 1);
    }
}

async fn a_connection_that_dies_before_the_first_statement_is_replaced(db: TestDb) {
    let attempts = AtomicU32::new(0);
    let done = db.transaction().retry(policy()).run(async |tx| -> Result<()> {
        if attempts.fetch_add(1, SeqCst) == 0 {
            db.end_server_sessions().await;
        }
        insert_user(tx, "a").await.map(drop)
    });
    done.await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["a"]);
    assert_eq!(attempts.load(SeqCst), if db.capabilities().server { 2 } else { 1 });
}

/// All that the transaction sends is what its commit flushes.
async fn a_connection_that_dies_before_the_flush_of_a_commit_is_replaced(db: TestDb) {
    let attempts = AtomicU32::new(0);
    let done = db.transaction().retry(policy()).run(async |tx| -> Result<()> {
        if attempts.fetch_add(1, SeqCst) == 0 {
            db.end_server_sessions().await;
        }
        tx.add(new_user_with("a", 0));
        Ok(())
    });
    done.await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["a"]);
    assert_eq!(attempts.load(SeqCst), if db.capabilities().server { 2 } else { 1 });
}

async fn a_connection_that_dies_later_is_replaced_when_asked(db: TestDb) {
    for disconnects in [RetryDisconnects::BeforeFirstStatement, RetryDisconnects::BeforeCommit] {
        let attempts = AtomicU32::new(0);
        let name = format!("{disconnects:?}");
        let done = db.transaction().retry(policy().disconnects(disconnects)).run(async |tx| -> Result<()> {
            insert_user(tx, &name).await?;
            if attempts.fetch_add(1, SeqCst) == 0 {
                db.end_server_sessions().await;
            }
            nonce(tx, 1).await.map(drop)
        });
        let done = done.await;
        if db.capabilities().server && disconnects == RetryDisconnects::BeforeFirstStatement {
            assert_eq!(done.unwrap_err().class(), Some(ErrorClass::Disconnect));
            assert_eq!(attempts.load(SeqCst), 1);
            assert_eq!(count_users(db.outside()).await, 0);
        } else {
            done.unwrap();
        }
    }
    assert!(usernames(db.outside()).await.contains(&"BeforeCommit".to_owned()));
}

async fn a_connection_that_dies_before_commit_is_replaced_when_asked(db: TestDb) {
    for disconnects in [RetryDisconnects::BeforeFirstStatement, RetryDisconnects::BeforeCommit] {
        let attempts = AtomicU32::new(0);
        let name = format!("{disconnects:?}");
        let done = db.transaction().retry(policy().disconnects(disconnects)).run(async |tx| -> Result<()> {
            insert_user(tx, &name).await?;
            if attempts.fetch_add(1, SeqCst) == 0 {
                db.end_server_sessions().await;
            }
            Ok(())
        });
        let done = done.await;
        if db.capabilities().server && disconnects == RetryDisconnects::BeforeFirstStatement {
            // COMMIT was sent to nobody, but that cannot be told.
            assert!(matches!(done, Err(Error::CommitUnknown { .. })), "{done:?}");
            assert_eq!(attempts.load(SeqCst), 1);
            assert_eq!(count_users(db.outside()).await, 0);
        } else {
            done.unwrap();
        }
    }
    assert!(usernames(db.outside()).await.contains(&"BeforeCommit".to_owned()));
}

async fn a_policy_that_makes_no_sense_is_refused(db: TestDb) {
    for policy in [policy().attempts(0), policy().factor(f64::NAN), policy().jitter(-0.1)] {
        let refused = db.transaction().retry(policy).run(async |_| -> Result<()> { panic!("not run") }).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
    assert_eq!(db.recorder().begun(), 0);
}

async fn pauses_beyond_the_budget_end_the_attempts(db: TestDb) {
    if !db.capabilities().server {
        return;
    }
    for longest in [Duration::MAX, Duration::from_secs(60)] {
        let attempts = AtomicU32::new(0);
        let policy = RetryPolicy::default().base_delay(longest).max_delay(longest).jitter(0.0);
        let failed = db.transaction().retry(policy).run(async |tx| -> Result<()> {
            attempts.fetch_add(1, SeqCst);
            collide(tx).await
        });
        assert!(failed.await.unwrap_err().is_retryable());
        assert_eq!(attempts.load(SeqCst), 1);
    }
}
