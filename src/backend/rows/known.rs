//! What is known of the entities' models.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use foldhash::fast::FixedState;
use sea_orm::EntityTrait;

use super::shape::Shape;

/// `None` for a model that is more than its columns.
type Known = Option<Arc<dyn Any + Send + Sync>>;

static SHAPES: LazyLock<RwLock<HashMap<TypeId, Known, FixedState>>> = LazyLock::new(RwLock::default);

/// The shape of the entity's model, `Some(None)` when it has none; `None` when that is not known yet.
pub(super) fn shape<E: EntityTrait>() -> Option<Option<Arc<Shape<E>>>> {
    let shapes = SHAPES.read().unwrap_or_else(PoisonError::into_inner);
    let known = shapes.get(&TypeId::of::<E>())?;
    Some(known.as_ref().and_then(|shape| shape.clone().downcast().ok()))
}

/// Keeps what was found out last; once a model has proven to be more, that is final.
pub(super) fn keep<E: EntityTrait>(shape: Option<Shape<E>>) {
    let shape = shape.map(|shape| Arc::new(shape) as Arc<dyn Any + Send + Sync>);
    let mut shapes = SHAPES.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = shapes.entry(TypeId::of::<E>()).or_insert_with(|| shape.clone()) {
        match shape {
            Some(shape) => *known = shape,
            None => drop(shapes.insert(TypeId::of::<E>(), None)),
        }
    }
}
