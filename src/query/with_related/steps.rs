//! Several relations that a query brings along.

use sea_orm::EntityTrait;

use super::{super::scope::Origin, step::Step};
use crate::{error::Result, session::Session};

/// The relations that a query brings along, one after the other.
pub trait Steps<E: EntityTrait>: Clone + Send + Sync {
    /// A tuple: the model, then what each relation gives.
    type Row: Clone + Send;

    #[doc(hidden)]
    fn load(
        self,
        session: &Session,
        origin: Origin,
        models: Vec<E::Model>,
    ) -> impl Future<Output = Result<Vec<Self::Row>>> + Send;
}

/// One more relation.
pub trait Append<S> {
    /// The relations with the new one at the end.
    type With;

    #[doc(hidden)]
    fn append(self, step: S) -> Self::With;
}

macro_rules! steps {
    ($($step:ident $index:tt),+) => {
        impl<E: EntityTrait, $($step: Step<E>),+> Steps<E> for ($($step,)+) {
            type Row = (E::Model, $($step::Loaded),+);

            async fn load(self, session: &Session, origin: Origin, models: Vec<E::Model>) -> Result<Vec<Self::Row>> {
                let mut loaded = ($({
                    let keys = self.$index.keys(&models)?;
                    self.$index.load(session, origin, keys).await?.into_iter()
                },)+);
                let rows = models.into_iter().map(|model| Some((model, $(loaded.$index.next()?),+)));
                Ok(rows.map_while(|row| row).collect())
            }
        }
    };
}

macro_rules! append {
    ($($step:ident $index:tt),+) => {
        impl<$($step,)+ S> Append<S> for ($($step,)+) {
            type With = ($($step,)+ S);

            fn append(self, step: S) -> Self::With {
                ($(self.$index,)+ step)
            }
        }
    };
}

steps!(A 0);
steps!(A 0, B 1);
steps!(A 0, B 1, C 2);
steps!(A 0, B 1, C 2, D 3);
steps!(A 0, B 1, C 2, D 3, F 4);
steps!(A 0, B 1, C 2, D 3, F 4, G 5);
append!(A 0);
append!(A 0, B 1);
append!(A 0, B 1, C 2);
append!(A 0, B 1, C 2, D 3);
append!(A 0, B 1, C 2, D 3, F 4);
