//! A plain table, as measurements or events are kept in, for the bulk scenarios: the time goes into the rows and not into
//! indexes.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reading")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) sensor: i32,
    pub(crate) taken_at: DateTimeUtc,
    pub(crate) value: f64,
    pub(crate) note: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The table for PostgreSQL.
pub(crate) const CREATE: &str = "CREATE TABLE reading (id BIGSERIAL PRIMARY KEY, sensor INTEGER NOT NULL, \
     taken_at TIMESTAMPTZ NOT NULL, value DOUBLE PRECISION NOT NULL, note TEXT) WITH (autovacuum_enabled = off)";

/// So many rows, their keys left to the database.
pub(crate) fn readings(count: u32) -> Vec<ActiveModel> {
    let start = DateTimeUtc::UNIX_EPOCH;
    (0..count)
        .map(|number| ActiveModel {
            sensor: Set((number % 100) as i32),
            taken_at: Set(start + chrono::TimeDelta::seconds(number.into())),
            value: Set(f64::from(number) / 8.0),
            note: Set((number % 4 == 0).then(|| format!("reading {number}"))),
            ..Default::default()
        })
        .collect()
}
