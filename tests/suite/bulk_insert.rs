//! Inserting many rows: those that come back, the one that fails, how far it has come.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use entities::{country, order_item, tag, user, user_tag};
use sea_dao::{BaseDao, Error, Result, bulk::Progress, query::Conditions};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, prelude::*};

use crate::support::{TestDb, count_users, new_user, new_user_with, poll_times};

for_each_backend!(
    rows_come_back_in_the_order_given,
    uneven_rows_come_back_in_the_order_given,
    rows_with_given_keys_come_back,
    rows_of_an_entity_without_anything_unique_come_back,
    rows_that_a_trigger_changes_come_back,
    keys_of_two_columns_come_back,
    the_entity_is_asked_for_each_row,
    a_row_in_the_middle_of_100_000_is_named,
    each_kind_of_failure_names_its_row,
    a_failure_in_a_transaction_leaves_the_transaction_as_it_was,
    a_failure_that_is_no_rows_names_none,
    what_the_protocol_refuses_names_its_row,
    progress_is_told,
    progress_stops_an_import,
    rows_are_taken_bit_by_bit,
    a_dropped_insert_leaves_nothing,
    large_rows_are_sent_in_parts,
    few_statements_are_prepared,
);

fn users(db: &TestDb) -> BaseDao<user::Entity> {
    BaseDao::new((**db).clone())
}

fn numbered(count: usize) -> impl Iterator<Item = user::ActiveModel> {
    (0..count).map(|index| new_user_with(&format!("user {index}"), index as i64))
}

async fn rows_come_back_in_the_order_given(db: TestDb) {
    let users = users(&db);
    assert!(users.insert_many_returning(Vec::<user::ActiveModel>::new()).await.unwrap().is_empty());
    assert_eq!(db.recorder().begun(), 0);
    let rows = users.insert_many_returning(numbered(3_000)).await.unwrap();
    assert_eq!(rows.len(), 3_000);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((row.username.as_str(), row.balance), (format!("user {index}").as_str(), index as i64));
    }
    let mut read = users.query().order_asc(user::Column::Balance).all().await.unwrap();
    assert_eq!(read, rows, "what came back is what is there");
    read.sort_by_key(|row| row.id);
    read.dedup_by_key(|row| row.id);
    assert_eq!(read.len(), 3_000);
}

async fn uneven_rows_come_back_in_the_order_given(db: TestDb) {
    let users = users(&db);
    let given = numbered(1_500).enumerate().map(|(index, row)| match index % 3 {
        0 => row,
        1 => user::ActiveModel { status: Set(7), ..row },
        _ => user::ActiveModel { email: Set(None), profile: Set(Some(serde_json::json!({"n": index}))), ..row },
    });
    let rows = users.insert_many_returning(given).await.unwrap();
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((row.balance, row.status), (index as i64, if index % 3 == 1 { 7 } else { 1 }));
        assert_eq!(row.profile.is_some(), index % 3 == 2);
    }
}

async fn rows_with_given_keys_come_back(db: TestDb) {
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let given: Vec<tag::Model> =
        (0..700_u128).map(|n| tag::Model { id: Uuid::from_u128(n * 7_919 % 701), name: format!("tag {n}") }).collect();
    assert_eq!(tags.insert_many_returning(given.clone()).await.unwrap(), given);
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let given: Vec<country::Model> = ["NO", "DE", "SE"]
        .iter()
        .map(|code| country::Model { code: (*code).to_owned(), name: format!("{code}!") })
        .collect();
    assert_eq!(countries.insert_many_returning(given.clone()).await.unwrap(), given);
}

async fn rows_of_an_entity_without_anything_unique_come_back(db: TestDb) {
    let user = users(&db).insert(new_user("ada")).await.unwrap();
    let order = entities::customer_order::ActiveModel {
        user_id: Set(user.id),
        number: Set("1".to_owned()),
        total: Set(0),
        ..Default::default()
    };
    let order = BaseDao::<entities::customer_order::Entity>::new((*db).clone()).insert(order).await.unwrap();
    let items = BaseDao::<order_item::Entity>::new((*db).clone());
    let given = (0..1_000).map(|n: i32| order_item::ActiveModel {
        order_id: Set(order.id),
        sku: Set(format!("sku {}", n % 10)),
        quantity: Set(n % 7),
        unit_price: Set(i64::from(n % 3)),
        ..Default::default()
    });
    let rows = items.insert_many_returning(given).await.unwrap();
    for (n, row) in rows.iter().enumerate() {
        assert_eq!((row.sku.as_str(), row.quantity), (format!("sku {}", n % 10).as_str(), (n % 7) as i32));
    }
    assert!(rows.is_sorted_by_key(|row| row.id));
}

