//! Keys that are times, and differ by less than a database may keep.

use std::time::Duration;

use futures_util::future::join;
use sea_dao::BaseDao;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ConnectionTrait, DbBackend,
    prelude::DateTimeUtc,
};

use crate::support::TestDb;

for_each_backend!(
    each_row_is_found_by_its_own_key,
    each_row_is_written_by_its_own_key,
    a_session_tells_them_apart,
    what_the_database_does_not_keep_is_no_other_row,
);

mod tick {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tick")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) at: DateTimeUtc,
        pub(super) value: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

type Ticks = BaseDao<tick::Entity>;

/// Two rows as close to each other as the database tells apart.
async fn ticks(db: &TestDb) -> (Ticks, [DateTimeUtc; 2]) {
    let (kind, nanoseconds) = match db.backend() {
        DbBackend::Postgres => ("timestamptz(6)", 1_000),
        DbBackend::MySql => ("datetime(6)", 1_000),
        _ => ("timestamp_with_timezone_text", 100),
    };
    let table = format!("CREATE TABLE tick (at {kind} PRIMARY KEY, value integer NOT NULL)");
    db.execute_unprepared(&table).await.unwrap();
    let first: DateTimeUtc = "2024-05-01T10:00:00.123456100Z".parse().unwrap();
    let keys = [first, first + Duration::from_nanos(nanoseconds)];
    let ticks = Ticks::new((**db).clone());
    for (at, value) in keys.into_iter().zip([1, 2]) {
        ticks.insert(tick::ActiveModel { at: Set(at), value: Set(value) }).await.unwrap();
    }
    (ticks, keys)
}

fn values(rows: impl IntoIterator<Item = Option<tick::Model>>) -> Vec<Option<i32>> {
    rows.into_iter().map(|row| row.map(|row| row.value)).collect()
}

async fn each_row_is_found_by_its_own_key(db: TestDb) {
    let (ticks, [first, second]) = ticks(&db).await;
    let found = ticks.find_by_ids_in_order([second, first]).await.unwrap();
    assert_eq!(values(found), [Some(2), Some(1)]);
    assert_eq!(ticks.find_by_ids([first, second]).await.unwrap().len(), 2);
    let loader = ticks.loader();
    let (one, other) = join(loader.load(first), loader.load(second)).await;
    assert_eq!(values([one.unwrap(), other.unwrap()]), [Some(1), Some(2)]);
}

async fn each_row_is_written_by_its_own_key(db: TestDb) {
    let (ticks, keys) = ticks(&db).await;
    let set = |at, value| tick::ActiveModel { at: Unchanged(at), value: Set(value) };
    assert_eq!(ticks.update_many([set(keys[0], 3), set(keys[1], 4)]).await.unwrap(), 2);
    assert_eq!(values(ticks.find_by_ids_in_order(keys).await.unwrap()), [Some(3), Some(4)]);
    assert_eq!(ticks.delete_many(keys).await.unwrap(), 2);
    assert_eq!(ticks.count().await.unwrap(), 0);
}

async fn a_session_tells_them_apart(db: TestDb) {
    let (ticks, keys) = ticks(&db).await;
    let session = db.session();
    let mut rows = Vec::new();
    for key in keys {
        rows.push(session.get::<tick::Entity>(key).await.unwrap());
    }
    assert_eq!(values(rows.clone()), [Some(1), Some(2)]);
    let mut edits = Vec::new();
    for row in rows.iter().flatten() {
        let edit = session.edit(row.clone());
        edit.change(|ticked| ticked.value = Set(row.value + 10)).unwrap();
        edits.push(edit);
    }
    session.flush().await.unwrap();
    assert_eq!(values(ticks.find_by_ids_in_order(keys).await.unwrap()), [Some(11), Some(12)]);
    for row in ticks.query().all().await.unwrap() {
        session.delete(&row);
    }
    session.flush().await.unwrap();
    assert_eq!(ticks.count().await.unwrap(), 0);
}

async fn what_the_database_does_not_keep_is_no_other_row(db: TestDb) {
    let (ticks, [first, _]) = ticks(&db).await;
    let close = first + Duration::from_nanos(10);
    let there = ticks.exists(close).await.unwrap();
    assert_eq!(there, db.backend() != DbBackend::Sqlite, "the others end at the microseconds");
    let value = there.then_some(1);
    assert_eq!(values(ticks.find_by_ids_in_order([close, first]).await.unwrap()), [value, Some(1)]);
    assert_eq!(values([ticks.loader().load(close).await.unwrap()]), [value]);
    let updated = ticks.update_many([tick::ActiveModel { at: Unchanged(close), value: Set(5) }]).await;
    assert_eq!(updated.is_ok(), there, "{updated:?}");
}
