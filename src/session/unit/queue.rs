//! The pending writes of a session or transaction.

use std::{any::TypeId, collections::HashSet, sync::Weak};

use sea_orm::{EntityTrait, IntoActiveModel};

use super::{
    batch::{Batch, Gone},
    entity::EntityBatch,
    slot::{Fate, Fated},
};

/// Pending writes by entity, in the order of the first call for each.
#[derive(Default)]
pub(in crate::session) struct Queue {
    pub(super) batches: Vec<Box<dyn Batch>>,
}

impl Queue {
    pub(in crate::session) fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.len()).sum()
    }

    /// The entity's batch.
    pub(super) fn of<E>(&mut self) -> Option<&mut EntityBatch<E>>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        let entity = TypeId::of::<E>();
        let found = self.batches.iter().position(|batch| batch.entity() == entity);
        let at = found.unwrap_or_else(|| {
            self.batches.push(Box::new(EntityBatch::<E>::default()));
            self.batches.len() - 1
        });
        self.batches[at].as_any().downcast_mut()
    }

    /// Puts what was asked for later behind this.
    pub(super) fn absorb(&mut self, newer: Self) {
        for batch in newer.into_batches() {
            match self.batches.iter_mut().find(|own| own.entity() == batch.entity()) {
                Some(own) => own.absorb(batch),
                None => self.batches.push(batch),
            }
        }
    }

    /// Takes the row out, and those that come after it.
    pub(super) fn expunge(&mut self, id: u64) -> Vec<Gone> {
        let mut ids = HashSet::from([id]);
        let mut removed = Vec::new();
        loop {
            let before = removed.len();
            for batch in &mut self.batches {
                removed.extend(batch.expunge(&mut ids));
            }
            if removed.len() == before {
                // What is added next is the first of its entity.
                self.batches.retain(|batch| !batch.is_empty());
                return removed;
            }
        }
    }

    /// Lets it go without a word to the handles, which know already.
    pub(super) fn forget(mut self) {
        self.batches.clear();
    }

    pub(super) fn give_up(&mut self, fate: Fate) {
        for batch in &self.batches {
            batch.give_up(fate);
        }
    }

    fn into_batches(mut self) -> Vec<Box<dyn Batch>> {
        std::mem::take(&mut self.batches)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.give_up(Fate::Dropped);
    }
}

/// What was flushed in a transaction and is gone if that is rolled back.
#[derive(Default)]
pub(in crate::session) struct Written {
    writes: Vec<Weak<dyn Fated>>,
    /// How many there were, at most, when it was last looked whose handles are gone.
    kept: usize,
}

impl Written {
    pub(in crate::session) fn extend(&mut self, writes: Vec<Weak<dyn Fated>>) {
        const FEW: usize = 1024;
        // Only when there are twice as many: so often as to cost little, whatever the number of flushes.
        if self.writes.len() >= FEW.max(2 * self.kept) {
            self.writes.retain(|write| write.strong_count() > 0);
            self.kept = self.writes.len();
        }
        self.writes.extend(writes);
    }

    pub(in crate::session) fn absorb(&mut self, other: Self) {
        self.extend(other.writes);
    }

    /// Tells the handles, unless all is well.
    pub(in crate::session) fn end(self, fate: Fate) {
        for write in self.writes.iter().filter_map(Weak::upgrade) {
            write.set_fate(fate);
        }
    }
}
