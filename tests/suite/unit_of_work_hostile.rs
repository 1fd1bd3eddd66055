//! The unit of work in the hands of somebody who makes mistakes, asks for much, or does two things at once.

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::{Arc, mpsc},
    thread,
};

use entities::{customer_order, tag, user, user_tag};
use futures_util::{FutureExt, TryStreamExt, future::join};
use sea_dao::{
    BaseDao, Error, FlushMode, Result, Session, SessionProvider, dao::Callbacks, hooks::StatementKind, session::Edited,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
    prelude::Uuid,
};

use tokio::sync::Semaphore;

use crate::support::{PATIENCE, TestDb, count_users, insert_user, new_user, usernames};

for_each_backend!(
    rows_with_composite_keys_are_added_edited_and_deleted,
    more_values_than_a_statement_takes,
    a_script_that_begins_with_a_read_is_no_read,
    a_second_flush_meanwhile_is_refused,
    a_flush_beside_an_open_stream_is_refused_and_keeps_the_writes,
    a_closure_that_panics_leaves_everything_pending,
    a_write_asked_of_a_transaction_that_has_ended_is_not_done,
    a_row_that_is_added_and_refers_to_nothing_fails_and_can_be_mended,
    a_change_may_look_at_its_own_row,
    what_a_closure_owns_is_dropped_outside_of_the_sessions_lock,
);

fn new_tag(number: u128) -> tag::ActiveModel {
    tag::ActiveModel { id: Set(Uuid::from_u128(number)), name: Set(number.to_string()) }
}

async fn rows_with_composite_keys_are_added_edited_and_deleted(db: TestDb) {
    const TAGS: usize = 450;
    let session = db.session();
    let users = session.add_all(["a, b", "a"].map(new_user));
    let tags = session.add_all((0..TAGS as u128).map(new_tag));
    let mut links = Vec::new();
    for user in &users {
        for tag in &tags {
            links.push(session.add_after((user, tag), |(user, tag)| user_tag::ActiveModel {
                user_id: Set(user.id),
                tag_id: Set(tag.id),
                ..Default::default()
            }));
        }
    }
    assert_eq!(session.flush().await.unwrap(), 2 + 3 * TAGS);
    for (number, link) in links.iter().enumerate() {
        let (user, tag) = (users[number / TAGS].get().unwrap(), tags[number % TAGS].get().unwrap());
        let link = link.get().unwrap();
        assert_eq!((link.user_id, link.tag_id), (user.id, tag.id));
    }
    let first = links[0].get().unwrap().clone();
    db.recorder().forget();
    let known = session.get::<user_tag::Entity>((first.user_id, first.tag_id)).await.unwrap();
    assert_eq!((known.as_ref(), db.recorder().begun()), (Some(&first), 0));

    let moment = first.created_at + std::time::Duration::from_secs(60);
    for link in &links {
        session.edit(link.get().unwrap().clone()).set(user_tag::Column::CreatedAt, moment).unwrap();
    }
    assert_eq!(session.flush().await.unwrap(), 2 * TAGS);
    let edited = user_tag::Entity::find().filter(user_tag::Column::CreatedAt.eq(moment)).count(db.outside());
    assert_eq!(edited.await.unwrap(), 2 * TAGS as u64);
    let known = session.get::<user_tag::Entity>((first.user_id, first.tag_id)).await.unwrap();
    assert_eq!(known.map(|link| link.created_at), Some(moment));

    // All but one.
    for link in &links[1..] {
        session.delete(link.get().unwrap());
    }
    assert_eq!(session.flush().await.unwrap(), 2 * TAGS - 1);
    let left = user_tag::Entity::find().all(db.outside()).await.unwrap();
    assert_eq!(
        left.iter().map(|link| (link.user_id, link.tag_id)).collect::<Vec<_>>(),
        [(first.user_id, first.tag_id)]
    );
    session.delete(links[1].get().unwrap());
    let failed = session.flush().await.unwrap_err();
    assert!(failed.is_not_found(), "{failed:?}");
}

async fn more_values_than_a_statement_takes(db: TestDb) {
    // Each of the three statements needs more values than the database takes in one.
    const ROWS: usize = 66_000;
    let session = db.session();
    let tags = session.add_all((0..ROWS as u128).map(new_tag));
    assert_eq!(session.flush().await.unwrap(), ROWS);
    assert_eq!(tags[ROWS - 1].get().unwrap().name, (ROWS - 1).to_string());
    for tag in &tags {
        session.delete(tag.get().unwrap());
    }
    db.recorder().forget();
    assert_eq!(session.flush().await.unwrap(), ROWS);
    let deletes = db.recorder().take_kinds().iter().filter(|kind| **kind == StatementKind::Execute).count();
    assert!(deletes > 1, "{deletes}");
    assert_eq!(tag::Entity::find().count(db.outside()).await.unwrap(), 0);
}

