//! Writing what is pending.

use std::{
    any::TypeId,
    collections::HashSet,
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    plan::{Component, components},
    queue::Queue,
    rows::{Wave, next_deletes, next_saves},
    runner::Runner,
    slot::Fate,
};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
    session::{
        Session,
        core::{Abort, Core},
    },
};

/// Whether a flush that fails in a transaction has to be undone by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    Savepoint,
    /// The whole transaction goes with it.
    None,
}

impl Session {
    /// Sends the pending writes, all or none of them, and gives their number.
    ///
    /// Outside of a transaction they run in one of their own, unless it is one statement; inside, behind a savepoint,
    /// unless it is one statement that a failure undoes.
    ///
    /// # Errors
    ///
    /// The first failure, around which [`Error::Operation`] says on which entity. [`Error::NotFound`] when a row to be
    /// updated or deleted is not there. [`Error::UnorderedWrites`] when rows refer to each other in a circle.
    /// [`Error::SessionBusy`] when another task is flushing the session. The writes stay pending then.
    ///
    /// [`Error::FlushUnknown`] when the connection was lost while the flush was being made permanent outside of a
    /// transaction: it is not known whether it took effect, and the writes are not pending any more. The same error, once,
    /// when an earlier flush of the session was dropped at that moment; nothing is flushed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the writes pending and nothing written, except that outside of a transaction the last
    /// thing sent (the COMMIT, or the only statement) may have taken effect: the handles and the session's next
    /// statement say so. Inside a transaction it aborts the transaction when a statement was under way.
    pub async fn flush(&self) -> Result<usize> {
        self.flush_guarded(Guard::Savepoint).await
    }

    /// Writes what is pending, and what callbacks ask for meanwhile. A failure ends the transaction.
    pub(in crate::session) async fn flush_before_commit(&self) -> Result<()> {
        const ROUNDS: usize = 100;
        for _ in 0..ROUNDS {
            if self.flush_guarded(Guard::None).await? == 0 {
                return Ok(());
            }
        }
        let expected = format!("none that asks for a write in each of {ROUNDS} flushes of a commit");
        Err(Error::argument("callbacks", "one that asks for another write whenever it is called", expected))
    }

    async fn flush_guarded(&self, guard: Guard) -> Result<usize> {
        {
            let mut state = self.core.lock();
            state.check_turn(self.scope)?;
            if let Some(unknown) = state.unknown.take() {
                return Err(unknown);
            }
        }
        let mut taken = Taken::take(&self.core, self.scope)?;
        let count = taken.queue.len();
        if count == 0 {
            taken.stage = Stage::Written;
            return Ok(0);
        }
        let written = self.write(&mut taken, guard).await;
        match written {
            Err(error) if taken.is_in_doubt() => Err(taken.doubted(error)),
            Err(error) if taken.stage == Stage::Pending => Err(error),
            // What follows a write is not part of it.
            outcome => outcome.map(|()| count),
        }
    }

