//! A database whose every change is undone.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use entities::user;
use futures_util::StreamExt;
use sea_dao::{
    BaseDao, Error, FlushMode, Result, RetryPolicy, Sandbox, SessionProvider, execute_transaction,
    session::{Propagation, TransactionBuilder},
};
use sea_orm::{ConnectionTrait, EntityTrait, IsolationLevel, TransactionTrait};

use crate::support::{TestDb, count_users, insert_user, new_user, nonce, poll_times, slow_query, usernames};

for_each_backend!(
    what_is_done_in_it_is_seen_in_it_and_undone,
    dropped_it_is_undone,
    the_pool_gets_its_connection_back,
    a_dao_and_seaorm_work_in_it,
    transactions_in_it_behave_as_real_ones,
    a_dropped_transaction_in_it_is_undone_before_the_next_session,
    a_failure_aborts_its_transaction_only,
    a_statement_that_fails_leaves_the_others,
    a_stream_that_fails_leaves_the_others,
    callbacks_run_and_attempts_are_repeated,
    transaction_options_are_accepted,
    a_flush_outside_of_a_transaction_is_atomic,
    two_sessions_at_once_are_refused,
    a_dropped_statement_ends_it,
    a_connection_that_dies_ends_it,
    what_would_commit_it_is_refused,
    what_ends_its_transaction_ends_it,
    a_sandbox_in_a_sandbox_is_refused,
    seaorms_own_connection_is_refused,
    after_its_end_it_is_refused,
);

async fn what_is_done_in_it_is_seen_in_it_and_undone(db: TestDb) {
    insert_user(db.outside(), "before").await.unwrap();
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let first = sandbox.session();
    insert_user(&first, "first").await.unwrap();
    let second = sandbox.session();
    assert_ne!(first.id(), second.id());
    insert_user(&second, "second").await.unwrap();
    execute_transaction(&sandbox, async |tx| -> Result<()> { insert_user(tx, "third").await.map(drop) }).await.unwrap();
    // The first one is still there, and neither is in the other's way.
    assert_eq!(usernames(&first).await, ["before", "first", "second", "third"]);
    assert_eq!(usernames(db.outside()).await, ["before"]);
    assert_eq!(db.status().checked_out, 1);
    sandbox.rollback().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["before"]);
    assert_eq!(usernames(&*db).await, ["before"]);
    assert_eq!((db.status().checked_out, db.status().size), (0, 1));
}

async fn dropped_it_is_undone(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let dao = BaseDao::<user::Entity>::new(sandbox.clone());
    dao.insert(new_user("a")).await.unwrap();
    drop(sandbox);
    assert_eq!(dao.count().await.unwrap(), 1, "a clone keeps it");
    drop(dao);
    db.is_quiet().await;
    assert_eq!(db.status().size, 1, "it is rolled back, not closed");
    insert_user(&*db, "b").await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["b"]);
}

async fn the_pool_gets_its_connection_back(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).max_overflow(0)).await;
    for _ in 0..3 {
        let sandbox = Sandbox::begin(&pool).await.unwrap();
        insert_user(&sandbox.session(), "a").await.unwrap();
        sandbox.rollback().await.unwrap();
        assert_eq!(nonce(&pool, 1).await.unwrap(), 1);
    }
    let counters = pool.counters();
    assert_eq!(counters.checkouts, counters.usage.count, "{counters:?}");
    assert_eq!(counters.opened, 1);
}

/// An application's function that takes a database as it is.
async fn register(db: &sea_dao::Database, name: &str) -> Result<i64> {
    db.execute_transaction(async |tx| -> Result<i64> { Ok(insert_user(tx, name).await?.id) }).await
}

