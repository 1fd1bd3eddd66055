//! What a handle and the queue share: the row once it is written, and what became of the write.

use std::{
    any::TypeId,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use sea_orm::EntityTrait;

use crate::{
    error::{Error, Result},
    session::core::next_id,
};

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum Fate {
    /// It waits for a flush.
    Pending,
    Written,
    /// It was written in a transaction that was rolled back.
    RolledBack,
    /// It was taken out of the unit of work.
    Expunged,
    /// Its session or transaction ended before it was written.
    Dropped,
    /// It was under way when its future was dropped or its connection was lost.
    Unknown,
}

impl Fate {
    const ALL: [Self; 6] =
        [Self::Pending, Self::Written, Self::RolledBack, Self::Expunged, Self::Dropped, Self::Unknown];

    /// Why there is no row to give.
    pub(super) fn to_error(self, entity: &'static str) -> Error {
        let lost = |reason| Error::WriteUndone { entity, reason };
        match self {
            Self::Pending | Self::Written => Error::NotFlushed { entity },
            Self::RolledBack => lost("its transaction was rolled back"),
            Self::Expunged => lost("it was expunged before a flush"),
            Self::Dropped => lost("its session or transaction ended without a flush"),
            Self::Unknown => Error::WriteUnknown { entity },
        }
    }
}

/// A [`Fate`] that can be shared.
#[derive(Debug)]
pub(super) struct FateCell(AtomicU8);

impl FateCell {
    pub(super) fn new(fate: Fate) -> Self {
        Self(AtomicU8::new(fate as u8))
    }

    pub(super) fn get(&self) -> Fate {
        let number = usize::from(self.0.load(Ordering::Acquire));
        Fate::ALL.get(number).copied().unwrap_or(Fate::Unknown)
    }

    pub(super) fn set(&self, fate: Fate) {
        self.0.store(fate as u8, Ordering::Release);
    }
}

/// A write whose fate somebody may ask for.
pub(in crate::session) trait Fated: Send + Sync {
    fn set_fate(&self, fate: Fate);
}

/// A row to be inserted, whatever its entity.
pub(super) trait AnySlot: Fated {
    /// Unique in the process.
    fn id(&self) -> u64;
    fn entity(&self) -> TypeId;
    fn table(&self) -> &'static str;
    fn fate(&self) -> Fate;
}

/// One row to be inserted.
pub(super) struct Slot<E: EntityTrait> {
    id: u64,
    fate: FateCell,
    /// As the flush under way has written it.
    staged: Mutex<Option<Arc<E::Model>>>,
    written: OnceLock<Arc<E::Model>>,
}

impl<E: EntityTrait> Slot<E> {
    pub(super) fn new(fate: Fate) -> Self {
        Self { id: next_id(), fate: FateCell::new(fate), staged: Mutex::default(), written: OnceLock::new() }
    }

    fn staged(&self) -> MutexGuard<'_, Option<Arc<E::Model>>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage(&self, model: Option<E::Model>) {
        *self.staged() = model.map(Arc::new);
    }

    /// Takes the staged row back.
    pub(super) fn unstage(&self) -> Option<E::Model> {
        self.staged().take().map(Arc::unwrap_or_clone)
    }

    /// Gives the staged row to the handle.
    pub(super) fn publish(&self) -> Option<Arc<E::Model>> {
        let model = self.staged().take()?;
        // A row is written by one flush only.
        let _ = self.written.set(model.clone());
        self.fate.set(Fate::Written);
        Some(model)
    }

    /// The row, as far as those that come after it are concerned.
    pub(super) fn current(&self) -> Option<Arc<E::Model>> {
        match self.fate.get() {
            Fate::Written => self.written.get().cloned(),
            Fate::Pending => self.staged().clone(),
            _ => None,
        }
    }

    pub(super) fn get(&self) -> Result<&E::Model> {
        match (self.fate.get(), self.written.get()) {
            (Fate::Written, Some(model)) => Ok(model),
            (fate, _) => Err(fate.to_error(E::default().table_name())),
        }
    }
}

impl<E: EntityTrait> Fated for Slot<E>
where
    E::Model: Sync,
{
    fn set_fate(&self, fate: Fate) {
        self.fate.set(fate);
    }
}

impl<E: EntityTrait> AnySlot for Slot<E>
where
    E::Model: Sync,
{
    fn id(&self) -> u64 {
        self.id
    }

    fn entity(&self) -> TypeId {
        TypeId::of::<E>()
    }

    fn table(&self) -> &'static str {
        E::default().table_name()
    }

    fn fate(&self) -> Fate {
        self.fate.get()
    }
}
