//! Asking for writes.

use std::sync::Arc;

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel, ModelTrait};

use super::{
    delete::Removal,
    edited::{EditCell, Edited},
    entity::EntityBatch,
    insert::{Add, Source},
    pending::{Parents, Pending},
    rules::Rules,
    slot::{AnySlot, Fate, Fated, Slot},
};
use crate::{convention::current_actor, session::Session};

impl Session {
    /// Adds a row that is inserted at the next flush.
    ///
    /// With [`FlushMode::Auto`](crate::FlushMode::Auto) that is before the session's next statement. `created_at` and
    /// `updated_at` are set by [convention](crate::Conventions).
    pub fn add<A>(&self, model: A) -> Pending<A::Entity>
    where
        A: ActiveModelBehavior + Send + 'static,
        A::Entity: EntityTrait<ActiveModel = A>,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A> + Sync,
    {
        self.add_row(model, Rules::conventional())
    }

    /// Adds rows that are inserted at the next flush; see [`add`](Self::add).
    pub fn add_all<A>(&self, models: impl IntoIterator<Item = A>) -> Vec<Pending<A::Entity>>
    where
        A: ActiveModelBehavior + Send + 'static,
        A::Entity: EntityTrait<ActiveModel = A>,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A> + Sync,
    {
        models.into_iter().map(|model| self.add(model)).collect()
    }

    /// Adds a row that is made out of others once these are written: `parents` is the handle of one, or a tuple of
    /// handles. `child` may be called more than once, when a flush fails and is tried again.
    ///
    /// ```
    /// # use entities::{customer_order, order_item, tag, user, user_tag};
    /// # use sea_dao::{Session, sea_orm::ActiveValue::Set, session::Pending};
    /// # fn example(tx: &Session, user: Pending<user::Entity>, tag: Pending<tag::Entity>) {
    /// let order = tx.add_after(&user, |user| customer_order::ActiveModel {
    ///     user_id: Set(user.id),
    ///     number: Set("2025-1".into()),
    ///     ..Default::default()
    /// });
    /// tx.add_after((&user, &tag), |(user, tag)| user_tag::ActiveModel {
    ///     user_id: Set(user.id),
    ///     tag_id: Set(tag.id),
    ///     ..Default::default()
    /// });
    /// # }
    /// ```
    pub fn add_after<P, A>(
        &self,
        parents: P,
        child: impl for<'m> Fn(P::Models<'m>) -> A + Send + 'static,
    ) -> Pending<A::Entity>
    where
        P: Parents,
        A: ActiveModelBehavior + Send + 'static,
        A::Entity: EntityTrait<ActiveModel = A>,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A> + Sync,
    {
        self.add_row_after(parents, child, Rules::conventional())
    }

    /// Deletes a row at the next flush: marks it as deleted when the entity has `deleted_at`, removes it otherwise.
    ///
    /// A row that is not there then, or is marked already, fails the flush with
    /// [`Error::NotFound`](crate::Error::NotFound). Asking twice is asking once. Asked of a session or transaction that has
    /// ended, it is not done, and a warning says so.
    pub fn delete<M>(&self, model: &M)
    where
        M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + Sync,
        M::Entity: EntityTrait<Model = M>,
        <M::Entity as EntityTrait>::ActiveModel: Send,
    {
        self.remove::<M::Entity>(model.clone(), Rules::conventional(), false);
    }

    /// Removes a row at the next flush, also from an entity with soft deletion and whether it is marked as deleted or not.
    pub fn hard_delete<M>(&self, model: &M)
    where
        M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + Sync,
        M::Entity: EntityTrait<Model = M>,
        <M::Entity as EntityTrait>::ActiveModel: Send,
    {
        self.remove::<M::Entity>(model.clone(), Rules::conventional(), true);
    }

    /// Tracks a row: what is changed through the handle is updated at the next flush.
    pub fn edit<M>(&self, model: M) -> Edited<M::Entity>
    where
        M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + Sync,
        M::Entity: EntityTrait<Model = M>,
        <M::Entity as EntityTrait>::ActiveModel: Send,
    {
        self.track(model, Rules::conventional())
    }

    /// Takes a row that is not yet written out of the unit of work, with those that were added after it. Gives how many
    /// that are: none when it is written already.
    pub fn expunge<E: EntityTrait>(&self, handle: &Pending<E>) -> usize
    where
        E::Model: Sync,
    {
        if handle.0.fate() == Fate::Written {
            return 0;
        }
        let gone = self.core.lock().queue(self.scope).map(|queue| queue.expunge(handle.0.id()));
        gone.map_or(0, |rows| rows.len())
    }

    /// How many writes are pending in this handle's transaction, or outside of any.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.core.lock().queue(self.scope).map_or(0, |queue| queue.len())
    }

    pub(crate) fn add_row<E>(&self, model: E::ActiveModel, rules: Rules<E>) -> Pending<E>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        self.add_source(Source::Given(model), Vec::new(), rules)
    }

    pub(crate) fn add_row_after<P, E>(
        &self,
        parents: P,
        child: impl for<'m> Fn(P::Models<'m>) -> E::ActiveModel + Send + 'static,
        rules: Rules<E>,
    ) -> Pending<E>
    where
        P: Parents,
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        let kept = parents.keep();
        let before = P::before(&kept).0;
        self.add_source(Source::Made(Box::new(move || P::with(&kept, &child))), before, rules)
    }

    fn add_source<E>(&self, source: Source<E>, before: Vec<Arc<dyn AnySlot>>, rules: Rules<E>) -> Pending<E>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        let slot = Arc::new(Slot::new(Fate::Pending));
        let Rules { columns, callbacks } = rules;
        let add = Add {
            slot: slot.clone(),
            source,
            before,
            columns,
            callbacks,
            actor: current_actor(),
            ready: None,
            called: false,
            saved: false,
        };
        if !self.with_batch(|batch: &mut EntityBatch<E>| batch.adds.push(add)) {
            slot.set_fate(Fate::Dropped);
        }
        Pending(slot)
    }

    pub(crate) fn remove<E>(&self, model: E::Model, rules: Rules<E>, hard: bool)
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        let removal = Removal::new(model, rules, hard);
        self.with_batch(|batch: &mut EntityBatch<E>| batch.push_removal(removal));
    }

    pub(crate) fn track<E>(&self, model: E::Model, rules: Rules<E>) -> Edited<E>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        Edited { cell: Arc::new(EditCell::new(model)), core: self.core.clone(), scope: self.scope, rules }
    }

    /// Calls `work` with the entity's pending writes; `false` when the session or transaction has ended.
    fn with_batch<E>(&self, work: impl FnOnce(&mut EntityBatch<E>)) -> bool
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        let mut state = self.core.lock();
        let open = state.check_open(self.scope).is_ok();
        let batch = state.queue(self.scope).filter(|_| open).and_then(|queue| queue.of::<E>());
        match batch {
            Some(batch) => {
                work(batch);
                true
            }
            None => {
                drop(state);
                let entity = E::default().table_name();
                tracing::warn!(target: "sea_dao::session", entity, "a write was asked of a session or transaction that has ended");
                false
            }
        }
    }
}
