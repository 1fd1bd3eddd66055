//! One relation that a query brings along.

use std::collections::HashMap;

use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, IntoSimpleExpr, Iterable, Order, PrimaryKeyToColumn,
    sea_query::{Alias, Asterisk, Expr, ExprTrait, Func, OverStatement, SelectStatement, WindowStatement},
};

use super::{
    super::{
        QueryBuilder,
        fetch::failed,
        limit::has_limit,
        order::OrderTerm,
        scope::Origin,
        select::{has_order, is_distinct},
    },
    key::{Key, Reader, any_of, parts_of},
    route::{Hops, Route},
    source::RelatedQuery,
};
use crate::{
    error::{Error, Result},
    session::Session,
};

/// All related rows of each row, as a `Vec`.
#[derive(Clone)]
pub struct Many<Q>(Relation<Q>);

/// The first related row of each row, as an `Option`.
#[derive(Clone)]
pub struct One<Q>(Relation<Q>);

#[derive(Clone)]
struct Relation<Q> {
    hops: Hops,
    query: Q,
}

impl<Q> Many<Q> {
    pub(super) fn new(hops: Hops, query: Q) -> Self {
        Self(Relation { hops, query })
    }
}

impl<Q> One<Q> {
    pub(super) fn new(hops: Hops, query: Q) -> Self {
        Self(Relation { hops, query })
    }
}

/// What is loaded for rows of `E`.
pub trait Step<E: EntityTrait>: Clone + Send + Sync {
    /// What one row gets.
    type Loaded: Clone + Send;

    /// The keys of rows, by which [`load`](Self::load) finds what belongs to them.
    #[doc(hidden)]
    fn keys(&self, models: &[E::Model]) -> Result<Keys>;

    /// What belongs to each of the rows, in their order.
    #[doc(hidden)]
    fn load(
        self,
        session: &Session,
        origin: Origin,
        keys: Keys,
    ) -> impl Future<Output = Result<Vec<Self::Loaded>>> + Send;
}

impl<E: EntityTrait, Q: RelatedQuery> Step<E> for Many<Q> {
    type Loaded = Vec<Q::Row>;

    fn keys(&self, models: &[E::Model]) -> Result<Keys> {
        Ok(Keys::new(self.0.hops.keys::<E, Q::Entity>(models)?))
    }

    async fn load(self, session: &Session, origin: Origin, keys: Keys) -> Result<Vec<Self::Loaded>> {
        self.0.load::<E>(session, origin, keys, None).await
    }
}

impl<E: EntityTrait, Q: RelatedQuery> Step<E> for One<Q> {
    type Loaded = Option<Q::Row>;

    fn keys(&self, models: &[E::Model]) -> Result<Keys> {
        Ok(Keys::new(self.0.hops.keys::<E, Q::Entity>(models)?))
    }

    async fn load(self, session: &Session, origin: Origin, keys: Keys) -> Result<Vec<Self::Loaded>> {
        let most = self.0.hops.leads_to_many().then_some(1);
        let rows = self.0.load::<E>(session, origin, keys, most).await?;
        Ok(rows.into_iter().map(|rows| rows.into_iter().next()).collect())
    }
}

/// The keys of rows.
pub struct Keys {
    /// Each once.
    distinct: Vec<Key>,
    /// Where in `distinct` the key of each row is; `None` for a row that has none.
    places: Vec<Option<usize>>,
    place_of: HashMap<Key, usize>,
}

impl Keys {
    fn new(keys: Vec<Option<Key>>) -> Self {
        let (mut distinct, mut place_of) = (Vec::new(), HashMap::with_capacity(keys.len()));
        let places = keys.into_iter().map(|key| {
            let key = key?;
            let place = *place_of.entry(key.clone()).or_insert(distinct.len());
            if place == distinct.len() {
                distinct.push(key);
            }
            Some(place)
        });
        let places = places.collect();
        Self { distinct, places, place_of }
    }

    /// What belongs to each row, from the rows with each key.
    fn hand_out<T: Clone>(self, mut groups: Vec<Vec<T>>) -> Vec<Vec<T>> {
        let mut uses = vec![0_usize; groups.len()];
        for place in self.places.iter().flatten() {
            uses[*place] += 1;
        }
        let mut take = |place: usize| {
            uses[place] -= 1;
            // Whoever is the last one needs no copy.
            if uses[place] == 0 { std::mem::take(&mut groups[place]) } else { groups[place].clone() }
        };
        self.places.into_iter().map(|place| place.map(&mut take).unwrap_or_default()).collect()
    }
}

