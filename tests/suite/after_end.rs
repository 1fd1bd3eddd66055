//! Callbacks after the end of a transaction.

use std::{
    future,
    sync::{Arc, Mutex},
};

use entities::user;
use sea_dao::{Error, Result, Session, SessionProvider, execute_transaction, session::TransactionOutcome};
use sea_orm::EntityTrait;

use crate::support::{TestDb, count_users, eventually, insert_user, new_user, nonce, poll_times};

for_each_backend!(
    they_run_after_the_commit_and_before_it_returns,
    they_run_after_the_rollback_and_the_error_comes_back,
    those_of_a_nested_transaction_share_its_fate,
    a_panic_in_one_hurts_nobody,
    they_may_use_the_database,
    a_dropped_transaction_runs_those_for_a_rollback,
    a_session_that_ends_runs_those_for_a_rollback,
    those_of_a_commit_that_fails_are_told,
    those_of_a_commit_whose_flush_fails_are_waited_for,
    whoever_stops_waiting_does_not_stop_them,
    dropped_at_any_point_they_are_told_once,
    outside_of_a_transaction_they_are_refused,
);

/// What was told to whom, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn say(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Registers one callback of each kind.
    fn watch(&self, tx: &Session, name: &str) {
        let say = |what: &str| {
            let (log, what) = (self.clone(), format!("{name} {what}"));
            async move || log.say(what)
        };
        tx.after_commit(say("commit")).unwrap();
        tx.after_rollback(say("rollback")).unwrap();
        let (log, name) = (self.clone(), name.to_owned());
        tx.after_end(async move |outcome| log.say(format!("{name} {outcome}"))).unwrap();
    }
}

async fn they_run_after_the_commit_and_before_it_returns(db: TestDb) {
    let log = Log::default();
    db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "a").await?;
        log.watch(tx, "first");
        log.watch(&tx.session(), "second");
        assert_eq!(log.len(), 0);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(log.take(), ["first commit", "first committed", "second commit", "second committed"]);

    let session = db.session();
    for _ in 0..2 {
        let tx = session.begin().await.unwrap();
        log.watch(&tx, "by hand");
        tx.commit().await.unwrap();
        assert_eq!(log.take(), ["by hand commit", "by hand committed"], "once, and nothing of the one before");
    }
}

async fn they_run_after_the_rollback_and_the_error_comes_back(db: TestDb) {
    let log = Log::default();
    let failed = db
        .execute_transaction(async |tx| -> Result<()> {
            log.watch(tx, "callback");
            Err(Error::SessionClosed)
        })
        .await;
    assert!(matches!(failed, Err(Error::SessionClosed)));
    assert_eq!(log.take(), ["callback rollback", "callback rolled back"]);

    let tx = db.begin().await.unwrap();
    log.watch(&tx, "handle");
    tx.rollback().await.unwrap();
    assert_eq!(log.take(), ["handle rollback", "handle rolled back"]);
}

async fn those_of_a_nested_transaction_share_its_fate(db: TestDb) {
    let log = Log::default();
    for keep in [true, false] {
        let outer = db.begin().await.unwrap();
        log.watch(&outer, "outer");
        let inner = outer.begin().await.unwrap();
        log.watch(&inner, "undone");
        let innermost = inner.begin().await.unwrap();
        log.watch(&innermost, "deep");
        innermost.commit().await.unwrap();
        inner.rollback().await.unwrap();
        let inner = outer.begin().await.unwrap();
        log.watch(&inner, "dropped");
        drop(inner);
        let inner = outer.begin().await.unwrap();
        log.watch(&inner, "kept");
        inner.commit().await.unwrap();
        assert_eq!(log.take(), [""; 0], "nothing before the end of the outermost");
        let outcome = if keep { "commit" } else { "rollback" };
        let ended = if keep { "committed" } else { "rolled back" };
        if keep {
            outer.commit().await.unwrap();
        } else {
            outer.rollback().await.unwrap();
        }
        let expected = [
            format!("outer {outcome}"),
            format!("outer {ended}"),
            "undone rollback".to_owned(),
            "undone rolled back".to_owned(),
            "deep rollback".to_owned(),
            "deep rolled back".to_owned(),
            "dropped rollback".to_owned(),
            "dropped rolled back".to_owned(),
            format!("kept {outcome}"),
            format!("kept {ended}"),
        ];
        assert_eq!(log.take(), expected);
    }
}

async fn a_panic_in_one_hurts_nobody(db: TestDb) {
    let log = Log::default();
    db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "a").await?;
        tx.after_commit(|| {
            std::panic::resume_unwind(Box::new("before there is a future"));
            #[expect(unreachable_code, reason = "the closure needs a type")]
            future::ready(())
        })?;
        tx.after_commit(async || std::panic::resume_unwind(Box::new("in the future")))?;
        log.watch(tx, "later");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(log.take(), ["later commit", "later committed"]);
    assert_eq!(count_users(db.outside()).await, 1);
}

async fn they_may_use_the_database(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).max_overflow(0)).await;
    let inner = pool.clone();
    pool.execute_transaction(async move |tx| -> Result<()> {
        insert_user(tx, "a").await?;
        tx.after_commit(async move || {
            inner
                .execute_transaction(async |tx| -> Result<()> {
                    assert_eq!(count_users(tx).await, 1, "the connection was given back, with everything in place");
                    insert_user(tx, "b").await.map(drop)
                })
                .await
                .unwrap();
        })
    })
    .await
    .unwrap();
    assert_eq!(count_users(db.outside()).await, 2);
}

