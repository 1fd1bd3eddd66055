//! The pending writes of one entity.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Weak},
};

use futures_util::future::BoxFuture;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};

use super::{
    batch::{Batch, Gone},
    delete::Removal,
    edited::Edit,
    identity::Known,
    insert::Add,
    links::{Link, TableKey, links_of, table_key},
    rows::{Levels, Node},
    runner::Runner,
    slot::{AnySlot, Fate, Fated},
};
use crate::{
    error::{Error, Result},
    session::Session,
};

/// The pending writes of one entity, each kind in the order of the calls.
pub(super) struct EntityBatch<E: EntityTrait> {
    pub(super) adds: Vec<Add<E>>,
    pub(super) edits: Vec<Edit<E>>,
    pub(super) removals: Vec<Removal<E>>,
    /// Where in `removals` a primary key is.
    pub(super) removal_at: HashMap<String, usize>,
    pub(super) key: TableKey,
    links: Vec<Link>,
}

impl<E: EntityTrait> Default for EntityBatch<E> {
    fn default() -> Self {
        Self {
            adds: Vec::new(),
            edits: Vec::new(),
            removals: Vec::new(),
            removal_at: HashMap::new(),
            key: table_key::<E>(),
            links: links_of::<E>(),
        }
    }
}

/// The error around what happened to a row of `E`.
pub(super) fn during<E: EntityTrait, X: Into<Error>>(operation: &'static str) -> impl Fn(X) -> Error {
    move |error| error.into().during(operation, E::default().table_name())
}

