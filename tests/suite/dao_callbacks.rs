//! What is called before and after a DAO's writes.

use std::sync::{Arc, Mutex};

use entities::{
    country,
    user::{
        self,
        Column::{Balance, Id, Status, Username},
    },
};
use sea_dao::{BaseDao, Error, Result, Session, dao::Callbacks, prelude::*};
use sea_orm::{ActiveValue::Set, DbBackend, IntoActiveModel, Statement};

use crate::support::{TestDb, new_user};

for_each_backend!(
    each_way_of_writing_calls_them,
    what_they_set_is_written,
    an_error_before_writes_nothing,
    an_error_after_undoes_the_write,
    an_error_leaves_an_outer_transaction,
    what_they_write_goes_with_the_write,
    several_are_called_in_their_order,
    rows_that_are_read_for_them_are_locked,
    pending_writes_call_them,
    a_pending_write_is_undone_by_an_error,
    many_rows_come_at_once,
);

pub(crate) type Users = BaseDao<user::Entity>;

/// Notes what it is called for, and fails where it is told to.
#[derive(Clone, Default)]
pub(crate) struct Spy(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    calls: Vec<String>,
    fails_at: Option<&'static str>,
    is_outside: bool,
}

impl Spy {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    pub(crate) fn fail_at(&self, call: &'static str) {
        self.0.lock().unwrap().fails_at = Some(call);
    }

    pub(crate) fn was_outside(&self) -> bool {
        self.0.lock().unwrap().is_outside
    }

    fn note(&self, session: &Session, call: &str, rows: impl IntoIterator<Item = String>) -> Result<()> {
        let rows: Vec<String> = rows.into_iter().collect();
        let mut notes = self.0.lock().unwrap();
        notes.calls.push(format!("{call} {}", rows.join(",")));
        notes.is_outside |= !session.is_in_transaction();
        if notes.fails_at == Some(call) { Err(Error::refused(format!("not {call}"))) } else { Ok(()) }
    }
}

fn names(rows: &[user::Model]) -> Vec<String> {
    rows.iter().map(|row| row.username.clone()).collect()
}

fn new_names(rows: &[user::ActiveModel]) -> Vec<String> {
    rows.iter().map(|row| row.username.try_as_ref().cloned().unwrap_or_default()).collect()
}

impl Callbacks<user::Entity> for Spy {
    async fn before_insert(&self, session: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        assert!(rows.iter().all(|row| row.created_at.is_set()), "the conventions come first");
        self.note(session, "before_insert", new_names(rows))
    }

    async fn after_insert(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        assert!(rows.iter().all(|row| row.id > 0));
        self.note(session, "after_insert", names(rows))
    }

    async fn before_update(&self, session: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        self.note(session, "before_update", new_names(rows))
    }

    async fn after_update(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.note(session, "after_update", rows.iter().map(|row| format!("{}={}", row.username, row.status)))
    }

    async fn before_delete(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.note(session, "before_delete", names(rows))
    }

    async fn after_delete(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.note(session, "after_delete", names(rows))
    }

    async fn before_update_where(&self, session: &Session, statement: &Statement) -> Result<()> {
        assert!(statement.sql.starts_with("UPDATE"));
        self.note(session, "before_update_where", [])
    }

    async fn after_update_where(&self, session: &Session, _: &Statement, rows: u64) -> Result<()> {
        self.note(session, "after_update_where", [rows.to_string()])
    }

    async fn before_delete_where(&self, session: &Session, statement: &Statement) -> Result<()> {
        assert!(statement.sql.contains("deleted_at") || statement.sql.starts_with("DELETE"));
        self.note(session, "before_delete_where", [])
    }

    async fn after_delete_where(&self, session: &Session, _: &Statement, rows: u64) -> Result<()> {
        self.note(session, "after_delete_where", [rows.to_string()])
    }
}

pub(crate) fn spied(db: &TestDb) -> (Users, Spy) {
    let spy = Spy::default();
    (Users::new((**db).clone()).callbacks(spy.clone()), spy)
}

pub(crate) fn with_status(user: &user::Model, status: i16) -> user::ActiveModel {
    user::ActiveModel { status: Set(status), ..user.clone().into_active_model() }
}