async fn a_script_that_begins_with_a_read_is_no_read(db: TestDb) {
    let ada = insert_user(db.outside(), "ada").await.unwrap();
    let session = db.session();
    let balance = async || session.get::<user::Entity>(ada.id).await.unwrap().unwrap().balance;
    assert_eq!(balance().await, 0);
    let table = if db.backend() == sea_orm::DbBackend::MySql { "`user`" } else { "\"user\"" };
    session.execute_unprepared(&format!("SELECT 1; UPDATE {table} SET balance = 7; ")).await.unwrap();
    assert_eq!(balance().await, 7);
}

/// Keeps a flush waiting when it is about to insert.
#[derive(Clone)]
struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Callbacks<user::Entity> for Gate {
    async fn before_insert(&self, _: &Session, _: &mut [user::ActiveModel]) -> Result<()> {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        Ok(())
    }
}

async fn a_second_flush_meanwhile_is_refused(db: TestDb) {
    for how in ["outside of a transaction", "in a transaction", "by its commit"] {
        let gate = Gate { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) };
        let session = if how == "outside of a transaction" { db.session() } else { db.begin().await.unwrap() };
        let other = session.session();
        let users = BaseDao::<user::Entity>::new(session.session()).callbacks(gate.clone());
        let first = users.add(new_user(how)).unwrap();
        let flushing = async {
            if how == "by its commit" {
                session.commit().await.unwrap();
                return None;
            }
            assert_eq!(session.flush().await.unwrap(), 1, "{how}");
            Some(session)
        };
        let meanwhile = async {
            gate.reached.acquire().await.unwrap().forget();
            let second = other.add(new_user(&format!("2, {how}")));
            let refused = [
                other.flush().await.map(drop),
                other.begin().await.map(drop),
                user::Entity::find().count(&other).await.map(drop).map_err(Error::from),
                other.get::<user::Entity>(1).await.map(drop),
            ];
            for refused in refused {
                let Err(error) = refused else { panic!("not refused {how}") };
                assert!(matches!(error.root(), Error::SessionBusy { .. }), "{error:?} {how}");
            }
            gate.open.add_permits(1);
            second
        };
        let (session, second) = join(flushing, meanwhile).await;
        assert!(first.get().is_ok(), "{how}");
        // What is asked for meanwhile waits for the next one.
        if let Some(session) = session {
            assert!(second.get().is_err(), "{how}");
            assert_eq!((session.flush().await.unwrap(), session.pending()), (1, 0), "{how}");
            if session.is_in_transaction() {
                session.commit().await.unwrap();
            }
        }
        assert!(second.get().is_ok(), "{how}");
    }
    assert_eq!(count_users(db.outside()).await, 6);
}

async fn a_flush_beside_an_open_stream_is_refused_and_keeps_the_writes(db: TestDb) {
    for name in ["a", "b"] {
        insert_user(db.outside(), name).await.unwrap();
    }
    for in_transaction in [false, true] {
        let session = if in_transaction { db.begin().await.unwrap() } else { db.session() };
        let mut rows = user::Entity::find().stream(&session).await.unwrap();
        assert!(rows.try_next().await.unwrap().is_some());
        let row = session.add(new_user(&format!("in a transaction: {in_transaction}")));
        let refused = session.flush().await;
        assert!(matches!(refused.as_ref().unwrap_err().root(), Error::SessionBusy { .. }), "{refused:?}");
        let refused = user::Entity::find().count(&session).await.map_err(Error::from);
        assert!(matches!(refused.as_ref().unwrap_err().root(), Error::SessionBusy { .. }), "{refused:?}");
        assert_eq!(session.pending(), 1);
        assert!(rows.try_next().await.unwrap().is_some(), "the stream goes on");
        drop(rows);
        assert_eq!(session.flush().await.unwrap(), 1);
        assert!(row.get().is_ok());
        if in_transaction {
            session.commit().await.unwrap();
        }
    }
    assert_eq!(count_users(db.outside()).await, 4);
}

async fn a_closure_that_panics_leaves_everything_pending(db: TestDb) {
    for in_transaction in [false, true] {
        let session = if in_transaction { db.begin().await.unwrap() } else { db.session() };
        session.set_flush_mode(FlushMode::Manual);
        let first = session.add(new_user(&in_transaction.to_string()));
        let bad = session.add_after(&first, |_| -> customer_order::ActiveModel {
            std::panic::resume_unwind(Box::new("on purpose"))
        });
        let panic = AssertUnwindSafe(session.flush()).catch_unwind().await.unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
        assert_eq!(session.pending(), 2);
        assert!(matches!(first.get(), Err(Error::NotFlushed { .. })));
        assert_eq!(usernames(&session).await, if in_transaction { vec!["false"] } else { vec![] });
        assert_eq!(session.expunge(&bad), 1);
        assert_eq!(session.flush().await.unwrap(), 1);
        if in_transaction {
            session.commit().await.unwrap();
        }
    }
    assert_eq!(usernames(db.outside()).await, ["false", "true"]);
}

