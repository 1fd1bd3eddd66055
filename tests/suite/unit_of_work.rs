//! Writes that wait for the flush.

use std::panic::AssertUnwindSafe;

use entities::user;
use futures_util::FutureExt;
use sea_dao::{Error, FlushMode, Result, hooks::StatementKind};
use sea_orm::ActiveValue::Set;

use crate::support::{TestDb, count_users, insert_user, new_user, new_user_with, nonce, poll_times, usernames};

for_each_backend!(
    pending_writes_go_out_before_a_read,
    manual_writes_go_out_at_flush_and_commit_only,
    a_failed_flush_writes_nothing_and_keeps_the_writes,
    a_failed_flush_in_a_transaction_writes_nothing_of_it,
    pending_writes_that_are_dropped_write_nothing,
    no_autoflush_holds_for_a_stretch,
    pending_writes_of_a_nested_transaction_go_with_it,
    a_commit_whose_flush_fails_writes_nothing,
    a_failed_flush_of_one_write_spares_its_transaction,
    a_flush_dropped_before_its_commit_writes_nothing_and_keeps_the_writes,
    a_flush_of_one_statement_that_is_dropped_is_unknown,
);

async fn pending_writes_go_out_before_a_read(db: TestDb) {
    let session = db.session();
    let first = session.add(new_user("a"));
    let second = session.add(new_user("b"));
    assert!(matches!(first.get(), Err(Error::NotFlushed { entity: "user" })));
    assert_eq!((session.pending(), db.status().checked_out), (2, 0));
    assert_eq!(count_users(&session).await, 2);
    assert_eq!(session.pending(), 0);
    assert!(first.get().unwrap().id < second.get().unwrap().id, "in the order of the calls");
    assert_eq!(usernames(db.outside()).await, ["a", "b"]);
}

async fn manual_writes_go_out_at_flush_and_commit_only(db: TestDb) {
    let tx = db.begin().await.unwrap();
    tx.set_flush_mode(FlushMode::Manual);
    let first = tx.add(new_user("a"));
    assert_eq!(count_users(&tx).await, 0);
    assert_eq!(tx.flush().await.unwrap(), 1);
    assert_eq!(tx.flush().await.unwrap(), 0);
    assert_eq!(first.get().unwrap().username, "a");
    assert_eq!(count_users(&tx).await, 1);
    let second = tx.add(new_user("b"));
    tx.commit().await.unwrap();
    assert_eq!(second.get().unwrap().username, "b");
    assert_eq!(usernames(db.outside()).await, ["a", "b"]);
}

async fn a_failed_flush_writes_nothing_and_keeps_the_writes(db: TestDb) {
    let taken = insert_user(db.outside(), "taken").await.unwrap();
    let session = db.session();
    let first = session.add(new_user("a"));
    session.add(new_user("taken"));
    let third = session.add(new_user("c"));
    let failed = session.flush().await.unwrap_err();
    assert!(failed.is_unique_violation(), "{failed:?}");
    assert_eq!(failed.to_string().split(':').next(), Some("insert user"), "it says what was done");
    assert_eq!(session.pending(), 3);
    assert!(first.get().is_err() && third.get().is_err());
    assert_eq!(usernames(db.outside()).await, ["taken"]);
    // A read fails as well, it would not see what it should.
    assert!(nonce(&session, 1).await.unwrap_err().is_unique_violation());

    sea_orm::ModelTrait::delete(taken, db.outside()).await.unwrap();
    assert_eq!(session.flush().await.unwrap(), 3);
    assert_eq!(usernames(db.outside()).await, ["a", "c", "taken"]);
    assert!(third.get().is_ok());
}

async fn a_failed_flush_in_a_transaction_writes_nothing_of_it(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.set_flush_mode(FlushMode::Manual);
    insert_user(&tx, "before").await.unwrap();
    tx.add(new_user("a"));
    tx.add(new_user("taken"));
    assert!(tx.flush().await.unwrap_err().is_unique_violation());
    assert_eq!(tx.pending(), 2);
    assert_eq!(usernames(&tx).await, ["before", "taken"], "the transaction goes on");
    tx.rollback().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["taken"]);
}

async fn pending_writes_that_are_dropped_write_nothing(db: TestDb) {
    let session = db.session();
    session.add(new_user("a"));
    drop(session);
    let tx = db.begin().await.unwrap();
    tx.add(new_user("b"));
    tx.rollback().await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.add(new_user("c"));
    drop(tx);
    let dropped = db.execute_transaction(async |tx| -> Result<()> {
        tx.add(new_user("d"));
        std::panic::resume_unwind(Box::new("on purpose"))
    });
    assert!(AssertUnwindSafe(dropped).catch_unwind().await.is_err());
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
    assert!(!db.recorder().take_kinds().contains(&StatementKind::Query));
}

