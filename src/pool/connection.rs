//! One connection and its known state.

use std::{
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::DbBackend;
use tokio::time::timeout;

use super::{
    killer::Killer,
    ledger::{Column, Entry},
    loan::Loan,
    manager::Manager,
    reserve::Reserved,
    stats::CloseReason,
};
use crate::{
    backend::{Effect, RawConnection},
    config::ResetOnReturn,
    error::Error,
    hooks::{Hooks, Origin, TransactionSpan},
};

/// What is on the wire between this side and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Nothing: the last answer was read to its end.
    Quiet,
    /// A statement, or an answer of which nothing was read. Left so, the connection cannot be used any more.
    InFlight,
    /// The rest of an answer. Left so, it has to be read before anything else.
    Undrained,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) wire: Wire,
    pub(super) broken: bool,
    pub(super) in_transaction: bool,
    /// A statement outside of any may have begun one.
    pub(super) may_have_begun: bool,
    /// The transaction may not write by its own choice.
    pub(super) read_only: bool,
    /// A setting or lock that the next borrower must not see.
    pub(super) session_changed: bool,
    /// The statement under way may do more than its text tells.
    pub(super) opaque: bool,
    /// What the last failure did to the transaction.
    pub(super) effect: Effect,
}

/// One connection and its known state.
pub(crate) struct Connection {
    /// `None` once it was taken to be closed.
    pub(super) raw: Option<Box<dyn RawConnection>>,
    pub(super) state: State,
    pub(super) entry: Entry,
    pub(super) backend: DbBackend,
    pub(super) hooks: Hooks,
    echo: bool,
    pub(super) reset_on_return: ResetOnReturn,
    loan: Arc<Loan>,
    close_reason: Option<CloseReason>,
    pub(super) origin: Origin,
    pub(super) transaction_span: TransactionSpan,
    /// The limit that holds now: the transaction's, or the pool's.
    pub(super) statement_timeout: Option<Duration>,
    pub(super) default_statement_timeout: Option<Duration>,
    opened: Instant,
    /// When it is too old to be handed out again.
    expires: Instant,
    pub(super) returned: Instant,
    pub(super) reserved: Option<Reserved>,
    killer: Arc<Killer>,
    /// When a ping was answered since then.
    heard: Option<Instant>,
}

impl Connection {
    pub(super) fn new(raw: Box<dyn RawConnection>, entry: Entry, manager: &Manager) -> Self {
        let now = Instant::now();
        let state = State {
            wire: Wire::Quiet,
            broken: false,
            in_transaction: false,
            may_have_begun: false,
            read_only: false,
            session_changed: false,
            opaque: false,
            effect: Effect::None,
        };
        let origin = Origin::default();
        manager.ledger.stats.opened();
        Self {
            raw: Some(raw),
            state,
            entry,
            backend: manager.driver.backend(),
            hooks: manager.hooks.clone(),
            echo: manager.config.echo_pool,
            reset_on_return: manager.config.reset_on_return,
            loan: manager.ledger.loans.register(),
            close_reason: None,
            origin,
            transaction_span: TransactionSpan::none(),
            statement_timeout: manager.config.statement_timeout,
            default_statement_timeout: manager.config.statement_timeout,
            opened: now,
            expires: now + manager.lifetime(),
            returned: now,
            reserved: None,
            killer: manager.killer.clone(),
            heard: None,
        }
    }

    /// Why it is not to be handed out again: it is too old, or was opened before a failure that may have hit all.
    pub(super) fn outdated(&self) -> Option<CloseReason> {
        if !self.entry.ledger().is_valid(self.opened) {
            Some(CloseReason::Invalidated)
        } else if self.expires <= Instant::now() {
            Some(CloseReason::Expired)
        } else {
            None
        }
    }

    /// Since when nothing has come from the other side.
    pub(super) fn last_heard(&self) -> Instant {
        self.heard.map_or(self.returned, |heard| heard.max(self.returned))
    }

