//! What the crate logs.

use std::{
    fmt::{Debug, Write as _},
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use tracing::{Event, Subscriber, field::Field, field::Visit};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

use crate::support::{Place, TestDb};

/// The events of the crate, each as one line of text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<Vec<String>>>);

impl Capture {
    /// The lines that contain `text`.
    pub(crate) fn with(&self, text: &str) -> Vec<String> {
        self.0.lock().expect("not poisoned").iter().filter(|line| line.contains(text)).cloned().collect()
    }
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, " {}={value:?}", field.name());
            }
        }
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        self.0.lock().expect("not poisoned").push(line.0);
    }
}

/// Runs `test` on a database of its own and in one thread, so that all that is logged is seen.
pub(crate) fn run_captured<F: Future<Output = ()>>(place: Place, test: impl FnOnce(TestDb, Capture) -> F) {
    let capture = Capture::default();
    let _default = tracing::subscriber::set_default(registry().with(capture.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = TestDb::make(place).await;
        let body = async {
            test(db.clone(), capture).await;
            db.finish().await;
        };
        let outcome = AssertUnwindSafe(tokio::time::timeout(Duration::from_secs(60), body)).catch_unwind().await;
        db.remove().await;
        match outcome {
            Ok(done) => assert!(done.is_ok(), "the test hangs"),
            Err(panic) => resume_unwind(panic),
        }
    });
}
