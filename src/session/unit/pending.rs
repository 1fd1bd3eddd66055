//! Handles of rows that are to be inserted.

use std::{fmt, sync::Arc};

use sea_orm::EntityTrait;

use super::slot::{AnySlot, Slot};
use crate::error::Result;

/// The handle of a row that is inserted at the next flush.
pub struct Pending<E: EntityTrait>(pub(super) Arc<Slot<E>>);

impl<E: EntityTrait> Pending<E> {
    /// The row as it was written, with what the database generated.
    ///
    /// # Errors
    ///
    /// [`Error::NotFlushed`](crate::Error::NotFlushed) before the flush; [`Error::WriteUndone`](crate::Error::WriteUndone)
    /// when the row was expunged, or rolled back with its transaction;
    /// [`Error::WriteUnknown`](crate::Error::WriteUnknown) when it is not known whether it was written.
    pub fn get(&self) -> Result<&E::Model> {
        self.0.get()
    }
}

impl<E: EntityTrait> Clone for Pending<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: EntityTrait> fmt::Debug for Pending<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.get().is_ok() { "written" } else { "not written" };
        write!(f, "Pending({}, {state})", E::default().table_name())
    }
}

/// What a row can be added [after](crate::Session::add_after): a handle, or a tuple of two or three.
pub trait Parents: sealed::Parents {}

impl<P: sealed::Parents> Parents for P {}

pub(super) mod sealed {
    use super::{AnySlot, Arc, EntityTrait, Pending};

    /// The rows that stand before another one.
    pub struct Before(pub(in crate::session::unit) Vec<Arc<dyn AnySlot>>);

    pub trait Parents {
        /// What the closure is given.
        type Models<'m>;
        /// The handles, as long as the child is pending.
        type Kept: Send + 'static;

        fn keep(self) -> Self::Kept;
        fn before(kept: &Self::Kept) -> Before;
        /// Calls `make` with the parents' rows; `None` as long as one is not there.
        fn with<T>(kept: &Self::Kept, make: impl FnOnce(Self::Models<'_>) -> T) -> Option<T>;
    }

    impl<E: EntityTrait> Parents for &Pending<E>
    where
        E::Model: Sync,
    {
        type Models<'m> = &'m E::Model;
        type Kept = Pending<E>;

        fn keep(self) -> Self::Kept {
            self.clone()
        }

        fn before(kept: &Self::Kept) -> Before {
            Before(vec![kept.0.clone()])
        }

        fn with<T>(kept: &Self::Kept, make: impl FnOnce(Self::Models<'_>) -> T) -> Option<T> {
            let parent = kept.0.current()?;
            Some(make(&parent))
        }
    }

    macro_rules! tuple {
        ($($entity:ident $index:tt),+) => {
            impl<$($entity: EntityTrait),+> Parents for ($(&Pending<$entity>,)+)
            where
                $($entity::Model: Sync,)+
            {
                type Models<'m> = ($(&'m $entity::Model,)+);
                type Kept = ($(Pending<$entity>,)+);

                fn keep(self) -> Self::Kept {
                    ($(self.$index.clone(),)+)
                }

                fn before(kept: &Self::Kept) -> Before {
                    Before(vec![$(kept.$index.0.clone() as Arc<dyn AnySlot>),+])
                }

                fn with<T>(kept: &Self::Kept, make: impl FnOnce(Self::Models<'_>) -> T) -> Option<T> {
                    Some(make(($(&*kept.$index.0.current()?,)+)))
                }
            }
        };
    }

    tuple!(A 0, B 1);
    tuple!(A 0, B 1, C 2);
}
