//! What an operation costs, counted between client and server.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use entities::{customer_order, user};
use sea_dao::{BaseDao, Result, Session, config::PrePing};
use sea_orm::{ActiveValue::Set, EntityTrait};

use crate::{
    common::{check_books, proxied},
    proxy::Proxy,
    support::{TestDb, add_to_balance, insert_user, new_user, nonce},
};

for_each_server!(
    a_point_select_on_a_warm_pool_is_one_round_trip,
    select_update_commit_is_four_round_trips,
    three_selects_in_one_session_are_three_round_trips,
    returning_a_connection_costs_nothing,
    a_ping_is_one_round_trip,
    an_insert_is_one_round_trip,
    a_flush_of_one_statement_is_one_round_trip,
    a_flush_of_two_entities_is_four_round_trips,
    a_commit_that_flushes_two_entities_is_four_round_trips,
    a_flush_in_a_transaction_is_set_apart_where_it_has_to_be,
);

/// What `work` costs when everything is warm.
async fn cost(proxy: &Proxy, work: impl AsyncFn()) -> u64 {
    work().await;
    let before = proxy.round_trips();
    work().await;
    let first = proxy.round_trips() - before;
    for _ in 0..10 {
        work().await;
    }
    assert_eq!(proxy.round_trips() - before, 11 * first, "it is the same each time");
    first
}

async fn a_point_select_on_a_warm_pool_is_one_round_trip(db: TestDb) {
    let user = insert_user(db.outside(), "a").await.unwrap();
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let select = async || {
        let found = user::Entity::find_by_id(user.id).one(&pool).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user));
    };
    assert_eq!(cost(&proxy, select).await, 1);
    assert_eq!(proxy.accepted(), 1, "always the same connection");
    check_books(&pool);
}

async fn select_update_commit_is_four_round_trips(db: TestDb) {
    let user = insert_user(db.outside(), "a").await.unwrap();
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let transfer = async || {
        pool.execute_transaction(async |tx| -> Result<()> {
            user::Entity::find_by_id(user.id).one(tx).await?;
            add_to_balance(tx, "a", 1).await
        })
        .await
        .unwrap();
    };
    assert_eq!(cost(&proxy, transfer).await, 4);
}

async fn three_selects_in_one_session_are_three_round_trips(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let request = async || {
        let session = pool.session();
        for number in 0..3 {
            assert_eq!(nonce(&session, number).await.unwrap(), number);
        }
    };
    assert_eq!(cost(&proxy, request).await, 3);
}

async fn returning_a_connection_costs_nothing(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(1).pool_pre_ping(PrePing::Never)).await;
    nonce(&pool, 0).await.unwrap();
    let before = proxy.round_trips();
    for number in 0..20 {
        let session = pool.session();
        nonce(&session, number).await.unwrap();
        drop(session);
        assert_eq!(pool.status().idle, 1, "it is back at once");
    }
    // Whatever a return had sent would stand before the next answer.
    assert_eq!(proxy.round_trips() - before, 20);
}

async fn a_ping_is_one_round_trip(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Always)).await;
    assert_eq!(cost(&proxy, async || assert_eq!(nonce(&pool, 1).await.unwrap(), 1)).await, 2);
}

/// A name that no row has yet.
fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("row {}", NEXT.fetch_add(1, SeqCst))
}

/// Adds a user with an order.
fn add_both(session: &Session) {
    let user = session.add(new_user(&new_name()));
    session.add_after(&user, |user| customer_order::ActiveModel {
        user_id: Set(user.id),
        number: Set(user.username.clone()),
        ..Default::default()
    });
}

async fn an_insert_is_one_round_trip(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let users = BaseDao::<user::Entity>::new(pool.clone());
    let insert = async || drop(users.insert(new_user(&new_name())).await.unwrap());
    assert_eq!(cost(&proxy, insert).await, 1);
}

async fn a_flush_of_one_statement_is_one_round_trip(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let inserts = async || {
        let session = pool.session();
        let rows = session.add_all((0..3).map(|_| new_user(&new_name())));
        assert_eq!(session.flush().await.unwrap(), 3);
        assert!(rows.iter().all(|row| row.get().is_ok()));
    };
    assert_eq!(cost(&proxy, inserts).await, 1);

    let user = insert_user(db.outside(), "a").await.unwrap();
    let session = pool.session();
    let edited = session.edit(user.clone());
    let edit = async || {
        edited.set(user::Column::Balance, edited.get().unwrap().balance + 1).unwrap();
        assert_eq!(session.flush().await.unwrap(), 1);
    };
    // Where an UPDATE does not give the row back, it is read afterwards, and both stand in a transaction.
    let expected = if db.capabilities().returning { 1 } else { 4 };
    assert_eq!(cost(&proxy, edit).await, expected);
    // Twice at first, as `cost` does, then ten times.
    assert_eq!(edited.get().unwrap().balance, user.balance + 12);

    let rows = user::Entity::find().all(db.outside()).await.unwrap();
    let left = std::sync::Mutex::new(rows);
    let delete = async || {
        let row = left.lock().unwrap().pop().unwrap();
        session.delete(&row);
        assert_eq!(session.flush().await.unwrap(), 1);
    };
    assert_eq!(cost(&proxy, delete).await, 1);
}

async fn a_flush_of_two_entities_is_four_round_trips(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let flush = async || {
        let session = pool.session();
        add_both(&session);
        assert_eq!(session.flush().await.unwrap(), 2);
    };
    // BEGIN, INSERT, INSERT, COMMIT.
    assert_eq!(cost(&proxy, flush).await, 4);
}

async fn a_commit_that_flushes_two_entities_is_four_round_trips(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let transaction = async || {
        let done = pool.execute_transaction(async |tx| -> Result<()> {
            add_both(tx);
            Ok(())
        });
        done.await.unwrap();
    };
    assert_eq!(cost(&proxy, transaction).await, 4);
}

async fn a_flush_in_a_transaction_is_set_apart_where_it_has_to_be(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_pre_ping(PrePing::Never)).await;
    let one = async || {
        let done = pool.execute_transaction(async |tx| -> Result<()> {
            tx.add(new_user(&new_name()));
            tx.flush().await.map(drop)
        });
        done.await.unwrap();
    };
    // Where a failure aborts the transaction: BEGIN, SAVEPOINT, INSERT, RELEASE, COMMIT.
    let expected = if db.capabilities().failure_aborts_transaction { 5 } else { 3 };
    assert_eq!(cost(&proxy, one).await, expected);
    let two = async || {
        let done = pool.execute_transaction(async |tx| -> Result<()> {
            add_both(tx);
            tx.flush().await.map(drop)
        });
        done.await.unwrap();
    };
    assert_eq!(cost(&proxy, two).await, 6);
}
