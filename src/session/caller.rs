//! The line of the caller's code that statements come from.

use std::panic::Location;

use tokio::{task::futures::TaskLocalFuture, task_local};

type Line = &'static Location<'static>;

task_local! {
    /// The line for which the task works right now.
    static CURRENT: Line;
}

/// The line for which this task works: that of the outermost [`located`] future, when there is one.
pub(crate) fn current() -> Option<Line> {
    CURRENT.try_with(|line| *line).ok()
}

/// The line for which this task works, else the caller's.
#[track_caller]
pub(crate) fn caller() -> Line {
    current().unwrap_or(Location::caller())
}

/// Lets the statements of `work` tell the caller's line. For a method that returns a future and is marked
/// `#[track_caller]`: in an `async fn` there is no caller to be seen.
///
/// ```text
/// #[track_caller]
/// pub fn insert(&self, row: Row) -> impl Future<Output = Result<Row>> {
///     located(async move { … })
/// }
/// ```
#[track_caller]
pub(crate) fn located<F: Future>(work: F) -> TaskLocalFuture<Line, F> {
    CURRENT.scope(caller(), work)
}

#[cfg(test)]
mod tests {
    use super::{caller, current, located};

    #[track_caller]
    fn outer() -> impl Future<Output = (u32, u32)> {
        located(async {
            let before = caller().line();
            tokio::task::yield_now().await;
            (before, inner().await)
        })
    }

    #[track_caller]
    fn inner() -> impl Future<Output = u32> {
        located(async { caller().line() })
    }

    #[tokio::test]
    async fn the_outermost_line_counts_and_is_forgotten() {
        let line = line!() + 1;
        assert_eq!(outer().await, (line, line));
        assert_eq!(current(), None);
        // Two that take turns on one thread do not mix.
        let lines = (line!() + 1, line!() + 2);
        let first = outer();
        let second = outer();
        let (first, second) = futures_util::future::join(first, second).await;
        assert_eq!((first, second), ((lines.0, lines.0), (lines.1, lines.1)));
    }

    #[test]
    fn a_line_takes_little_room() {
        let work = std::future::ready([0_u8; 1_000]);
        let alone = size_of_val(&work);
        assert!(size_of_val(&located(work)) <= alone + 3 * size_of::<usize>());
    }
}
