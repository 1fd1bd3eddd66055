//! Texts and numbers that somebody may have chosen to do harm.

use entities::{country, tag, user};
use sea_dao::{BaseDao, Error, Result, Session, error::ErrorClass, query::Conditions};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbBackend, ExprTrait, Statement, Value, prelude::Uuid, sea_query::Expr,
};
use serde_json::json;

use crate::{
    notes,
    support::{TestDb, count_users, new_user},
};

for_each_backend!(
    texts_come_back_as_they_were,
    texts_as_keys,
    texts_in_json,
    texts_in_lists_and_updates,
    patterns_match_only_what_they_say,
    a_backslash_at_the_end_of_a_pattern,
    a_text_of_a_megabyte,
    nul_bytes_in_values,
    nul_bytes_in_sql,
    another_number_of_values_than_the_sql_takes,
    numbers_beyond_the_databases_own,
    a_list_beyond_the_bind_limit,
    a_long_list_is_not_gone_through_for_each_row,
);

const HOSTILE: [&str; 16] = [
    r#"'; DROP TABLE "user"; --"#,
    "'; DROP TABLE `note`; #",
    "' OR '1'='1",
    "'",
    "''",
    "\"",
    "`",
    r"\",
    r"\\",
    r"\'; DELETE FROM note; --",
    r"100%_!\",
    "? $1 :name @x {} {{0}}",
    "/* */ -- # \r\n\t",
    "😀 Привет 你好 عربى e\u{301} \u{202e}",
    "\u{1}\u{7f}\u{feff}\u{fffd}",
    " leading and trailing ",
];

type Notes = BaseDao<notes::Entity>;

async fn notes(db: &TestDb) -> Notes {
    notes::create(db).await;
    Notes::with_conventions((**db).clone(), notes::NAMES)
}

/// The tables are there, and the pool works.
async fn is_unharmed(db: &TestDb) {
    let users = BaseDao::<user::Entity>::new((**db).clone());
    let name = format!("check {}", count_users(db.outside()).await);
    let user = users.insert(new_user(&name)).await.expect("an insert");
    assert!(users.exists(user.id).await.expect("a query"));
    assert_eq!(db.status().checked_out, 0);
}

async fn texts_come_back_as_they_were(db: TestDb) {
    let notes = notes(&db).await;
    for text in HOSTILE {
        let note = notes.insert(notes::note(text)).await.unwrap();
        assert_eq!(note.body, text);
        assert_eq!(notes.find_by_id(note.id).await.unwrap().as_ref(), Some(&note));
        let bodies = |found: Vec<notes::Model>| found.into_iter().any(|found| found == note);
        assert!(bodies(notes.query().eq(notes::Column::Body, text).all().await.unwrap()), "eq {text:?}");
        assert!(bodies(notes.query().in_(notes::Column::Body, [text, "x"]).all().await.unwrap()), "in_ {text:?}");
        assert!(bodies(notes.query().between(notes::Column::Body, text, text).all().await.unwrap()), "{text:?}");
        assert!(bodies(notes.query().contains(notes::Column::Body, text).all().await.unwrap()), "contains {text:?}");
        assert!(bodies(notes.query().starts_with(notes::Column::Body, text).all().await.unwrap()), "{text:?}");
        assert!(bodies(notes.query().ends_with(notes::Column::Body, text).all().await.unwrap()), "{text:?}");
        assert!(
            notes.query().ne(notes::Column::Body, text).eq(notes::Column::Id, note.id).first().await.unwrap().is_none()
        );
    }
    assert_eq!(notes.count().await.unwrap(), HOSTILE.len() as u64);
    is_unharmed(&db).await;
}

