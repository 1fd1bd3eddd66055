//! Running a test on a database of its own.

use std::{
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;

use super::{Place, TestDb};

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs `test` on a database of its own, which is removed afterwards whatever the outcome.
pub(crate) fn run<F: Future<Output = ()>>(place: Place, test: impl FnOnce(TestDb) -> F) {
    run_within(LIMIT, place, test);
}

/// As [`run`], for a test that is known to take long.
pub(crate) fn run_within<F: Future<Output = ()>>(limit: Duration, place: Place, test: impl FnOnce(TestDb) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let db = TestDb::make(place).await;
        let body = async {
            test(db.clone()).await;
            db.finish().await;
        };
        let outcome = AssertUnwindSafe(tokio::time::timeout(limit, body)).catch_unwind().await;
        db.remove().await;
        match outcome {
            Ok(done) => assert!(done.is_ok(), "the test hangs"),
            Err(panic) => resume_unwind(panic),
        }
    });
}

/// Polls `future` at most `times` times and drops it right then: `None` when it was not done.
pub(crate) async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