async fn a_write_asked_of_a_transaction_that_has_ended_is_not_done(db: TestDb) {
    let ada = insert_user(db.outside(), "ada").await.unwrap();
    let tx = db.begin().await.unwrap();
    let late = tx.session();
    let edited = tx.edit(ada.clone());
    tx.commit().await.unwrap();
    let never = late.add(new_user("never"));
    late.delete(&ada);
    assert!(matches!(never.get(), Err(Error::WriteUndone { .. })), "{:?}", never.get());
    assert!(matches!(edited.set(user::Column::Status, 4_i16), Err(Error::TransactionEnded)));
    assert!(matches!(late.edit(ada).set(user::Column::Status, 4_i16), Err(Error::TransactionEnded)));
    assert!(matches!(late.flush().await, Err(Error::TransactionEnded)));
    assert_eq!((late.pending(), usernames(db.outside()).await), (0, vec!["ada".to_owned()]));
}

async fn a_row_that_is_added_and_refers_to_nothing_fails_and_can_be_mended(db: TestDb) {
    for in_transaction in [false, true] {
        let session = if in_transaction { db.begin().await.unwrap() } else { db.session() };
        session.set_flush_mode(FlushMode::Manual);
        let order = move |user: i64| customer_order::ActiveModel {
            user_id: Set(user),
            number: Set(in_transaction.to_string()),
            ..Default::default()
        };
        let wrong = session.add(order(i64::MAX));
        let failed = session.flush().await.unwrap_err();
        assert!(failed.is_foreign_key_violation(), "{failed:?}");
        assert!(failed.to_string().starts_with("insert customer_order"), "{failed}");
        session.expunge(&wrong);
        let user = session.add(new_user(&in_transaction.to_string()));
        session.add_after(&user, move |user| order(user.id));
        assert_eq!(session.flush().await.unwrap(), 2);
        if in_transaction {
            session.commit().await.unwrap();
        }
    }
    assert_eq!(customer_order::Entity::find().count(db.outside()).await.unwrap(), 2);
}

/// What `work` gives, on a thread of its own: if it waits for itself, the test and its session must not wait with it.
fn unless_it_hangs<T: Send + 'static>(session: Session, work: impl FnOnce() -> T + Send + 'static) -> (Session, T) {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    match result.recv_timeout(PATIENCE) {
        Ok(given) => (session, given),
        Err(error) => {
            mem::forget(session);
            panic!("it hangs, or has failed: {error}")
        }
    }
}

async fn a_change_may_look_at_its_own_row(db: TestDb) {
    let ada = insert_user(db.outside(), "ada").await.unwrap();
    let session = db.session();
    let (edited, own) = (session.edit(ada), session.session());
    let (session, edited): (_, Edited<user::Entity>) = unless_it_hangs(session, move || {
        for balance in 1..=3 {
            edited.change(|row| row.balance = Set(edited.get().unwrap().balance + 1)).unwrap();
            assert_eq!(edited.get().unwrap().balance, balance);
        }
        // What is set meanwhile in another column stays.
        let changed = edited.change(|row| {
            edited.set(user::Column::Status, 4_i16).unwrap();
            assert_eq!(own.pending(), 1, "{edited:?}");
            row.email = Set(Some("ada@example.org".to_owned()));
            row.profile = NotSet;
        });
        changed.unwrap();
        edited
    });
    assert_eq!(session.flush().await.unwrap(), 1);
    let row = edited.get().unwrap();
    assert_eq!((row.balance, row.status, row.email.as_deref()), (3, 4, Some("ada@example.org")));
    assert_eq!(user::Entity::find_by_id(row.id).one(db.outside()).await.unwrap(), Some(row));
}

/// Looks at its session when it is dropped.
struct Looks(Session);

impl Drop for Looks {
    fn drop(&mut self) {
        assert_eq!(self.0.pending(), 1);
    }
}

async fn what_a_closure_owns_is_dropped_outside_of_the_sessions_lock(db: TestDb) {
    let session = db.session();
    let (first, own) = (session.add(new_user("a")), session.session());
    let looks = Looks(session.session());
    let (session, expunged) = unless_it_hangs(session, move || {
        let child = own.add_after(&first, move |_| {
            let _ = &looks;
            new_user("b")
        });
        own.expunge(&child)
    });
    assert_eq!((expunged, session.flush().await.unwrap()), (1, 1));
}