async fn texts_as_keys(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    for text in HOSTILE {
        assert_eq!(countries.find_by_id(text).await.unwrap(), None, "{text:?}");
        assert_eq!(countries.find_by_ids([text, "--"]).await.unwrap(), [], "{text:?}");
        assert!(!countries.exists(text).await.unwrap());
        assert!(!countries.delete_by_id(text).await.unwrap());
        let row = country::Model { code: text.to_owned(), name: text.to_owned() };
        let changed = country::ActiveModel { code: Set(text.to_owned()), name: Set("x".to_owned()) };
        let missing = countries.update(changed).await.unwrap_err();
        assert!(missing.is_not_found(), "{text:?}: {missing:?}");
        match countries.insert(row.clone()).await {
            Ok(inserted) => {
                assert_eq!(inserted, row);
                assert_eq!(countries.find_by_id(text).await.unwrap().as_ref(), Some(&row), "{text:?}");
                assert!(countries.delete_by_id(text).await.unwrap(), "{text:?}");
            }
            // The key has two characters where the database keeps to that.
            Err(error) => assert!(error.class() == Some(ErrorClass::Other) && text.chars().count() > 2, "{error:?}"),
        }
    }
    assert_eq!(countries.count().await.unwrap(), 0);
    is_unharmed(&db).await;
}

async fn texts_in_json(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    for (index, text) in HOSTILE.into_iter().enumerate() {
        let name = format!("user {index}");
        let row = json!({"username": name, "phone": name, "email": text, "profile": {text: [text]}});
        assert_eq!(users.insert_json([row]).await.unwrap(), 1);
        let found = users.query().eq(user::Column::Username, name.as_str()).one().await.unwrap();
        assert_eq!((found.email.as_deref(), found.profile), (Some(text), Some(json!({text: [text]}))), "{text:?}");
        let refused = users.insert_json([json!({"username": name, text: 1})]).await.unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument { .. }), "{text:?}: {refused:?}");
    }
    is_unharmed(&db).await;
}

async fn texts_in_lists_and_updates(db: TestDb) {
    let notes = notes(&db).await;
    assert_eq!(notes.insert_many(HOSTILE.map(notes::note)).await.unwrap(), 16);
    assert_eq!(notes.query().in_(notes::Column::Body, HOSTILE).count().await.unwrap(), 16);
    assert_eq!(notes.query().not_in(notes::Column::Body, HOSTILE).count().await.unwrap(), 0);
    for text in HOSTILE {
        assert_eq!(notes.update_where().all_rows().set(notes::Column::Body, text).exec().await.unwrap(), 16);
        let bodies: Vec<(String,)> = notes.query().columns([notes::Column::Body]).await.unwrap();
        assert!(bodies.iter().all(|(body,)| body == text), "{text:?}");
        let set = notes.update_where().eq(notes::Column::Body, text).set_expr(notes::Column::Body, Expr::val(text));
        assert_eq!(set.exec().await.unwrap(), 16, "{text:?}");
        assert_eq!(notes.delete_where().eq(notes::Column::SavedBy, text).exec().await.unwrap(), 0);
    }
    is_unharmed(&db).await;
}

