//! The tables that are written, with columns that are NULL, have defaults, or are computed.

use sea_dao::{BaseDao, Result};
use sea_orm::{
    ActiveValue::{self, NotSet, Set},
    ConnectionTrait, DbBackend,
};

use super::plain::{Given, Plain, Row};
use crate::support::TestDb;

/// What an upsert changes of a row that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    AllGiven,
    Small,
    Nothing,
}

/// What the DAO of each table does; rows are told by plain numbers.
pub(super) trait Table {
    async fn insert_many(&self, rows: &[(usize, Given)]) -> Result<u64>;
    async fn insert_many_returning(&self, rows: &[(usize, Given)]) -> Result<Vec<Row>>;
    async fn update_many(&self, rows: &[(usize, Given)], plain: &Plain) -> Result<u64>;
    async fn upsert_many(&self, rows: &[(usize, Given)], change: Change) -> Result<u64>;
    async fn upsert_many_returning(&self, rows: &[(usize, Given)], change: Change) -> Result<Vec<Row>>;
    async fn delete_many(&self, keys: &[usize], plain: &Plain) -> Result<u64>;
    async fn all(&self) -> Result<Vec<Row>>;
}

macro_rules! table {
    ($table:ident, $($target:ident),+) => {
        impl Table for BaseDao<$table::Entity> {
            async fn insert_many(&self, rows: &[(usize, Given)]) -> Result<u64> {
                self.insert_many(rows.iter().map(|(key, given)| $table::model(*key, None, given))).await
            }

            async fn insert_many_returning(&self, rows: &[(usize, Given)]) -> Result<Vec<Row>> {
                let rows = rows.iter().map(|(key, given)| $table::model(*key, None, given));
                Ok(self.insert_many_returning(rows).await?.into_iter().map($table::row).collect())
            }

            async fn update_many(&self, rows: &[(usize, Given)], plain: &Plain) -> Result<u64> {
                // One that is not there has no key.
                let id = |key| Some(plain.id(key).unwrap_or(i64::MAX));
                self.update_many(rows.iter().map(|(key, given)| $table::model(*key, id(*key), given))).await
            }

            async fn upsert_many(&self, rows: &[(usize, Given)], change: Change) -> Result<u64> {
                let rows = rows.iter().map(|(key, given)| $table::model(*key, None, given));
                let upsert = self.upsert_many(rows).on([$($table::Column::$target),+]);
                match change {
                    Change::AllGiven => upsert.await,
                    Change::Small => upsert.update([$table::Column::Small]).await,
                    Change::Nothing => upsert.do_nothing().await,
                }
            }

            async fn upsert_many_returning(&self, rows: &[(usize, Given)], change: Change) -> Result<Vec<Row>> {
                let rows = rows.iter().map(|(key, given)| $table::model(*key, None, given));
                let upsert = self.upsert_many_returning(rows).on([$($table::Column::$target),+]);
                let written = match change {
                    Change::AllGiven => upsert.await?,
                    Change::Small => upsert.update([$table::Column::Small]).await?,
                    Change::Nothing => upsert.do_nothing().await?,
                };
                Ok(written.into_iter().map($table::row).collect())
            }

            async fn delete_many(&self, keys: &[usize], plain: &Plain) -> Result<u64> {
                self.delete_many(keys.iter().map(|key| $table::key(*key, plain))).await
            }

            async fn all(&self) -> Result<Vec<Row>> {
                Ok(self.query().all().await?.into_iter().map($table::row).collect())
            }
        }
    };
}

table!(piece, Code);
table!(cell, Part, Place);

fn value<T: Into<sea_orm::Value>>(given: Option<T>) -> ActiveValue<T> {
    given.map_or(NotSet, Set)
}

async fn create(db: &TestDb, table: &str, key: &str, constraint: &str) {
    let columns = "small INTEGER DEFAULT 7 NOT NULL, maybe BIGINT DEFAULT -5, word VARCHAR(40)";
    let sql = format!("CREATE TABLE {table} ({key}, {columns}{constraint})");
    db.outside().execute_unprepared(&sql).await.expect("the table");
}

/// A key that the database makes, and a unique column beside it.
pub(super) mod piece {
    use sea_orm::entity::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "piece")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        #[sea_orm(unique)]
        pub(crate) code: i32,
        pub(crate) twice: i32,
        pub(crate) small: i32,
        pub(crate) maybe: Option<i64>,
        pub(crate) word: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    pub(in super::super) async fn create(db: &TestDb) {
        let id = match db.backend() {
            DbBackend::Postgres => "BIGSERIAL",
            DbBackend::MySql => "BIGINT AUTO_INCREMENT",
            _ => "INTEGER",
        };
        let key = format!(
            "id {id} PRIMARY KEY, code INTEGER NOT NULL UNIQUE, twice INTEGER GENERATED ALWAYS AS (code * 2) STORED"
        );
        super::create(db, "piece", &key, "").await;
    }

    pub(super) fn model(key: usize, id: Option<i64>, given: &Given) -> ActiveModel {
        let Given { small, maybe, word } = given.clone();
        // The code of a row that is there stays as it is.
        let code = if id.is_some() { NotSet } else { Set(key as i32) };
        ActiveModel { id: value(id), code, twice: NotSet, small: value(small), maybe: value(maybe), word: value(word) }
    }

    pub(super) fn key(key: usize, plain: &Plain) -> i64 {
        plain.id(key).expect("a row")
    }

    pub(super) fn row(model: Model) -> Row {
        let Model { id, code, twice, small, maybe, word } = model;
        Row { id, key: code as usize, twice: twice as usize, small, maybe, word }
    }
}

/// A key of two columns, which the caller gives.
pub(super) mod cell {
    use sea_orm::entity::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "cell")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) part: i16,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) place: i64,
        pub(crate) twice: i64,
        pub(crate) small: i32,
        pub(crate) maybe: Option<i64>,
        pub(crate) word: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    const PARTS: usize = 3;

    pub(in super::super) async fn create(db: &TestDb) {
        let twice = format!("twice BIGINT GENERATED ALWAYS AS (2 * ({PARTS} * place + part)) STORED");
        let key = format!("part SMALLINT NOT NULL, place BIGINT NOT NULL, {twice}");
        super::create(db, "cell", &key, ", PRIMARY KEY (part, place)").await;
    }

    pub(super) fn model(number: usize, _: Option<i64>, given: &Given) -> ActiveModel {
        let (part, place) = split(number);
        let Given { small, maybe, word } = given.clone();
        ActiveModel {
            part: Set(part),
            place: Set(place),
            twice: NotSet,
            small: value(small),
            maybe: value(maybe),
            word: value(word),
        }
    }

    fn split(number: usize) -> (i16, i64) {
        ((number % PARTS) as i16, (number / PARTS) as i64)
    }

    pub(super) fn key(number: usize, _: &Plain) -> (i16, i64) {
        split(number)
    }

    pub(super) fn row(model: Model) -> Row {
        let Model { part, place, twice, small, maybe, word } = model;
        Row { id: 0, key: place as usize * PARTS + part as usize, twice: twice as usize, small, maybe, word }
    }
}