async fn each_way_of_writing_calls_them(db: TestDb) {
    let (users, spy) = spied(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert_eq!(spy.take(), ["before_insert ada", "after_insert ada"]);
    users.insert_many([new_user("bob"), new_user("cyd")]).await.unwrap();
    assert_eq!(spy.take(), ["before_insert bob,cyd", "after_insert bob,cyd"]);
    let rows = users.insert_many_returning([new_user("dan"), new_user("eve")]).await.unwrap();
    assert_eq!(spy.take(), ["before_insert dan,eve", "after_insert dan,eve"]);
    let json = serde_json::json!({"username": "fay", "phone": "fay"});
    users.insert_json([json]).await.unwrap();
    assert_eq!(spy.take(), ["before_insert fay", "after_insert fay"]);
    users.save(new_user("gus")).await.unwrap();
    assert_eq!(spy.take(), ["before_insert gus", "after_insert gus"]);
    users.save(user::ActiveModel { id: Set(1_000), ..new_user("hal") }).await.unwrap();
    assert_eq!(spy.take(), ["before_insert hal", "after_insert hal"]);

    let ada = users.update(with_status(&ada, 5)).await.unwrap();
    assert_eq!(spy.take(), ["before_update ada", "after_update ada=5"]);
    let ada = users.save(with_status(&ada, 6)).await.unwrap();
    assert_eq!(spy.take(), ["before_update ada", "after_update ada=6"]);
    users.update(ada.clone().into_active_model()).await.unwrap();
    assert_eq!(spy.take(), ["before_update ada"], "nothing was changed");
    users.update_many(rows.iter().map(|row| with_status(row, 7)).collect::<Vec<_>>()).await.unwrap();
    let calls = spy.take();
    assert_eq!(calls[0], "before_update dan,eve");
    assert!(calls[1] == "after_update dan=7,eve=7" || calls[1] == "after_update eve=7,dan=7", "{calls:?}");
    assert_eq!(calls.len(), 2);
    users.update_where().ge(Status, 6).set(Balance, 1).exec().await.unwrap();
    assert_eq!(spy.take(), ["before_update_where ", "after_update_where 3"]);

    users.delete(&ada).await.unwrap();
    assert_eq!(spy.take(), ["before_delete ada", "after_delete ada"]);
    assert!(users.delete_by_id(rows[0].id).await.unwrap());
    assert_eq!(spy.take(), ["before_delete dan", "after_delete dan"]);
    assert!(!users.delete_by_id(rows[0].id).await.unwrap());
    assert_eq!(spy.take(), Vec::<String>::new(), "there is no such row");
    assert_eq!(users.delete_many([rows[0].id, rows[1].id]).await.unwrap(), 1);
    assert_eq!(spy.take(), ["before_delete eve", "after_delete eve"]);
    users.delete_where().all_rows().exec().await.unwrap();
    assert_eq!(spy.take(), ["before_delete_where ", "after_delete_where 5"]);
    users.delete_where().all_rows().with_deleted().hard().exec().await.unwrap();
    assert_eq!(spy.take(), ["before_delete_where ", "after_delete_where 8"]);
    assert!(!spy.was_outside(), "each in a transaction");

    // A DAO without them, and nothing to do.
    Users::new((*db).clone()).insert(new_user("ida")).await.unwrap();
    users.insert_many(Vec::<user::ActiveModel>::new()).await.unwrap();
    assert_eq!(users.update_where().in_(Id, Vec::<i64>::new()).set(Status, 1).exec().await.unwrap(), 0);
    assert_eq!(spy.take(), Vec::<String>::new());
}

struct Rules;

impl Callbacks<user::Entity> for Rules {
    async fn before_insert(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        rows.iter_mut().for_each(|row| row.status = Set(9));
        Ok(())
    }

    async fn before_update(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        rows.iter_mut().for_each(|row| row.balance = Set(77));
        Ok(())
    }
}

async fn what_they_set_is_written(db: TestDb) {
    let users = Users::new((*db).clone()).callbacks(Rules);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.insert_many([new_user("bob"), user::ActiveModel { status: Set(1), ..new_user("cyd") }]).await.unwrap();
    let session = db.session();
    users.within(&session).add(new_user("dan")).unwrap();
    session.flush().await.unwrap();
    drop(session);
    assert_eq!(users.count().eq(Status, 9).await.unwrap(), 4);

    // The first change is theirs.
    let before = ada.updated_at;
    let ada = users.update(ada.into_active_model()).await.unwrap();
    assert!(ada.balance == 77 && ada.updated_at >= before, "{ada:?}");
    let rest = users.query().ne(Username, "ada").all().await.unwrap();
    users.update_many(rest.into_iter().map(|row| row.into_active_model()).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(users.count().eq(Balance, 77).await.unwrap(), 4);
}

/// Runs each way of writing while `call` fails, and checks that nothing has changed.
async fn refuses(db: &TestDb, calls: &[&'static str]) {
    let plain = Users::new((**db).clone());
    let before = async || plain.query().with_deleted().order_asc(Id).all().await.unwrap();
    let rows = plain.insert_many_returning(["ada", "bob", "cyd"].map(new_user)).await.unwrap();
    let [ada, bob, cyd] = rows.as_slice() else { panic!("three rows") };
    let all = before().await;
    for call in calls {
        let (users, spy) = spied(db);
        spy.fail_at(call);
        let results: Vec<Result<()>> = match *call {
            "before_insert" | "after_insert" => vec![
                users.insert(new_user("x")).await.map(drop),
                users.save(new_user("x")).await.map(drop),
                users.insert_many([new_user("x"), new_user("y")]).await.map(drop),
                users.insert_many_returning([new_user("x"), new_user("y")]).await.map(drop),
                users.insert_many((0..10_001).map(|number| new_user(&number.to_string()))).await.map(drop),
            ],
            "before_update" | "after_update" => vec![
                users.update(with_status(ada, 5)).await.map(drop),
                users.save(with_status(ada, 5)).await.map(drop),
                users.update_many([with_status(ada, 5), with_status(bob, 6)]).await.map(drop),
            ],
            "before_delete" | "after_delete" => vec![
                users.delete(cyd).await,
                users.delete_by_id(cyd.id).await.map(drop),
                users.delete_many([bob.id, cyd.id]).await.map(drop),
            ],
            "before_update_where" | "after_update_where" => {
                vec![users.update_where().all_rows().set(Status, 3).exec().await.map(drop)]
            }
            _ => vec![
                users.delete_where().all_rows().exec().await.map(drop),
                users.delete_where().all_rows().hard().exec().await.map(drop),
            ],
        };
        for (index, result) in results.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert!(matches!(error.root(), Error::Refused { .. }), "{call}, {index}: {error:?}");
            assert!(error.to_string().ends_with(&format!(" user: not {call}")), "{call}, {index}: {error}");
            let source = std::error::Error::source(error.root()).unwrap();
            assert_eq!(source.to_string(), format!("not {call}"));
        }
        assert_eq!(before().await, all, "{call}");
    }
}

async fn an_error_before_writes_nothing(db: TestDb) {
    refuses(&db, &["before_insert", "before_update", "before_delete", "before_update_where", "before_delete_where"])
        .await;
}

async fn an_error_after_undoes_the_write(db: TestDb) {
    refuses(&db, &["after_insert", "after_update", "after_delete", "after_update_where", "after_delete_where"]).await;
}

async fn an_error_leaves_an_outer_transaction(db: TestDb) {
    let (users, spy) = spied(&db);
    spy.fail_at("after_update");
    db.execute_transaction(async |tx| -> Result<()> {
        let users = users.within(tx);
        let ada = users.insert(new_user("ada")).await?;
        assert!(users.update(with_status(&ada, 5)).await.is_err());
        users.insert(new_user("bob")).await?;
        Ok(())
    })
    .await
    .unwrap();
    let rows = users.query().order_asc(Username).all().await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.username.as_str(), row.status)).collect::<Vec<_>>(),
        [("ada", 1), ("bob", 1)]
    );
}