async fn no_autoflush_holds_for_a_stretch(db: TestDb) {
    let session = db.session();
    session.add(new_user("a"));
    let count = session
        .no_autoflush(async |quiet| -> Result<u64> {
            quiet.add(new_user("b"));
            Ok(count_users(quiet).await)
        })
        .await
        .unwrap();
    assert_eq!((count, session.pending()), (0, 2));
    assert_eq!(count_users(&session).await, 2);
}

async fn pending_writes_of_a_nested_transaction_go_with_it(db: TestDb) {
    let outer = db.begin().await.unwrap();
    outer.add(new_user("outer"));
    let inner = outer.begin().await.unwrap();
    inner.add(new_user("undone"));
    inner.rollback().await.unwrap();
    let inner = outer.begin().await.unwrap();
    inner.add(new_user("inner"));
    inner.commit().await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["inner", "outer"]);
}

async fn a_commit_whose_flush_fails_writes_nothing(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let result = db
        .execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, "before").await?;
            tx.add(new_user("taken"));
            Ok(())
        })
        .await;
    assert!(result.unwrap_err().is_unique_violation());
    db.is_quiet().await;
    assert_eq!(usernames(db.outside()).await, ["taken"]);
}

async fn a_failed_flush_of_one_write_spares_its_transaction(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.set_flush_mode(FlushMode::Manual);
    insert_user(&tx, "before").await.unwrap();
    tx.add(new_user("taken"));
    assert!(tx.flush().await.unwrap_err().is_unique_violation());
    assert_eq!(tx.pending(), 1);
    assert_eq!(usernames(&tx).await, ["before", "taken"], "the transaction goes on");
    tx.rollback().await.unwrap();
}

async fn a_flush_dropped_before_its_commit_writes_nothing_and_keeps_the_writes(db: TestDb) {
    for polls in 0.. {
        db.recorder().forget();
        let session = db.session();
        let name = polls.to_string();
        let row = session.add(new_user(&name));
        // Other columns, and so another statement.
        session.add(new_user_with(&format!("{name}+"), 1));
        session.add(user::ActiveModel { status: Set(7), ..new_user(&format!("{name}/")) });
        let done = poll_times(session.flush(), polls).await;
        let unknown = done.is_none() && db.recorder().take_kinds().contains(&StatementKind::Commit);
        if unknown {
            assert_eq!(session.pending(), 0, "they may be written, and are not written again");
            assert!(matches!(row.get(), Err(Error::WriteUnknown { .. })));
            let reported = session.flush().await;
            assert!(matches!(reported, Err(Error::FlushUnknown { writes: 3, .. })), "{reported:?}");
            assert_eq!(session.flush().await.unwrap(), 0, "it is reported once");
        } else if done.is_none() {
            assert_eq!(session.pending(), 3);
            assert!(matches!(row.get(), Err(Error::NotFlushed { .. })));
            // It can be flushed again.
            assert_eq!(session.flush().await.unwrap(), 3);
        }
        drop(session);
        db.is_quiet().await;
        assert!(unknown || usernames(db.outside()).await.contains(&name));
        if done.is_some() {
            return;
        }
    }
}

async fn a_flush_of_one_statement_that_is_dropped_is_unknown(db: TestDb) {
    if !db.capabilities().insert_returning {
        return;
    }
    for polls in 0.. {
        db.recorder().forget();
        let session = db.session();
        let name = polls.to_string();
        let row = session.add(new_user(&name));
        let done = poll_times(session.flush(), polls).await;
        if done.is_none() && db.recorder().begun() > 0 {
            assert_eq!(session.pending(), 0);
            assert!(matches!(row.get(), Err(Error::WriteUnknown { .. })));
            // The next statement of whatever kind says so.
            let reported = nonce(&session, 1).await.unwrap_err();
            assert!(matches!(reported.root(), Error::FlushUnknown { writes: 1, .. }), "{reported:?}");
            assert_eq!(nonce(&session, 1).await.unwrap(), 1);
        } else if done.is_none() {
            assert_eq!(session.flush().await.unwrap(), 1);
            assert!(row.get().is_ok());
        }
        drop(session);
        db.is_quiet().await;
        let written = usernames(db.outside()).await.iter().filter(|username| **username == name).count();
        assert!(written <= 1);
        if done.is_some() {
            return;
        }
    }
}
