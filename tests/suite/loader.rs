//! Lookups of several tasks in one query.

use std::pin::pin;

use entities::{country, tag, user, user_tag};
use futures_util::future::{join, join_all};
use sea_dao::{BaseDao, Database, Error, error::ErrorClass};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, prelude::*};

use crate::support::{PATIENCE, TestDb, eventually, new_user, poll_times};

for_each_backend!(
    lookups_at_the_same_moment_are_one_query,
    a_key_is_sent_once,
    what_is_missing_or_deleted_is_none,
    lookups_of_different_tasks,
    more_keys_than_one_query_takes,
    an_error_reaches_everybody,
    who_gives_up_harms_nobody,
    what_nobody_waits_for_is_not_sent,
    the_task_ends_with_the_loader,
    nothing_is_kept,
    keys_of_two_columns,
    texts_are_compared_by_the_database,
    numbers_and_times_are_compared_by_the_database,
    a_panic_leaves_nobody_waiting,
    a_loader_in_a_transaction_is_refused,
);

/// Keys that can be written in more than one way.
mod rate {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "rate")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) price: Decimal,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) since: DateTimeWithTimeZone,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A table with a row that cannot be read.
mod wild {
    use sea_orm::{ColIdx, QueryResult, TryGetError, TryGetable, entity::prelude::*, sea_query};

    pub(super) const PANICS: usize = 7;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wild")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: i64,
        #[sea_orm(column_type = "BigInteger")]
        pub(super) mood: Mood,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    #[derive(Clone, Debug, PartialEq)]
    pub(super) struct Mood(i64);

    impl TryGetable for Mood {
        fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
            let mood = i64::try_get_by(row, index)?;
            assert_ne!(mood, PANICS as i64, "a mood that panics, as this test wants it");
            Ok(Self(mood))
        }
    }

    impl From<Mood> for Value {
        fn from(mood: Mood) -> Self {
            mood.0.into()
        }
    }

    impl sea_query::Nullable for Mood {
        fn null() -> Value {
            i64::null()
        }
    }

    impl sea_query::ValueType for Mood {
        fn try_from(value: Value) -> Result<Self, sea_query::ValueTypeErr> {
            <i64 as sea_query::ValueType>::try_from(value).map(Self)
        }

        fn type_name() -> String {
            "Mood".to_owned()
        }

        fn array_type() -> sea_query::ArrayType {
            i64::array_type()
        }

        fn column_type() -> sea_query::ColumnType {
            i64::column_type()
        }
    }
}

/// A database of one connection, so that a lookup waits while the test holds it.
async fn narrow(db: &TestDb) -> Database {
    db.open(|config| config.pool_size(1)).await
}

async fn filled(db: &TestDb, count: usize) -> Vec<user::Model> {
    let users = BaseDao::<user::Entity>::new((**db).clone());
    users.insert_many_returning((0..count).map(|n| new_user(&format!("user {n}")))).await.unwrap()
}

/// How many rows the queries gave that were sent since the last call, each by itself.
fn queries(recorder: &crate::support::Recorder) -> Vec<u64> {
    recorder.take().into_iter().filter(|seen| seen.sql.starts_with("SELECT")).filter_map(|seen| seen.rows).collect()
}

async fn lookups_at_the_same_moment_are_one_query(db: TestDb) {
    let rows = filled(&db, 64).await;
    let recorder = crate::support::Recorder::default();
    let one = db.open(|config| config.pool_size(1).hook(recorder.clone())).await;
    let loader = BaseDao::<user::Entity>::new(one.clone()).loader();
    let held = one.begin().await.unwrap();
    let mut lookups = pin!(join_all(rows.iter().map(|row| loader.load(row.id))));
    assert!(poll_times(lookups.as_mut(), 1).await.is_none());
    recorder.forget();
    held.rollback().await.unwrap();
    let found: Vec<user::Model> = lookups.await.into_iter().map(|found| found.unwrap().unwrap()).collect();
    assert_eq!(found, rows, "each gets its own");
    let sent = queries(&recorder);
    // The task may have begun before the last of them had asked.
    assert!(sent.len() <= 2 && sent.iter().sum::<u64>() == 64, "{sent:?}");
}

