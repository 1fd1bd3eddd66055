//! What is called before and after rows that are inserted or updated, found or inserted, restored.

use std::collections::BTreeMap;

use entities::{
    country, tag,
    user::{
        self,
        Column::{Balance, Id, Phone, Status, Username},
    },
};
use sea_dao::{BaseDao, Error, Result, Session, dao::Callbacks, prelude::*};
use sea_orm::{ActiveValue::Set, prelude::Uuid};

use crate::{
    dao_callbacks::{Spy, Users, spied, with_status},
    support::{TestDb, new_user},
};

for_each_backend!(
    an_upsert_tells_what_becomes_of_each_row,
    a_row_that_is_found_calls_nothing,
    a_restored_row_is_an_updated_one,
    what_they_set_is_written,
    an_error_undoes_all_of_it,
    of_many_at_once_one_inserts,
    a_deleted_row_is_restored_or_stood_beside,
);

/// Its phone is its name.
fn user(name: &str, status: i16) -> user::ActiveModel {
    user::ActiveModel { status: Set(status), ..new_user(name) }
}

async fn an_upsert_tells_what_becomes_of_each_row(db: TestDb) {
    let (users, spy) = spied(&db);
    let ada = users.upsert(user("ada", 1)).on([Phone]).await.unwrap();
    assert_eq!(spy.take(), ["before_insert ada", "after_insert ada"]);
    let again = users.upsert(user("ada", 2)).on([Phone]).await.unwrap();
    assert_eq!(spy.take(), ["before_insert ada", "before_update ada", "after_update ada=2"]);
    assert_eq!((again.id, again.status), (ada.id, 2));
    users.upsert(user("ada", 3)).on([Phone]).do_nothing().await.unwrap();
    assert_eq!(spy.take(), ["before_insert ada"], "it is left as it is");

    let rows = [user("bob", 4), user("ada", 5), user("cyd", 6)];
    assert_eq!(users.upsert_many(rows.clone()).on([Phone]).await.unwrap(), 3);
    let calls = ["before_insert bob,ada,cyd", "before_update ada", "after_update ada=5", "after_insert bob,cyd"];
    assert_eq!(spy.take(), calls);
    let written = users.upsert_many_returning(rows).on([Phone]).update([Status]).await.unwrap();
    assert_eq!(written.iter().map(|row| &*row.username).collect::<Vec<_>>(), ["bob", "ada", "cyd"]);
    let mut calls = spy.take();
    assert_eq!(calls.remove(0), "before_insert bob,ada,cyd");
    assert_eq!(calls, ["before_update bob,ada,cyd", "after_update bob=4,ada=5,cyd=6"]);

    // By a key that the database makes: nothing can be in the way.
    users.upsert_many([user("dan", 7), user("eve", 8)]).await.unwrap();
    assert_eq!(spy.take(), ["before_insert dan,eve", "after_insert dan,eve"]);
    users.upsert(user::ActiveModel { id: Set(ada.id), ..user("ada", 9) }).await.unwrap();
    assert_eq!(spy.take(), ["before_insert ada", "before_update ada", "after_update ada=9"]);
    assert!(!spy.was_outside(), "each in a transaction");
}

async fn a_row_that_is_found_calls_nothing(db: TestDb) {
    let (users, spy) = spied(&db);
    let (ada, inserted) = users.find_or_insert([Phone], user("ada", 1)).await.unwrap();
    assert!(inserted);
    assert_eq!(spy.take(), ["before_insert ada", "after_insert ada"]);
    assert_eq!(users.find_or_insert([Phone], user("ada", 2)).await.unwrap(), (ada, false));
    assert_eq!(spy.take(), Vec::<String>::new());
}

async fn a_restored_row_is_an_updated_one(db: TestDb) {
    let (users, spy) = spied(&db);
    let ada = users.insert(user("ada", 1)).await.unwrap();
    users.delete(&ada).await.unwrap();
    spy.take();
    let ada = users.restore(&ada).await.unwrap();
    assert_eq!(spy.take(), ["before_update ada", "after_update ada=1"]);
    assert_eq!(ada.deleted_at, None);
    assert!(!users.restore_by_id(ada.id).await.unwrap());
    assert!(matches!(users.restore(&ada).await.unwrap_err().root(), Error::NotFound { .. }));
    assert_eq!(spy.take(), ["before_update ada"], "only then it is known that it is not deleted");
    users.delete(&ada).await.unwrap();
    spy.take();
    assert!(users.restore_by_id(ada.id).await.unwrap());
    assert_eq!(spy.take(), ["before_update ada", "after_update ada=1"]);
    users.delete(&ada).await.unwrap();
    spy.take();
    assert_eq!(users.restore_where().eq(Username, "ada").exec().await.unwrap(), 1);
    assert_eq!(spy.take(), ["before_update_where ", "after_update_where 1"]);
    assert_eq!(users.count().await.unwrap(), 1);
    assert!(!spy.was_outside(), "each in a transaction");

    // An entity without soft deletion says so before anything is called.
    let countries = BaseDao::<country::Entity>::new((*db).clone()).callbacks(Refusing);
    let row = country::Model { code: "de".to_owned(), name: "Germany".to_owned() };
    for refused in [countries.restore(&row).await.map(drop), countries.restore_by_id("de").await.map(drop)] {
        assert!(matches!(refused.unwrap_err().root(), Error::Unsupported { .. }));
    }
}

