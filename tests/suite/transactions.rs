//! Transactions and savepoints by their handles.

use std::time::Duration;

use entities::user;
use sea_dao::{Error, Result, SessionProvider, error::ErrorClass, hooks::StatementKind};
use sea_orm::{AccessMode, DbBackend, EntityTrait, IsolationLevel, TransactionTrait};

use crate::support::{TestDb, count_users, insert_user, nonce, poll_times, slow_query, usernames};

for_each_backend!(
    commit_keeps,
    rollback_undoes,
    a_dropped_transaction_is_undone,
    a_transaction_is_not_seen_from_outside_before_its_commit,
    a_nested_transaction_that_is_rolled_back_leaves_the_outer_one,
    a_nested_transaction_that_is_committed_goes_with_the_outer_one,
    transactions_nest_three_deep,
    the_outer_handle_refuses_while_the_inner_one_is_open,
    an_inner_transaction_dropped_is_undone_before_the_next_statement,
    an_inner_transaction_dropped_is_undone_before_the_commit,
    an_inner_transaction_dropped_is_undone_before_the_next_inner_one,
    two_inner_transactions_dropped_are_both_undone,
    committing_the_outer_transaction_with_the_inner_one_open_writes_nothing,
    rolling_back_the_outer_transaction_with_the_inner_one_open_writes_nothing,
    dropping_the_outer_transaction_ends_the_inner_one,
    dropping_the_session_ends_its_transaction,
    a_session_outside_of_its_transaction_refuses_meanwhile,
    only_the_owner_ends_a_transaction,
    a_session_that_is_in_no_transaction_cannot_commit,
    isolation_and_access_mode_reach_the_server,
    isolation_is_refused_in_a_nested_transaction,
    a_read_only_transaction_refuses_writes,
    a_session_that_only_reads_still_does_after_a_read_only_transaction,
    a_statement_timeout_holds_for_its_transaction_only,
    an_inner_transaction_whose_outer_one_ends_meanwhile_is_none,
    a_session_dropped_during_the_commit_does_not_disturb_it,
    beginning_and_ending_sends_what_it_has_to_and_no_more,
);

async fn commit_keeps(db: TestDb) {
    let tx = db.begin().await.unwrap();
    assert!(tx.is_in_transaction());
    insert_user(&tx, "kept").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["kept"]);
    assert_eq!(db.status().checked_out, 0);

    let session = db.session();
    let tx = session.begin().await.unwrap();
    insert_user(&tx, "too").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(&session).await, ["kept", "too"]);
    assert_eq!(db.status().checked_out, 1, "the session goes on");
}

async fn rollback_undoes(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "undone").await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
    assert_eq!((db.status().checked_out, db.status().size), (0, 1), "the connection is kept");
}

async fn a_dropped_transaction_is_undone(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "undone").await.unwrap();
    drop(tx);
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
    assert_eq!(db.status().size, 1, "it is rolled back, not closed");

    let session = db.session();
    let tx = session.begin().await.unwrap();
    insert_user(&tx, "undone").await.unwrap();
    drop(tx);
    insert_user(&session, "kept").await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["kept"]);
}

async fn a_transaction_is_not_seen_from_outside_before_its_commit(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    assert_eq!(count_users(&tx).await, 1);
    assert_eq!(count_users(&*db).await, 0);
    assert_eq!(count_users(db.outside()).await, 0);
    tx.commit().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 1);
}

async fn a_nested_transaction_that_is_rolled_back_leaves_the_outer_one(db: TestDb) {
    let outer = db.begin().await.unwrap();
    insert_user(&outer, "before").await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    assert_eq!(db.status().checked_out, 1, "one connection for both");
    inner.rollback().await.unwrap();
    insert_user(&outer, "later").await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["before", "later"]);
}

async fn a_nested_transaction_that_is_committed_goes_with_the_outer_one(db: TestDb) {
    for keep in [false, true] {
        let outer = db.begin().await.unwrap();
        let inner = outer.begin().await.unwrap();
        insert_user(&inner, "inner").await.unwrap();
        inner.commit().await.unwrap();
        assert_eq!(usernames(&outer).await, ["inner"]);
        if keep {
            outer.commit().await.unwrap()
        } else {
            outer.rollback().await.unwrap()
        }
        assert_eq!(count_users(db.outside()).await, u64::from(keep));
    }
}