/// Writes a row of its own for each, and fails when there are too many.
struct Audit;

impl Callbacks<user::Entity> for Audit {
    async fn before_insert(&self, session: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        let log = BaseDao::<country::Entity>::new(session.session());
        let entry = |row: &user::ActiveModel| country::ActiveModel {
            code: Set(row.username.clone().unwrap().chars().take(2).collect()),
            name: Set("new".to_owned()),
        };
        log.insert_many(rows.iter().map(entry)).await?;
        Ok(())
    }

    async fn after_insert(&self, session: &Session, _: &[user::Model]) -> Result<()> {
        let many = BaseDao::<user::Entity>::new(session.session()).count().await? > 3;
        if many { Err(Error::refused("too many")) } else { Ok(()) }
    }
}

async fn what_they_write_goes_with_the_write(db: TestDb) {
    let users = Users::new((*db).clone()).callbacks(Audit);
    let log = BaseDao::<country::Entity>::new((*db).clone());
    users.insert(new_user("ada")).await.unwrap();
    users.insert_many([new_user("bob"), new_user("cyd")]).await.unwrap();
    assert_eq!((users.count().await.unwrap(), log.count().await.unwrap()), (3, 3));
    assert!(users.insert(new_user("dan")).await.is_err());
    assert!(users.insert_many([new_user("eve"), new_user("fay")]).await.is_err());
    let session = db.session();
    users.within(&session).add(new_user("gus")).unwrap();
    assert!(session.flush().await.is_err());
    drop(session);
    // A unique phone that is taken: the log goes with it.
    let taken = user::ActiveModel { phone: Set("ada".to_owned()), ..new_user("hal") };
    assert!(users.insert(taken).await.unwrap_err().is_unique_violation());
    assert_eq!((users.count().await.unwrap(), log.count().await.unwrap()), (3, 3));
}

