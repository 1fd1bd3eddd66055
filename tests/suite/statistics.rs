//! Figures of statements, and queries that are repeated.

use std::time::Duration;

use entities::{customer_order as order, user};
use sea_dao::{
    BaseDao, Error,
    hooks::{
        StatementOrder::{Calls, Errors, Max, Total},
        as_one_request,
    },
    prelude::*,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, LoaderTrait};

use crate::support::{
    Recorder, TestDb, add_to_balance, insert_user, new_user, nonce, poll_times, slow_query, usernames,
};

for_each_backend!(
    every_statement_is_counted_once,
    the_top_statements_are_picked_by_what_is_asked,
    off_and_reset_count_nothing,
    memory_is_bounded_and_the_sum_stays_right,
    statistics_of_many_tasks_add_up,
    figures_can_be_serialized,
    a_loop_of_queries_is_warned_of_once,
    one_query_for_all_is_not_warned_of,
    writes_and_other_sessions_are_not_counted_as_repeated,
    sessions_of_one_request_are_counted_together,
);

async fn every_statement_is_counted_once(db: TestDb) {
    let recorder = Recorder::default();
    let pool = db.open(|config| config.statement_statistics(500).hook(recorder.clone())).await;
    pool.statements().reset();
    recorder.forget();
    insert_user(&pool, "a").await.unwrap();
    insert_user(&pool, "a").await.unwrap_err();
    pool.execute_transaction(async |tx| -> sea_dao::Result<()> {
        add_to_balance(tx, "a", 1).await?;
        let inner = tx.begin().await?;
        usernames(&inner).await;
        inner.rollback().await
    })
    .await
    .unwrap();
    pool.execute_unprepared("SELECT 1; SELECT 2").await.unwrap();
    assert!(poll_times(slow_query(&pool), 1).await.is_none());
    let failed: Result<(), Error> = pool
        .execute_transaction(async |tx| {
            nonce(tx, 1).await?;
            Err(Error::NotInitialized)
        })
        .await;
    failed.unwrap_err();

    let seen = recorder.take();
    let snapshot = pool.statements().snapshot();
    assert_eq!((snapshot.calls(), recorder.begun()), (seen.len() as u64, seen.len()));
    for figures in &snapshot.statements {
        let same: Vec<_> = seen.iter().filter(|seen| seen.fingerprint == figures.fingerprint).collect();
        assert_eq!(figures.calls, same.len() as u64, "{figures}");
        assert_eq!(figures.total, same.iter().map(|seen| seen.execute).sum::<Duration>(), "{figures}");
        assert_eq!(figures.rows, same.iter().filter_map(|seen| seen.rows).sum::<u64>(), "{figures}");
        assert_eq!(figures.execute.count, figures.calls);
    }
    let (errors, cancelled) =
        snapshot.statements.iter().fold((0, 0), |sum, one| (sum.0 + one.errors, sum.1 + one.cancelled));
    assert_eq!((errors, cancelled), (1, 1));
    let commits = snapshot.statements.iter().find(|one| &*one.fingerprint.text == "COMMIT").unwrap();
    assert_eq!(commits.calls, 1);
}

async fn the_top_statements_are_picked_by_what_is_asked(db: TestDb) {
    let pool = db.open(|config| config.statement_statistics(500)).await;
    pool.statements().reset();
    slow_query(&pool).await.unwrap();
    for _ in 0..3 {
        usernames(&pool).await;
    }
    insert_user(&pool, "a").await.unwrap();
    insert_user(&pool, "a").await.unwrap_err();
    let first = |order| pool.statements().top(1).by(order).remove(0);
    assert_eq!(first(Calls).calls, 3);
    assert_eq!((first(Errors).errors, &*first(Errors).fingerprint.operation), (1, "INSERT"));
    let slowest = first(Max);
    assert!(slowest.execute.max >= pool.statements().top(9).by(Max).last().unwrap().execute.max);
    let totals: Vec<_> = pool.statements().top(9).by(Total).iter().map(|one| one.total).collect();
    assert!(totals.len() >= 3 && totals.is_sorted_by(|a, b| a >= b), "{totals:?}");
    if db.capabilities().server {
        assert!(slowest.fingerprint.text.to_lowercase().contains("sleep"), "{slowest}");
        // To two digits.
        assert!(slowest.execute.p50 >= Duration::from_millis(297) && slowest.total >= Duration::from_millis(300));
    }
}

async fn off_and_reset_count_nothing(db: TestDb) {
    nonce(&*db, 1).await.unwrap();
    assert!(!db.statements().is_enabled() && db.statements().snapshot().calls() == 0);
    let pool = db.open(|config| config.statement_statistics(10)).await;
    nonce(&pool, 1).await.unwrap();
    assert!(pool.statements().snapshot().calls() > 0);
    pool.statements().reset();
    assert_eq!(pool.statements().snapshot().calls(), 0);
}

async fn memory_is_bounded_and_the_sum_stays_right(db: TestDb) {
    let recorder = Recorder::default();
    let pool = db.open(|config| config.statement_statistics(32).hook(recorder.clone())).await;
    pool.statements().reset();
    recorder.forget();
    for number in 0..300 {
        pool.execute_unprepared(&format!("SELECT 1 AS name_{number}")).await.unwrap();
    }
    let snapshot = pool.statements().snapshot();
    assert!(snapshot.statements.len() <= 32 && snapshot.dropped.fingerprints >= 268, "{:?}", snapshot.dropped);
    assert_eq!((snapshot.calls(), recorder.take().len()), (300, 300));
}