async fn transactions_nest_three_deep(db: TestDb) {
    let first = db.begin().await.unwrap();
    insert_user(&first, "1").await.unwrap();
    let second = first.begin().await.unwrap();
    insert_user(&second, "2").await.unwrap();
    let third = second.begin().await.unwrap();
    insert_user(&third, "3").await.unwrap();
    third.rollback().await.unwrap();
    let third = second.begin().await.unwrap();
    insert_user(&third, "3 again").await.unwrap();
    third.commit().await.unwrap();
    second.commit().await.unwrap();
    let second = first.begin().await.unwrap();
    insert_user(&second, "2 again").await.unwrap();
    drop(second);
    first.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["1", "2", "3 again"]);
}

async fn the_outer_handle_refuses_while_the_inner_one_is_open(db: TestDb) {
    let session = db.session();
    let outer = session.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    for handle in [&session, &outer] {
        let refused = insert_user(handle, "wrong scope").await;
        assert!(matches!(refused, Err(Error::NestedTransactionOpen)), "{refused:?}");
        let refused = handle.begin().await;
        assert!(matches!(refused, Err(Error::NestedTransactionOpen)), "{refused:?}");
    }
    insert_user(&inner, "inner").await.unwrap();
    inner.commit().await.unwrap();
    insert_user(&outer, "outer").await.unwrap();
    outer.commit().await.unwrap();
    insert_user(&session, "session").await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["inner", "outer", "session"]);
}

async fn an_inner_transaction_dropped_is_undone_before_the_next_statement(db: TestDb) {
    let outer = db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    drop(inner);
    assert_eq!(count_users(&outer).await, 0);
    insert_user(&outer, "outer").await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["outer"]);
}

async fn an_inner_transaction_dropped_is_undone_before_the_commit(db: TestDb) {
    let outer = db.begin().await.unwrap();
    insert_user(&outer, "outer").await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    drop(inner);
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["outer"]);
}

async fn an_inner_transaction_dropped_is_undone_before_the_next_inner_one(db: TestDb) {
    let outer = db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "first").await.unwrap();
    drop(inner);
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "second").await.unwrap();
    inner.commit().await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["second"]);
}

async fn two_inner_transactions_dropped_are_both_undone(db: TestDb) {
    let first = db.begin().await.unwrap();
    insert_user(&first, "1").await.unwrap();
    let second = first.begin().await.unwrap();
    insert_user(&second, "2").await.unwrap();
    let third = second.begin().await.unwrap();
    insert_user(&third, "3").await.unwrap();
    drop(third);
    drop(second);
    assert_eq!(usernames(&first).await, ["1"]);
    first.commit().await.unwrap();

    let first = db.begin().await.unwrap();
    let second = first.begin().await.unwrap();
    insert_user(&second, "2").await.unwrap();
    let third = second.begin().await.unwrap();
    insert_user(&third, "3").await.unwrap();
    drop(second);
    let ended = insert_user(&third, "4").await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    drop(third);
    first.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["1"]);
}

