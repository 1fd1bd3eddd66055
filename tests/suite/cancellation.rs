//! A future dropped at any await point leaves no open transaction, no lost connection and no wrong answer.

use entities::user;
use futures_util::TryStreamExt;
use sea_dao::{Result, execute_transaction, hooks::StatementKind};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use crate::support::{TestDb, eventually, insert_user, nonce, poll_times, slow_query};

for_each_backend!(
    a_transaction_dropped_at_any_point_is_whole_or_nothing,
    a_nested_transaction_dropped_at_any_point_leaves_the_outer_one_whole_or_lost,
    a_statement_dropped_at_any_point_never_reaches_the_next_borrower,
    a_stream_dropped_at_any_point_never_reaches_the_next_borrower,
    a_begin_dropped_at_any_point_leaves_nothing_open,
    waiting_for_a_connection_can_be_given_up,
    a_slow_statement_dropped_leaves_the_pool_usable,
);

/// More polls than any future in here takes.
const ENOUGH: usize = 10_000;

async fn users_named(db: &TestDb, start: &str) -> u64 {
    let named = user::Entity::find().filter(user::Column::Username.starts_with(start));
    named.count(db.outside()).await.unwrap()
}

async fn a_transaction_dropped_at_any_point_is_whole_or_nothing(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1).hook(db.recorder().clone())).await;
    let mut unknown = Vec::new();
    let mut finished = None;
    for polls in 0..ENOUGH {
        db.recorder().forget();
        let transfer = db_of_one.execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, &format!("{polls}-a")).await?;
            insert_user(tx, &format!("{polls}-b")).await?;
            Ok(())
        });
        let done = poll_times(transfer, polls).await;
        unknown.push(db.recorder().take_kinds().contains(&StatementKind::Commit));
        assert_eq!(nonce(&db_of_one, polls as i64).await.unwrap(), polls as i64);
        if let Some(result) = done {
            result.unwrap();
            finished = Some(polls);
            break;
        }
    }
    let finished = finished.expect("it ends");
    assert!(finished > 0, "it was dropped at some points: {finished}");
    db.is_quiet().await;
    for (polls, unknown) in unknown.into_iter().enumerate() {
        let written = users_named(&db, &format!("{polls}-")).await;
        if polls == finished {
            assert_eq!(written, 2);
        } else if unknown {
            assert!(written == 0 || written == 2, "half a transaction: {written} rows after {polls} polls");
        } else {
            assert_eq!(written, 0, "dropped before COMMIT, after {polls} polls");
        }
    }
}

async fn a_nested_transaction_dropped_at_any_point_leaves_the_outer_one_whole_or_lost(db: TestDb) {
    for polls in 0..ENOUGH {
        let outer = db.begin().await.unwrap();
        insert_user(&outer, &format!("{polls}-outer")).await.unwrap();
        let inner = execute_transaction(&outer, async |inner| -> Result<()> {
            insert_user(inner, &format!("{polls}-inner")).await.map(drop)
        });
        let done = poll_times(inner, polls).await;
        let later = insert_user(&outer, &format!("{polls}-later")).await;
        let committed = outer.commit().await;
        assert_eq!(later.is_ok(), committed.is_ok(), "{later:?} {committed:?}");
        db.is_quiet().await;
        let written = users_named(&db, &format!("{polls}-")).await;
        match (done, committed) {
            (Some(inner), Ok(())) => {
                inner.unwrap();
                assert_eq!(written, 3);
                return;
            }
            (Some(_), Err(error)) => panic!("{error}"),
            (None, Ok(())) => assert_eq!(written, 2, "the inner one is undone, after {polls} polls"),
            (None, Err(_)) => assert_eq!(written, 0, "all is undone, after {polls} polls"),
        }
    }
    panic!("it never ends");
}

async fn a_statement_dropped_at_any_point_never_reaches_the_next_borrower(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    for polls in 0..ENOUGH {
        let done = poll_times(nonce(&db_of_one, -1), polls).await;
        assert_eq!(nonce(&db_of_one, polls as i64).await.unwrap(), polls as i64);
        let session = db_of_one.session();
        let _ = poll_times(nonce(&session, -2), polls).await;
        assert_eq!(nonce(&session, polls as i64).await.unwrap(), polls as i64, "the same session goes on");
        if let Some(answer) = done {
            assert_eq!(answer.unwrap(), -1);
            return;
        }
    }
    panic!("it never ends");
}

async fn a_stream_dropped_at_any_point_never_reaches_the_next_borrower(db: TestDb) {
    for name in ["a", "b", "c"] {
        insert_user(db.outside(), name).await.unwrap();
    }
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    for polls in 0..ENOUGH {
        let rows = async {
            let stream = user::Entity::find().stream(&db_of_one).await.unwrap();
            stream.try_collect::<Vec<_>>().await.unwrap()
        };
        let done = poll_times(rows, polls).await;
        assert_eq!(nonce(&db_of_one, polls as i64).await.unwrap(), polls as i64);
        if let Some(rows) = done {
            assert_eq!(rows.len(), 3);
            return;
        }
    }
    panic!("it never ends");
}

async fn a_begin_dropped_at_any_point_leaves_nothing_open(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    for polls in 0..ENOUGH {
        let session = db_of_one.session();
        let begun = poll_times(session.begin(), polls).await;
        if let Some(tx) = begun {
            tx.unwrap().commit().await.unwrap();
            assert_eq!(users_named(&db, "").await, polls as u64);
            return;
        }
        insert_user(&session, &polls.to_string()).await.unwrap();
        drop(session);
        assert_eq!(users_named(&db, "").await, polls as u64 + 1, "written at once, not in a transaction");
    }
    panic!("it never ends");
}

async fn waiting_for_a_connection_can_be_given_up(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    let holder = db_of_one.session();
    nonce(&holder, 1).await.unwrap();
    for _ in 0..20 {
        assert!(poll_times(nonce(&db_of_one, 2), 1).await.is_none());
    }
    assert_eq!(db_of_one.status().waiting, 0, "nobody waits any more");
    drop(holder);
    assert_eq!(nonce(&db_of_one, 3).await.unwrap(), 3);
    assert_eq!(db_of_one.status().size, 1);
}

async fn a_slow_statement_dropped_leaves_the_pool_usable(db: TestDb) {
    let db_of_one = db.open(|config| config.pool_size(1)).await;
    for number in 0..3 {
        assert!(poll_times(slow_query(&db_of_one), 1).await.is_none());
        assert_eq!(nonce(&db_of_one, number).await.unwrap(), number);
    }
    eventually("it comes back", async || db_of_one.status().checked_out == 0).await;
    assert_eq!(db_of_one.status().size, 1);
}
