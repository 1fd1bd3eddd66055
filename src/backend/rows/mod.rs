//! Rows as models.
//!
//! SeaORM's derived [`FromQueryResult`] looks each column up by its name, and writes a text for each NULL. The columns of
//! a result are the same in all its rows, so here they are looked at once, and read by their positions. That gives the same
//! models only where a model is nothing but its columns, in types of which it is known how SeaORM reads them: `shape`
//! holds the proof, which an entity gives with its first rows, and whatever is not proven is left to SeaORM.

mod cell;
mod known;
mod shape;

use std::sync::Arc;

use sea_orm::{DbErr, EntityTrait, FromQueryResult, QueryResult};

use cell::{Cells, cells};
use shape::{Misread, Shape};

/// Makes models of the rows of one result, as [`FromQueryResult`] would.
pub(crate) struct Models<E: EntityTrait>(Way<E>);

enum Way<E: EntityTrait> {
    /// No row was seen yet.
    Unknown,
    ByName,
    ByPosition {
        shape: Arc<Shape<E>>,
        blank: E::Model,
        result: cell::ResultId,
    },
}

impl<E: EntityTrait> Models<E> {
    pub(crate) fn new() -> Self {
        Self(Way::Unknown)
    }

    pub(crate) fn read(&mut self, row: &QueryResult) -> Result<E::Model, DbErr> {
        let Some(cells) = cells(row) else { return E::Model::from_query_result(row, "") };
        match &self.0 {
            Way::ByPosition { result, .. } if *result == cells.result_id() => {}
            Way::ByName => return E::Model::from_query_result(row, ""),
            _ => self.0 = way(cells),
        }
        let known = match &self.0 {
            Way::ByName => return E::Model::from_query_result(row, ""),
            Way::ByPosition { shape, blank, .. } => match shape.read(blank, cells) {
                Ok(model) => return Ok(model),
                // SeaORM knows how to say what is wrong with it.
                Err(Misread::Unreadable) => return E::Model::from_query_result(row, ""),
                Err(Misread::Unproven) => Some(shape.clone()),
            },
            Way::Unknown => None,
        };
        let model = E::Model::from_query_result(row, "")?;
        known::keep::<E>(cells.database(), Shape::learn(&model, cells, known.as_deref()));
        self.0 = way(cells);
        Ok(model)
    }
}

/// How the rows of the result that this one belongs to are read.
fn way<E: EntityTrait>(row: &dyn Cells) -> Way<E> {
    match known::shape::<E>(row.database()) {
        None if row.begins_with(&shape::names::<E>()) => Way::Unknown,
        Some(Some(shape)) if shape.fits(row) => {
            Way::ByPosition { blank: shape.blank(), shape, result: row.result_id() }
        }
        _ => Way::ByName,
    }
}

/// The model of one row.
pub(crate) fn model<E: EntityTrait>(row: &QueryResult) -> Result<E::Model, DbErr> {
    Models::<E>::new().read(row)
}

/// The models of the rows of one result.
pub(crate) fn models<E: EntityTrait>(rows: &[QueryResult]) -> Result<Vec<E::Model>, DbErr> {
    let mut models = Models::<E>::new();
    rows.iter().map(|row| models.read(row)).collect()
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