async fn committing_the_outer_transaction_with_the_inner_one_open_writes_nothing(db: TestDb) {
    let outer = db.begin().await.unwrap();
    insert_user(&outer, "outer").await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    let refused = outer.commit().await;
    assert!(matches!(refused, Err(Error::NestedTransactionOpen)), "{refused:?}");
    let ended = insert_user(&inner, "too late").await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    let ended = inner.commit().await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn rolling_back_the_outer_transaction_with_the_inner_one_open_writes_nothing(db: TestDb) {
    let outer = db.begin().await.unwrap();
    insert_user(&outer, "outer").await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    let refused = outer.rollback().await;
    assert!(matches!(refused, Err(Error::NestedTransactionOpen)), "{refused:?}");
    drop(inner);
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn dropping_the_outer_transaction_ends_the_inner_one(db: TestDb) {
    let session = db.session();
    let outer = session.begin().await.unwrap();
    insert_user(&outer, "outer").await.unwrap();
    let inner = outer.begin().await.unwrap();
    insert_user(&inner, "inner").await.unwrap();
    drop(outer);
    let ended = insert_user(&inner, "too late").await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    insert_user(&session, "session").await.unwrap();
    let ended = inner.commit().await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    assert_eq!(usernames(db.outside()).await, ["session"]);
}

async fn dropping_the_session_ends_its_transaction(db: TestDb) {
    let session = db.session();
    let tx = session.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    drop(session);
    let ended = insert_user(&tx, "b").await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    let ended = tx.commit().await;
    assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_session_outside_of_its_transaction_refuses_meanwhile(db: TestDb) {
    let session = db.session();
    let tx = session.begin().await.unwrap();
    let refused = nonce(&session, 1).await;
    assert!(matches!(refused, Err(Error::NestedTransactionOpen)), "{refused:?}");
    tx.rollback().await.unwrap();
    assert_eq!(nonce(&session, 2).await.unwrap(), 2);
}

async fn only_the_owner_ends_a_transaction(db: TestDb) {
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    let refused = tx.session().commit().await;
    assert!(matches!(refused, Err(Error::NotTransactionOwner)), "{refused:?}");
    let refused = tx.session().rollback().await;
    assert!(matches!(refused, Err(Error::NotTransactionOwner)), "{refused:?}");
    drop(tx.session());
    insert_user(&tx, "b").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["a", "b"]);
}

async fn a_session_that_is_in_no_transaction_cannot_commit(db: TestDb) {
    assert!(matches!(db.session().commit().await, Err(Error::NoTransaction)));
    assert!(matches!(db.session().rollback().await, Err(Error::NoTransaction)));
    assert_eq!(db.recorder().begun(), 0);
}

async fn isolation_and_access_mode_reach_the_server(db: TestDb) {
    use IsolationLevel::{ReadCommitted, RepeatableRead, Serializable};
    let levels = db.capabilities().isolation_levels;
    for level in [ReadCommitted, RepeatableRead, Serializable] {
        db.recorder().forget();
        let tx = db.transaction().isolation(level).access_mode(AccessMode::ReadWrite).begin().await.unwrap();
        let begin = db.recorder().take().remove(0);
        assert_eq!(begin.kind, StatementKind::Begin);
        if levels {
            assert!(begin.sql.contains(&level.to_string()) && begin.sql.contains("READ WRITE"), "{}", begin.sql);
        }
        tx.rollback().await.unwrap();
    }
    for (level, sees_others) in [(ReadCommitted, levels), (RepeatableRead, false)] {
        user::Entity::delete_many().exec(db.outside()).await.unwrap();
        // Read only, so that on SQLite it leaves the write lock to the other one.
        let tx = TransactionTrait::begin_with_config(&*db, Some(level), Some(AccessMode::ReadOnly)).await.unwrap();
        assert_eq!(count_users(&tx).await, 0);
        insert_user(db.outside(), "somebody else").await.unwrap();
        assert_eq!(count_users(&tx).await, u64::from(sees_others), "{level}");
        tx.commit().await.unwrap();
    }
    assert_eq!(count_users(&db.begin().await.unwrap()).await, 1);
}

async fn isolation_is_refused_in_a_nested_transaction(db: TestDb) {
    let outer = db.begin().await.unwrap();
    let serializable = Some(IsolationLevel::Serializable);
    let refused = TransactionTrait::begin_with_config(&outer, serializable, None).await.map_err(Error::from);
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    insert_user(&outer, "the outer one goes on").await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 1);
}

async fn a_read_only_transaction_refuses_writes(db: TestDb) {
    for (before, ending) in ["commit", "rollback", "drop"].into_iter().enumerate() {
        let tx = db.transaction().read_only().begin().await.unwrap();
        assert_eq!(count_users(&tx).await, before as u64);
        let error = insert_user(&tx, "a").await.unwrap_err();
        assert_eq!(error.class(), Some(ErrorClass::ReadOnly), "{error:?}");
        match ending {
            "commit" if !db.capabilities().failure_aborts_transaction => tx.commit().await.unwrap(),
            "drop" => drop(tx),
            _ => tx.rollback().await.unwrap(),
        }
        db.is_quiet().await;
        let kept = insert_user(&*db, ending).await;
        assert!(kept.is_ok(), "what follows may write: {kept:?}");
        assert_eq!(db.status().size, 1, "on the same connection");
    }
    assert_eq!(usernames(db.outside()).await, ["commit", "drop", "rollback"]);
}

async fn a_session_that_only_reads_still_does_after_a_read_only_transaction(db: TestDb) {
    let sql = match db.backend() {
        DbBackend::Sqlite => "PRAGMA query_only = ON",
        DbBackend::Postgres => "SET default_transaction_read_only = on",
        _ => "SET SESSION TRANSACTION READ ONLY",
    };
    let reader = db.open_set_up(sql).await;
    let tx = reader.transaction().read_only().begin().await.unwrap();
    tx.commit().await.unwrap();
    let error = insert_user(&reader, "a").await.unwrap_err();
    assert_eq!(error.class(), Some(ErrorClass::ReadOnly), "{error:?}");
}

async fn a_statement_timeout_holds_for_its_transaction_only(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    let limit = Duration::from_millis(20);
    let tx = pool.transaction().statement_timeout(limit).begin().await.unwrap();
    let error = slow_query(&tx).await.unwrap_err();
    assert!(matches!(error, Error::StatementTimeout { limit: told } if told == limit), "{error:?}");
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::TransactionAborted { .. }), "{error:?}");

    // A busy machine may not even begin in time.
    while pool.transaction().statement_timeout(limit).run(async |_| -> Result<()> { Ok(()) }).await.is_err() {}
    slow_query(&pool).await.unwrap();

    let nothing = pool.transaction().statement_timeout(Duration::ZERO).begin().await;
    assert!(matches!(nothing, Err(Error::InvalidArgument { .. })), "{nothing:?}");
}