async fn statistics_of_many_tasks_add_up(db: TestDb) {
    let pool = db.open(|config| config.statement_statistics(500)).await;
    pool.statements().reset();
    let tasks = (0..8).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for number in 0..25 {
                assert_eq!(nonce(&pool, task * 100 + number).await.unwrap(), task * 100 + number);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let figures = pool.statements().top(1).by(Calls).remove(0);
    assert_eq!((figures.calls, figures.rows, figures.execute.count), (200, 200, 200));
    assert!(figures.total >= figures.execute.max);
}

async fn figures_can_be_serialized(db: TestDb) {
    let pool = db.open(|config| config.statement_statistics(500).n_plus_one(1)).await;
    pool.statements().reset();
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    nonce(&session, 2).await.unwrap();
    let json = serde_json::to_value(pool.statements().snapshot()).unwrap();
    let statement = &json["statements"][0];
    assert_eq!((&statement["calls"], &statement["fingerprint"]["operation"]), (&2.into(), &"SELECT".into()));
    assert_eq!(statement["fingerprint"]["id"].as_str().unwrap().len(), 16);
    assert_eq!(json["dropped"]["calls"], 0);
    let repeated = serde_json::to_value(pool.repeated_queries().found()).unwrap();
    assert_eq!(repeated[0]["count"], 2);
}

/// Two orders for each of three users.
async fn orders(db: &TestDb) -> Vec<user::Model> {
    let mut users = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let user = insert_user(&**db, name).await.unwrap();
        let orders = BaseDao::<order::Entity>::new((**db).clone());
        orders
            .insert(order::ActiveModel { user_id: Set(user.id), number: Set(name.to_owned()), ..Default::default() })
            .await
            .unwrap();
        users.push(user);
    }
    users
}

async fn a_loop_of_queries_is_warned_of_once(db: TestDb) {
    let users = orders(&db).await;
    let pool = db.open(|config| config.n_plus_one(3)).await;
    let session = pool.session();
    let line = line!() + 3;
    let orders = BaseDao::<order::Entity>::new(pool.clone()).within(&session);
    for user in &users {
        assert_eq!(orders.query().eq(order::Column::UserId, user.id).all().await.unwrap().len(), 1);
    }
    let found = pool.repeated_queries().check().unwrap_err();
    assert_eq!(found.queries.len(), 1, "{found}");
    let query = &found.queries[0];
    assert_eq!((query.count, query.sessions), (5, 1));
    let location = query.location.as_ref().unwrap();
    assert!(location.starts_with(&format!("{}:{line}:", file!())), "{found}");
    assert!(
        found.to_string().contains("FROM") && query.fingerprint.tables.contains(&"customer_order".to_owned()),
        "{found}"
    );

    // The session itself goes on, and another one is another count.
    nonce(&session, 1).await.unwrap();
    drop((session, orders));
    pool.repeated_queries().clear();
    let session = pool.session();
    for user in &users[..3] {
        order::Entity::find_by_id(user.id).one(&session).await.unwrap();
    }
    pool.repeated_queries().check().unwrap();
}

async fn one_query_for_all_is_not_warned_of(db: TestDb) {
    let users = orders(&db).await;
    let pool = db.open(|config| config.n_plus_one(1)).await;
    let session = pool.session();
    let loaded = users.load_many(order::Entity, &session).await.unwrap();
    assert!(loaded.len() == 5 && loaded.iter().all(|orders| orders.len() == 1));
    pool.repeated_queries().check().unwrap();
}

async fn writes_and_other_sessions_are_not_counted_as_repeated(db: TestDb) {
    let pool = db.open(|config| config.n_plus_one(1)).await;
    pool.execute_transaction(async |tx| -> sea_dao::Result<()> {
        for name in ["a", "b", "c"] {
            user::Entity::insert(new_user(name)).exec_without_returning(tx).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    for number in 0..5 {
        nonce(&pool, number).await.unwrap();
    }
    pool.repeated_queries().check().unwrap();
}

async fn sessions_of_one_request_are_counted_together(db: TestDb) {
    let users = orders(&db).await;
    let pool = db.open(|config| config.n_plus_one(3)).await;
    let other = db.open(|config| config.n_plus_one(3)).await;
    let orders = BaseDao::<order::Entity>::new(pool.clone());
    let line = line!() + 3;
    let request = async || {
        for user in &users {
            orders.find_by_id(user.id).await.unwrap();
        }
        nonce(&other, 1).await.unwrap();
    };
    // Without saying so, each call is a session of its own.
    request().await;
    pool.repeated_queries().check().unwrap();
    as_one_request(request()).await;
    as_one_request(request()).await;
    let found = pool.repeated_queries().check().unwrap_err();
    let [query] = &found.queries[..] else { panic!("{found}") };
    assert_eq!((query.count, query.sessions), (5, 2), "each request for itself");
    assert!(query.location.as_ref().unwrap().starts_with(&format!("{}:{line}:", file!())), "{found}");
    other.repeated_queries().check().unwrap();

    // The end of a session within is not the end of the request.
    pool.repeated_queries().clear();
    as_one_request(async {
        for user in &users {
            let session = pool.session();
            order::Entity::find_by_id(user.id).one(&session).await.unwrap();
        }
    })
    .await;
    assert_eq!(pool.repeated_queries().found()[0].count, 5);
}
