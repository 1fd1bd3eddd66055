//! What goes with the writes of a DAO.

use sea_orm::EntityTrait;

use crate::{
    convention::{ConventionColumns, Conventions},
    session::CallbackList,
};

/// What goes with the writes of a DAO.
pub(crate) struct Rules<E: EntityTrait> {
    pub(crate) columns: ConventionColumns<E>,
    pub(crate) callbacks: CallbackList<E>,
}

impl<E: EntityTrait> Rules<E> {
    /// Those of a write without a DAO.
    pub(super) fn conventional() -> Self {
        Self { columns: ConventionColumns::of(Conventions::default()), callbacks: CallbackList::default() }
    }
}

impl<E: EntityTrait> Clone for Rules<E> {
    fn clone(&self) -> Self {
        Self { columns: self.columns, callbacks: self.callbacks.clone() }
    }
}