async fn a_key_is_sent_once(db: TestDb) {
    let rows = filled(&db, 2).await;
    let recorder = crate::support::Recorder::default();
    let one = db.open(|config| config.pool_size(1).hook(recorder.clone())).await;
    let loader = BaseDao::<user::Entity>::new(one.clone()).loader();
    let held = one.begin().await.unwrap();
    let first = loader.load(rows[0].id);
    let mut first = pin!(first);
    assert!(poll_times(first.as_mut(), 1).await.is_none());
    // The first key is under way, or waits with the others.
    eventually("the first lookup waits for the connection", async || one.status().waiting == 1).await;
    let mut others = pin!(join_all((0..10).map(|_| loader.clone()).map(async |loader| loader.load(rows[1].id).await)));
    assert!(poll_times(others.as_mut(), 1).await.is_none());
    recorder.forget();
    held.rollback().await.unwrap();
    let (first, others) = join(first, others).await;
    assert_eq!(first.unwrap().as_ref(), Some(&rows[0]));
    assert!(others.into_iter().all(|found| found.unwrap().as_ref() == Some(&rows[1])));
    assert_eq!(queries(&recorder), [1, 1]);
}

async fn what_is_missing_or_deleted_is_none(db: TestDb) {
    let rows = filled(&db, 3).await;
    let users = BaseDao::<user::Entity>::new((*db).clone());
    users.delete(&rows[1]).await.unwrap();
    let loader = users.loader();
    let found = join_all([rows[0].id, rows[1].id, -1, rows[2].id].map(|id| loader.load(id))).await;
    let found: Vec<_> = found.into_iter().map(|found| found.unwrap()).collect();
    assert_eq!(found, [Some(rows[0].clone()), None, None, Some(rows[2].clone())]);
}