/// Each name is written backwards: two of the names that come back are each other's. SQLite's triggers change a row only
/// after RETURNING has seen it.
async fn rows_that_a_trigger_changes_come_back(db: TestDb) {
    let swap = match db.backend() {
        DbBackend::Postgres => {
            "CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.username := reverse(NEW.username); RETURN NEW; END $$; \
             CREATE TRIGGER swap BEFORE INSERT ON \"user\" FOR EACH ROW EXECUTE FUNCTION swap()"
        }
        DbBackend::MySql => {
            "CREATE TRIGGER swap BEFORE INSERT ON `user` FOR EACH ROW SET NEW.username = REVERSE(NEW.username)"
        }
        _ => {
            "CREATE TRIGGER swap AFTER INSERT ON user BEGIN \
             UPDATE user SET username = substr(NEW.username, 2, 1) || substr(NEW.username, 1, 1) WHERE id = NEW.id; END"
        }
    };
    db.sea_orm_connection().await.unwrap().execute_unprepared(swap).await.unwrap();
    let names = if db.backend() == DbBackend::Sqlite { ["ab", "cd", "xy"] } else { ["ab", "ba", "xy"] };
    let phones = names.map(|name| format!("phone of {name}"));
    let given =
        names.map(|name| user::ActiveModel { username: Set(name.to_owned()), ..new_user(&format!("phone of {name}")) });
    let rows = users(&db).insert_many_returning(given).await.unwrap();
    let found: Vec<&str> = rows.iter().map(|row| row.phone.as_str()).collect();
    assert_eq!(found, phones, "{rows:?}");
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    for (id, phone) in ids.iter().zip(found) {
        assert_eq!(users(&db).find_by_id(*id).await.unwrap().unwrap().phone, phone);
    }
    assert_eq!(count_users(db.outside()).await, 3);
}

async fn keys_of_two_columns_come_back(db: TestDb) {
    let people = users(&db).insert_many_returning(numbered(20)).await.unwrap();
    let tags: Vec<tag::Model> =
        (0..20_u128).map(|n| tag::Model { id: Uuid::from_u128(n), name: n.to_string() }).collect();
    BaseDao::<tag::Entity>::new((*db).clone()).insert_many(tags.clone()).await.unwrap();
    let links = people.iter().flat_map(|user| {
        tags.iter().map(|tag| user_tag::ActiveModel {
            user_id: Set(user.id),
            tag_id: Set(tag.id),
            ..Default::default()
        })
    });
    let links: Vec<_> = links.rev().collect();
    let rows = BaseDao::<user_tag::Entity>::new((*db).clone()).insert_many_returning(links.clone()).await.unwrap();
    assert_eq!(rows.len(), 400);
    for (given, row) in links.iter().zip(&rows) {
        assert_eq!((given.user_id.clone().unwrap(), given.tag_id.clone().unwrap()), (row.user_id, row.tag_id));
    }
}

async fn the_entity_is_asked_for_each_row(db: TestDb) {
    crate::notes::create(&db).await;
    let notes = BaseDao::<crate::notes::Entity>::with_conventions((*db).clone(), crate::notes::NAMES);
    let bodies = ["a", "bc", "def"];
    let rows = notes.insert_many_returning(bodies.map(crate::notes::note)).await.unwrap();
    let lengths: Vec<(i32, &str)> = rows.iter().map(|row| (row.length, row.saved_by.as_str())).collect();
    assert_eq!(lengths, [(1, "insert"), (2, "insert"), (3, "insert")]);
    assert!(rows.iter().all(|row| row.made_at.is_some() && row.changed_at.is_some()));
    let refused = notes.insert_many(["x", crate::notes::REFUSED].map(crate::notes::note)).await.unwrap_err();
    assert_eq!(refused.row(), Some(1), "{refused}");
    assert_eq!(notes.count().await.unwrap(), 3);
}

