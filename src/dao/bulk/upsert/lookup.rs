//! Which rows are in the way.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, QueryTrait, Value,
    sea_query::{Expr, ExprTrait, SelectStatement, UnionType},
};

use super::{
    super::{
        super::{
            among::among,
            key::{Key, keys_per_statement},
        },
        rows::{Group, Row},
    },
    plan::Plan,
};
use crate::{
    backend::{Models, compared},
    error::Result,
    query::Conditions,
    session::Session,
};

/// What is in the way of a row.
pub(super) enum Standing<E: EntityTrait> {
    Nothing,
    Alive(E::Model),
    /// A row that is marked as deleted, and no other.
    Deleted(E::Model),
}

/// How the rows that are in the way are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As the transaction sees them.
    Plain,
    /// As they are, and kept from others until the transaction ends.
    ForUpdate,
    /// As they are, and kept as they are until the transaction ends.
    ForShare,
}

/// Rows that are looked up by one statement. SQLite takes 500 SELECTs in one.
const ROWS_AT_A_TIME: usize = 64;

/// The column that says for which row another one was found.
const PLACE: &str = "sea_dao_place";

impl<E> Plan<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// The row that is in the way of this one, if there is one that is not deleted.
    pub(super) async fn find(&self, session: &Session, model: &E::ActiveModel) -> Result<Option<E::Model>> {
        self.check()?;
        let Some(values) = self.target_values(model) else { return Ok(None) };
        match self.standing_of(session, &values, Reading::Plain).await? {
            Standing::Alive(model) => Ok(Some(model)),
            Standing::Nothing | Standing::Deleted(_) => Ok(None),
        }
    }

    /// What is in the way of each of the rows. It is the database that compares: what is equal may depend on a column's
    /// collation.
    pub(super) async fn standings(
        &self,
        session: &Session,
        rows: &[&Row<E>],
        reading: Reading,
    ) -> Result<Vec<Standing<E>>> {
        let mut standings = Vec::with_capacity(rows.len());
        if reading != Reading::Plain || rows.len() == 1 {
            for row in rows {
                let values = self.target_values(&row.model).unwrap_or_default();
                standings.push(self.standing_of(session, &values, reading).await?);
            }
            return Ok(standings);
        }
        for part in rows.chunks(ROWS_AT_A_TIME) {
            let mut found: HashMap<usize, Vec<E::Model>> = HashMap::new();
            let mut read = Models::<E>::new();
            for result in session.query_all(&self.lookup(part)).await? {
                let place: i32 = result.try_get("", PLACE)?;
                let model = read.read(&result)?;
                found.entry(usize::try_from(place).unwrap_or_default()).or_default().push(model);
            }
            standings.extend((0..part.len()).map(|place| self.standing(found.remove(&place).unwrap_or_default())));
        }
        Ok(standings)
    }

    async fn standing_of(&self, session: &Session, values: &[Value], reading: Reading) -> Result<Standing<E>> {
        let query = self.dao.within(session).query().with_deleted().filter(self.condition(values));
        let query = match reading {
            Reading::Plain => query,
            Reading::ForUpdate => query.for_update(),
            Reading::ForShare => query.for_share(),
        };
        Ok(self.standing(query.all().await?))
    }

    /// Where the unique index leaves deleted rows out, there may be several.
    fn standing(&self, found: Vec<E::Model>) -> Standing<E> {
        let mut standing = Standing::Nothing;
        for model in found {
            if !self.is_deleted(&model) {
                return Standing::Alive(model);
            }
            standing = Standing::Deleted(model);
        }
        standing
    }

    /// A SELECT for each row. Their number is a power of two, so that few statements have to be prepared.
    fn lookup(&self, rows: &[&Row<E>]) -> SelectStatement {
        let selects = rows.iter().enumerate().map(|(place, row)| {
            let values = self.target_values(&row.model).unwrap_or_default();
            let place = Expr::cust(place.to_string());
            E::find().expr_as(place, PLACE).filter(self.condition(&values)).into_query()
        });
        let mut selects: Vec<SelectStatement> = selects.collect();
        let missing = selects.len().next_power_of_two() - selects.len();
        let repeated = selects.last().cloned();
        selects.extend(repeated.into_iter().cycle().take(missing));
        let mut selects = selects.into_iter();
        let mut lookup = selects.next().unwrap_or_default();
        lookup.unions(selects.map(|select| (UnionType::All, select)));
        lookup
    }

    fn condition(&self, values: &[Value]) -> Condition {
        let pairs = self.target.iter().zip(values);
        pairs.fold(Condition::all(), |all, (column, value)| {
            all.add(Expr::col(column.as_column_ref()).eq(compared(*column, value)))
        })
    }

    /// Locks what is in the way of the rows of several groups, in one order: the groups are written one after the other, and
    /// another call may have them otherwise.
    pub(super) async fn lock_in_order(&self, session: &Session, groups: &[Group<E>]) -> Result<()> {
        let mut rows: Vec<&Row<E>> = groups.iter().flat_map(|group| &group.rows).collect();
        rows.sort_by_cached_key(|row| self.rank(row));
        let dao = self.dao.within(session);
        for part in rows.chunks(ROWS_AT_A_TIME) {
            let last = part.last().into_iter().cycle();
            // A power of two, as above.
            let padded = part.iter().chain(last).take(part.len().next_power_of_two());
            let values = padded.filter_map(|row| self.target_values(&row.model));
            let any = values.fold(Condition::any(), |any, values| any.add(self.condition(&values)));
            let query = dao.query().with_deleted().filter(any);
            let query = self.target.iter().fold(query, |query, column| query.order_asc(*column));
            query.for_update().all().await?;
        }
        Ok(())
    }

    /// The rows with these keys, deleted or not, by the text of their keys.
    pub(super) async fn by_key(
        &self,
        session: &Session,
        keys: &[Key<E>],
        reading: Reading,
    ) -> Result<HashMap<String, E::Model>> {
        let dao = self.dao.within(session);
        let mut found = HashMap::with_capacity(keys.len());
        for part in keys.chunks(keys_per_statement::<E>(session.capabilities())) {
            let query = dao.query().with_deleted().filter(among(part, session.backend()));
            let query = if reading == Reading::Plain { query } else { query.for_update() };
            let models = query.all().await?;
            found.extend(models.into_iter().map(|model| (Key::<E>::of_model(&model).identity(), model)));
        }
        Ok(found)
    }
}
