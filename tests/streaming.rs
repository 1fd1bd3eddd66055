//! A million rows, one by one, in little memory: in a process of its own, so that nothing else's memory counts.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "the support of the suite's tests has more than this one uses"
)]

#[path = "suite/support/mod.rs"]
#[macro_use]
mod support;

use futures_util::{TryStreamExt, pin_mut};
use sea_dao::{BaseDao, query::Conditions};
use sea_orm::{ConnectionTrait, DbBackend, entity::prelude::*};

use support::{Place, TestDb};

/// A view of as many rows as one likes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "many")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i64,
    pub(crate) text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

const ROWS: i64 = 1_000_000;
const LIMIT: u64 = 64 * 1024 * 1024;

/// One after the other.
#[test]
fn a_million_rows_in_little_memory() {
    for place in [Place::SqliteFile, Place::Postgres, Place::MariaDb] {
        support::run(place, |db| streams(db, place));
    }
}

async fn streams(db: TestDb, place: Place) {
    let rows = match db.backend() {
        DbBackend::Postgres => "SELECT id, repeat('x', 100) AS text FROM generate_series(1, 1000000) AS id",
        DbBackend::MySql => "SELECT CAST(seq AS SIGNED) AS id, REPEAT('x', 100) AS text FROM seq_1_to_1000000",
        _ => {
            "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n LIMIT 1000000) \
             SELECT id, printf('%.*c', 100, 'x') AS text FROM n"
        }
    };
    let id = if db.backend() == DbBackend::Postgres { "CAST(id AS bigint) AS id" } else { "id" };
    let view = format!("CREATE VIEW many AS SELECT {id}, text FROM ({rows}) AS rows_of_many");
    db.execute_unprepared(&view).await.unwrap();
    let many = BaseDao::<Entity>::new((*db).clone());
    assert_eq!(many.query().limit(1_000).all().await.unwrap().len(), 1_000);

    let baseline = resident();
    let mut most = baseline;
    let (mut count, mut sum) = (0, 0);
    let rows = many.query().gt(Column::Id, 0).stream();
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await.unwrap() {
        count += 1;
        sum += row.id;
        assert_eq!(row.text.len(), 100);
        if count % 5_000 == 0 {
            most = most.max(resident());
        }
    }
    assert_eq!((count, sum), (ROWS, ROWS * (ROWS + 1) / 2));
    let grown = most - baseline;
    println!("{place:?}: {} KiB above {} KiB", grown / 1024, baseline / 1024);
    assert!(grown < LIMIT, "{place:?}: {grown} bytes");
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * PAGE
}