    /// The other side has answered a ping.
    pub(super) fn heard(&mut self) {
        self.heard = Some(Instant::now());
    }

    /// The other side has not answered a ping, or not as it should.
    pub(super) fn unanswered(&mut self, error: &Error) {
        self.condemn(CloseReason::Broken);
        if error.is_timeout() {
            // The others are likely to be as silent, and waiting for each of them would add up.
            self.entry.ledger().invalidate();
        }
    }

    /// Says why it is closed, for the counters.
    pub(super) fn condemn(&mut self, reason: CloseReason) {
        self.close_reason = Some(reason);
    }

    /// Whose statements follow, and how long they waited for the connection.
    pub(crate) fn borrowed_by(&mut self, session: u64, location: &'static Location<'static>, wait: Duration) {
        if self.reserved.is_none() {
            self.loan.begin(location);
            self.entry.ledger().stats.waited(wait);
        }
        self.origin = Origin { session: Some(session), transaction: None, location: None, wait };
    }

    /// The line that the next statements come from.
    pub(crate) fn called_from(&mut self, location: Option<&'static Location<'static>>) {
        self.origin.location = location;
    }

    pub(super) fn came_back(&mut self) {
        // What the pool itself takes out, to open or to check it, is nobody's use.
        if let Some(used) = self.loan.end() {
            self.entry.ledger().stats.used(used);
        }
    }

    /// Nothing is on the wire and the other side is there.
    pub(crate) fn is_usable(&self) -> bool {
        !self.state.broken && self.state.wire != Wire::InFlight && self.raw.is_some()
    }

    /// Anybody may have it as it is.
    pub(super) fn is_clean(&self) -> bool {
        self.is_usable() && !self.is_undrained() && !self.needs_rollback() && !self.state.session_changed
    }

    pub(crate) fn is_undrained(&self) -> bool {
        self.state.wire == Wire::Undrained
    }

    /// BEGIN succeeded and neither COMMIT nor ROLLBACK did since.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.state.in_transaction
    }

    /// A transaction is open, or may be.
    pub(super) fn needs_rollback(&self) -> bool {
        self.state.in_transaction || self.state.may_have_begun
    }

    /// What the last statement did to its transaction.
    pub(crate) fn last_effect(&self) -> Effect {
        self.state.effect
    }

    /// Closes as politely as the other side lets it.
    pub(super) async fn close(&mut self) {
        self.entry.move_to(Column::Closing);
        if let Some(raw) = self.raw.take_if(|_| self.state.wire == Wire::Quiet && !self.state.broken) {
            // What goes wrong now concerns nobody.
            let _ = timeout(Duration::from_secs(1), raw.close()).await;
        }
        self.raw = None;
    }

    /// Closes, and ends on the server what may still run there.
    pub(super) async fn close_and_end(&mut self) {
        let in_use = self.state.wire != Wire::Quiet;
        let kill_sql = self.raw.as_ref().filter(|_| in_use).and_then(|raw| raw.kill_sql());
        self.close().await;
        if let Some(sql) = kill_sql {
            self.killer.kill(sql).await;
        }
    }
}

impl Drop for Connection {
    /// Reached with the connection still open when the pool drops an idle one, or the runtime is gone.
    fn drop(&mut self) {
        self.entry.move_to(Column::Closing);
        let reason = self.close_reason.unwrap_or(match self.state {
            State { broken: true, .. } => CloseReason::Broken,
            State { wire: Wire::InFlight | Wire::Undrained, .. } => CloseReason::Cancelled,
            State { session_changed: true, .. } => CloseReason::SessionChanged,
            _ => CloseReason::Shutdown,
        });
        let age = self.opened.elapsed();
        self.entry.ledger().stats.closed(reason);
        if self.echo {
            tracing::info!(target: "sea_dao::pool", %reason, ?age, "connection closed");
        }
    }
}
