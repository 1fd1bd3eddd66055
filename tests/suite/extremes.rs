//! Values at the ends of what the databases, their drivers and their functions take.

use std::time::Duration;

use entities::user::{
    self,
    Column::{CreatedAt, Username},
};
use sea_dao::{BaseDao, Error, Result, error::ErrorClass, query::Conditions};
use sea_orm::{
    ActiveValue::Set,
    DbBackend, Value,
    prelude::{
        ChronoDate, ChronoDateTime, ChronoDateTimeUtc, TimeDate, TimeDateTime, TimeDateTimeWithTimeZone, TimeTime,
    },
};
use sqlx::types::time::UtcOffset;

use crate::{
    notes,
    support::{TestDb, new_user},
};

for_each_backend!(
    dates_beyond_the_databases_own,
    a_row_with_a_date_beyond_is_named,
    offsets_with_seconds,
    a_nul_byte_matches_no_more_than_it_says,
    patterns_as_long_as_the_database_takes,
);

fn is_refused_value(error: &Error) -> bool {
    matches!(error.root(), Error::InvalidArgument { argument: "value", .. })
}

async fn dates_beyond_the_databases_own(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    users.insert(new_user("ada")).await.unwrap();
    let year = |year| ChronoDate::from_ymd_opt(year, 1, 3).unwrap();
    let eve = TimeDateTime::new(TimeDate::MAX, TimeTime::from_hms(23, 0, 0).unwrap());
    let values: [Value; 12] = [
        year(70_000).into(),
        year(10_000).into(),
        year(-5).into(),
        ChronoDateTime::MIN.into(),
        ChronoDateTime::MAX.into(),
        ChronoDateTimeUtc::MIN_UTC.into(),
        ChronoDateTimeUtc::MAX_UTC.into(),
        ChronoDateTimeUtc::MAX_UTC.fixed_offset().into(),
        TimeDate::MIN.into(),
        TimeDateTime::MIN.into(),
        TimeDateTime::MIN.assume_utc().into(),
        eve.assume_offset(UtcOffset::from_hms(-2, 0, 0).unwrap()).into(),
    ];
    for value in values {
        let tx = db.begin().await.unwrap();
        let asked = users.within(&tx).count().eq(CreatedAt, value.clone()).await;
        let refused = asked.as_ref().is_err_and(is_refused_value);
        if let Err(error) = &asked {
            assert!(refused || error.class() == Some(ErrorClass::Other), "{value:?}: {error:?}");
        }
        assert!(refused || db.backend() != DbBackend::MySql, "{value:?}: its driver does not take it");
        // What is not sent does not concern the transaction.
        let sent_and_failed = asked.is_err() && !refused;
        let aborts = sent_and_failed && db.capabilities().failure_aborts_transaction;
        assert_eq!(tx.commit().await.is_err(), aborts, "{value:?}");
    }
    assert_eq!(db.counters().invalidations, 0);
    assert_eq!(db.status().size, 1, "the connection is kept");
}

async fn a_row_with_a_date_beyond_is_named(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::new((*db).clone());
    let year = |number| ChronoDate::from_ymd_opt(if number == 5 { 70_000 } else { 2024 }, 1, 1).unwrap();
    let note = |number: i32| notes::ActiveModel {
        changed_at: Set(Some(year(number).and_hms_opt(0, 0, 0).unwrap())),
        ..notes::note(&number.to_string())
    };
    match notes.insert_many((0..8).map(note)).await {
        // Some databases have such years.
        Ok(inserted) => assert!(inserted == 8 && db.backend() != DbBackend::MySql),
        Err(error) => {
            assert!(is_refused_value(&error) && error.row() == Some(5), "{error:?}");
            assert_eq!(notes.count().await.unwrap(), 0);
        }
    }
    assert_eq!(db.counters().invalidations, 0);
}

/// SQLite's driver would leave such a value out, and bind the next one in its place.
async fn offsets_with_seconds(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::new((*db).clone());
    let offset = UtcOffset::from_hms(1, 2, 3).unwrap();
    let removed_at = (TimeDateTimeWithTimeZone::UNIX_EPOCH + Duration::from_secs(86_400)).to_offset(offset);
    let note = notes::ActiveModel { removed_at: Set(Some(removed_at)), ..notes::note("a") };
    match notes.insert(note).await {
        Ok(note) => assert_eq!((note.removed_at, note.body.as_str()), (Some(removed_at), "a")),
        Err(error) => assert!(is_refused_value(&error), "{error:?}"),
    }
}

async fn a_nul_byte_matches_no_more_than_it_says(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    users.insert_many(["ada", "bob", "cyd"].map(new_user)).await.unwrap();
    let none = |what: &str, text: &str, result: Result<u64>| match result {
        Ok(count) => assert_eq!(count, 0, "{what} {text:?}"),
        Err(error) => {
            let refused = matches!(error.root(), Error::InvalidArgument { argument: "pattern", .. });
            assert!(refused || db.capabilities().server, "{what} {text:?}: {error:?}");
            assert!(refused || error.class() == Some(ErrorClass::Other), "{what} {text:?}: {error:?}");
        }
    };
    for text in ["\0", "\0nobody", "a\0", "ada\0", "d\0x"] {
        none("contains", text, users.count().contains(Username, text).await);
        none("starts_with", text, users.count().starts_with(Username, text).await);
        none("ends_with", text, users.count().ends_with(Username, text).await);
        none("contains_ignore_case", text, users.count().contains_ignore_case(Username, text).await);
        none("starts_with_ignore_case", text, users.count().starts_with_ignore_case(Username, text).await);
        none("ends_with_ignore_case", text, users.count().ends_with_ignore_case(Username, text).await);
        none("eq_ignore_case", text, users.count().eq_ignore_case(Username, text).await);
        none("like", text, users.count().like(Username, format!("{text}%")).await);
        none("or_", text, users.count().or_(|or| or.contains(Username, text).eq(Username, "x")).await);
        none("delete_where", text, users.delete_where().contains(Username, text).exec().await);
    }
    assert_eq!(users.count().await.unwrap(), 3);
}

async fn patterns_as_long_as_the_database_takes(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    users.insert(new_user("ada")).await.unwrap();
    let text = |length: usize| "x".repeat(length);
    assert_eq!(users.count().contains(Username, text(49_998)).await.unwrap(), 0);
    assert_eq!(users.count().eq_ignore_case(Username, text(100_000)).await.unwrap(), 0);
    for longer in [text(49_999), text(100_000), "%".repeat(25_000)] {
        match users.count().contains(Username, longer).await {
            Ok(count) => assert!(count == 0 && db.capabilities().server),
            Err(error) => {
                assert!(matches!(error.root(), Error::InvalidArgument { argument: "pattern", .. }), "{error:?}");
            }
        }
    }
}
