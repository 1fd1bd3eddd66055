//! Rows that are sent in bulk.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use super::connection::Connection;
use crate::{
    backend::{Aborted, Effect, is_copy_in},
    error::{Error, Result},
    hooks::StatementKind,
};

impl Connection {
    /// Runs one `COPY … FROM STDIN` and gives the number of rows. A source that fails has no row written, and aborts the
    /// transaction, if there is one.
    ///
    /// `statement_timeout` holds for each wait for the server, not for the source.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, it leaves the connection unusable, and the pool closes it.
    pub(crate) async fn copy_in(
        &mut self,
        sql: &str,
        source: impl Stream<Item = Result<Vec<u8>, Aborted>> + Send,
    ) -> Result<u64> {
        if !is_copy_in(sql, self.backend) {
            return Err(Error::argument("sql", format!("{sql:?}"), "one COPY … FROM STDIN"));
        }
        self.guard().await?;
        let sql: Arc<str> = sql.into();
        let flight = self.depart(StatementKind::Copy, &sql, None);
        let limit = self.statement_timeout;
        let turns = Turns::default();
        let copying = self.raw()?.copy_in(sql, turns.count(source).boxed());
        let result = turns.bounded(limit, copying).await;
        let result = self.arrive(flight, result, false, |rows| rows.unwrap_or(0)).and_then(|rows| {
            rows.ok_or_else(|| {
                self.state.effect = Effect::AbortsScope;
                Error::argument("source", "an error", "the data of the COPY")
            })
        });
        self.clear_up(result).await
    }
}

/// Since when the server is waited for; `None` while the source is.
struct Turns(Mutex<Option<Instant>>);

impl Default for Turns {
    fn default() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count<T>(&self, source: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
        stream::unfold(Box::pin(source), async |mut source| {
            *self.lock() = None;
            let next = source.next().await;
            *self.lock() = Some(Instant::now());
            next.map(|item| (item, source))
        })
    }

    /// Gives up when it was the server's turn for so long.
    async fn bounded<F: Future + Unpin>(&self, limit: Option<Duration>, mut work: F) -> Result<F::Output, Elapsed> {
        let Some(limit) = limit else { return Ok(work.await) };
        loop {
            // A turn of the server that begins while the source is waited for ends after the next look.
            let since = self.lock().unwrap_or_else(Instant::now);
            let Some(until) = since.checked_add(limit) else { return Ok(work.await) };
            match timeout_at(until, &mut work).await {
                Ok(output) => return Ok(output),
                Err(elapsed) if self.lock().is_some_and(|since| since.elapsed() >= limit) => return Err(elapsed),
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin, time::Duration};

    use futures_util::{StreamExt, stream};
    use tokio::time::{Instant, sleep};

    use super::Turns;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Pieces that the source takes so long for.
    fn pieces(pauses: &[u64]) -> impl futures_util::Stream<Item = ()> + Send {
        stream::iter(pauses.to_vec()).then(|seconds| sleep(Duration::from_secs(seconds)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_left_after_the_limit() {
        let started = Instant::now();
        assert!(Turns::default().bounded(Some(LIMIT), pending::<()>()).await.is_err());
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_in_the_middle_is_left_after_the_limit() {
        for pauses in [vec![1], vec![9, 9], vec![25], vec![3, 40, 7]] {
            let started = Instant::now();
            let turns = Turns::default();
            let copying = async {
                let mut source = pin!(turns.count(pieces(&pauses)));
                for _ in &pauses {
                    source.next().await;
                }
                pending::<()>().await;
            };
            assert!(turns.bounded(Some(LIMIT), Box::pin(copying)).await.is_err());
            assert_eq!(started.elapsed().as_secs(), pauses.iter().sum::<u64>() + 10, "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_waited_for() {
        let turns = Turns::default();
        let copying = turns.count(pieces(&[5, 100, 1_000])).count();
        assert_eq!(turns.bounded(Some(LIMIT), Box::pin(copying)).await.ok(), Some(3));
        let without_limit = Turns::default().bounded(Some(Duration::MAX), Box::pin(sleep(LIMIT))).await;
        assert!(without_limit.is_ok());
    }
}
