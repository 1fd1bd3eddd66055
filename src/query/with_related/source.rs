//! What can be brought along.

use sea_orm::{EntityTrait, FromQueryResult};

use super::{super::QueryBuilder, run::WithRelated, steps::Steps};
use crate::{error::Result, session::Session};

/// What [`with_many`](QueryBuilder::with_many) and its like bring along: an entity for all of its rows that belong to a
/// row, a query for some of them, and a query that itself brings related rows along.
pub trait RelatedQuery: sealed::Source<Loaded = <Self as RelatedQuery>::Row> {
    /// What one related row becomes: the entity's model; what the query reads its rows as; a tuple of the model and what
    /// belongs to it.
    type Row: Clone + Send;
}

impl<R: EntityTrait> RelatedQuery for R {
    type Row = R::Model;
}

impl<R: EntityTrait, M: FromQueryResult + Clone + Send> RelatedQuery for QueryBuilder<R, M> {
    type Row = M;
}

impl<R: EntityTrait, L: Steps<R>> RelatedQuery for WithRelated<R, L> {
    type Row = L::Row;
}

pub(super) mod sealed {
    use sea_orm::{EntityTrait, FromQueryResult};

    use super::{QueryBuilder, Result, Session, Steps, WithRelated};
    use crate::query::scope::{Origin, Scope};

    pub trait Source: Clone + Send + Sync + Sized {
        /// The entity whose rows they are.
        type Entity: EntityTrait;
        /// What the rows are read as, before what belongs to them is known.
        type Read: FromQueryResult + Send;
        /// What one of them becomes.
        type Loaded: Clone + Send;

        /// The query, to be run on `session`.
        #[doc(hidden)]
        fn query(&self, session: &Session, origin: Origin) -> QueryBuilder<Self::Entity, Self::Read>;

        /// Adds to the rows what belongs to them.
        #[doc(hidden)]
        fn complete(
            self,
            session: &Session,
            origin: Origin,
            rows: Vec<Self::Read>,
        ) -> impl Future<Output = Result<Vec<Self::Loaded>>> + Send;
    }

    impl<R: EntityTrait> Source for R {
        type Entity = R;
        type Read = R::Model;
        type Loaded = R::Model;

        fn query(&self, session: &Session, origin: Origin) -> QueryBuilder<R> {
            QueryBuilder::new(Scope::related(session, origin))
        }

        async fn complete(self, _: &Session, _: Origin, rows: Vec<R::Model>) -> Result<Vec<R::Model>> {
            Ok(rows)
        }
    }

    impl<R: EntityTrait, M: FromQueryResult + Clone + Send> Source for QueryBuilder<R, M> {
        type Entity = R;
        type Read = M;
        type Loaded = M;

        fn query(&self, session: &Session, _: Origin) -> Self {
            self.clone().on(session)
        }

        async fn complete(self, _: &Session, _: Origin, rows: Vec<M>) -> Result<Vec<M>> {
            Ok(rows)
        }
    }

    impl<R: EntityTrait, L: Steps<R>> Source for WithRelated<R, L> {
        type Entity = R;
        type Read = R::Model;
        type Loaded = L::Row;

        fn query(&self, session: &Session, _: Origin) -> QueryBuilder<R> {
            self.query.clone().on(session)
        }

        async fn complete(self, session: &Session, _: Origin, rows: Vec<R::Model>) -> Result<Vec<L::Row>> {
            self.complete_on(session, rows).await
        }
    }
}
