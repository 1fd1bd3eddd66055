//! The beginnings and ends of transactions, and flushes, dropped at each point at which they wait: the next borrower gets
//! a clean connection, nothing stays of what was not acknowledged, and the pool's books are right.

use std::time::Duration;

use entities::{customer_order, user};
use sea_dao::{Database, DatabaseConfig, Error, FlushMode, Result, Session, hooks::StatementKind};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use crate::{
    common::{at_rest, check_books, proxied},
    proxy::Direction,
    support::{TestDb, insert_user, new_user, nonce, poll_times},
};

for_each_backend!(
    a_dropped_commit_is_whole_or_nothing,
    a_dropped_rollback_undoes_all_the_same,
    a_dropped_nested_rollback_leaves_the_outer_one_whole_or_lost,
    a_dropped_nested_commit_leaves_the_outer_one_whole_or_lost,
    a_dropped_nested_begin_leaves_the_outer_one_whole_or_lost,
    a_dropped_flush_in_a_transaction_is_pending_or_lost,
    a_dropped_flush_of_its_own_is_pending_or_unknown,
    a_dropped_commit_of_a_flush_is_whole_or_nothing,
);

/// Calls `attempt` with 0, 1, 2, … polls and a name of its own each time, until it says that its future was done; several
/// times over, as an answer may be there sooner or later. After each time the one connection of the pool has to be as if
/// nothing had happened.
async fn sweep(db: &TestDb, attempt: impl AsyncFn(&Database, usize, &str) -> bool) {
    const ROUNDS: usize = 3;
    let recorded = |config: DatabaseConfig| config.pool_size(1).hook(db.recorder().clone());
    let (proxy, pool) = if db.capabilities().server {
        let (proxy, pool) = proxied(db, recorded).await;
        // So that each answer is waited for.
        proxy.delay(Direction::ToClient, Duration::from_millis(1));
        (Some(proxy), pool)
    } else {
        (None, db.open(recorded).await)
    };
    let mut dropped = 0;
    for round in 0..ROUNDS {
        for polls in 0.. {
            let name = format!("{round}-{polls}.");
            db.recorder().forget();
            let done = attempt(&pool, polls, &name).await;
            // Whoever comes next comes at once.
            let asked = polls as i64;
            assert_eq!(nonce(&pool, asked).await.unwrap(), asked, "{name}");
            insert_user(&pool, &format!("next {name}")).await.unwrap();
            assert_eq!(named(db, &format!("next {name}")).await, 1, "it is in no transaction, {name}");
            at_rest(&pool).await;
            check_books(&pool);
            let status = pool.status();
            assert!(status.size <= 1 && status.checked_out == 0, "{status:?} {name}");
            dropped += usize::from(!done);
            if done {
                break;
            }
        }
    }
    println!("{dropped} were dropped");
    // One that is never polled at the least.
    assert!(dropped >= ROUNDS);
    db.is_quiet().await;
    drop(proxy);
}

/// How many users have a name that begins so.
async fn named(db: &TestDb, start: &str) -> u64 {
    user::Entity::find().filter(user::Column::Username.starts_with(start)).count(db.outside()).await.unwrap()
}

/// Whether COMMIT was sent.
fn sent_commit(db: &TestDb) -> bool {
    db.recorder().take_kinds().contains(&StatementKind::Commit)
}

async fn a_dropped_commit_is_whole_or_nothing(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let tx = pool.begin().await.unwrap();
        insert_user(&tx, &format!("{name}a")).await.unwrap();
        insert_user(&tx, &format!("{name}b")).await.unwrap();
        let done = poll_times(tx.commit(), polls).await;
        at_rest(pool).await;
        let written = named(&db, name).await;
        match done {
            Some(done) => {
                done.unwrap();
                assert_eq!(written, 2);
                true
            }
            None => {
                assert!(written == 0 || written == 2 && sent_commit(&db), "{written} {name}");
                false
            }
        }
    })
    .await;
}

async fn a_dropped_rollback_undoes_all_the_same(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let tx = pool.begin().await.unwrap();
        insert_user(&tx, &format!("{name}a")).await.unwrap();
        tx.add(new_user(&format!("{name}b")));
        let done = poll_times(tx.rollback(), polls).await;
        nonce(pool, 1).await.unwrap();
        assert_eq!(named(&db, name).await, 0, "{name}");
        done.is_some_and(|done| done.map(|()| true).unwrap())
    })
    .await;
}

/// Goes on with the outer transaction and commits it; gives whether that was possible.
async fn goes_on(outer: Session, name: &str) -> bool {
    let later = insert_user(&outer, &format!("{name}later")).await;
    let committed = outer.commit().await;
    let went_on = later.is_ok();
    assert_eq!(went_on, committed.is_ok(), "{later:?} {committed:?} {name}");
    for failed in [later.err(), committed.err()].into_iter().flatten() {
        assert!(matches!(failed.root(), Error::TransactionAborted { .. }), "{failed:?}");
    }
    went_on
}

async fn a_dropped_nested_rollback_leaves_the_outer_one_whole_or_lost(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let outer = pool.begin().await.unwrap();
        insert_user(&outer, &format!("{name}outer")).await.unwrap();
        let inner = outer.begin().await.unwrap();
        insert_user(&inner, &format!("{name}inner")).await.unwrap();
        let done = poll_times(inner.rollback(), polls).await;
        let went_on = goes_on(outer, name).await;
        at_rest(pool).await;
        assert_eq!(named(&db, &format!("{name}inner")).await, 0);
        assert_eq!(named(&db, name).await, if went_on { 2 } else { 0 }, "{name}");
        done.is_some_and(|done| done.map(|()| went_on).unwrap())
    })
    .await;
}

