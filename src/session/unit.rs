//! The unit of work: writes that wait for the flush.

use std::{
    fmt, mem,
    sync::{Arc, OnceLock},
};

use futures_util::future::BoxFuture;
use sea_orm::{ActiveModelBehavior, ActiveModelTrait, EntityName, EntityTrait, IntoActiveModel};

use super::{Session, core::Core};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
};

/// A pending write.
pub(super) trait Write: Send {
    /// Writes; called again after a flush that failed.
    fn write<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<()>>;
    /// Gives the result to the handle, once the whole flush has succeeded.
    fn publish(&mut self);
}

/// Pending writes in the order in which they were asked for.
#[derive(Default)]
pub(super) struct Queue(Vec<Box<dyn Write>>);

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The handle of a row that is written at the next flush.
pub struct Pending<E: EntityTrait>(Arc<OnceLock<E::Model>>);

impl<E: EntityTrait> Pending<E> {
    /// The row as it was written, with what the database generated.
    ///
    /// # Errors
    ///
    /// [`Error::NotFlushed`] before the flush.
    pub fn get(&self) -> Result<&E::Model> {
        self.0.get().ok_or_else(|| Error::NotFlushed { entity: E::default().table_name() })
    }
}

impl<E: EntityTrait> Clone for Pending<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: EntityTrait> fmt::Debug for Pending<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Pending({}, {})",
            E::default().table_name(),
            if self.0.get().is_some() { "written" } else { "pending" }
        )
    }
}

struct Insert<A: ActiveModelTrait> {
    model: A,
    written: Option<<A::Entity as EntityTrait>::Model>,
    handle: Arc<OnceLock<<A::Entity as EntityTrait>::Model>>,
}

impl<A> Write for Insert<A>
where
    A: ActiveModelBehavior + Send + 'static,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A> + Send + Sync,
{
    fn write<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let written = self.model.clone().insert(session).await;
            let entity = <A::Entity as Default>::default().table_name();
            self.written = Some(written.map_err(|error| Error::from(error).during("insert", entity))?);
            Ok(())
        })
    }

    fn publish(&mut self) {
        if let Some(written) = self.written.take() {
            // A row is written by one flush only.
            let _ = self.handle.set(written);
        }
    }
}

impl Session {
    /// Adds a row that is inserted at the next flush.
    ///
    /// With [`FlushMode::Auto`](super::FlushMode::Auto) that is before the session's next statement. The flush follows
    /// the order of the calls.
    pub fn add<A>(&self, model: A) -> Pending<A::Entity>
    where
        A: ActiveModelBehavior + Send + 'static,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A> + Send + Sync + 'static,
    {
        let handle = Arc::new(OnceLock::new());
        let insert = Insert { model, written: None, handle: handle.clone() };
        match self.core.lock().queue(self.scope) {
            Some(queue) => queue.0.push(Box::new(insert)),
            None => tracing::warn!(target: "sea_dao::session", "a row was added to a transaction that has ended"),
        }
        Pending(handle)
    }

    /// How many writes are pending in this handle's transaction, or outside of any.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.core.lock().queue(self.scope).map_or(0, |queue| queue.len())
    }

    /// Sends the pending writes, all or none of them, and gives their number.
    ///
    /// Outside of a transaction they run in one of their own; inside, behind a savepoint.
    ///
    /// # Errors
    ///
    /// The first failure. The writes stay pending then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the writes pending. Outside of a transaction it writes nothing, unless the COMMIT of
    /// the flush is under way: it is not known then whether they were written. Inside a transaction it aborts the
    /// transaction when a statement was under way.
    pub async fn flush(&self) -> Result<usize> {
        self.core.lock().check_turn(self.scope)?;
        let mut taken = Taken::take(&self.core, self.scope);
        let count = taken.writes.len();
        let quiet = self.quiet();
        match taken.writes.as_mut_slice() {
            [] => {}
            // One write too: it may be several statements, or be dropped between its effect and its answer.
            writes => {
                let tx = quiet.begin_with(TransactionOptions::default()).await?;
                for write in writes {
                    if let Err(error) = write.write(&tx).await {
                        tx.rollback_or_report().await;
                        return Err(error);
                    }
                }
                tx.commit().await?;
            }
        }
        taken.publish();
        Ok(count)
    }
}

/// The writes of a flush under way; dropped before their end, they are pending again.
struct Taken<'s> {
    core: &'s Core,
    scope: Option<u64>,
    writes: Vec<Box<dyn Write>>,
}

impl<'s> Taken<'s> {
    fn take(core: &'s Core, scope: Option<u64>) -> Self {
        let writes = core.lock().queue(scope).map(|queue| mem::take(&mut queue.0)).unwrap_or_default();
        Self { core, scope, writes }
    }

    fn publish(&mut self) {
        for mut write in self.writes.drain(..) {
            write.publish();
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        if let Some(queue) = self.core.lock().queue(self.scope) {
            // What was added meanwhile comes later.
            let newer = mem::replace(&mut queue.0, mem::take(&mut self.writes));
            queue.0.extend(newer);
        }
    }
}
