//! Many tasks that write the same rows at the same time.

use entities::{
    country, tag, user,
    user::Column::{Balance, Phone, Username, Version},
};
use futures_util::future::join_all;
use sea_dao::{BaseDao, RetryPolicy, query::Conditions};
use sea_orm::{ActiveValue::Set, DbBackend, IntoActiveModel, IsolationLevel, prelude::Uuid};

use crate::{
    dao::users,
    support::{Ended, Recorder, TestDb, count_users, new_user_with},
};

for_each_backend!(
    one_row_of_many_tasks,
    many_rows_in_different_orders,
    rows_with_keys_in_different_orders,
    one_task_inserts_and_all_find,
    inside_of_transactions,
    a_row_that_the_transaction_does_not_see,
    a_row_that_is_not_seen_and_stays_as_it_is,
    a_row_that_has_changed_since,
);

async fn one_row_of_many_tasks(db: TestDb) {
    let users = users(&db).optimistic_lock(Version);
    let work = (0..64).map(|number: i64| {
        let users = users.clone();
        tokio::spawn(async move { users.upsert(new_user_with("ada", number)).on([Phone]).await })
    });
    let mut versions = Vec::new();
    for done in join_all(work).await {
        let user = done.unwrap().unwrap();
        versions.push((user.version, user.balance));
    }
    versions.sort_unstable();
    assert!(versions.iter().map(|(version, _)| *version).eq(0..64), "each one is written once: {versions:?}");
    let row = users.query().one().await.unwrap();
    assert_eq!((row.version, row.balance), versions[63], "the last one stays");
    let mut balances: Vec<i64> = versions.into_iter().map(|(_, balance)| balance).collect();
    balances.sort_unstable();
    assert!(balances.into_iter().eq(0..64), "each one has seen its own row");
}

async fn many_rows_in_different_orders(db: TestDb) {
    const ROWS: i64 = 200;
    let pool = db.open(|config| config.pool_size(24)).await;
    let users = BaseDao::<user::Entity>::new(pool).optimistic_lock(Version);
    let work = (0..64).map(|task: i64| {
        let users = users.clone();
        tokio::spawn(async move {
            for round in 0..2 {
                // They have no factor in common with 200, so that each is an order of its own.
                let step = [1, 3, 7, 9, 11, 13, 17, 199][(task + round) as usize % 8];
                let row = |place: i64| new_user_with(&format!("user {}", (place * step + task) % ROWS), task);
                let written = users.upsert_many((0..ROWS).map(row)).on([Username]).await.unwrap();
                assert_eq!(written, ROWS as u64);
            }
        })
    });
    for done in join_all(work).await {
        done.unwrap();
    }
    let rows = users.query().all().await.unwrap();
    assert_eq!(rows.len() as i64, ROWS);
    assert!(rows.iter().all(|user| user.version == 127), "written 128 times: {rows:?}");
    assert!(rows.iter().all(|user| user.balance == rows[0].balance), "all or none of a call: {rows:?}");
}

async fn rows_with_keys_in_different_orders(db: TestDb) {
    const ROWS: u128 = 4_000;
    let recorder = Recorder::default();
    let pool = db.open(|config| config.pool_size(16).hook(recorder.clone())).await;
    let work = (0..32).map(|task: u128| {
        let tags = BaseDao::<tag::Entity>::new(pool.clone());
        tokio::spawn(async move {
            let step = [1, 3, 7, 9, 11, 13, 17, ROWS - 1][task as usize % 8];
            let row = |place| {
                let id = (place * step + task) % ROWS;
                tag::ActiveModel { id: Set(Uuid::from_u128(id)), name: Set(format!("tag {id}")) }
            };
            assert_eq!(tags.upsert_many((0..ROWS).map(row)).await.unwrap(), ROWS as u64);
        })
    });
    for done in join_all(work).await {
        done.unwrap();
    }
    assert_eq!(BaseDao::<tag::Entity>::new(pool).count().await.unwrap() as u128, ROWS);
    let failed: Vec<_> = recorder.take().into_iter().filter(|seen| matches!(seen.ended, Ended::Failed(_))).collect();
    // MariaDB locks the gaps between rows too.
    assert!(failed.is_empty() || db.backend() == DbBackend::MySql, "{:?}", failed[0]);
}

async fn one_task_inserts_and_all_find(db: TestDb) {
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let work = (0..64).map(|_| {
        let tags = tags.clone();
        let red = tag::ActiveModel { name: Set("red".to_owned()), ..Default::default() };
        tokio::spawn(async move { tags.find_or_insert([tag::Column::Name], red).await })
    });
    let found: Vec<(tag::Model, bool)> = join_all(work).await.into_iter().map(|done| done.unwrap().unwrap()).collect();
    assert_eq!(found.iter().filter(|(_, inserted)| *inserted).count(), 1);
    assert!(found.iter().all(|(tag, _)| *tag == found[0].0), "{found:?}");
    assert_eq!(tags.count().await.unwrap(), 1);
}

