//! What is known of the entities' models, on each kind of database.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use foldhash::fast::FixedState;
use sea_orm::{DbBackend, EntityTrait};

use super::shape::Shape;

/// `None` for a model that is more than its columns.
type Known = Option<Arc<dyn Any + Send + Sync>>;

type Key = (TypeId, Discriminant<DbBackend>);

static SHAPES: LazyLock<RwLock<HashMap<Key, Known, FixedState>>> = LazyLock::new(RwLock::default);

fn key<E: EntityTrait>(database: DbBackend) -> Key {
    (TypeId::of::<E>(), discriminant(&database))
}

/// The shape of the entity's model, `Some(None)` when it has none; `None` when that is not known yet.
pub(super) fn shape<E: EntityTrait>(database: DbBackend) -> Option<Option<Arc<Shape<E>>>> {
    let shapes = SHAPES.read().unwrap_or_else(PoisonError::into_inner);
    let known = shapes.get(&key::<E>(database))?;
    Some(known.as_ref().and_then(|shape| shape.clone().downcast().ok()))
}

/// Keeps what was found out last; once a model has proven to be more, that is final.
pub(super) fn keep<E: EntityTrait>(database: DbBackend, shape: Option<Shape<E>>) {
    let shape = shape.map(|shape| Arc::new(shape) as Arc<dyn Any + Send + Sync>);
    let mut shapes = SHAPES.write().unwrap_or_else(PoisonError::into_inner);
    let known = shapes.entry(key::<E>(database)).or_insert_with(|| shape.clone());
    if known.is_some() {
        *known = shape;
    }
}