    async fn write(&self, taken: &mut Taken<'_>, guard: Guard) -> Result<()> {
        let order = taken.queue.order()?;
        let mut quiet = self.quiet();
        quiet.flushing = true;
        let spared = guard == Guard::None || !self.capabilities().failure_aborts_transaction;
        let bare = if self.scope.is_none() || spared {
            let runner = Runner::new(&quiet, &taken.doubt);
            taken.queue.is_one_statement(&runner).await?
        } else {
            false
        };
        if bare || self.scope.is_some() && guard == Guard::None {
            let written = write_all(&mut taken.queue, &order, &Runner::new(&quiet, &taken.doubt)).await;
            if let Err(error) = &written
                && self.scope.is_some()
                && taken.doubt.load(Ordering::Relaxed)
            {
                // It is written and cannot be undone alone.
                self.core.lock().lose(Abort::failed(error));
            }
            written?;
            taken.stage = Stage::Written;
            return run_after(&mut taken.queue, &self.quiet()).await;
        }
        let mut tx = quiet.begin_with(TransactionOptions::default()).await?;
        tx.autoflush = false;
        let doubt = AtomicBool::new(false);
        let mut written = write_all(&mut taken.queue, &order, &Runner::new(&tx, &doubt)).await;
        if written.is_ok() {
            written = run_after(&mut taken.queue, &tx.share()).await;
        }
        if let Err(error) = written {
            tx.rollback_or_report().await;
            return Err(error);
        }
        taken.doubt.store(true, Ordering::Relaxed);
        match tx.commit().await {
            Ok(()) => taken.stage = Stage::Written,
            Err(error) => {
                let unknown = matches!(error, Error::CommitUnknown { .. });
                taken.doubt.store(unknown, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Inserts and updates from the parents to the children, then deletes from the children to the parents.
async fn write_all(queue: &mut Queue, order: &[Component], runner: &Runner<'_>) -> Result<()> {
    let hooks = runner.session().share();
    for Component { tables, cyclic } in order {
        if *cyclic {
            save_row_by_row(queue, tables, runner, &hooks).await?;
            continue;
        }
        for &table in tables {
            let batch = &mut queue.batches[table];
            batch.prepare(&hooks).await?;
            let (edits, inserts): (Vec<_>, Vec<_>) = batch.saves(&[]).into_iter().partition(|node| node.is_edit);
            batch.write_edits(runner, edits.into_iter().map(|node| node.row).collect()).await?;
            batch.write_inserts(runner, vec![inserts.into_iter().map(|node| node.row).collect()]).await?;
            if batch.has_unsaved() {
                return Err(queue.not_saved(&[table]));
            }
        }
    }
    for Component { tables, cyclic } in order.iter().rev() {
        if *cyclic {
            delete_row_by_row(queue, tables, runner).await?;
            continue;
        }
        for &table in tables {
            let batch = &mut queue.batches[table];
            let rows = batch.removals(&[]).into_iter().map(|node| node.row).collect();
            batch.write_deletes(runner, rows).await?;
        }
    }
    Ok(())
}

/// For tables whose rows may refer to each other.
async fn save_row_by_row(queue: &mut Queue, tables: &[usize], runner: &Runner<'_>, hooks: &Session) -> Result<()> {
    let links = queue.links(tables);
    loop {
        let mut nodes = Vec::new();
        for &table in tables {
            let batch = &mut queue.batches[table];
            batch.prepare(hooks).await?;
            nodes.extend(batch.saves(&links).into_iter().map(|node| super::rows::Node { table, ..node }));
        }
        let Some(Wave { table, are_edits, levels }) = next_saves(&nodes) else {
            let is_done = !tables.iter().any(|&table| queue.batches[table].has_unsaved());
            return if is_done { Ok(()) } else { Err(queue.not_saved(tables)) };
        };
        let batch = &mut queue.batches[table];
        if are_edits {
            batch.write_edits(runner, levels.concat()).await?;
        } else {
            batch.write_inserts(runner, levels).await?;
        }
    }
}

async fn delete_row_by_row(queue: &mut Queue, tables: &[usize], runner: &Runner<'_>) -> Result<()> {
    let links = queue.links(tables);
    loop {
        let mut nodes = Vec::new();
        for &table in tables {
            let removals = queue.batches[table].removals(&links);
            nodes.extend(removals.into_iter().map(|node| super::rows::Node { table, ..node }));
        }
        if nodes.is_empty() {
            return Ok(());
        }
        let Some(Wave { table, levels, .. }) = next_deletes(&nodes) else {
            return Err(queue.unordered(tables, "delete"));
        };
        for level in levels {
            queue.batches[table].write_deletes(runner, level).await?;
        }
    }
}

async fn run_after(queue: &mut Queue, session: &Session) -> Result<()> {
    for batch in &mut queue.batches {
        batch.run_after(session).await?;
    }
    Ok(())
}

impl Queue {
    /// The order of the tables.
    ///
    /// # Errors
    ///
    /// Those of a row that comes after one that will not be there.
    fn order(&self) -> Result<Vec<Component>> {
        let ids: HashSet<u64> = self.batches.iter().flat_map(|batch| batch.ids()).collect();
        let position = |entity: TypeId| self.batches.iter().position(|batch| batch.entity() == entity);
        let mut parents: Vec<Vec<usize>> = Vec::with_capacity(self.batches.len());
        for batch in &self.batches {
            batch.check_parents(&ids)?;
            parents.push(batch.added_after().into_iter().filter_map(position).collect());
        }
        for link in self.batches.iter().flat_map(|batch| batch.links()) {
            let position = |key| self.batches.iter().position(|batch| batch.key() == key);
            if let (Some(child), Some(parent)) = (position(&link.child), position(&link.parent)) {
                parents[child].push(parent);
            }
        }
        Ok(components(&parents))
    }

    /// The foreign keys among these tables, each once.
    fn links(&self, tables: &[usize]) -> Vec<super::links::Link> {
        let inside = |key| tables.iter().any(|&table| self.batches[table].key() == key);
        let mut links = Vec::new();
        for link in tables.iter().flat_map(|&table| self.batches[table].links()) {
            if inside(&link.child) && inside(&link.parent) && !links.contains(link) {
                links.push(link.clone());
            }
        }
        links
    }

    /// Whether everything takes one statement that writes all or nothing; makes it ready for that.
    async fn is_one_statement(&mut self, runner: &Runner<'_>) -> Result<bool> {
        let hooks = runner.session().share();
        match self.batches.as_mut_slice() {
            [batch] if batch.added_after().is_empty() && !batch.has_callbacks() => {
                batch.make()?;
                if !batch.is_one_statement(runner) {
                    // What the entity does before a write is part of the flush's transaction.
                    return Ok(false);
                }
                batch.prepare(&hooks).await?;
                Ok(batch.is_one_statement(runner))
            }
            _ => Ok(false),
        }
    }

    /// Why rows of these tables could not be saved.
    fn not_saved(&self, tables: &[usize]) -> Error {
        let ids: HashSet<u64> = self.batches.iter().flat_map(|batch| batch.ids()).collect();
        let gone = tables.iter().find_map(|&table| self.batches[table].check_parents(&ids).err());
        gone.unwrap_or_else(|| self.unordered(tables, "insert"))
    }

    fn unordered(&self, tables: &[usize], operation: &'static str) -> Error {
        let names: Vec<&str> = tables.iter().map(|&table| self.batches[table].table()).collect();
        Error::UnorderedWrites { operation, entities: names.join(", ") }
    }
}

/// How far a flush has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pending,
    Written,
    /// The caller knows that nothing is known.
    Unknown,
}

/// The writes of a flush under way. However it is dropped, they are accounted for afterwards: pending again, given to
/// their handles, or said to be unknown.
struct Taken<'s> {
    core: &'s Core,
    scope: Option<u64>,
    queue: Queue,
    stage: Stage,
    /// What was sent last may have taken effect.
    doubt: AtomicBool,
}

impl<'s> Taken<'s> {
    /// # Errors
    ///
    /// [`Error::SessionBusy`] when what was pending is being written already.
    fn take(core: &'s Core, scope: Option<u64>) -> Result<Self> {
        let mut state = core.lock();
        if state.is_flushing(scope) {
            return Err(Error::SessionBusy { activity: "a flush" });
        }
        state.flushing.push(scope);
        let queue = state.queue(scope).map(mem::take).unwrap_or_default();
        for batch in &queue.batches {
            batch.leave_queue();
        }
        Ok(Self { core, scope, queue, stage: Stage::Pending, doubt: AtomicBool::new(false) })
    }

    /// In a transaction, what becomes of the writes is decided by its end.
    fn is_in_doubt(&self) -> bool {
        self.scope.is_none() && self.stage == Stage::Pending && self.doubt.load(Ordering::Relaxed)
    }

    fn doubted(&mut self, error: Error) -> Error {
        self.stage = Stage::Unknown;
        Error::FlushUnknown { writes: self.queue.len(), reason: error.to_string(), source: Some(Box::new(error)) }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut queue = mem::take(&mut self.queue);
        if self.is_in_doubt() {
            let reason = "its future was dropped meanwhile".to_owned();
            let unknown = Error::FlushUnknown { writes: queue.len(), reason, source: None };
            self.core.lock().unknown = Some(unknown);
            self.stage = Stage::Unknown;
        }
        match self.stage {
            Stage::Unknown => queue.give_up(Fate::Unknown),
            Stage::Written => {
                let mut state = self.core.lock();
                let mut written = Vec::new();
                for batch in &mut queue.batches {
                    written.extend(batch.publish(&mut state.known));
                }
                state.note_written(self.scope, written);
            }
            Stage::Pending => {
                for batch in &mut queue.batches {
                    batch.reset();
                }
                let mut state = self.core.lock();
                if let Some(own) = state.queue(self.scope) {
                    // What was added meanwhile comes later.
                    queue.absorb(mem::take(own));
                    *own = mem::take(&mut queue);
                }
            }
        }
        let scope = self.scope;
        self.core.lock().flushing.retain(|flushed| *flushed != scope);
        // What is left of the queue goes without the lock.
        queue.forget();
    }
}