async fn a_row_in_the_middle_of_100_000_is_named(db: TestDb) {
    let users = users(&db);
    let given = |count: usize, clash: usize| {
        let row =
            move |index: usize| if index == clash { new_user("user 17") } else { new_user(&format!("user {index}")) };
        (0..count).map(row)
    };
    let error = users.insert_many(given(100_000, 54_321)).await.unwrap_err();
    assert!(error.is_unique_violation(), "{error:?}");
    assert_eq!(error.row(), Some(54_321), "{error}");
    assert!(error.to_string().starts_with("insert user: row 54321: "), "{error}");
    assert_eq!(count_users(db.outside()).await, 0);
    let error = users.insert_many_returning(given(20_000, 15_000)).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(15_000), "{error:?}");
    assert_eq!(count_users(db.outside()).await, 0);
    assert_eq!(users.insert_many(given(3, 3)).await.unwrap(), 3, "the connection is in order");
}

async fn each_kind_of_failure_names_its_row(db: TestDb) {
    let users = users(&db);
    users.insert(new_user("there")).await.unwrap();
    for at in [0, 1, 255, 256, 298, 299] {
        let clash = new_user("there");
        let nameless = user::ActiveModel { phone: Set("x".to_owned()), ..Default::default() };
        let long = user::ActiveModel { phone: Set("x".repeat(70_000)), ..new_user("long") };
        for (bad, says) in [(clash, "unique"), (nameless, "not null"), (long, "value")] {
            if says == "value" && !db.capabilities().server {
                continue;
            }
            let mut rows: Vec<_> = numbered(300).collect();
            rows[at] = bad;
            let error = users.insert_many(rows).await.unwrap_err();
            assert_eq!(error.row(), Some(at), "{says}: {error}");
            assert_eq!(error.is_unique_violation(), says == "unique", "{error:?}");
            assert_eq!(error.is_not_null_violation(), says == "not null", "{error:?}");
            assert_eq!(count_users(db.outside()).await, 1);
        }
    }
    let tag = |user_id| user_tag::ActiveModel { user_id: Set(user_id), tag_id: Set(Uuid::nil()), ..Default::default() };
    let error = BaseDao::<user_tag::Entity>::new((*db).clone()).insert_many([tag(1), tag(2)]).await.unwrap_err();
    assert!(error.is_foreign_key_violation() && error.row() == Some(0), "{error:?}");
    assert!(error.to_string().contains("row 0 (user_id = 1, tag_id = "), "{error}");
}

async fn a_failure_in_a_transaction_leaves_the_transaction_as_it_was(db: TestDb) {
    let users = users(&db);
    let tx = db.begin().await.unwrap();
    let within = users.within(&tx);
    within.insert(new_user("first")).await.unwrap();
    let error = within.insert_many(numbered(400).chain([new_user("first")])).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(400), "{error:?}");
    assert_eq!(within.count().await.unwrap(), 1);
    assert_eq!(within.insert_many(numbered(400)).await.unwrap(), 400);
    tx.commit().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 401);
}

async fn a_failure_that_is_no_rows_names_none(db: TestDb) {
    crate::notes::create(&db).await;
    let notes = BaseDao::<crate::notes::Entity>::new((*db).clone());
    db.execute_unprepared("DROP TABLE note").await.unwrap();
    let error = notes.insert_many(["a", "b", "c"].map(crate::notes::note)).await.unwrap_err();
    assert_eq!(error.row(), None, "{error}");
    assert!(matches!(&error, Error::Operation { operation: "insert", entity: "note", .. }), "{error:?}");
}

async fn what_the_protocol_refuses_names_its_row(db: TestDb) {
    let users = users(&db);
    let rows = || numbered(500).chain([new_user("nul \0 in it")]).chain((500..600).map(|n| new_user(&n.to_string())));
    if db.backend() == DbBackend::Postgres {
        let error = users.insert_many(rows()).await.unwrap_err();
        assert_eq!(error.row(), Some(500), "{error}");
        assert_eq!(count_users(db.outside()).await, 0);
    } else {
        assert_eq!(users.insert_many(rows()).await.unwrap(), 601);
        assert!(users.query().eq(user::Column::Username, "nul \0 in it").exists().await.unwrap());
    }
}

