//! Rows that are sent in bulk.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::time::{error::Elapsed, timeout};

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

/// Whose turn it is: an odd number says that the source is waited for, an even one the server.
#[derive(Default)]
struct Turns(AtomicU64);

impl Turns {
    fn count<T>(&self, source: impl Stream<Item = T> + Send) -> impl Stream<Item = T> + Send {
        stream::unfold(Box::pin(source), async |mut source| {
            self.0.fetch_add(1, Ordering::Relaxed);
            let next = source.next().await;
            self.0.fetch_add(1, Ordering::Relaxed);
            next.map(|item| (item, source))
        })
    }

    /// Gives up when it was the server's turn, and the same one, from one look to the next.
    async fn bounded<F: Future + Unpin>(&self, limit: Option<Duration>, mut work: F) -> Result<F::Output, Elapsed> {
        let Some(limit) = limit else { return Ok(work.await) };
        let mut seen = None;
        loop {
            match timeout(limit, &mut work).await {
                Ok(output) => return Ok(output),
                Err(elapsed) => {
                    let turn = self.0.load(Ordering::Relaxed);
                    if turn.is_multiple_of(2) && seen == Some(turn) {
                        return Err(elapsed);
                    }
                    seen = Some(turn);
                }
            }
        }
    }
}
