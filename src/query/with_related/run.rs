//! Running a query that brings related rows along.

use std::fmt;

use futures_util::{Stream, StreamExt};
use sea_orm::{EntityTrait, Linked, Related};

use super::{
    super::{CursorPage, Page, QueryBuilder, scope::Origin},
    route::Hops,
    source::RelatedQuery,
    step::{Many, One},
    steps::{Append, Steps},
};
use crate::{error::Result, session::Session};

/// A query on the rows of `E` that brings rows of other entities along, a statement for each relation. What comes back for
/// a row is a tuple: the model, then what each relation gives in the order in which they were asked for.
///
/// Made by [`QueryBuilder::with_many`] and its like; see there.
#[must_use = "a query does nothing until it is run"]
pub struct WithRelated<E: EntityTrait, L> {
    pub(super) query: QueryBuilder<E>,
    steps: L,
}

impl<E: EntityTrait, L: Clone> Clone for WithRelated<E, L> {
    fn clone(&self) -> Self {
        Self { query: self.query.clone(), steps: self.steps.clone() }
    }
}

impl<E: EntityTrait, L> fmt::Debug for WithRelated<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WithRelated({})", E::default().table_name())
    }
}

impl<E: EntityTrait> QueryBuilder<E> {
    /// Brings along, for each row, all rows of another entity that belong to it, by one statement more; through a junction
    /// where the relation has one (many to many). `rows` is an entity, or a query for some of its rows in an order of
    /// its own:
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Database, Result, prelude::*};
    /// # use entities::{customer_order, order_item, tag, user};
    /// # async fn example(db: Database) -> Result<()> {
    /// # let users = BaseDao::<user::Entity>::new(db.clone());
    /// # let orders = BaseDao::<customer_order::Entity>::new(db.clone());
    /// let with_tags: Vec<(user::Model, Vec<tag::Model>)> = users.query().with_many(tag::Entity).all().await?;
    ///
    /// // Of each user the three latest orders, and of each order its items.
    /// let latest = orders.query().order_desc(customer_order::Column::CreatedAt).limit(3);
    /// let page = users.query()
    ///     .order_asc(user::Column::Username)
    ///     .with_many(latest.with_many(order_item::Entity))
    ///     .page(1, 20).await?;
    /// for (user, orders) in page.items {
    ///     for (order, items) in orders {
    ///         println!("{} {}: {}", user.username, order.number, items.len());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// All statements run on one session, that of this query, whatever `rows` was made on. Outside of a transaction each
    /// sees the data of its own moment. Deleted related rows are left out by the conventions of the DAO that `rows` comes
    /// from, those of this query for an entity; deleted rows of a junction are not told from others.
    ///
    /// A limit and an offset of `rows` count for each row, not for all. Without an order the related rows come in the order
    /// of their key. A row without related rows gets an empty `Vec`. With more keys than one statement takes, there are
    /// several.
    pub fn with_many<Q: RelatedQuery>(self, rows: Q) -> WithRelated<E, (Many<Q>,)>
    where
        E: Related<Q::Entity>,
    {
        WithRelated { query: self, steps: (Many::new(Hops::related::<E, Q::Entity>(), rows),) }
    }

    /// Brings along, for each row, the row of another entity that it belongs to or that belongs to it, by one statement
    /// more. Where several do, it is the first by the order of `rows`: of each user the latest order. Else as
    /// [`with_many`](Self::with_many).
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use entities::{customer_order, order_item, user};
    /// # async fn example(orders: BaseDao<customer_order::Entity>) -> Result<()> {
    /// let all = orders.query().with_one(user::Entity).with_many(order_item::Entity).all().await?;
    /// for (order, buyer, items) in all {
    ///     println!("{}: {:?}, {} items", order.number, buyer.map(|user| user.username), items.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_one<Q: RelatedQuery>(self, row: Q) -> WithRelated<E, (One<Q>,)>
    where
        E: Related<Q::Entity>,
    {
        WithRelated { query: self, steps: (One::new(Hops::related::<E, Q::Entity>(), row),) }
    }

    /// As [`with_many`](Self::with_many), along a link of SeaORM's: for the second relation to the same entity, a relation
    /// of a table to itself, and a way over several tables.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use sea_dao::sea_orm::{Linked, RelationDef, RelationTrait};
    /// # use entities::{customer_order, order_item, user};
    /// struct BoughtItems;
    ///
    /// impl Linked for BoughtItems {
    ///     type FromEntity = user::Entity;
    ///     type ToEntity = order_item::Entity;
    ///     fn link(&self) -> Vec<RelationDef> {
    ///         vec![user::Relation::CustomerOrder.def(), customer_order::Relation::OrderItem.def()]
    ///     }
    /// }
    ///
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<()> {
    /// let bought = users.query().with_many_linked(BoughtItems, order_item::Entity).all().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_many_linked<K, Q>(self, link: K, rows: Q) -> WithRelated<E, (Many<Q>,)>
    where
        K: Linked<FromEntity = E, ToEntity = Q::Entity>,
        Q: RelatedQuery,
    {
        WithRelated { query: self, steps: (Many::new(Hops::linked(&link), rows),) }
    }

    /// As [`with_one`](Self::with_one), along a link of SeaORM's.
    pub fn with_one_linked<K, Q>(self, link: K, row: Q) -> WithRelated<E, (One<Q>,)>
    where
        K: Linked<FromEntity = E, ToEntity = Q::Entity>,
        Q: RelatedQuery,
    {
        WithRelated { query: self, steps: (One::new(Hops::linked(&link), row),) }
    }
}