impl<E> Batch for EntityBatch<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn entity(&self) -> TypeId {
        TypeId::of::<E>()
    }

    fn table(&self) -> &'static str {
        E::default().table_name()
    }

    fn key(&self) -> &TableKey {
        &self.key
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    fn added_after(&self) -> Vec<TypeId> {
        let mut entities: Vec<TypeId> =
            self.adds.iter().flat_map(|add| &add.before).map(|parent| parent.entity()).collect();
        entities.sort_unstable();
        entities.dedup();
        entities
    }

    fn len(&self) -> usize {
        self.adds.len() + self.edits.iter().filter(|edit| edit.cell.is_changed()).count() + self.removals.len()
    }

    fn is_empty(&self) -> bool {
        self.adds.is_empty() && self.edits.is_empty() && self.removals.is_empty()
    }

    fn check_parents(&self, known: &HashSet<u64>) -> Result<()> {
        for parent in self.adds.iter().flat_map(|add| &add.before) {
            match parent.fate() {
                Fate::Written => {}
                Fate::Pending if known.contains(&parent.id()) => {}
                fate => return Err(during::<E, _>("insert")(fate.to_error(parent.table()))),
            }
        }
        Ok(())
    }

    fn ids(&self) -> Vec<u64> {
        self.adds.iter().map(|add| add.slot.id()).collect()
    }

    fn absorb(&mut self, mut newer: Box<dyn Batch>) {
        let Some(newer) = newer.as_any().downcast_mut::<Self>() else { return };
        self.adds.append(&mut newer.adds);
        for removal in newer.removals.drain(..) {
            self.push_removal(removal);
        }
        for edit in newer.edits.drain(..) {
            if !self.edits.iter().any(|own| Arc::ptr_eq(&own.cell, &edit.cell)) {
                self.edits.push(edit);
            }
        }
        for edit in &self.edits {
            edit.cell.set_queued(true);
        }
    }

    fn leave_queue(&self) {
        for edit in &self.edits {
            edit.cell.set_queued(false);
        }
    }

    fn expunge(&mut self, ids: &mut HashSet<u64>) -> Vec<Gone> {
        let (gone, kept): (Vec<_>, Vec<_>) = mem::take(&mut self.adds).into_iter().partition(|add| {
            let goes = ids.contains(&add.slot.id()) || add.before.iter().any(|parent| ids.contains(&parent.id()));
            if goes {
                ids.insert(add.slot.id());
                add.slot.set_fate(Fate::Expunged);
            }
            goes
        });
        self.adds = kept;
        gone.into_iter().map(|add| Box::new(add) as Gone).collect()
    }

    fn make(&mut self) -> Result<()> {
        self.make_rows()
    }

    fn prepare<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.make_rows()?;
            self.call_before(session).await
        })
    }

    fn has_callbacks(&self) -> bool {
        self.adds.iter().any(|add| !add.callbacks.is_empty())
            || self.edits.iter().any(|edit| !edit.callbacks.is_empty())
            || self.removals.iter().any(|removal| !removal.callbacks.is_empty())
    }

    fn is_one_statement(&self, runner: &Runner<'_>) -> bool {
        let capabilities = runner.capabilities();
        let refers_to_itself = self.links.iter().any(|link| link.child == link.parent);
        match (self.adds.len(), self.edits.iter().filter(|edit| edit.is_sent()).count(), self.removals.len()) {
            (rows, 0, 0) if rows == 1 || !refers_to_itself => {
                let statements = self.insert_statements(&[(0..rows).collect()], capabilities.bind_limit);
                capabilities.insert_returning && statements.len() <= 1
            }
            (0, 1, 0) => capabilities.returning,
            (0, 0, 1) => true,
            _ => false,
        }
    }

    fn saves(&self, links: &[Link]) -> Vec<Node> {
        let adds = self.adds.iter().enumerate().filter(|(_, add)| !add.saved);
        let adds = adds.filter_map(|(row, add)| Some(self.node(row, add.ready.as_ref()?, links)));
        let edits = self.edits.iter().enumerate().filter(|(_, edit)| edit.is_sent() && !edit.saved());
        let edits = edits.filter_map(|(row, edit)| {
            // Only what is changed can need something new.
            let Node { needs, .. } = self.node(row, edit.sent.as_ref()?, links);
            Some(Node { row, is_edit: true, needs, ..Node::default() })
        });
        adds.chain(edits).collect()
    }

    fn removals(&self, links: &[Link]) -> Vec<Node> {
        self.removal_nodes(links)
    }

    fn has_unsaved(&self) -> bool {
        self.adds.iter().any(|add| !add.saved) || self.edits.iter().any(|edit| edit.is_sent() && !edit.saved())
    }

    fn write_edits<'a>(&'a mut self, runner: &'a Runner<'_>, rows: Vec<usize>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.update(runner, rows).await.map_err(during::<E, _>("update")) })
    }

    fn write_inserts<'a>(&'a mut self, runner: &'a Runner<'_>, levels: Levels) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.insert(runner, levels).await.map_err(during::<E, _>("insert")) })
    }

    fn write_deletes<'a>(&'a mut self, runner: &'a Runner<'_>, rows: Vec<usize>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.delete(runner, rows).await.map_err(during::<E, _>("delete")) })
    }

    fn run_after<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call_after(session))
    }

    fn publish(&mut self, known: &mut Known) -> Vec<Weak<dyn Fated>> {
        let mut written: Vec<Weak<dyn Fated>> = Vec::with_capacity(self.adds.len() + self.edits.len());
        for add in self.adds.drain(..) {
            if let Some(model) = add.slot.publish() {
                known.put::<E>(model);
                let slot: Arc<dyn Fated> = add.slot;
                written.push(Arc::downgrade(&slot));
            }
        }
        for edit in self.edits.drain(..) {
            if let Some(model) = edit.publish() {
                known.put::<E>(Arc::new(model));
                let cell: Arc<dyn Fated> = edit.cell;
                written.push(Arc::downgrade(&cell));
            }
        }
        for removal in self.removals.drain(..) {
            known.remove::<E>(&removal.key);
            if removal.is_hard() {
                // Others may have gone with it, or lost their reference to it.
                known.clear();
            }
        }
        written
    }

    fn reset(&mut self) {
        for add in &mut self.adds {
            add.reset();
        }
        for edit in &mut self.edits {
            edit.reset();
        }
        for removal in &mut self.removals {
            removal.reset();
        }
    }

    fn give_up(&self, fate: Fate) {
        for add in &self.adds {
            add.slot.set_fate(fate);
        }
        for edit in self.edits.iter().filter(|edit| edit.cell.is_changed()) {
            edit.cell.set_fate(fate);
        }
    }
}

impl<E: EntityTrait> EntityBatch<E> {
    /// How the row refers to others and others to it, by the columns that are set or changed.
    fn node(&self, row: usize, active: &E::ActiveModel, links: &[Link]) -> Node {
        let (provides, needs) = self.references(links, |column| match active.get(column) {
            sea_orm::ActiveValue::Set(value) => Some(value),
            sea_orm::ActiveValue::Unchanged(_) | sea_orm::ActiveValue::NotSet => None,
        });
        Node { row, provides, needs, ..Node::default() }
    }
}
