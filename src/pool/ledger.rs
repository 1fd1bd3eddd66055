//! Who is where: every connection stands in exactly one column, and its entry moves with it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::{Notify, futures::Notified, watch};

use super::{PoolStatus, loan::Loans, meter::Meter, stats::Stats};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Connecting,
    Idle,
    CheckedOut,
    Closing,
}

#[derive(Debug, Default)]
struct Counts {
    connecting: usize,
    idle: usize,
    checked_out: usize,
    closing: usize,
    /// Callers whose acquire did not succeed at once; those for whom a connection is opened are among them.
    pending: usize,
    /// Callers for whom one is being opened.
    attending: usize,
    /// No connection that comes back is kept.
    closed: bool,
}

impl Counts {
    fn column(&mut self, column: Column) -> &mut usize {
        match column {
            Column::Connecting => &mut self.connecting,
            Column::Idle => &mut self.idle,
            Column::CheckedOut => &mut self.checked_out,
            Column::Closing => &mut self.closing,
        }
    }

    fn open(&self) -> usize {
        self.idle + self.checked_out + self.closing
    }

    /// Those that are not on their way out.
    fn kept(&self) -> usize {
        self.idle + self.checked_out + self.connecting
    }

    fn waiting(&self) -> usize {
        self.pending.saturating_sub(self.attending)
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    counts: Mutex<Counts>,
    /// Told whenever a connection is gone, or is idle while somebody seeks one.
    changed: Notify,
    /// Told whenever a connection is idle while somebody seeks one.
    idle: Notify,
    /// Callers that have left the queue to open a connection, and wait until there is room for it, or the server has let
    /// them in. One that is idle meanwhile is as good.
    seeking: AtomicUsize,
    pool_size: usize,
    max_overflow: usize,
    born: Instant,
    pub(super) loans: Loans,
    pub(super) stats: Stats,
    /// Nobody is handed a connection until it is over.
    suspended: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    /// Nanoseconds after `born`; what was opened before is not handed out any more.
    valid_since: AtomicU64,
}

impl Ledger {
    pub(super) fn new(pool_size: usize, max_overflow: usize, meter: Meter) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            changed: Notify::new(),
            idle: Notify::new(),
            seeking: AtomicUsize::new(0),
            pool_size,
            max_overflow,
            born: Instant::now(),
            loans: Loans::default(),
            stats: Stats::new(meter),
            suspended: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            valid_since: AtomicU64::new(0),
        })
    }

    /// What killed one connection may have killed all: none that is open now is handed out again.
    pub(super) fn invalidate(&self) {
        self.stats.invalidated();
        self.valid_since.fetch_max(self.nanoseconds(Instant::now()), Ordering::Relaxed);
    }

    pub(super) fn is_valid(&self, opened: Instant) -> bool {
        self.nanoseconds(opened) >= self.valid_since.load(Ordering::Relaxed)
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a connection that is going to be opened, if there is room for it: those that are being closed are not in the
    /// queue any more, but still open.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Entry> {
        self.enter_if(|counts| counts.open() + counts.connecting < self.pool_size + self.max_overflow)
    }

    /// For a connection that is going to be opened, if fewer than so many are idle and fewer than `pool_size` are kept.
    pub(super) fn enter_idle(self: &Arc<Self>, min_idle: usize) -> Option<Entry> {
        self.enter_if(|counts| {
            counts.idle < min_idle && counts.open() + counts.connecting < self.pool_size && !counts.closed
        })
    }

    fn enter_if(self: &Arc<Self>, may: impl FnOnce(&Counts) -> bool) -> Option<Entry> {
        let mut counts = self.lock();
        may(&counts).then(|| {
            counts.connecting += 1;
            Entry { ledger: self.clone(), column: Column::Connecting }
        })
    }

    /// Waits until a connection is gone, or idle for who is [`seeking`](Self::seeking), from the moment of the call on.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until a connection is idle, for callers that are [`seeking`](Self::seeking).
    pub(super) fn idle(&self) -> Notified<'_> {
        self.idle.notified()
    }

    /// A connection can be had.
    pub(super) fn tell_of_idle(&self) {
        self.changed.notify_waiters();
        if self.is_sought() {
            self.idle.notify_one();
        }
    }

    /// Whether somebody waits to be [told](Self::tell_of_idle) of idle connections.
    pub(super) fn is_sought(&self) -> bool {
        self.seeking.load(Ordering::SeqCst) > 0
    }

    /// A caller that waits to open a connection, until the guard is dropped. It has to look for an idle one afterwards.
    pub(super) fn seeking(self: &Arc<Self>) -> Seeking {
        self.seeking.fetch_add(1, Ordering::SeqCst);
        Seeking(self.clone())
    }

    /// How many are idle, and how many more are kept than should be although nobody waits.
    pub(super) fn idle_and_surplus(&self) -> (usize, usize) {
        let counts = self.lock();
        let surplus = if counts.waiting() > 0 { 0 } else { counts.kept().saturating_sub(self.pool_size) };
        (counts.idle, surplus)
    }

    pub(super) fn suspend(&self, suspended: bool) {
        self.suspended.send_replace(suspended);
    }

    pub(super) fn is_suspended(&self) -> bool {
        *self.suspended.borrow()
    }

    pub(super) async fn resumed(&self) {
        // The sender lives as long as the ledger.
        let _ = self.suspended.subscribe().wait_for(|suspended| !suspended).await;
    }

    /// A caller that waits, until the guard is dropped.
    pub(super) fn pending(self: &Arc<Self>) -> Pending {
        self.lock().pending += 1;
        Pending(self.clone())
    }

    /// A caller for whom a connection is being opened, until the guard is dropped.
    pub(super) fn attending(self: &Arc<Self>) -> Attending {
        self.lock().attending += 1;
        Attending(self.clone())
    }

    pub(super) fn status(&self, closed: bool) -> PoolStatus {
        let counts = self.lock();
        let size = counts.open();
        PoolStatus {
            pool_size: self.pool_size,
            max_overflow: self.max_overflow,
            size,
            overflow: size.saturating_sub(self.pool_size),
            checked_out: counts.checked_out,
            idle: counts.idle,
            closing: counts.closing,
            connecting: counts.connecting,
            waiting: counts.waiting(),
            closed,
        }
    }

    /// From now on, no connection that comes back is kept.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.closing.send_replace(true);
        self.changed.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until the pool is being closed.
    pub(super) async fn closed(&self) {
        // The sender lives as long as the ledger.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// Waits until no connection is open or being opened.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn emptied(&self) {
        loop {
            let changed = self.changed();
            {
                let counts = self.lock();
                if counts.open() + counts.connecting == 0 {
                    return;
                }
            }
            changed.await;
        }
    }
}