async fn patterns_match_only_what_they_say(db: TestDb) {
    let notes = notes(&db).await;
    let texts = ["%", "_", "!", r"\", "a%b", "a_b", "a!b", r"a\b", "axb", ""];
    notes.insert_many(texts.map(notes::note)).await.unwrap();
    for part in ["%", "_", "!", r"\", "a%", "a_", "a!", r"a\", "!%", r"\%", "%b", "_b", "!b", r"\b", "%_!", ""] {
        let found = async |query: sea_dao::query::QueryBuilder<notes::Entity>| {
            let bodies: Vec<(String,)> =
                query.order_asc(notes::Column::Id).columns([notes::Column::Body]).await.unwrap();
            bodies.into_iter().map(|(body,)| body).collect::<Vec<_>>()
        };
        let expected = |holds: fn(&str, &str) -> bool| {
            texts.into_iter().filter(|text| holds(text, part)).map(str::to_owned).collect::<Vec<_>>()
        };
        let column = notes::Column::Body;
        assert_eq!(
            found(notes.query().contains(column, part)).await,
            expected(|text, part| text.contains(part)),
            "{part}"
        );
        assert_eq!(found(notes.query().starts_with(column, part)).await, expected(|text, part| text.starts_with(part)));
        assert_eq!(found(notes.query().ends_with(column, part)).await, expected(|text, part| text.ends_with(part)));
    }
}

/// What it means there is up to the database; PostgreSQL refuses it.
async fn a_backslash_at_the_end_of_a_pattern(db: TestDb) {
    let notes = notes(&db).await;
    notes.insert(notes::note("a")).await.unwrap();
    for text in HOSTILE.into_iter().chain([r"a\", r"%\"]) {
        if let Err(error) = notes.query().like(notes::Column::Body, text).all().await {
            assert!(error.class().is_some() && error.to_string().starts_with("select note: "), "{text:?}: {error:?}");
            assert!(!error.is_disconnect());
        }
    }
    assert_eq!(db.status().size, 1, "the connection is kept");
    is_unharmed(&db).await;
}

async fn a_text_of_a_megabyte(db: TestDb) {
    let notes = notes(&db).await;
    let long = "'\"\\%_!😀x".repeat(100_000);
    assert!(long.len() > 1_000_000);
    let note = notes.insert(notes::note(&long)).await.unwrap();
    assert!(note.body == long, "comes back as it was");
    assert!(notes.query().eq(notes::Column::Body, long.as_str()).exists().await.unwrap());
    assert!(notes.query().in_(notes::Column::Body, ["x", &long]).exists().await.unwrap());
    assert_eq!(notes.update_where().all_rows().set(notes::Column::Body, long.as_str()).exec().await.unwrap(), 1);
    let column = notes::Column::Body;
    let patterns = [
        notes.query().contains(column, &long),
        notes.query().starts_with(column, &long),
        notes.query().ends_with(column, &long),
        notes.query().like(column, long.as_str()),
    ];
    for query in patterns {
        // A pattern may be too long for the database.
        if let Err(error) = query.all().await {
            assert!(matches!(error.root(), Error::InvalidArgument { argument: "pattern", .. }), "{error:?}");
        }
    }
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    assert_eq!(countries.find_by_id(long.as_str()).await.unwrap(), None);
    let row = country::Model { code: long.clone(), name: String::new() };
    match countries.insert(row.clone()).await {
        Ok(inserted) => assert!(inserted == row),
        Err(error) => assert_eq!(error.class(), Some(ErrorClass::Other)),
    }
    is_unharmed(&db).await;
}

async fn nul_bytes_in_values(db: TestDb) {
    let notes = notes(&db).await;
    let column = notes::Column::Body;
    let text = "before\0after";
    match notes.insert(notes::note(text)).await {
        Ok(note) => {
            assert_eq!(note.body, text);
            assert_eq!(notes.query().eq(column, text).one().await.unwrap(), note);
            assert_eq!(notes.query().eq(column, "before").first().await.unwrap(), None, "it is not cut");
        }
        Err(error) => {
            assert!(error.class() == Some(ErrorClass::Other), "{error:?}");
            assert!(error.to_string().starts_with("insert note: "), "{error}");
        }
    }
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let results: [Result<()>; 9] = [
        notes.query().eq(column, text).all().await.map(drop),
        notes.query().in_(column, [text]).all().await.map(drop),
        notes.query().contains(column, text).all().await.map(drop),
        notes.query().starts_with(column, text).all().await.map(drop),
        notes.query().like(column, text).all().await.map(drop),
        notes.insert_many([notes::note(text), notes::note("x")]).await.map(drop),
        notes.update_where().all_rows().set(column, text).exec().await.map(drop),
        countries.find_by_id("\0").await.map(drop),
        countries.delete_by_id("d\0").await.map(drop),
    ];
    for (index, result) in results.into_iter().enumerate() {
        if let Err(error) = result {
            let refused = matches!(error.root(), Error::InvalidArgument { argument: "pattern", .. });
            assert!(refused || error.class() == Some(ErrorClass::Other), "{index}: {error:?}");
        }
    }
    // The refused value takes back its transaction, or does nothing; the connection goes on.
    let tx = db.begin().await.unwrap();
    let refused = notes.within(&tx).query().eq(column, text).all().await.is_err();
    let aborts = refused && db.capabilities().failure_aborts_transaction;
    assert_eq!(tx.commit().await.is_err(), aborts);
    assert_eq!(db.status().size, 1, "the connection is kept");
    is_unharmed(&db).await;
}

async fn nul_bytes_in_sql(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let nul = |result: Result<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error.root(), Error::InvalidArgument { argument: "sql", .. }), "{error:?}");
    };
    nul(users.query().filter(Expr::cust("1 = 1 \0 AND")).all().await.map(drop));
    nul(users.count().filter(Expr::cust("1 = 1\0")).await.map(drop));
    nul(users.delete_where().filter(Expr::cust("\0")).exec().await.map(drop));
    nul(db.execute_unprepared("DELETE FROM country\0 WHERE code = 'x'").await.map(drop).map_err(Error::from));
    let statement = Statement::from_string(db.backend(), "SELECT 1\0");
    nul(db.query_one_raw(statement).await.map(drop).map_err(Error::from));
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    is_unharmed(&db).await;
}

