//! What an operation costs, counted between client and server.

use entities::user;
use sea_dao::{Result, config::PrePing};
use sea_orm::EntityTrait;

use crate::{
    common::{check_books, proxied},
    proxy::Proxy,
    support::{TestDb, add_to_balance, insert_user, nonce},
};

for_each_server!(
    a_point_select_on_a_warm_pool_is_one_round_trip,
    select_update_commit_is_four_round_trips,
    three_selects_in_one_session_are_three_round_trips,
    returning_a_connection_costs_nothing,
    a_ping_is_one_round_trip,
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
