//! What is counted on this side is what was sent: counted between client and server.

use futures_util::TryStreamExt;
use sea_dao::{
    DatabaseConfig, PoolConfig, Result,
    config::PrePing,
    hooks::{StatementFigures, StatementKind},
};
use sea_orm::{ConnectionTrait, EntityTrait, Statement};

use crate::{
    common::proxied,
    proxy::{Direction, Proxy},
    support::{Recorder, TestDb, add_to_balance, eventually, insert_user, nonce, poll_times, slow_query, usernames},
};

for_each_server!(
    the_sum_of_the_statistics_is_what_was_sent,
    failed_and_cancelled_statements_are_in_the_sum,
    a_slow_network_is_execution_and_not_waiting,
);

async fn the_sum_of_the_statistics_is_what_was_sent(db: TestDb) {
    let recorder = Recorder::default();
    let (proxy, pool) = proxied(&db, |config| {
        let config = config.pool_size(1).max_overflow(0).pool_pre_ping(PrePing::Never);
        config.statement_statistics(500).hook(recorder.clone())
    })
    .await;
    let missing = Statement::from_string(db.backend(), "SELECT no_such_column");
    let work = async || {
        let mut failures = 0_u64;
        pool.execute_transaction(async |tx| -> Result<()> {
            add_to_balance(tx, "nobody", 1).await?;
            let inner = tx.begin().await?;
            usernames(&inner).await;
            failures += u64::from(inner.query_all_raw(missing.clone()).await.is_err());
            inner.rollback().await
        })
        .await
        .unwrap();
        nonce(&pool, 1).await.unwrap();
        assert_eq!(failures, 1);
    };
    // The first time statements are prepared, which is a round trip more.
    work().await;
    pool.statements().reset();
    recorder.forget();
    let before = proxy.round_trips();
    for _ in 0..10 {
        work().await;
    }
    let sent = proxy.round_trips() - before;
    let snapshot = pool.statements().snapshot();
    assert_eq!(snapshot.calls(), recorder.take().len() as u64);
    assert_eq!(snapshot.calls(), 80, "BEGIN, UPDATE, SAVEPOINT, SELECT, a failure, ROLLBACK TO, COMMIT, SELECT");
    // The failing one is never prepared, and takes no second round trip: its preparation fails.
    assert_eq!(sent, 80);
    assert_eq!(snapshot.statements.iter().map(|one| one.errors).sum::<u64>(), 10);

    // One that is dropped after it was sent.
    pool.statements().reset();
    let before = proxy.round_trips();
    assert!(poll_times(slow_query(&pool), 1).await.is_none());
    let snapshot = pool.statements().snapshot();
    assert_eq!((snapshot.calls(), snapshot.statements[0].cancelled), (1, 1));
    eventually("it was sent", async || proxy.round_trips() > before).await;
}

async fn failed_and_cancelled_statements_are_in_the_sum(db: TestDb) {
    let recorder = Recorder::default();
    let proxy = Proxy::to(db.url()).await;
    let mut url = url::Url::parse(proxy.url()).unwrap();
    // The proxy has to read what passes.
    let setting = if url.scheme() == "postgres" { ("sslmode", "disable") } else { ("ssl-mode", "disabled") };
    url.query_pairs_mut().append_pair(setting.0, setting.1);
    let pool = PoolConfig::default().pool_size(1).max_overflow(0).pool_pre_ping(PrePing::Never);
    let config = DatabaseConfig::new(url).pool(pool).no_slow_log().statement_statistics(500).hook(recorder.clone());
    let pool = db.open(|_| config).await;
    insert_user(&pool, "taken").await.unwrap();
    // The first time statements are prepared, and one that cannot be prepared is never sent.
    let work = async || {
        pool.execute_transaction(async |tx| -> Result<()> {
            add_to_balance(tx, "taken", 1).await?;
            let inner = tx.begin().await?;
            insert_user(&inner, "taken").await.unwrap_err();
            inner.rollback().await?;
            let inner = tx.begin().await?;
            usernames(&inner).await;
            inner.commit().await
        })
        .await
        .unwrap();
        let failed: Result<()> = pool
            .execute_transaction(async |tx| {
                usernames(tx).await;
                Err(sea_dao::Error::NotInitialized)
            })
            .await;
        failed.unwrap_err();
        insert_user(&pool, "taken").await.unwrap_err();
        pool.execute_unprepared("SELECT 1; SELECT 2").await.unwrap();
        pool.execute_unprepared("SELECT no_such_column").await.unwrap_err();
        let mut rows = entities::user::Entity::find().stream(&pool).await.unwrap();
        while rows.try_next().await.unwrap().is_some() {}
    };
    work().await;
    slow_query(&pool).await.unwrap();

    assert_eq!(proxy.statements().len(), 1, "one connection");
    let sent = || proxy.statements()[0];
    pool.statements().reset();
    recorder.forget();
    let before = sent();
    for _ in 0..5 {
        work().await;
    }
    let until_cancelled = sent();
    {
        let mut slow = std::pin::pin!(slow_query(&pool));
        // Until the proxy has seen it; the server takes longer for it.
        while sent() == until_cancelled {
            assert!(tokio::time::timeout(std::time::Duration::from_millis(1), &mut slow).await.is_err());
        }
    }
    let snapshot = pool.statements().snapshot();
    assert_eq!(snapshot.calls(), sent() - before, "{snapshot:#?}");
    assert_eq!(snapshot.calls(), recorder.begun() as u64);
    let sum = |count: fn(&StatementFigures) -> u64| snapshot.statements.iter().map(count).sum::<u64>();
    assert_eq!((sum(|one| one.errors), sum(|one| one.cancelled)), (15, 1));
    let kinds = recorder.take_kinds();
    for (kind, calls) in [
        (StatementKind::Begin, 10),
        (StatementKind::Commit, 5),
        (StatementKind::Rollback, 5),
        (StatementKind::Savepoint, 10),
        (StatementKind::ReleaseSavepoint, 5),
        (StatementKind::RollbackToSavepoint, 5),
    ] {
        assert_eq!(kinds.iter().filter(|seen| **seen == kind).count(), calls, "{kind}");
    }
}

async fn a_slow_network_is_execution_and_not_waiting(db: TestDb) {
    let recorder = Recorder::default();
    let (proxy, pool) =
        proxied(&db, |config| config.pool_size(1).max_overflow(0).pool_pre_ping(PrePing::Never).hook(recorder.clone()))
            .await;
    nonce(&pool, 1).await.unwrap();
    let delay = std::time::Duration::from_millis(80);
    proxy.delay(Direction::ToClient, delay);
    recorder.forget();
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    nonce(&session, 2).await.unwrap();
    let seen = recorder.take();
    assert!(seen.iter().all(|seen| seen.execute >= delay), "{seen:#?}");
    assert!(seen[0].wait < delay && seen[1].wait.is_zero(), "a connection was free: {seen:#?}");
}