/// SQLite's driver would take NULL for what is missing, and another number in the next row for the same.
async fn another_number_of_values_than_the_sql_takes(db: TestDb) {
    let (one, two, three) = match db.backend() {
        DbBackend::Postgres => ("SELECT $1::int AS a", "SELECT $1::int AS a, $2::int AS b", "SELECT $1::int, '$2', 3"),
        DbBackend::MySql => ("SELECT ? AS a", "SELECT ? AS a, ? AS b", "SELECT ?, '?', `id` FROM user -- ?"),
        _ => ("SELECT ?1 AS a, $1 AS b", "SELECT ? AS a, ? AS b", r#"SELECT ?, '?''?', "id?" /* ? */ -- ?"#),
    };
    let values = |count: i32| (0..count).map(Value::from).collect::<Vec<_>>();
    let ask = async |db: &Session, sql: &str, count| {
        db.query_all_raw(Statement::from_sql_and_values(db.backend(), sql, values(count))).await
    };
    let session = db.session();
    for (sql, count) in [(one, 1), (two, 2)] {
        assert_eq!(ask(&session, sql, count).await.unwrap().len(), 1, "{sql}");
    }
    drop(session);
    for (sql, count) in [(one, 0), (two, 1), (two, 0), (three, 0), (one, 2), (three, 2)] {
        if count > 1 && db.backend() == DbBackend::Postgres {
            // It passes over one too many.
            continue;
        }
        let error = Error::from(ask(&db.session(), sql, count).await.unwrap_err());
        let refused = matches!(error.root(), Error::InvalidArgument { .. });
        assert!(refused || error.class() == Some(ErrorClass::Other), "{sql} with {count}: {error:?}");
        assert_eq!(refused, db.backend() == DbBackend::Sqlite, "{sql} with {count}: {error:?}");
        assert!(!error.is_disconnect(), "{sql} with {count}: {error:?}");
    }
    let bare = Statement::from_string(db.backend(), two);
    assert!(db.query_all_raw(bare).await.is_err());
    if db.backend() == DbBackend::Sqlite {
        for sql in ["SELECT :a", "SELECT @a", "SELECT $a", "SELECT ?0"] {
            let error = Error::from(ask(&db.session(), sql, 1).await.unwrap_err());
            assert!(matches!(error.root(), Error::InvalidArgument { .. }), "{sql}: {error:?}");
        }
    }
    assert_eq!(db.counters().invalidations, 0, "{:?}", db.counters());
    is_unharmed(&db).await;
}

async fn numbers_beyond_the_databases_own(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    users.insert(new_user("ada")).await.unwrap();
    let column = user::Column::Balance;
    let beyond = u64::MAX;
    let results: [Result<()>; 5] = [
        users.query().eq(column, beyond).all().await.map(drop),
        users.query().in_(column, [1, beyond]).all().await.map(drop),
        users.count().gt(column, beyond).await.map(drop),
        users.update_where().all_rows().set(column, beyond).exec().await.map(drop),
        users.delete_where().eq(column, i64::MAX.unsigned_abs() + 1).exec().await.map(drop),
    ];
    assert!(results[3].is_err(), "no column holds it");
    for (index, result) in results.into_iter().enumerate() {
        if let Err(error) = result {
            let refused = matches!(error.root(), Error::InvalidArgument { argument: "value", .. });
            assert!(refused || error.class() == Some(ErrorClass::Other), "{index}: {error:?}");
        }
    }
    let largest = i64::MAX.unsigned_abs();
    assert_eq!(users.update_where().all_rows().set(column, largest).exec().await.unwrap(), 1);
    assert_eq!(users.query().eq(column, largest).one().await.unwrap().balance, i64::MAX);
    // A sum that does not fit is refused by the database, or is no integer any more.
    let more = users.update_where().all_rows().set_expr(column, Expr::col(column).add(1));
    match more.exec().await {
        Ok(_) => assert!(users.query().one().await.is_err() || db.capabilities().server),
        Err(error) => assert_eq!(error.class(), Some(ErrorClass::Other), "{error:?}"),
    }
    users.delete_where().all_rows().hard().exec().await.unwrap();
    is_unharmed(&db).await;
}

async fn a_long_list_is_not_gone_through_for_each_row(db: TestDb) {
    if db.backend() != DbBackend::MySql {
        return;
    }
    let users = BaseDao::<user::Entity>::new((*db).clone());
    users.insert_many(["ada", "bob", "cyd"].map(new_user)).await.unwrap();
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let tag = |number: u128| tag::ActiveModel { id: Set(Uuid::from_u128(number)), name: Set(number.to_string()) };
    tags.insert_many([1, 2, 3].map(tag)).await.unwrap();
    let plans = [
        users.query().not_in(user::Column::Username, (0..8_001).map(|number| number.to_string())).explain().await,
        tags.query().not_in(tag::Column::Id, (1..8_002).map(Uuid::from_u128)).explain().await,
    ];
    for plan in plans {
        let plan = plan.unwrap();
        assert!(plan.contains("\"materialization\""), "{plan}");
    }
}

async fn a_list_beyond_the_bind_limit(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let ada = users.insert(new_user("ada")).await.unwrap();
    let limit = i64::try_from(db.capabilities().bind_limit).unwrap();
    for beyond in [60_000, limit + 1, 3 * limit] {
        let numbers = || 1 - beyond..=ada.id;
        let names = || (0..beyond).map(|number| number.to_string()).chain(["ada".to_owned()]);
        assert_eq!(users.query().in_(user::Column::Id, numbers()).all().await.unwrap().len(), 1);
        assert_eq!(users.query().in_(user::Column::Username, names()).all().await.unwrap().len(), 1);
        assert_eq!(users.count().not_in(user::Column::Username, names()).await.unwrap(), 0);
        let update = users.update_where().in_(user::Column::Id, numbers()).set(user::Column::Status, 1);
        assert_eq!(update.exec().await.unwrap(), 1);
        let delete = users.delete_where().in_(user::Column::Username, names()).hard();
        assert_eq!(delete.exec().await.unwrap(), 1);
        users.insert(user::ActiveModel { id: Set(ada.id), ..new_user("ada") }).await.unwrap();
    }
    let hostile = (0..limit).map(|number| number.to_string()).chain(HOSTILE.map(str::to_owned));
    assert_eq!(users.query().in_(user::Column::Username, hostile).all().await.unwrap(), []);

    // Points in time are no JSON: where there are no arrays, there is a limit.
    let now = sea_orm::prelude::ChronoUtc::now();
    db.recorder().forget();
    let refused = users.query().in_(user::Column::CreatedAt, (0..=limit).map(|_| now)).all().await;
    match refused {
        Ok(found) => assert_eq!(found, []),
        Err(error) => {
            assert!(matches!(error.root(), Error::InvalidArgument { argument: "statement", .. }), "{error:?}");
            assert_eq!(db.recorder().begun(), 0, "nothing is sent");
        }
    }
    users.delete_where().all_rows().hard().exec().await.unwrap();
    is_unharmed(&db).await;
}