async fn a_dao_and_seaorm_work_in_it(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let id = register(sandbox.database(), "a").await.unwrap();
    let users = BaseDao::<user::Entity>::new(sandbox.clone());
    assert_eq!(users.find_by_id(id).await.unwrap().unwrap().username, "a");
    let tx = TransactionTrait::begin(sandbox.database()).await.unwrap();
    insert_user(&tx, "b").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(sandbox.database()).await, ["a", "b"]);
    sandbox.rollback().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn transactions_in_it_behave_as_real_ones(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let session = sandbox.session();
    assert!(!session.is_in_transaction());
    let tx = session.begin().await.unwrap();
    insert_user(&tx, "kept").await.unwrap();
    let inner = tx.begin().await.unwrap();
    insert_user(&inner, "undone").await.unwrap();
    assert!(matches!(insert_user(&tx, "x").await, Err(Error::NestedTransactionOpen)));
    inner.rollback().await.unwrap();
    tx.commit().await.unwrap();
    let undone = execute_transaction(&sandbox, async |tx| -> Result<()> {
        insert_user(tx, "undone").await?;
        Err(Error::SessionClosed)
    });
    assert!(undone.await.is_err());
    assert_eq!(usernames(&sandbox.session()).await, ["kept"]);
    sandbox.rollback().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_dropped_transaction_in_it_is_undone_before_the_next_session(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    insert_user(&sandbox.session(), "kept").await.unwrap();
    let tx = sandbox.database().begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    insert_user(&inner, "undone").await.unwrap();
    drop(tx);
    drop(inner);
    assert_eq!(usernames(&sandbox.session()).await, ["kept"]);
    sandbox.rollback().await.unwrap();
}

async fn a_failure_aborts_its_transaction_only(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    insert_user(&sandbox.session(), "taken").await.unwrap();
    let swallowed = execute_transaction(&sandbox, async |tx| -> Result<()> {
        insert_user(tx, "with it").await?;
        let _ = insert_user(tx, "taken").await;
        Ok(())
    });
    let swallowed = swallowed.await;
    if db.capabilities().failure_aborts_transaction {
        assert!(matches!(swallowed, Err(Error::TransactionAborted { .. })), "{swallowed:?}");
        assert_eq!(usernames(&sandbox.session()).await, ["taken"]);
    } else {
        swallowed.unwrap();
        assert_eq!(usernames(&sandbox.session()).await, ["taken", "with it"]);
    }
    sandbox.rollback().await.unwrap();
}

async fn a_statement_that_fails_leaves_the_others(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let session = sandbox.session();
    insert_user(&session, "taken").await.unwrap();
    for _ in 0..3 {
        assert!(insert_user(&session, "taken").await.unwrap_err().is_unique_violation());
        assert!(session.execute_unprepared("SELECT * FROM nothing").await.is_err());
        assert!(insert_user(sandbox.database(), "taken").await.unwrap_err().is_unique_violation());
    }
    insert_user(&session, "later").await.unwrap();
    assert_eq!(usernames(sandbox.database()).await, ["later", "taken"]);
    sandbox.rollback().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_stream_that_fails_leaves_the_others(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    for name in ["a", "b", "c"] {
        insert_user(&sandbox.session(), name).await.unwrap();
    }
    let broken = sea_orm::Statement::from_string(db.backend(), "SELECT * FROM nothing");
    let mut rows = sea_orm::StreamTrait::stream_raw(sandbox.database(), broken).await.unwrap();
    assert!(rows.next().await.unwrap().is_err());
    drop(rows);
    let database = sandbox.database();
    let mut users = user::Entity::find().stream(database).await.unwrap();
    users.next().await.unwrap().unwrap();
    let busy = nonce(database, 1).await;
    assert!(matches!(busy, Err(Error::SessionBusy { .. })), "{busy:?}");
    drop(users);
    assert_eq!(count_users(database).await, 3, "what was left of the stream is read");
    sandbox.rollback().await.unwrap();
}

async fn callbacks_run_and_attempts_are_repeated(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let (log, attempts) = (Arc::new(Mutex::new(Vec::new())), AtomicU32::new(0));
    let retried = TransactionBuilder::new(&sandbox).retry(RetryPolicy::default()).run(async |tx| -> Result<()> {
        let attempt = attempts.fetch_add(1, SeqCst);
        let inner = log.clone();
        tx.after_end(async move |outcome| inner.lock().unwrap().push(format!("{attempt} {outcome}")))?;
        insert_user(tx, "a").await?;
        if attempt == 0 && db.capabilities().failure_aborts_transaction {
            let sql = "DO $$ BEGIN RAISE 'on purpose' USING ERRCODE = '40001'; END $$";
            tx.execute_unprepared(sql).await?;
        }
        Ok(())
    });
    retried.await.unwrap();
    let expected: &[&str] = match attempts.load(SeqCst) {
        2 => &["0 rolled back", "1 committed"],
        _ => &["0 committed"],
    };
    assert_eq!(*log.lock().unwrap(), expected);
    assert_eq!(usernames(sandbox.database()).await, ["a"]);
    sandbox.rollback().await.unwrap();
    assert_eq!(log.lock().unwrap().len(), expected.len(), "the end of the sandbox is nobody's business");
}

async fn transaction_options_are_accepted(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    insert_user(&sandbox.session(), "a").await.unwrap();
    let tx =
        TransactionBuilder::new(&sandbox).isolation(IsolationLevel::Serializable).read_only().begin().await.unwrap();
    assert_eq!(count_users(&tx).await, 1);
    tx.commit().await.unwrap();
    insert_user(&sandbox.session(), "b").await.unwrap();
    sandbox.rollback().await.unwrap();
}

async fn a_flush_outside_of_a_transaction_is_atomic(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let session = sandbox.session();
    session.set_flush_mode(FlushMode::Manual);
    session.add(new_user("first"));
    session.add(new_user("first"));
    assert!(session.flush().await.unwrap_err().is_unique_violation());
    assert_eq!(count_users(&session).await, 0);
    drop(session);
    sandbox.rollback().await.unwrap();
}

async fn two_sessions_at_once_are_refused(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let tx = sandbox.database().begin().await.unwrap();
    let other = insert_user(&sandbox.session(), "a").await;
    assert!(matches!(other, Err(Error::SessionBusy { .. })), "{other:?}");
    let ended = sandbox.rollback().await;
    assert!(matches!(ended, Err(Error::SessionBusy { .. })), "{ended:?}");
    let new = TransactionBuilder::new(&tx).propagation(Propagation::RequiresNew).begin().await;
    assert!(matches!(new, Err(Error::SessionBusy { .. })), "{new:?}");
    insert_user(&tx, "b").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(sandbox.database()).await, ["b"]);
    sandbox.rollback().await.unwrap();
}

async fn a_dropped_statement_ends_it(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let session = sandbox.session();
    insert_user(&session, "a").await.unwrap();
    assert!(poll_times(slow_query(&session), 1).await.is_none());
    let next = insert_user(&session, "for good?").await;
    assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
    sandbox.rollback().await.unwrap();
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_connection_that_dies_ends_it(db: TestDb) {
    if !db.capabilities().server {
        return a_dropped_statement_ends_it(db).await;
    }
    let sandbox = Sandbox::begin(&db).await.unwrap();
    insert_user(&sandbox.session(), "a").await.unwrap();
    db.end_server_sessions().await;
    assert!(insert_user(&sandbox.session(), "b").await.unwrap_err().is_disconnect());
    let next = insert_user(&sandbox.session(), "for good?").await;
    assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
    sandbox.rollback().await.unwrap();
    assert_eq!(count_users(&*db).await, 0, "the pool goes on");
}

/// What came afterwards would be for good.
async fn what_ends_its_transaction_ends_it(db: TestDb) {
    // Elsewhere no statement does that.
    if !db.capabilities().server || db.capabilities().failure_aborts_transaction {
        return;
    }
    db.outside().execute_unprepared("CREATE PROCEDURE commits() BEGIN COMMIT; END").await.unwrap();
    for (sql, stays) in [("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213", 0), ("CALL commits()", 1)] {
        let sandbox = Sandbox::begin(&db).await.unwrap();
        let session = sandbox.session();
        insert_user(&session, "before").await.unwrap();
        session.execute_unprepared(sql).await.unwrap_err();
        drop(session);
        let next = insert_user(&sandbox.session(), "for good?").await;
        assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{sql}: {next:?}");
        sandbox.rollback().await.unwrap();
        db.is_quiet().await;
        assert_eq!(count_users(db.outside()).await, stays, "{sql}");
    }
}

async fn what_would_commit_it_is_refused(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let session = sandbox.session();
    insert_user(&session, "a").await.unwrap();
    let refused = session.execute_unprepared("COMMIT").await.map_err(Error::from);
    assert!(matches!(refused, Err(Error::TransactionControl { .. })), "{refused:?}");
    // Refused where it would commit; else part of the transaction.
    let _ = session.execute_unprepared("CREATE TABLE extra (a INT)").await;
    // Where there is such a thing, it ends the sandbox.
    let _ = session.execute_unprepared("CALL ends_it()").await;
    drop(session);
    sandbox.rollback().await.unwrap();
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
    assert!(db.outside().execute_unprepared("SELECT a FROM extra").await.is_err());
}

async fn a_sandbox_in_a_sandbox_is_refused(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let inner = Sandbox::begin(sandbox.database()).await;
    assert!(matches!(inner, Err(Error::Unsupported { .. })), "{inner:?}");
    insert_user(&sandbox.session(), "a").await.unwrap();
    sandbox.rollback().await.unwrap();
}

async fn seaorms_own_connection_is_refused(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let refused = sandbox.database().sea_orm_connection().await;
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    assert!(db.sea_orm_connection().await.is_ok());
    sandbox.rollback().await.unwrap();
}

async fn after_its_end_it_is_refused(db: TestDb) {
    let sandbox = Sandbox::begin(&db).await.unwrap();
    let session = sandbox.session();
    insert_user(&session, "a").await.unwrap();
    sandbox.rollback().await.unwrap();
    let late = insert_user(&session, "b").await;
    assert!(matches!(late, Err(Error::TransactionEnded)), "{late:?}");
    assert!(matches!(sandbox.rollback().await, Err(Error::TransactionEnded)));
    assert_eq!(count_users(db.outside()).await, 0);
}