/// One connection's place in the ledger.
#[derive(Debug)]
pub(super) struct Entry {
    ledger: Arc<Ledger>,
    column: Column,
}

impl Entry {
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn shared_ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    pub(super) fn move_to(&mut self, column: Column) {
        if self.column != column {
            let mut counts = self.ledger.lock();
            *counts.column(self.column) -= 1;
            *counts.column(column) += 1;
            self.column = column;
        }
    }

    /// Moves a connection that came back to `Idle`, or to `Closing` when it is one too many and nobody waits: who has one
    /// opened takes this one as well. One decision at a time, so that two that come back together do not both go.
    pub(super) fn come_back(&mut self) -> Column {
        let mut counts = self.ledger.lock();
        let wanted = counts.pending > 0 || self.ledger.is_sought();
        let surplus = counts.kept() > self.ledger.pool_size && !wanted;
        let column = if surplus || counts.closed { Column::Closing } else { Column::Idle };
        *counts.column(self.column) -= 1;
        *counts.column(column) += 1;
        self.column = column;
        column
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        *self.ledger.lock().column(self.column) -= 1;
        self.ledger.changed.notify_waiters();
    }
}

pub(super) struct Pending(Arc<Ledger>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.lock().pending -= 1;
    }
}

pub(super) struct Attending(Arc<Ledger>);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.lock().attending -= 1;
    }
}

pub(super) struct Seeking(Arc<Ledger>);

impl Drop for Seeking {
    fn drop(&mut self) {
        self.0.seeking.fetch_sub(1, Ordering::SeqCst);
    }
}
