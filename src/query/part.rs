//! A part of a query's rows, at a place.

use sea_orm::{EntityTrait, QueryResult};

use super::{Conditions, QueryBuilder, fetch::failed, keyset::Keyset, scope::table, token::Place};
use crate::error::{Error, Result};

/// Rows that follow each other, from the place on in the way's direction.
pub(super) struct Part<E: EntityTrait> {
    rows: Vec<(QueryResult, E::Model)>,
    /// There is a row behind them, as far as was looked.
    pub(super) more: bool,
}

impl<E: EntityTrait> QueryBuilder<E> {
    /// At most `size` rows behind the place, or the first ones; `look` further rows tell whether there are more.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] when the place does not tell the rows behind it from the others; else as
    /// [`all`](Self::all).
    pub(super) async fn part(self, keyset: &Keyset<E>, from: Option<&Place>, size: u64, look: u64) -> Result<Part<E>> {
        let mut read = (self.reader)();
        let found = keyset.with_kept_values(self.behind(keyset, from)).limit(size + look).rows().await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            let model = read(&row).map_err(failed::<E>)?;
            rows.push((row, model));
        }
        if let (Some(Place { values, inclusive: false, .. }), Some((row, model))) = (from, rows.first())
            && keyset.place_of(row, model)? == *values
        {
            let what =
                "a cursor over values that are compared as others than they are read as; order by another column";
            return Err(Error::unsupported(what).during("select", table::<E>()));
        }
        let more = rows.len() as u64 > size;
        if more
            && let (Some((row, model)), Some((last_row, last))) = (rows.pop(), rows.last())
            && keyset.place_of(&row, &model)? == keyset.place_of(last_row, last)?
        {
            let what = "a cursor over a join that repeats rows, of which some would be lost; has_related or distinct";
            return Err(Error::unsupported(what).during("select", table::<E>()));
        }
        Ok(Part { rows, more })
    }

    /// The rows behind the place, in the keyset's order.
    fn behind(mut self, keyset: &Keyset<E>, place: Option<&Place>) -> Self {
        let Some(Place { values, backwards, inclusive }) = place else {
            self.orders = keyset.orders(false);
            return self;
        };
        self.orders = keyset.orders(*backwards);
        self.offset = None;
        self.with(keyset.behind(values, *backwards, *inclusive))
    }
}

impl<E: EntityTrait> Part<E> {
    pub(super) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn reverse(&mut self) {
        self.rows.reverse();
    }

    /// The place of the first row.
    pub(super) fn first(&self, keyset: &Keyset<E>, backwards: bool) -> Result<Option<Place>> {
        self.rows.first().map(|row| at(row, keyset, backwards)).transpose()
    }

    /// The place of the last row.
    pub(super) fn last(&self, keyset: &Keyset<E>, backwards: bool) -> Result<Option<Place>> {
        self.rows.last().map(|row| at(row, keyset, backwards)).transpose()
    }

    pub(super) fn into_models(self) -> Vec<E::Model> {
        self.rows.into_iter().map(|(_, model)| model).collect()
    }
}

fn at<E: EntityTrait>((row, model): &(QueryResult, E::Model), keyset: &Keyset<E>, backwards: bool) -> Result<Place> {
    Ok(Place { values: keyset.place_of(row, model)?, backwards, inclusive: false })
}