struct Refusing;

impl Callbacks<country::Entity> for Refusing {
    async fn before_update(&self, _: &Session, _: &mut [country::ActiveModel]) -> Result<()> {
        Err(Error::refused("no update"))
    }
}

/// Phones without blanks, and a balance that says what has happened.
struct Rules;

impl Callbacks<user::Entity> for Rules {
    async fn before_insert(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        for row in rows {
            row.phone = Set(row.phone.as_ref().replace(' ', ""));
            row.balance = Set(1);
        }
        Ok(())
    }

    async fn before_update(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        rows.iter_mut().for_each(|row| row.balance = Set(2));
        Ok(())
    }
}

async fn what_they_set_is_written(db: TestDb) {
    let users = Users::new((*db).clone()).callbacks(Rules);
    let user = |phone: &str| user::ActiveModel { phone: Set(phone.to_owned()), ..new_user("ada") };
    let (first, inserted) = users.find_or_insert([Phone], user("1 2 3")).await.unwrap();
    assert_eq!((&*first.phone, first.balance, inserted), ("123", 1, true));
    // The row is looked for by what they have made of it.
    let again = users.upsert(user("12 3")).on([Phone]).await.unwrap();
    assert_eq!((again.id, &*again.phone, again.balance), (first.id, "123", 2));
    // Each of the rows in the columns that they set.
    let rows = [user("1 23"), user::ActiveModel { status: Set(5), ..new_user("b o b") }];
    let rows = users.upsert_many_returning(rows).on([Phone]).update([Username]).await.unwrap();
    assert_eq!((rows[0].id, rows[0].balance), (first.id, 2));
    assert_eq!((&*rows[1].phone, rows[1].status, rows[1].balance), ("bob", 5, 1));

    Users::new((*db).clone()).update_where().all_rows().set(Balance, 7).exec().await.unwrap();
    let before = rows[0].updated_at;
    users.delete(&rows[0]).await.unwrap();
    let restored = users.restore(&rows[0]).await.unwrap();
    assert_eq!((restored.balance, restored.deleted_at), (2, None));
    assert!(restored.updated_at >= before);

    let versioned = users.optimistic_lock(user::Column::Version);
    let raised = versioned.upsert(user("123")).on([Phone]).await.unwrap();
    assert_eq!((raised.version, raised.balance), (restored.version + 1, 2));
    versioned.delete(&raised).await.unwrap();
    let raised = versioned.query().only_deleted().one().await.unwrap();
    let restored = versioned.restore(&raised).await.unwrap();
    assert_eq!((restored.version, restored.balance), (raised.version + 1, 2));
    versioned.delete(&restored).await.unwrap();
    let refused = versioned.restore(&restored).await.unwrap_err();
    assert!(matches!(refused.root(), Error::VersionConflict { .. }), "{refused}");
}

