//! The rows that a session knows.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
};

use sea_orm::{ColumnTrait, EntityTrait, ModelTrait, PrimaryKeyTrait, QueryFilter, Value, sea_query::IntoValueTuple};

use crate::{
    convention::{ConventionColumns, Conventions, is_null},
    error::{Error, Result},
    session::{
        Session,
        key::{self, Key},
    },
};

/// Rows by entity and primary key, as they were when they were last read or written.
#[derive(Default)]
pub(in crate::session) struct Known {
    rows: HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>,
    /// Goes up whenever everything is forgotten.
    age: u64,
}

impl Known {
    pub(in crate::session) fn clear(&mut self) {
        self.age += 1;
        self.rows.clear();
    }

    /// Forgets everything, unless the statement only reads.
    pub(in crate::session) fn before_statement(&mut self, sql: &str) {
        if !self.rows.is_empty() && !is_plain_read(sql) {
            self.clear();
        }
    }

    pub(super) fn remove<E: EntityTrait>(&mut self, key: &str) {
        self.rows.remove(&(TypeId::of::<E>(), key.to_owned()));
    }

    pub(super) fn put<E: EntityTrait>(&mut self, model: Arc<E::Model>)
    where
        E::Model: Sync,
    {
        self.rows.insert((TypeId::of::<E>(), key_of_model::<E>(&model)), model);
    }

    fn find<E: EntityTrait>(&self, key: &str) -> Option<Arc<E::Model>>
    where
        E::Model: Sync,
    {
        self.rows.get(&(TypeId::of::<E>(), key.to_owned()))?.clone().downcast().ok()
    }
}

pub(super) fn key_of_model<E: EntityTrait>(model: &E::Model) -> String {
    Key::<E>::of_model(model).identity()
}

/// Whether SQL only reads, and takes the rows as they are: what locks rows is meant to see them anew.
fn is_plain_read(sql: &str) -> bool {
    let start = sql.trim_start().as_bytes();
    let upper = |text: &str| text.to_ascii_uppercase();
    start.get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"SELECT"))
        // Another statement may follow.
        && !sql.trim_end().trim_end_matches(';').contains(';')
        && !sql.split_ascii_whitespace().any(|word| matches!(upper(word).as_str(), "FOR" | "INTO" | "LOCK"))
}

impl Session {
    /// The row with this primary key, unless it is deleted: the one that this session has read with `get` or flushed
    /// already, else read from the database.
    ///
    /// What it knows is as old as the last look: it is forgotten when a transaction or savepoint is rolled back, when a
    /// transaction begins or ends, and when the session runs a statement that writes or locks rows past the unit of work.
    /// Changes made by other sessions, by triggers, or by a function called in a SELECT are not noticed; a query reads
    /// anew.
    ///
    /// # Errors
    ///
    /// Those of a statement; the failure of a [`flush`](Self::flush) before it.
    ///
    /// # Cancel safety
    ///
    /// As for a query.
    pub async fn get<E>(
        &self,
        key: impl Into<<E::PrimaryKey as PrimaryKeyTrait>::ValueType>,
    ) -> Result<Option<E::Model>>
    where
        E: EntityTrait,
        E::Model: Sync,
    {
        if self.must_flush() {
            Box::pin(self.flush()).await?;
        }
        let columns = ConventionColumns::<E>::of(Conventions::default());
        let values: Vec<Value> = key.into().into_value_tuple().into_iter().collect();
        let text = key::identity(values.iter());
        let (known, age) = {
            let state = self.core.lock();
            state.check_turn(self.scope)?;
            if let Some(abort) = state.abort() {
                return Err(abort.to_error());
            }
            (state.known.find::<E>(&text), state.known.age)
        };
        if let Some(model) = known {
            let deleted = columns.deleted_at.map(|column| model.get(column));
            let is_there = deleted.is_none_or(|deleted| is_null(&deleted));
            return Ok(is_there.then(|| (*model).clone()));
        }
        let mut query = E::find();
        for (column, value) in key::columns::<E>().zip(values) {
            query = query.filter(column.eq(value));
        }
        if let Some(column) = columns.deleted_at {
            query = query.filter(column.is_null());
        }
        let found = query.one(self).await;
        let found = found.map_err(|error| Error::from(error).during("select", E::default().table_name()))?;
        if let Some(model) = &found {
            let mut state = self.core.lock();
            if state.known.age == age {
                state.known.put::<E>(Arc::new(model.clone()));
            }
        }
        Ok(found)
    }
}