/// The outer transaction is dropped while the SAVEPOINT of the inner one is under way.
async fn an_inner_transaction_whose_outer_one_ends_meanwhile_is_none(db: TestDb) {
    let mut seen = 0;
    for polls in 1..1_000 {
        let outer = db.begin().await.unwrap();
        insert_user(&outer, "outer").await.unwrap();
        let shared = outer.session();
        let mut begin = Box::pin(shared.begin());
        let mut done = poll_times(&mut begin, polls).await;
        let early = done.is_some();
        drop(outer);
        if done.is_none() {
            done = Some(begin.await);
        }
        match done.unwrap() {
            Err(Error::TransactionEnded) => seen += 1,
            Ok(inner) => {
                let ended = insert_user(&inner, "inner").await;
                assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
                let ended = inner.commit().await;
                assert!(matches!(ended, Err(Error::TransactionEnded)), "{ended:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
        db.is_quiet().await;
        assert_eq!(count_users(db.outside()).await, 0, "nothing of the dropped one is written");
        if early {
            // A database in this process may answer at once.
            assert!(seen > 0 || polls == 1, "it was dropped meanwhile at least once");
            return;
        }
    }
    panic!("it never ends");
}

/// The session is dropped while its transaction is committing.
async fn a_session_dropped_during_the_commit_does_not_disturb_it(db: TestDb) {
    for polls in 1..1_000 {
        let session = db.session();
        let tx = session.begin().await.unwrap();
        insert_user(&tx, &polls.to_string()).await.unwrap();
        let mut commit = Box::pin(tx.commit());
        let done = poll_times(&mut commit, polls).await;
        drop(session);
        if let Some(done) = done {
            done.unwrap();
            return;
        }
        commit.await.unwrap();
        db.is_quiet().await;
        assert_eq!(count_users(db.outside()).await, polls as u64);
    }
    panic!("it never ends");
}

async fn beginning_and_ending_sends_what_it_has_to_and_no_more(db: TestDb) {
    use StatementKind::{Begin, Commit, Query, ReleaseSavepoint, Rollback, RollbackToSavepoint, Savepoint};
    let outer = db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    nonce(&inner, 1).await.unwrap();
    inner.commit().await.unwrap();
    let inner = outer.begin().await.unwrap();
    inner.rollback().await.unwrap();
    outer.commit().await.unwrap();
    let kinds = db.recorder().take_kinds();
    assert_eq!(kinds, [Begin, Savepoint, Query, ReleaseSavepoint, Savepoint, RollbackToSavepoint, Commit]);

    let tx = db.begin().await.unwrap();
    tx.rollback().await.unwrap();
    drop(db.begin().await.unwrap());
    db.is_quiet().await;
    assert_eq!(db.recorder().take_kinds(), [Begin, Rollback, Begin, Rollback]);
}