async fn progress_is_told(db: TestDb) {
    let users = users(&db);
    let mut told: Vec<Progress> = Vec::new();
    let written: Result<u64> = users
        .insert_many_with(numbered(12_000), |progress| {
            told.push(progress);
            Ok(())
        })
        .await;
    assert_eq!(written.unwrap(), 12_000);
    assert!(told.len() > 1 && told.is_sorted_by(|a, b| a.done < b.done), "{told:?}");
    assert_eq!(told.last().map(|progress| (progress.done, progress.total)), Some((12_000, Some(12_000))));
    // Of an iterator that does not know its length.
    let unknown = numbered(12_010).filter(|row| row.balance.clone().unwrap() >= 12_000);
    let mut total = Some(0);
    let written: Result<u64> = users
        .insert_many_with(unknown, |progress| {
            total = progress.total;
            Ok(())
        })
        .await;
    assert_eq!((written.unwrap(), total), (10, None));
}

async fn progress_stops_an_import(db: TestDb) {
    #[derive(Debug)]
    enum Stop {
        Enough(u64),
        Failed(Error),
    }
    impl From<Error> for Stop {
        fn from(error: Error) -> Self {
            Self::Failed(error)
        }
    }
    let users = users(&db);
    let stop = |progress: Progress| if progress.done >= 10_000 { Err(Stop::Enough(progress.done)) } else { Ok(()) };
    let stopped = users.insert_many_with(numbered(30_000), stop).await;
    assert!(matches!(stopped, Err(Stop::Enough(10_000..20_000))), "{stopped:?}");
    assert_eq!(count_users(db.outside()).await, 0, "nothing stays");
    let failed = users.insert_many_with(numbered(2).chain(numbered(1)), |_| Ok::<(), Stop>(())).await;
    assert!(matches!(&failed, Err(Stop::Failed(error)) if error.row() == Some(2)), "{failed:?}");
}

async fn rows_are_taken_bit_by_bit(db: TestDb) {
    let users = users(&db);
    let taken = Arc::new(AtomicUsize::new(0));
    let counting = taken.clone();
    let rows = numbered(30_000).inspect(move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
    });
    let mut most_ahead = 0;
    let written = users.insert_many_with(rows, |progress| {
        most_ahead = most_ahead.max(taken.load(Ordering::Relaxed) as u64 - progress.done);
        Ok::<(), Error>(())
    });
    assert_eq!(written.await.unwrap(), 30_000);
    assert!(most_ahead <= 10_001, "{most_ahead} rows were taken ahead");
}

/// At whatever point it is dropped, all rows are there or none.
async fn a_dropped_insert_leaves_nothing(db: TestDb) {
    let users = users(&db);
    for polls in [1, 2, 3, 5, 8, 13, 21, 34] {
        let dropped = poll_times(users.insert_many(numbered(11_000)), polls).await;
        db.is_quiet().await;
        let count = count_users(db.outside()).await;
        assert!(count == 11_000 || count == 0 && dropped.is_none(), "{polls} polls: {count} rows, {dropped:?}");
        users.delete_where().all_rows().hard().exec().await.unwrap();
    }
    assert_eq!(users.insert_many(numbered(3)).await.unwrap(), 3);
}

async fn large_rows_are_sent_in_parts(db: TestDb) {
    crate::notes::create(&db).await;
    let notes = BaseDao::<crate::notes::Entity>::with_conventions((*db).clone(), crate::notes::NAMES);
    let rows = (0..50).map(|n: u8| crate::notes::note(&char::from(b'a' + n % 26).to_string().repeat(1_000_000)));
    assert_eq!(notes.insert_many(rows).await.unwrap(), 50);
    assert_eq!(notes.query().sum(crate::notes::Column::Length).await.unwrap(), 50_000_000);
    assert!(db.recorder().begun() > 5, "50 MB go out in parts");
}

async fn few_statements_are_prepared(db: TestDb) {
    let users = users(&db);
    for count in 1..140 {
        users.insert_many(numbered(count)).await.unwrap();
        users.delete_where().all_rows().hard().exec().await.unwrap();
    }
    let inserts: std::collections::BTreeSet<String> =
        db.recorder().take().into_iter().map(|sent| sent.sql).filter(|sql| sql.starts_with("INSERT")).collect();
    assert!(inserts.len() <= 8, "{} statements", inserts.len());
    assert_eq!(user::Entity::find().count(db.outside()).await.unwrap(), 0);
}
