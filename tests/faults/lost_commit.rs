//! Connections that are cut around COMMIT.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use sea_dao::{
    Database, Error, Result, RetryPolicy, Session,
    error::ErrorClass,
    hooks::{SqlHook, StatementInfo, StatementKind},
    session::{RetryDisconnects, TransactionOutcome},
};
use tokio::sync::mpsc;

use crate::{
    common::{check_books, in_time, proxied},
    proxy::{Direction, Proxy},
    support::{TestDb, count_users, eventually, insert_user, nonce},
};

for_each_server!(
    a_commit_whose_answer_is_lost_is_never_tried_again,
    a_connection_cut_before_commit_is_tried_again_when_asked,
    a_connection_cut_before_commit_is_a_plain_disconnect_when_asked,
    callbacks_are_told_that_nothing_is_known,
);

/// Holds back the answer to the first COMMIT.
struct HoldsAnswer(Arc<std::sync::OnceLock<Proxy>>);

impl SqlHook for HoldsAnswer {
    fn before(&self, statement: &StatementInfo<'_>) {
        if statement.kind == StatementKind::Commit
            && let Some(proxy) = self.0.get()
        {
            proxy.hold(Direction::ToClient);
        }
    }
}

/// A pool whose COMMITs reach the server and are not answered.
async fn unanswered(db: &TestDb) -> (Arc<std::sync::OnceLock<Proxy>>, Database) {
    let shared = Arc::new(std::sync::OnceLock::new());
    let hook = HoldsAnswer(shared.clone());
    let (proxy, pool) = proxied(db, |config| config.pool_size(1).hook(hook)).await;
    assert!(shared.set(proxy).is_ok());
    (shared, pool)
}

async fn a_commit_whose_answer_is_lost_is_never_tried_again(db: TestDb) {
    for disconnects in [RetryDisconnects::BeforeFirstStatement, RetryDisconnects::BeforeCommit] {
        let before = count_users(db.outside()).await;
        let (proxy, pool) = unanswered(&db).await;
        let attempts = Arc::new(AtomicU32::new(0));
        let transfer = tokio::spawn({
            let (pool, attempts) = (pool.clone(), attempts.clone());
            async move {
                let policy = RetryPolicy::default().disconnects(disconnects);
                let (pool, attempts) = (&pool, &attempts);
                let done = pool.transaction().retry(policy).run(async |tx| -> Result<()> {
                    attempts.fetch_add(1, SeqCst);
                    insert_user(tx, &format!("{disconnects:?}")).await.map(drop)
                });
                done.await
            }
        });
        eventually("it is committed", async || count_users(db.outside()).await == before + 1).await;
        let proxy = proxy.get().unwrap();
        proxy.cut().await;
        let error = in_time("the commit", transfer).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
        assert_eq!(attempts.load(SeqCst), 1);
        proxy.heal();
        nonce(&pool, 1).await.unwrap();
        check_books(&pool);
    }
    assert_eq!(count_users(db.outside()).await, 2);
}

/// Runs a transaction whose connection is cut when its first attempt is about to commit.
async fn cut_before_commit(db: &TestDb, policy: RetryPolicy) -> (Result<()>, u32) {
    let (proxy, pool) = proxied(db, |config| config.pool_size(1)).await;
    let attempts = AtomicU32::new(0);
    let done = pool.transaction().retry(policy).run(async |tx: &Session| -> Result<()> {
        insert_user(tx, "a").await?;
        if attempts.fetch_add(1, SeqCst) == 0 {
            proxy.cut().await;
        }
        Ok(())
    });
    let done = done.await;
    nonce(&pool, 1).await.unwrap();
    check_books(&pool);
    (done, attempts.load(SeqCst))
}

async fn a_connection_cut_before_commit_is_tried_again_when_asked(db: TestDb) {
    let (unknown, attempts) = cut_before_commit(&db, RetryPolicy::default()).await;
    assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
    assert_eq!((attempts, count_users(db.outside()).await), (1, 0));

    let policy = RetryPolicy::default().disconnects(RetryDisconnects::BeforeCommit);
    let (done, attempts) = cut_before_commit(&db, policy).await;
    done.unwrap();
    assert_eq!((attempts, count_users(db.outside()).await), (2, 1));
}

async fn a_connection_cut_before_commit_is_a_plain_disconnect_when_asked(db: TestDb) {
    let policy = RetryPolicy::default().disconnects(RetryDisconnects::BeforeCommit).attempts(1);
    let (failed, attempts) = cut_before_commit(&db, policy).await;
    assert_eq!(failed.unwrap_err().class(), Some(ErrorClass::Disconnect));
    assert_eq!((attempts, count_users(db.outside()).await), (1, 0));
}

async fn callbacks_are_told_that_nothing_is_known(db: TestDb) {
    let (told, mut heard) = mpsc::unbounded_channel();
    let (proxy, pool) = unanswered(&db).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    tx.after_commit(async || panic!("it is not known to be committed")).unwrap();
    tx.after_rollback(async || panic!("it is not known to be rolled back")).unwrap();
    tx.after_end(async move |outcome| told.send(outcome).unwrap()).unwrap();
    let inner = tx.begin().await.unwrap();
    let (undone, mut was_undone) = mpsc::unbounded_channel();
    inner.after_rollback(async move || undone.send(()).unwrap()).unwrap();
    inner.rollback().await.unwrap();
    let committing = tokio::spawn(tx.commit());
    eventually("it is committed", async || count_users(db.outside()).await == 1).await;
    proxy.get().unwrap().cut().await;
    let error = in_time("the commit", committing).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
    assert_eq!(heard.recv().await, Some(TransactionOutcome::Unknown));
    assert_eq!(heard.recv().await, None, "once");
    assert_eq!(was_undone.recv().await, Some(()), "the nested one was rolled back, whatever became of the rest");
    proxy.get().unwrap().heal();
    nonce(&pool, 1).await.unwrap();
}