impl<Q: RelatedQuery> Relation<Q> {
    async fn load<E: EntityTrait>(
        self,
        session: &Session,
        origin: Origin,
        keys: Keys,
        most: Option<u64>,
    ) -> Result<Vec<Vec<Q::Row>>> {
        let Self { hops, query: source } = self;
        let backend = session.backend();
        let query = source.query(session, origin);
        let route = Route::new::<E, Q::Entity>(&hops, backend)?;
        let reader = Reader::of(&route.parts);
        let (mut places, mut read) = (Vec::new(), Vec::new());
        for part in parts_of(&route.parts, &keys.distinct, backend, session.capabilities().bind_limit) {
            let mut query = query.clone();
            query.limit = query.limit.map_or(most, |limit| Some(most.map_or(limit, |most| Ord::min(limit, most))));
            if query.is_empty() {
                continue;
            }
            let reading = query.row_session()?;
            let mut read_row = (query.reader)();
            let statement = related_statement(query, &route, part, backend)?;
            let rows = reading.query_all(&statement).await.map_err(failed::<Q::Entity>)?;
            for row in &rows {
                let key = reader.read(row).map_err(failed::<Q::Entity>)?;
                if let Some(place) = key.and_then(|key| keys.place_of.get(&key)) {
                    places.push(*place);
                    read.push(read_row(row).map_err(failed::<Q::Entity>)?);
                }
            }
        }
        let mut groups: Vec<Vec<Q::Row>> = keys.distinct.iter().map(|_| Vec::new()).collect();
        for (place, row) in places.into_iter().zip(source.complete(session, origin, read).await?) {
            groups[place].push(row);
        }
        Ok(keys.hand_out(groups))
    }
}

/// The rows of the query that have one of the keys, each with its key.
fn related_statement<R: EntityTrait, M>(
    mut query: QueryBuilder<R, M>,
    route: &Route,
    keys: &[Key],
    backend: DbBackend,
) -> Result<SelectStatement> {
    if query.is_distinct_on() {
        return Err(Error::unsupported("distinct_on in a query for related rows; a limit is one for each row"));
    }
    if query.orders.is_empty() && !query.shaped {
        // The same order every time.
        query.orders = R::PrimaryKey::iter()
            .map(|key| OrderTerm { by: key.into_column().into_simple_expr(), order: Order::Asc, nulls: None })
            .collect();
    }
    let (limit, offset) = (query.limit.take(), query.offset.take());
    let (grouped, custom) = (query.grouped, query.custom);
    let numbered = limit.is_some() || offset.is_some();
    let orders = if numbered { std::mem::take(&mut query.orders) } else { Vec::new() };
    let mut statement = query.into_sea_query(backend)?;
    if custom && has_limit(&statement) {
        return Err(Error::unsupported("a limit set through select() in a query for related rows; call limit()"));
    }
    let first_alone = limit == Some(1) && offset.unwrap_or_default() == 0;
    if numbered && !first_alone && is_distinct(&statement) {
        // Numbered rows differ in their numbers.
        return Err(Error::unsupported(
            "distinct with a limit in a query for related rows; has_related repeats no row",
        ));
    }
    if custom && numbered && has_order(&statement) {
        let what = "a limit in a query for related rows with an order from before select(); give the order behind it";
        return Err(Error::unsupported(what));
    }
    route.add_to(&mut statement, grouped);
    statement.cond_where(any_of(&route.parts, keys, backend));
    if !numbered {
        return Ok(statement);
    }
    let mut window = WindowStatement::new();
    for part in &route.parts {
        window.add_partition_by(part.selected.clone());
    }
    for OrderTerm { by, order, nulls } in orders {
        match nulls {
            None => window.order_by_expr(by, order),
            Some(nulls) => window.order_by_expr_with_nulls(by, order, nulls),
        };
    }
    statement.expr_window_as(Func::cust(Alias::new("ROW_NUMBER")), window, Alias::new(NUMBER));
    let mut chosen = SelectStatement::new();
    chosen.column(Asterisk).from_subquery(statement, Alias::new("sea_dao_related"));
    let number = || Expr::col(Alias::new(NUMBER));
    let offset = offset.unwrap_or_default();
    if offset > 0 {
        chosen.and_where(number().gt(offset));
    }
    if let Some(limit) = limit {
        chosen.and_where(number().lte(Ord::min(offset.saturating_add(limit), i64::MAX.unsigned_abs())));
    }
    chosen.order_by(Alias::new(NUMBER), Order::Asc);
    Ok(chosen)
}

/// The place of a related row among those of the same row.
const NUMBER: &str = "sea_dao_number";