async fn lookups_of_different_tasks(db: TestDb) {
    let rows = filled(&db, 50).await;
    let loader = BaseDao::<user::Entity>::new((*db).clone()).loader();
    let tasks = (0..16).map(|task: usize| {
        let (loader, rows) = (loader.clone(), rows.clone());
        tokio::spawn(async move {
            for step in 0..40 {
                let row = &rows[(task * 7 + step * 3) % rows.len()];
                assert_eq!(loader.load(row.id).await.unwrap().as_ref(), Some(row));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

async fn more_keys_than_one_query_takes(db: TestDb) {
    let rows = filled(&db, 2_500).await;
    let loader = BaseDao::<user::Entity>::new((*db).clone()).loader();
    let found = join_all(rows.iter().map(|row| loader.load(row.id))).await;
    assert!(found.into_iter().zip(&rows).all(|(found, row)| found.unwrap().as_ref() == Some(row)));
}

async fn an_error_reaches_everybody(db: TestDb) {
    crate::notes::create(&db).await;
    db.execute_unprepared("DROP TABLE note").await.unwrap();
    let loader = BaseDao::<crate::notes::Entity>::new((*db).clone()).loader();
    for failed in join_all((0..20).map(|id| loader.load(id))).await {
        let error = failed.unwrap_err();
        assert_eq!(error.class(), Some(ErrorClass::Other), "{error:?}");
        assert!(matches!(error, Error::Operation { operation: "select", entity: "note", .. }), "{error:?}");
    }
    crate::notes::create(&db).await;
    assert_eq!(loader.load(1).await.unwrap(), None, "the loader goes on");
}

async fn who_gives_up_harms_nobody(db: TestDb) {
    let rows = filled(&db, 20).await;
    let one = narrow(&db).await;
    let loader = BaseDao::<user::Entity>::new(one.clone()).loader();
    let held = one.begin().await.unwrap();
    let mut waits = Vec::new();
    for row in &rows {
        let mut lookup = Box::pin(loader.load(row.id));
        assert!(poll_times(lookup.as_mut(), 1).await.is_none());
        waits.push(lookup);
    }
    let mut index = 0;
    waits.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    held.rollback().await.unwrap();
    let found = join_all(waits).await;
    assert_eq!(found.len(), 10);
    let kept = rows.iter().skip(1).step_by(2);
    assert!(found.into_iter().zip(kept).all(|(found, row)| found.unwrap().as_ref() == Some(row)));
}

async fn what_nobody_waits_for_is_not_sent(db: TestDb) {
    let rows = filled(&db, 3).await;
    let recorder = crate::support::Recorder::default();
    let one = db.open(|config| config.pool_size(1).hook(recorder.clone())).await;
    let loader = BaseDao::<user::Entity>::new(one.clone()).loader();
    let held = one.begin().await.unwrap();
    let mut first = Box::pin(loader.load(rows[0].id));
    assert!(poll_times(first.as_mut(), 1).await.is_none());
    eventually("the first lookup waits for the connection", async || one.status().waiting == 1).await;
    let mut second = Box::pin(loader.load(rows[1].id));
    assert!(poll_times(second.as_mut(), 1).await.is_none());
    drop(second);
    recorder.forget();
    held.rollback().await.unwrap();
    assert!(first.await.unwrap().is_some());
    assert_eq!(loader.load(rows[2].id).await.unwrap().as_ref(), Some(&rows[2]));
    assert_eq!(queries(&recorder), [1, 1], "the one in between is nobody's");
}

async fn the_task_ends_with_the_loader(db: TestDb) {
    let rows = filled(&db, 1).await;
    let recorder = crate::support::Recorder::default();
    let one = db.open(|config| config.pool_size(1).hook(recorder.clone())).await;
    let loader = BaseDao::<user::Entity>::new(one.clone()).loader();
    let held = one.begin().await.unwrap();
    let mut lookup = Box::pin(loader.load(rows[0].id));
    assert!(poll_times(lookup.as_mut(), 1).await.is_none());
    eventually("the lookup waits for the connection", async || one.status().waiting == 1).await;
    drop(lookup);
    drop(loader);
    eventually("nothing waits any more", async || one.status().waiting == 0).await;
    recorder.forget();
    held.rollback().await.unwrap();
    one.close().await;
    assert_eq!(queries(&recorder), [0_u64; 0]);
}

async fn nothing_is_kept(db: TestDb) {
    let rows = filled(&db, 1).await;
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let loader = users.loader();
    assert_eq!(loader.load(rows[0].id).await.unwrap().unwrap().status, 1);
    users.update(user::ActiveModel { id: Set(rows[0].id), status: Set(4), ..Default::default() }).await.unwrap();
    assert_eq!(loader.load(rows[0].id).await.unwrap().unwrap().status, 4);
    users.delete(&rows[0]).await.unwrap();
    assert_eq!(loader.load(rows[0].id).await.unwrap(), None);
}

async fn keys_of_two_columns(db: TestDb) {
    let people = filled(&db, 3).await;
    let tags: Vec<tag::Model> = (0..3).map(|n| tag::Model { id: Uuid::from_u128(n), name: n.to_string() }).collect();
    BaseDao::<tag::Entity>::new((*db).clone()).insert_many(tags.clone()).await.unwrap();
    let links = BaseDao::<user_tag::Entity>::new((*db).clone());
    let link =
        |n: usize| user_tag::ActiveModel { user_id: Set(people[n].id), tag_id: Set(tags[n].id), ..Default::default() };
    let rows = links.insert_many_returning((0..3).map(link).collect::<Vec<_>>()).await.unwrap();
    let loader = links.loader();
    let keys = [(people[0].id, tags[0].id), (people[1].id, tags[2].id), (people[2].id, tags[2].id)];
    let found: Vec<_> = join_all(keys.map(|key| loader.load(key))).await.into_iter().map(|row| row.unwrap()).collect();
    assert_eq!(found, [Some(rows[0].clone()), None, Some(rows[2].clone())]);
}

async fn texts_are_compared_by_the_database(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let country = |code: &str| country::ActiveModel { code: Set(code.to_owned()), name: Set(code.to_owned()) };
    countries.insert_many(["DE", "NO"].map(country)).await.unwrap();
    let loader = countries.loader();
    let codes = ["DE", "de", "NO", "no", "SE"];
    let found = join_all(codes.map(|code| loader.load(code))).await;
    for (code, found) in codes.into_iter().zip(found) {
        assert_eq!(found.unwrap(), countries.find_by_id(code).await.unwrap(), "{code}");
    }
}

async fn numbers_and_times_are_compared_by_the_database(db: TestDb) {
    let instant = match db.backend() {
        DbBackend::Postgres => "TIMESTAMPTZ",
        DbBackend::MySql => "DATETIME(6)",
        _ => "timestamp_with_timezone_text",
    };
    let sql = format!("CREATE TABLE rate (price DECIMAL(10, 2), since {instant}, PRIMARY KEY (price, since))");
    db.execute_unprepared(&sql).await.unwrap();
    let rates = BaseDao::<rate::Entity>::new((*db).clone());
    let at = |text: &str| text.parse::<DateTimeWithTimeZone>().unwrap();
    let since = at("2024-05-01T10:00:00+00:00");
    rates.insert(rate::ActiveModel { price: Set(Decimal::new(150, 2)), since: Set(since) }).await.unwrap();
    let loader = rates.loader();
    let times = [since, at("2024-05-01T12:00:00+02:00"), at("2024-05-01T10:00:01+00:00")];
    let keys = [15, 150, 1_500, 16]
        .into_iter()
        .zip([1, 2, 3, 1])
        .flat_map(|(digits, scale)| times.map(|since| (Decimal::new(digits, scale), since)));
    let keys: Vec<_> = keys.collect();
    let found = join_all(keys.iter().map(|key| loader.load(*key))).await;
    assert!(found.iter().filter(|found| matches!(found, Ok(Some(_)))).count() >= 3);
    for (key, found) in keys.into_iter().zip(found) {
        assert_eq!(found.unwrap(), rates.find_by_id(key).await.unwrap(), "{key:?}");
    }
}

async fn a_panic_leaves_nobody_waiting(db: TestDb) {
    db.execute_unprepared("CREATE TABLE wild (id BIGINT PRIMARY KEY, mood BIGINT NOT NULL)").await.unwrap();
    for part in 0..25 {
        let rows: Vec<String> = (part * 100..(part + 1) * 100).map(|id| format!("({id}, {id})")).collect();
        db.execute_unprepared(&format!("INSERT INTO wild VALUES {}", rows.join(", "))).await.unwrap();
    }
    let loader = BaseDao::<wild::Entity>::new((*db).clone()).loader();
    let lookups = join_all((0..2_500).map(|id| loader.load(id)));
    let found = tokio::time::timeout(PATIENCE, lookups).await.expect("nobody waits for ever");
    assert!(found[wild::PANICS].is_err());
    let answered = found.iter().filter(|found| matches!(found, Ok(Some(_)))).count();
    assert!(answered >= 1_500, "{answered} of those that were not asked for together with it");
    assert!(loader.load(2_499).await.unwrap().is_some(), "the loader goes on");
}

async fn a_loader_in_a_transaction_is_refused(db: TestDb) {
    let tx = db.begin().await.unwrap();
    let loader = BaseDao::<user::Entity>::new((*db).clone()).within(&tx).loader();
    let refused = loader.load(1).await;
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    tx.rollback().await.unwrap();
}
