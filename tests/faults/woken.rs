//! Who waits is told, and does not only look again now and then: the ones who wait here live in a runtime whose clock stands
//! still, where no pause ever ends.

use std::{sync::mpsc, thread};

use sea_dao::{Database, Result};
use tokio::{runtime::Builder, sync::oneshot, task::spawn_blocking};

use crate::{
    common::{at_rest, check_books, in_time, proxied},
    support::{TestDb, eventually, nonce},
};

for_each_server!(who_cannot_connect_is_told_of_one_that_comes_back);

/// Asks for `number` where no time passes.
fn ask_without_time(pool: &Database, number: i64) -> oneshot::Receiver<Result<i64>> {
    let pool = pool.clone();
    let (mut asking, answer) = oneshot::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let answer = runtime.block_on(async {
            // The clock is not moved on while a thread has work to do.
            let (_end, ended) = mpsc::channel::<()>();
            spawn_blocking(move || ended.recv());
            tokio::select! {
                answer = nonce(&pool, number) => Some(answer),
                () = asking.closed() => None,
            }
        });
        if let Some(answer) = answer {
            // The test may have failed meanwhile.
            let _ = asking.send(answer);
        }
    });
    answer
}

async fn who_cannot_connect_is_told_of_one_that_comes_back(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(3)).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.refuse();
    let waiting = [1, 2].map(|number| ask_without_time(&pool, number));
    let mut looks = 0;
    eventually("both have been refused, and pause", async || {
        let status = pool.status();
        let pausing = proxy.refused() == 2 && (status.waiting, status.connecting) == (2, 0);
        looks = if pausing { looks + 1 } else { 0 };
        looks == 3
    })
    .await;
    drop(holder);
    for (answer, number) in waiting.into_iter().zip([1, 2]) {
        assert_eq!(in_time("one who waits", answer).await.unwrap().unwrap(), number);
    }
    assert_eq!((proxy.refused(), pool.counters().opened), (2, 1), "nobody has looked on his own");
    at_rest(&pool).await;
    check_books(&pool);
}