async fn a_dropped_nested_commit_leaves_the_outer_one_whole_or_lost(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let outer = pool.begin().await.unwrap();
        insert_user(&outer, &format!("{name}outer")).await.unwrap();
        let inner = outer.begin().await.unwrap();
        insert_user(&inner, &format!("{name}inner")).await.unwrap();
        let pending = inner.add(new_user(&format!("{name}pending")));
        let done = poll_times(inner.commit(), polls).await;
        let went_on = goes_on(outer, name).await;
        at_rest(pool).await;
        let expected = match (&done, went_on) {
            (Some(_), true) => 4,
            (None, true) => 2,
            (_, false) => 0,
        };
        assert_eq!(named(&db, name).await, expected, "{name}");
        assert_eq!(pending.get().is_ok(), expected == 4);
        done.is_some_and(|done| done.map(|()| went_on).unwrap())
    })
    .await;
}

async fn a_dropped_nested_begin_leaves_the_outer_one_whole_or_lost(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let outer = pool.begin().await.unwrap();
        insert_user(&outer, &format!("{name}outer")).await.unwrap();
        let begun = poll_times(outer.begin(), polls).await;
        let done = begun.is_some();
        if let Some(inner) = begun {
            inner.unwrap().commit().await.unwrap();
        }
        let went_on = goes_on(outer, name).await;
        at_rest(pool).await;
        assert_eq!(named(&db, name).await, if went_on { 2 } else { 0 }, "{name}");
        assert!(went_on || !done);
        done
    })
    .await;
}

/// Adds a user with an order.
fn add_both(session: &Session, name: &str) {
    let user = session.add(new_user(&format!("{name}user")));
    session.add_after(&user, |user| customer_order::ActiveModel {
        user_id: Set(user.id),
        number: Set(user.username.clone()),
        ..Default::default()
    });
}

/// How many users and orders there are of those that [`add_both`] has added.
async fn both(db: &TestDb, name: &str) -> (u64, u64) {
    let name = format!("{name}user");
    let orders = customer_order::Entity::find().filter(customer_order::Column::Number.eq(name.as_str()));
    (named(db, &name).await, orders.count(db.outside()).await.unwrap())
}

async fn a_dropped_flush_in_a_transaction_is_pending_or_lost(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let tx = pool.begin().await.unwrap();
        tx.set_flush_mode(FlushMode::Manual);
        insert_user(&tx, &format!("{name}before")).await.unwrap();
        add_both(&tx, name);
        let done = poll_times(tx.flush(), polls).await;
        let pending = tx.pending();
        let there = user::Entity::find().filter(user::Column::Username.starts_with(format!("{name}user")));
        let there = there.count(&tx).await;
        let went_on = goes_on(tx, name).await;
        at_rest(pool).await;
        match (&done, &there) {
            (Some(done), Ok(there)) => assert_eq!((*done.as_ref().unwrap(), pending, *there), (2, 0, 1)),
            (None, Ok(there)) => assert_eq!((pending, *there), (2, 0), "{name}"),
            (done, Err(failed)) => assert!(!went_on && done.is_none(), "{failed:?} {name}"),
        }
        let expected = if went_on { (1, 1) } else { (0, 0) };
        assert_eq!(both(&db, name).await, expected, "each once or not at all, {name}");
        assert_eq!(named(&db, &format!("{name}before")).await, u64::from(went_on));
        done.is_some()
    })
    .await;
}

async fn a_dropped_flush_of_its_own_is_pending_or_unknown(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let session = pool.session();
        add_both(&session, name);
        let done = poll_times(session.flush(), polls).await;
        let sent = sent_commit(&db);
        let flushed = session.flush().await;
        drop(session);
        at_rest(pool).await;
        let (users, orders) = both(&db, name).await;
        assert_eq!(users, orders, "half a flush, {name}");
        match (&done, flushed) {
            (Some(done), again) => assert_eq!((*done.as_ref().unwrap(), again.unwrap(), users), (2, 0, 1)),
            (None, Ok(written)) => assert_eq!((written, users, sent), (2, 1, false), "{name}"),
            (None, Err(failed)) => {
                assert!(matches!(failed, Error::FlushUnknown { writes: 2, .. }), "{failed:?}");
                assert!(sent && users <= 1, "{name}");
            }
        }
        done.is_some()
    })
    .await;
}

async fn a_dropped_commit_of_a_flush_is_whole_or_nothing(db: TestDb) {
    sweep(&db, async |pool, polls, name| {
        let work = pool.execute_transaction(async |tx| -> Result<()> {
            add_both(tx, name);
            Ok(())
        });
        let done = poll_times(work, polls).await;
        at_rest(pool).await;
        let written = both(&db, name).await;
        match done {
            Some(done) => {
                done.unwrap();
                assert_eq!(written, (1, 1));
                true
            }
            None => {
                assert!(written == (0, 0) || written == (1, 1) && sent_commit(&db), "{written:?} {name}");
                false
            }
        }
    })
    .await;
}