async fn inside_of_transactions(db: TestDb) {
    let users = users(&db).optimistic_lock(Version);
    let work = (0..8).map(|number: i64| {
        let (db, users) = ((*db).clone(), users.clone());
        tokio::spawn(async move {
            // Two that wait for the same row may meet in a deadlock, which ends the whole transaction.
            db.transaction()
                .retry(RetryPolicy::default().attempts(50))
                .run(async |tx| -> sea_dao::Result<()> {
                    let users = users.within(tx);
                    users.upsert(new_user_with(&format!("own {number}"), 1)).on([Phone]).await?;
                    users.upsert(new_user_with("shared", number)).on([Phone]).update([Balance]).await?;
                    Ok(())
                })
                .await
        })
    });
    for done in join_all(work).await {
        done.unwrap().unwrap();
    }
    assert_eq!(count_users(db.outside()).await, 9);
    assert_eq!(users.query().eq(Phone, "shared").one().await.unwrap().version, 7);
}

/// A transaction that sees what was there when it began still finds what is in the way.
async fn a_row_that_the_transaction_does_not_see(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    let users = users(&db);
    let tx = db.begin().await.unwrap();
    let inside = users.within(&tx);
    assert_eq!(inside.count().await.unwrap(), 0, "from now on it sees what is there now");
    let ada = users.insert(new_user_with("ada", 1)).await.unwrap();
    let changed = inside.upsert(new_user_with("ada", 2)).on([Phone]).await.unwrap();
    assert_eq!((changed.id, changed.balance), (ada.id, 2));
    let (found, inserted) = inside.find_or_insert([Phone], new_user_with("ada", 3)).await.unwrap();
    assert_eq!((found, inserted), (changed, false));
    let bob = users.insert(new_user_with("bob", 1)).await.unwrap();
    let (found, inserted) = inside.find_or_insert([Phone], new_user_with("bob", 3)).await.unwrap();
    assert_eq!((found.id, found.balance, inserted), (bob.id, 1, false));
    tx.commit().await.unwrap();
    assert_eq!(users.query().sum(Balance).await.unwrap(), 3);

    // Where that is not to be had, it is an error that says so, and never a second row.
    if db.capabilities().isolation_levels {
        let tx = db.transaction().isolation(IsolationLevel::RepeatableRead).begin().await.unwrap();
        let inside = users.within(&tx);
        assert_eq!(inside.count().await.unwrap(), 2);
        users.insert(new_user_with("cyd", 1)).await.unwrap();
        let upserted = inside.upsert(new_user_with("cyd", 2)).on([Phone]).await;
        assert!(upserted.as_ref().is_ok_and(|user| user.balance == 2) || upserted.unwrap_err().is_retryable());
        tx.rollback().await.unwrap();
    }
}

async fn a_row_that_is_not_seen_and_stays_as_it_is(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let norway = || country::Model { code: "NO".to_owned(), name: "Norway".to_owned() };
    let tx = db.begin().await.unwrap();
    let inside = countries.within(&tx);
    assert_eq!(inside.count().await.unwrap(), 0, "from now on it sees what is there now");
    countries.insert(norway()).await.unwrap();
    assert_eq!(inside.upsert_many_returning([norway()]).await.unwrap(), [norway()]);
    tx.commit().await.unwrap();
}

/// What a transaction sees in the way may have gone out of it.
async fn a_row_that_has_changed_since(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    let users = users(&db);
    let ada = users.insert(new_user_with("ada", 1)).await.unwrap();
    let tx = db.begin().await.unwrap();
    let inside = users.within(&tx);
    assert_eq!(inside.count().await.unwrap(), 1, "from now on it sees what is there now");
    let moved = user::ActiveModel { phone: Set("elsewhere".to_owned()), ..ada.clone().into_active_model() };
    users.update(moved).await.unwrap();
    let bob = user::ActiveModel { phone: Set("ada".to_owned()), ..new_user_with("bob", 1) };
    let bob = users.insert(bob).await.unwrap();
    let new = user::ActiveModel { username: Set("eve".to_owned()), ..new_user_with("ada", 2) };
    let changed = inside.upsert(new).on([Phone]).update([Balance]).await.unwrap();
    assert_eq!((changed.id, changed.balance, changed.username.as_str()), (bob.id, 2, "bob"));
    tx.commit().await.unwrap();
    assert_eq!(users.find_by_id(ada.id).await.unwrap().unwrap().balance, 1);
}
