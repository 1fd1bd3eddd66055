//! A table of the tests' own: an entity with callbacks, long texts, and times of three types under names of its own.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use sea_dao::Conventions;
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DbBackend,
    entity::prelude::*,
    sea_query::{ColumnDef, Table},
};

use crate::support::TestDb;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "note")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) body: String,
    /// Set by the entity.
    pub(crate) length: i32,
    /// Set by the entity.
    pub(crate) saved_by: String,
    pub(crate) made_at: Option<DateTimeUtc>,
    pub(crate) changed_at: Option<DateTime>,
    pub(crate) removed_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

/// A note with this text is refused by the entity.
pub(crate) const REFUSED: &str = "refused";

#[async_trait::async_trait]
impl ActiveModelBehavior for ActiveModel {
    async fn before_save<C: ConnectionTrait>(mut self, _connection: &C, insert: bool) -> Result<Self, DbErr> {
        if let Some(body) = self.body.try_as_ref() {
            if body == REFUSED {
                return Err(DbErr::Custom("a refused note".to_owned()));
            }
            *SAVES.lock().expect("not poisoned").entry(body.clone()).or_default() += 1;
            self.length = Set(i32::try_from(body.chars().count()).unwrap_or(i32::MAX));
        }
        self.saved_by = Set(if insert { "insert" } else { "update" }.to_owned());
        Ok(self)
    }

    async fn before_delete<C: ConnectionTrait>(self, _connection: &C) -> Result<Self, DbErr> {
        match self.body.try_as_ref() {
            Some(body) if body == "kept" => Err(DbErr::Custom("a note that is kept".to_owned())),
            _ => Ok(self),
        }
    }
}

/// The names of the columns that the conventions call otherwise.
pub(crate) const NAMES: Conventions = Conventions {
    deleted_at: Some("removed_at"),
    created_at: Some("made_at"),
    updated_at: Some("changed_at"),
    ..Conventions::NONE
};

/// How often `before_save` ran for each text.
static SAVES: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

/// How often `before_save` ran for this text, in the whole process.
pub(crate) fn saves(body: &str) -> usize {
    SAVES.lock().expect("not poisoned").get(body).copied().unwrap_or_default()
}

pub(crate) fn note(body: &str) -> ActiveModel {
    ActiveModel { body: Set(body.to_owned()), ..Default::default() }
}

pub(crate) async fn create(db: &TestDb) {
    let long_text = if db.backend() == DbBackend::MySql { "longtext" } else { "text" };
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::Id).big_integer().not_null().auto_increment().primary_key())
        .col(ColumnDef::new(Column::Body).custom(long_text).not_null())
        .col(ColumnDef::new(Column::Length).integer().not_null())
        .col(ColumnDef::new(Column::SavedBy).string_len(16).not_null())
        .col(ColumnDef::new(Column::MadeAt).timestamp_with_time_zone().null())
        .col(ColumnDef::new(Column::ChangedAt).date_time().null())
        .col(ColumnDef::new(Column::RemovedAt).timestamp_with_time_zone().null())
        .to_owned();
    db.execute(&table).await.expect("the table of notes");
    db.recorder().forget();
}
