//! Writes that wait for the flush, with the DAO's own conventions.

use sea_orm::{EntityTrait, IntoActiveModel};

use super::BaseDao;
use crate::{
    error::{Error, Result},
    session::{Edited, Parents, Pending, Session},
};

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    /// Adds a row that is inserted at the next flush of the DAO's session; see [`Session::add`].
    ///
    /// # Errors
    ///
    /// [`Error::NoUnitOfWork`] when the DAO is not [within](Self::within) a session.
    pub fn add(&self, model: impl IntoActiveModel<E::ActiveModel>) -> Result<Pending<E>> {
        Ok(self.unit_of_work("add")?.add_row(model.into_active_model(), self.rules()))
    }

    /// Adds rows that are inserted at the next flush of the DAO's session; see [`Session::add`].
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_all<M>(&self, models: impl IntoIterator<Item = M>) -> Result<Vec<Pending<E>>>
    where
        M: IntoActiveModel<E::ActiveModel>,
    {
        let session = self.unit_of_work("add")?;
        Ok(models.into_iter().map(|model| session.add_row(model.into_active_model(), self.rules())).collect())
    }

    /// Adds a row that is made out of others once these are written; see [`Session::add_after`].
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_after<P: Parents>(
        &self,
        parents: P,
        child: impl for<'m> Fn(P::Models<'m>) -> E::ActiveModel + Send + 'static,
    ) -> Result<Pending<E>> {
        Ok(self.unit_of_work("add")?.add_row_after(parents, child, self.rules()))
    }

    /// Tracks a row: what is changed through the handle is updated at the next flush; see [`Session::edit`].
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn edit(&self, model: E::Model) -> Result<Edited<E>> {
        Ok(self.unit_of_work("edit")?.track(model, self.rules()))
    }

    /// Deletes a row at the next flush of the DAO's session; see [`Session::delete`]. [`delete`](Self::delete) does it
    /// now.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn remove(&self, model: &E::Model) -> Result<()> {
        self.unit_of_work("remove")?.remove(model.clone(), self.rules(), false);
        Ok(())
    }

    /// Removes a row at the next flush of the DAO's session, also from an entity with soft deletion; see
    /// [`Session::hard_delete`].
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn hard_remove(&self, model: &E::Model) -> Result<()> {
        self.unit_of_work("remove")?.remove(model.clone(), self.rules(), true);
        Ok(())
    }

    /// The session in which the write waits. A session of its own would end at once, and the write with it.
    fn unit_of_work(&self, operation: &'static str) -> Result<Session> {
        let session = self.session();
        if session.is_shared() {
            return Ok(session);
        }
        Err(Error::NoUnitOfWork { operation, entity: E::default().table_name() })
    }
}
