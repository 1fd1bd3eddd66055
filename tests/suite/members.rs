//! A table of the tests' own in which a deleted row does not hold its phone, as `docs/conventions.md` shows it.

use migration::{SchemaManager, unique_unless_deleted};
use sea_dao::BaseDao;
use sea_orm::{
    ActiveValue::Set,
    entity::prelude::*,
    sea_query::{ColumnDef, Index, Table},
};

use crate::support::TestDb;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "member")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// Unique among those who are not deleted.
    pub(crate) phone: String,
    /// Unique among all.
    pub(crate) badge: Option<i32>,
    pub(crate) name: String,
    pub(crate) deleted_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(crate) fn member(phone: &str, name: &str) -> ActiveModel {
    ActiveModel { phone: Set(phone.to_owned()), name: Set(name.to_owned()), ..Default::default() }
}

pub(crate) async fn members(db: &TestDb) -> BaseDao<Entity> {
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::Id).big_integer().not_null().auto_increment().primary_key())
        .col(ColumnDef::new(Column::Phone).string_len(32).not_null())
        .col(ColumnDef::new(Column::Badge).integer().null())
        .col(ColumnDef::new(Column::Name).string_len(32).not_null())
        .col(ColumnDef::new(Column::DeletedAt).timestamp_with_time_zone().null())
        .to_owned();
    // All from outside: a connection of SQLite's that has met the table may not have heard of an index on it since.
    let outside = db.outside();
    outside.execute(&table).await.expect("the table of members");
    let badge = Index::create().name("uq_member_badge").table(Entity).col(Column::Badge).unique().to_owned();
    outside.execute(&badge).await.expect("the index on badges");
    unique_unless_deleted(&SchemaManager::new(outside), "member", "phone").await.expect("the index on phones");
    db.recorder().forget();
    BaseDao::new((**db).clone())
}