/// Notes its name whenever it is called.
struct Named(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Callbacks<user::Entity> for Named {
    async fn before_insert(&self, _: &Session, _: &mut [user::ActiveModel]) -> Result<()> {
        self.1.lock().unwrap().push(self.0);
        Ok(())
    }

    async fn after_insert(&self, _: &Session, _: &[user::Model]) -> Result<()> {
        self.1.lock().unwrap().push(self.0);
        Ok(())
    }
}

async fn several_are_called_in_their_order(db: TestDb) {
    let names = Arc::default();
    let named = |name| Named(name, Arc::clone(&names));
    let users = Users::new((*db).clone()).callbacks(named("first")).callbacks(named("second"));
    users.insert(new_user("zoe")).await.unwrap();
    assert_eq!(*names.lock().unwrap(), ["first", "second", "first", "second"]);
    let spy = Spy::default();
    let users = Users::new((*db).clone()).callbacks(Rules).callbacks(spy.clone()).callbacks(Audit);
    let row = users.insert(new_user("ada")).await.unwrap();
    assert_eq!(row.status, 9);
    spy.fail_at("before_insert");
    assert!(users.insert(new_user("bob")).await.is_err());
    assert_eq!(spy.take(), ["before_insert ada", "after_insert ada", "before_insert bob"]);
    assert_eq!(BaseDao::<country::Entity>::new((*db).clone()).count().await.unwrap(), 1, "those behind are not called");
}

async fn rows_that_are_read_for_them_are_locked(db: TestDb) {
    let (users, _) = spied(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    db.recorder().forget();
    assert!(users.delete_by_id(ada.id).await.unwrap());
    let read: Vec<_> = db.recorder().take().into_iter().filter(|seen| seen.sql.starts_with("SELECT")).collect();
    let locked = |sql: &str| sql.ends_with(" FOR UPDATE") || db.backend() == DbBackend::Sqlite;
    assert!(read.len() == 1 && locked(&read[0].sql), "{:?}", read[0].sql);
}

async fn pending_writes_call_them(db: TestDb) {
    let (users, spy) = spied(&db);
    let [ada, bob] = users.insert_many_returning([new_user("ada"), new_user("bob")]).await.unwrap().try_into().unwrap();
    spy.take();
    let session = db.session();
    let pending = users.within(&session);
    let cyd = pending.add(new_user("cyd")).unwrap();
    pending.edit(ada).unwrap().set(Status, 4_i16).unwrap();
    pending.remove(&bob).unwrap();
    session.add(new_user("dan"));
    assert_eq!(spy.take(), Vec::<String>::new(), "not before the flush");
    session.flush().await.unwrap();
    assert_eq!(cyd.get().unwrap().username, "cyd");
    let mut calls = spy.take();
    assert!(
        calls.iter().position(|call| call.starts_with("before"))
            < calls.iter().position(|call| call.starts_with("after"))
    );
    calls.sort_unstable();
    let expected = [
        "after_delete bob",
        "after_insert cyd",
        "after_update ada=4",
        "before_delete bob",
        "before_insert cyd",
        "before_update ada",
    ];
    assert_eq!(calls, expected);
    assert!(!spy.was_outside(), "each in a transaction");
    // One alone, which would need no transaction.
    pending.add(new_user("eve")).unwrap();
    session.flush().await.unwrap();
    assert_eq!(spy.take(), ["before_insert eve", "after_insert eve"]);
    assert!(!spy.was_outside());
}

async fn a_pending_write_is_undone_by_an_error(db: TestDb) {
    for call in ["before_insert", "after_insert"] {
        let (users, spy) = spied(&db);
        spy.fail_at(call);
        let session = db.session();
        let pending = users.within(&session).add(new_user("ada")).unwrap();
        let error = session.flush().await.unwrap_err();
        assert!(matches!(error.root(), Error::Refused { .. }), "{error:?}");
        assert!(pending.get().is_err() && session.pending() == 1, "it waits for the next flush");
        assert_eq!(users.count().await.unwrap(), 0);
        session.expunge(&pending);
        drop(session);
        let committed =
            db.execute_transaction(async |tx| -> Result<()> { users.within(tx).add(new_user("bob")).map(drop) }).await;
        assert!(committed.is_err(), "the commit flushes");
        assert_eq!(users.count().await.unwrap(), 0);
    }
}

async fn many_rows_come_at_once(db: TestDb) {
    let (users, spy) = spied(&db);
    let row = |number: u32| user::ActiveModel { id: Set(i64::from(number) + 1), ..new_user(&number.to_string()) };
    assert_eq!(users.insert_many((0..10_500).map(row)).await.unwrap(), 10_500);
    let calls = spy.take();
    let shown = |call: &str| -> usize {
        let rows = calls.iter().filter_map(|made| made.strip_prefix(call)).map(|rows| rows.split(',').count());
        rows.sum()
    };
    assert_eq!((shown("before_insert "), shown("after_insert ")), (10_500, 10_500));
    assert!(calls.len() < 100, "{} calls", calls.len());
    assert_eq!(users.delete_many(1..=10_500).await.unwrap(), 10_500);
    assert!(spy.take().len() < 20);
}