async fn a_dropped_transaction_runs_those_for_a_rollback(db: TestDb) {
    let log = Log::default();
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    log.watch(&tx, "dropped");
    drop(tx);
    eventually("they run", async || log.len() == 2).await;
    assert_eq!(log.take(), ["dropped rollback", "dropped rolled back"]);
}

async fn a_session_that_ends_runs_those_for_a_rollback(db: TestDb) {
    let log = Log::default();
    let session = db.session();
    let tx = session.begin().await.unwrap();
    log.watch(&tx, "ended");
    drop(session);
    eventually("they run", async || log.len() == 2).await;
    drop(tx);
    assert_eq!(log.take(), ["ended rollback", "ended rolled back"]);
}

async fn those_of_a_commit_that_fails_are_told(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let log = Log::default();
    let tx = db.begin().await.unwrap();
    log.watch(&tx, "failed");
    tx.set_flush_mode(sea_dao::FlushMode::Manual);
    tx.add(crate::support::new_user("taken"));
    assert!(tx.commit().await.unwrap_err().is_unique_violation(), "the flush fails");
    eventually("they run", async || log.len() == 2).await;
    assert_eq!(log.take(), ["failed rollback", "failed rolled back"]);

    let outer = db.begin().await.unwrap();
    log.watch(&outer, "refused");
    let inner = outer.begin().await.unwrap();
    assert!(matches!(outer.commit().await, Err(Error::NestedTransactionOpen)));
    drop(inner);
    eventually("they run", async || log.len() == 2).await;
    assert_eq!(log.take(), ["refused rollback", "refused rolled back"]);
}

async fn those_of_a_commit_whose_flush_fails_are_waited_for(db: TestDb) {
    let log = Log::default();
    let twins = async |tx: &Session| -> Result<()> {
        let log = log.clone();
        tx.after_rollback(async move || {
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            log.say("rolled back");
        })?;
        tx.add(new_user("twin"));
        tx.add(new_user("twin"));
        Ok(())
    };
    let failed = execute_transaction(&*db, twins).await.unwrap_err();
    assert!(failed.is_unique_violation(), "{failed:?}");
    assert_eq!(log.take(), ["rolled back"]);
    assert_eq!(db.status().checked_out, 0, "the connection is free by then");
}

async fn whoever_stops_waiting_does_not_stop_them(db: TestDb) {
    let log = Log::default();
    let (go, gate) = tokio::sync::oneshot::channel::<()>();
    let tx = db.begin().await.unwrap();
    let inner = log.clone();
    tx.after_commit(async move || {
        inner.say("begun");
        let _ = gate.await;
        inner.say("done");
    })
    .unwrap();
    log.watch(&tx, "next");
    let commit = tokio::spawn(tx.commit());
    eventually("it runs", async || log.len() == 1).await;
    commit.abort();
    assert!(commit.await.unwrap_err().is_cancelled());
    assert_eq!(db.status().checked_out, 0, "no connection is held meanwhile");
    go.send(()).unwrap();
    eventually("all run", async || log.len() == 4).await;
    assert_eq!(log.take(), ["begun", "done", "next commit", "next committed"]);
}

async fn dropped_at_any_point_they_are_told_once(db: TestDb) {
    for polls in 0..10_000 {
        let told = Arc::new(Mutex::new(Vec::new()));
        let transaction = db.execute_transaction(async |tx| -> Result<()> {
            let told = told.clone();
            tx.after_end(async move |outcome| told.lock().unwrap().push(outcome))?;
            insert_user(tx, &polls.to_string()).await.map(drop)
        });
        let done = poll_times(transaction, polls).await;
        let registered = Arc::strong_count(&told) > 1 || !told.lock().unwrap().is_empty();
        if !registered {
            assert!(done.is_none());
            continue;
        }
        eventually("it is told", async || !told.lock().unwrap().is_empty()).await;
        db.is_quiet().await;
        let written = execute_transaction(&*db, async |tx| -> Result<u64> { Ok(count_users(tx).await) }).await.unwrap();
        let told = told.lock().unwrap().clone();
        assert_eq!(told.len(), 1);
        match told[0] {
            TransactionOutcome::Committed => assert_eq!(written, 1),
            TransactionOutcome::RolledBack => assert_eq!(written, 0),
            TransactionOutcome::Unknown => assert!(written <= 1 && done.is_none()),
        }
        user::Entity::delete_many().exec(db.outside()).await.unwrap();
        if let Some(done) = done {
            done.unwrap();
            assert_eq!(told[0], TransactionOutcome::Committed);
            return;
        }
    }
    panic!("it never ends");
}

async fn outside_of_a_transaction_they_are_refused(db: TestDb) {
    let session = db.session();
    assert!(matches!(session.after_commit(async || ()), Err(Error::NoTransaction)));
    let tx = session.begin().await.unwrap();
    let kept = tx.session();
    tx.commit().await.unwrap();
    assert!(matches!(kept.after_rollback(async || ()), Err(Error::TransactionEnded)));
    assert_eq!(nonce(&session, 1).await.unwrap(), 1);
}
