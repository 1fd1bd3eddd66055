//! Pages by place, and parts of a large result.

use futures_util::Stream;
use sea_orm::{EntityTrait, StatementBuilder, sea_query::Expr};
use serde::Serialize;

use super::{
    QueryBuilder,
    keyset::Keyset,
    page::check_size,
    token::{Place, fingerprint, refused},
};
use crate::error::{Error, Result};

/// A page of a query's rows that begins or ends at a place, not at a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CursorPage<T> {
    /// The rows of this page, in the query's order whichever way one came.
    pub items: Vec<T>,
    /// What [`cursor`](QueryBuilder::cursor) takes for the page behind this one; `None` when there is none.
    pub next: Option<String>,
    /// What [`cursor`](QueryBuilder::cursor) takes for the page before this one; `None` when there is none.
    pub previous: Option<String>,
}

impl<T> CursorPage<T> {
    /// The same page with each row turned into something else.
    #[must_use]
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> CursorPage<U> {
        let Self { items, next, previous } = self;
        CursorPage { items: items.into_iter().map(turn).collect(), next, previous }
    }
}

impl<E: EntityTrait> QueryBuilder<E> {
    /// At most `per_page` rows at a place: the first ones without a token, else those behind or before the place that the
    /// token of another page stands for. The database looks the place up in an index instead of counting to it, and rows
    /// that come or go meanwhile shift nothing (keyset pagination).
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*, query::CursorPage};
    /// # use entities::user;
    /// # async fn example(users: BaseDao<user::Entity>, token: Option<&str>) -> Result<CursorPage<user::Model>> {
    /// let page = users.query().order_desc(user::Column::CreatedAt).cursor(20, token).await?;
    /// // The client asks for more with page.next, and goes back with page.previous.
    /// # Ok(page)
    /// # }
    /// ```
    ///
    /// The order may have any columns of the entity, in either direction, with NULLs; the key is added where it is
    /// missing, so that all rows are told apart. Walking to the end, each row that stays as it is comes exactly once. Where
    /// a join repeats the row that a page ends with, what is behind it would be lost, which is [`Error::Unsupported`]:
    /// [`has_related`](super::Conditions::has_related) or [`distinct`](Self::distinct) repeats none. A limit and an offset
    /// of the query give way to the page's. MySQL and MariaDB sort an ENUM by the list of its type: the entity has to have
    /// its values in the same order, as it was generated.
    ///
    /// A token is text without special meaning in URLs. It holds the values of the columns of the order in one row: order
    /// by nothing that the client must not see. It carries a checksum against accidents, not a signature; what somebody
    /// makes up finds other places in the same query, never other rows. It is good for queries with the same conditions
    /// and order; the values in the conditions may be others, so that "of the last hour" goes on.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a size that is not within 1 to [`MAX_PAGE_SIZE`](super::MAX_PAGE_SIZE), and for a
    /// token that is damaged, of another version or of another query. [`Error::Unsupported`] for an order by something else
    /// than columns of the entity, a query that was changed through [`select`](Self::select) or has groups, a join that
    /// repeats a row at the end of the page, and values without equals, such as NaN. Else as [`all`](Self::all).
    pub async fn cursor(self, per_page: u64, token: Option<&str>) -> Result<CursorPage<E::Model>> {
        check_size(per_page)?;
        let query = self.unlimited();
        let keyset = query.keyset()?;
        let fingerprint = query.fingerprint(&keyset)?;
        let from = token.map(|token| {
            let place = Place::decode(token, fingerprint)?;
            if keyset.accepts(&place.values) { Ok(place) } else { Err(refused(token)) }
        });
        let from = from.transpose()?;
        let backwards = from.as_ref().is_some_and(|place| place.backwards);

        let mut part = query.part(&keyset, from.as_ref(), per_page, 1).await?;
        if backwards {
            part.reverse();
        }
        // An empty page lies beside the place itself; back there, its row counts unless it was left out on purpose.
        let back = from.map(|place| Place { backwards: !backwards, inclusive: !place.inclusive, ..place });
        let (ahead, behind) = if backwards {
            (part.first(&keyset, true)?, part.last(&keyset, false)?)
        } else {
            (part.last(&keyset, false)?, part.first(&keyset, true)?)
        };
        let onwards = ahead.filter(|_| part.more);
        let back = back.map(|place| behind.unwrap_or(place));
        let (next, previous) = if backwards { (back, onwards) } else { (onwards, back) };
        let encode = |place: Option<Place>| place.map(|place| place.encode(fingerprint)).transpose();
        let (next, previous) = (encode(next)?, encode(previous)?);
        Ok(CursorPage { items: part.into_models(), next, previous })
    }

    /// All rows in parts of at most `size`, each read by a statement of its own: between them the connection is free, and
    /// the same session may write. Each part begins behind the last row of the one before, so that rows that come or go
    /// meanwhile shift nothing; a row comes twice or not at all only when a column of the order is changed in it meanwhile.
    /// Without an order it goes by the key. In one state of the data, that of a transaction with `REPEATABLE READ`, or
    /// through [`stream`](Self::stream), they are all as they were at the beginning.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use entities::user::{self, Column::{Id, Status}};
    /// use futures_util::{TryStreamExt, pin_mut};
    ///
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<()> {
    /// let parts = users.query().eq(Status, 0).chunks(500);
    /// pin_mut!(parts);
    /// while let Some(part) = parts.try_next().await? {
    ///     users.update_where().in_(Id, part.iter().map(|user| user.id)).set(Status, 1).exec().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Each item as [`cursor`](Self::cursor).
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream between two parts leaves nothing behind; else as [`all`](Self::all).
    pub fn chunks(self, size: u64) -> impl Stream<Item = Result<Vec<E::Model>>> + Send + use<E> {
        async_stream::try_stream! {
            check_size(size)?;
            let keyset = self.keyset()?;
            let mut left = self.limit.unwrap_or(u64::MAX);
            let mut place: Option<Place> = None;
            while left > 0 {
                let asked = Ord::min(size, left);
                // Only a join repeats rows, and only behind this part could one be lost.
                let look = u64::from(self.joined && asked < left);
                let part = self.clone().part(&keyset, place.as_ref(), asked, look).await?;
                place = part.last(&keyset, false)?;
                if place.is_none() {
                    break;
                }
                let full = part.len() == asked;
                left -= part.len();
                yield part.into_models();
                if !full {
                    break;
                }
            }
        }
    }

    fn keyset(&self) -> Result<Keyset<E>> {
        if self.custom || self.grouped || self.is_distinct_on() {
            let what = "a cursor over groups, distinct_on, or a query changed through select()";
            return Err(Error::unsupported(what));
        }
        Keyset::of(&self.orders, self.scope.read_session().backend())
    }

    fn fingerprint(&self, keyset: &Keyset<E>) -> Result<u64> {
        let backend = keyset.backend();
        let mut query = self.clone();
        query.orders = keyset.orders(false);
        query.lock = None;
        let mut statement = query.into_sea_query(backend)?;
        // Another column in the table does not make it another query.
        statement.clear_selects().expr(Expr::cust("1"));
        Ok(fingerprint(&StatementBuilder::build(&statement, &backend).sql))
    }
}