/// More relations, at most six in all.
impl<E: EntityTrait, L> WithRelated<E, L> {
    /// Brings more rows along; see [`QueryBuilder::with_many`].
    pub fn with_many<Q: RelatedQuery>(self, rows: Q) -> WithRelated<E, L::With>
    where
        E: Related<Q::Entity>,
        L: Append<Many<Q>>,
    {
        self.and(Many::new(Hops::related::<E, Q::Entity>(), rows))
    }

    /// Brings one more row along; see [`QueryBuilder::with_one`].
    pub fn with_one<Q: RelatedQuery>(self, row: Q) -> WithRelated<E, L::With>
    where
        E: Related<Q::Entity>,
        L: Append<One<Q>>,
    {
        self.and(One::new(Hops::related::<E, Q::Entity>(), row))
    }

    /// Brings more rows along; see [`QueryBuilder::with_many_linked`].
    pub fn with_many_linked<K, Q>(self, link: K, rows: Q) -> WithRelated<E, L::With>
    where
        K: Linked<FromEntity = E, ToEntity = Q::Entity>,
        Q: RelatedQuery,
        L: Append<Many<Q>>,
    {
        self.and(Many::new(Hops::linked(&link), rows))
    }

    /// Brings one more row along; see [`QueryBuilder::with_one_linked`].
    pub fn with_one_linked<K, Q>(self, link: K, row: Q) -> WithRelated<E, L::With>
    where
        K: Linked<FromEntity = E, ToEntity = Q::Entity>,
        Q: RelatedQuery,
        L: Append<One<Q>>,
    {
        self.and(One::new(Hops::linked(&link), row))
    }

    fn and<S>(self, step: S) -> WithRelated<E, L::With>
    where
        L: Append<S>,
    {
        WithRelated { query: self.query, steps: self.steps.append(step) }
    }
}

impl<E: EntityTrait, L: Steps<E>> WithRelated<E, L> {
    /// All rows, as [`QueryBuilder::all`].
    ///
    /// # Errors
    ///
    /// As [`QueryBuilder::all`], for each of the statements. [`Error::Unsupported`](crate::Error::Unsupported) for related
    /// rows with [`distinct_on`](QueryBuilder::distinct_on), or a limit that was set through
    /// [`select`](QueryBuilder::select); [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a relation that does
    /// not begin with columns of the entity.
    ///
    /// # Cancel safety
    ///
    /// As [`QueryBuilder::all`]. The same holds for all methods that run the query.
    pub async fn all(self) -> Result<Vec<L::Row>> {
        let (session, query) = self.query.clone().pinned();
        let rows = query.all().await?;
        self.complete_on(&session, rows).await
    }

    /// The first row, if there is one, as [`QueryBuilder::first`].
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn first(self) -> Result<Option<L::Row>> {
        let (session, query) = self.query.clone().pinned();
        let row = query.first().await?;
        Ok(self.complete_on(&session, row.into_iter().collect()).await?.pop())
    }

    /// The only row, as [`QueryBuilder::one`].
    ///
    /// # Errors
    ///
    /// As [`QueryBuilder::one`], else as [`all`](Self::all).
    pub async fn one(self) -> Result<L::Row> {
        let (session, query) = self.query.clone().pinned();
        let row = query.one().await?;
        let row = self.complete_on(&session, vec![row]).await?.pop();
        row.ok_or(crate::Error::NotFound { entity: E::default().table_name(), key: "the row that was read".to_owned() })
    }

    /// Page `page` of `per_page` rows, as [`QueryBuilder::page`].
    ///
    /// # Errors
    ///
    /// As [`QueryBuilder::page`], else as [`all`](Self::all).
    pub async fn page(self, page: u64, per_page: u64) -> Result<Page<L::Row>> {
        let (session, query) = self.query.clone().pinned();
        let Page { items, total, page, per_page } = query.page(page, per_page).await?;
        let items = self.complete_on(&session, items).await?;
        Ok(Page { items, total, page, per_page })
    }

    /// The page at a place, as [`QueryBuilder::cursor`].
    ///
    /// # Errors
    ///
    /// As [`QueryBuilder::cursor`], else as [`all`](Self::all).
    pub async fn cursor(self, per_page: u64, token: Option<&str>) -> Result<CursorPage<L::Row>> {
        let (session, query) = self.query.clone().pinned();
        let CursorPage { items, next, previous } = query.cursor(per_page, token).await?;
        let items = self.complete_on(&session, items).await?;
        Ok(CursorPage { items, next, previous })
    }

    /// All rows in parts of at most `size`, each with what belongs to it, as [`QueryBuilder::chunks`].
    ///
    /// # Errors
    ///
    /// Each item as [`QueryBuilder::chunks`], else as [`all`](Self::all).
    pub fn chunks(self, size: u64) -> impl Stream<Item = Result<Vec<L::Row>>> + Send + use<E, L> {
        async_stream::try_stream! {
            let (session, query) = self.query.clone().pinned();
            let parts = query.chunks(size);
            futures_util::pin_mut!(parts);
            while let Some(part) = parts.next().await {
                yield self.clone().complete_on(&session, part?).await?;
            }
        }
    }

    /// What belongs to rows that were read or written before, in their order. Of the query itself nothing is run.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn load_for(self, rows: Vec<E::Model>) -> Result<Vec<L::Row>> {
        let (session, _) = self.query.clone().pinned();
        self.complete_on(&session, rows).await
    }

    pub(super) async fn complete_on(self, session: &Session, rows: Vec<E::Model>) -> Result<Vec<L::Row>> {
        let origin = Origin::of(&self.query.scope);
        self.steps.load(session, origin, rows).await
    }
}