async fn an_error_undoes_all_of_it(db: TestDb) {
    let plain = Users::new((*db).clone());
    let ada = plain.insert(user("ada", 1)).await.unwrap();
    let gone = plain.insert(user("gone", 1)).await.unwrap();
    plain.delete(&gone).await.unwrap();
    let rows = async || plain.query().with_deleted().order_asc(Id).all().await.unwrap();
    for call in ["before_insert", "before_update", "after_update", "after_insert"] {
        let before = rows().await;
        let (users, spy) = spied(&db);
        spy.fail_at(call);
        let error = users.upsert_many([user("ada", 5), user("bob", 5)]).on([Phone]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("upsert user: not {call}"));
        if call.ends_with("insert") {
            users.find_or_insert([Phone], user("bob", 5)).await.unwrap_err();
            users.upsert(user("bob", 5)).await.unwrap_err();
        } else {
            users.upsert(user("ada", 5)).on([Phone]).await.unwrap_err();
            let error = users.restore(&gone).await.unwrap_err();
            assert_eq!(error.to_string(), format!("restore user: not {call}"));
            users.restore_by_id(gone.id).await.unwrap_err();
        }
        assert_eq!(rows().await, before, "{call}");
        // In a transaction that goes on.
        db.execute_transaction(async |tx| -> Result<()> {
            let users = users.within(tx);
            users.upsert_many([user("ada", 6), user("bob", 6)]).on([Phone]).await.unwrap_err();
            plain.within(tx).update(with_status(&ada, 1)).await.map(drop)
        })
        .await
        .unwrap();
        assert_eq!(rows().await.len(), before.len(), "{call}");
        assert_eq!(plain.count().eq(Status, 6).await.unwrap(), 0, "{call}");
    }
    let (users, spy) = spied(&db);
    for call in ["before_update_where", "after_update_where"] {
        spy.fail_at(call);
        users.restore_where().all_rows().exec().await.unwrap_err();
        assert_eq!(plain.count().await.unwrap(), 1, "{call}");
    }
    // What is wrong with a row is said of that row, and nothing is left of the others.
    let spy = Spy::default();
    let users = plain.clone().callbacks(spy.clone());
    let taken = user::ActiveModel { username: Set("ada".to_owned()), ..user("new", 1) };
    let error = users.upsert_many([user("eve", 1), taken]).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(1), "{error}");
    assert_eq!(plain.count().await.unwrap(), 1);
}

/// Writes down what it is told, in the transaction of the write.
struct Written(BaseDao<tag::Entity>);

impl Written {
    async fn note(&self, session: &Session, what: &str, rows: &[user::Model]) -> Result<()> {
        let note = |row: &user::Model| {
            let name = format!("{what} {} {}", row.username, fastrand::u64(..));
            tag::ActiveModel { id: Set(Uuid::from_u128(fastrand::u128(..))), name: Set(name) }
        };
        self.0.within(session).insert_many(rows.iter().map(note)).await.map(drop)
    }
}

impl Callbacks<user::Entity> for Written {
    async fn after_insert(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.note(session, "inserted", rows).await
    }

    async fn after_update(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.note(session, "updated", rows).await
    }
}

async fn of_many_at_once_one_inserts(db: TestDb) {
    const TASKS: usize = 8;
    let notes = BaseDao::<tag::Entity>::new((*db).clone());
    let users = Users::new((*db).clone()).callbacks(Written(notes.clone()));
    for round in 0..5 {
        let name = format!("user {round}");
        let upserts = (0..TASKS).map(|task| users.upsert(user(&name, task as i16)).on([Phone]));
        let tasks: Vec<_> = upserts.map(|upsert| tokio::spawn(async move { upsert.await })).collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(users.count().eq(Phone, name).await.unwrap(), 1);
    }
    let mut counts = BTreeMap::new();
    for note in notes.query().all().await.unwrap() {
        let what = note.name.split(' ').next().unwrap_or_default().to_owned();
        *counts.entry(what).or_insert(0) += 1;
    }
    let expected = [("inserted".to_owned(), 5), ("updated".to_owned(), 5 * (TASKS - 1))];
    assert_eq!(counts, BTreeMap::from(expected));
}

async fn a_deleted_row_is_restored_or_stood_beside(db: TestDb) {
    let (users, spy) = spied(&db);
    let ada = users.insert(user("ada", 1)).await.unwrap();
    users.delete(&ada).await.unwrap();
    spy.take();
    let held = users.upsert(user("ada", 2)).on([Phone]).await.unwrap_err();
    assert!(matches!(held.root(), Error::HeldByDeleted { .. }), "{held}");
    assert_eq!(spy.take(), ["before_insert ada"]);
    let restored = users.upsert(user("ada", 3)).on([Phone]).restore_deleted().await.unwrap();
    assert_eq!((restored.id, restored.deleted_at), (ada.id, None));
    assert_eq!(spy.take(), ["before_insert ada", "before_update ada", "after_update ada=3"]);
    let bob = users.insert(user("bob", 1)).await.unwrap();
    users.delete(&bob).await.unwrap();
    spy.take();
    let bob = users.upsert(user("bob", 9)).on([Phone]).restore_deleted().do_nothing().await.unwrap();
    assert_eq!((bob.status, bob.deleted_at), (1, None), "restored as it was");
    assert_eq!(spy.take(), ["before_insert bob", "before_update bob", "after_update bob=1"]);
}
