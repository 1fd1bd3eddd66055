//! Upserts with callbacks that meet in a deadlock: the one that the database undoes runs again, and in the end each callback
//! has had its effect once, on rows as they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use entities::{
    tag,
    user::{
        self,
        Column::{Balance, Phone, Status, Username},
    },
};
use sea_dao::{BaseDao, Error, Result, RetryPolicy, Session, dao::Callbacks, execute_transaction, prelude::*};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, prelude::Uuid, sea_query::Expr};
use tokio::sync::Barrier;

use crate::{
    dao_callbacks::Users,
    support::{TestDb, new_user},
};

for_each_backend!(
    callbacks_that_update_each_others_rows,
    rows_that_are_inserted_in_opposite_order,
    in_a_transaction_it_is_the_transaction_that_runs_again,
);

/// What has come of the callbacks of all tasks.
#[derive(Default)]
struct Outcomes {
    calls: u32,
    committed: u32,
    rolled_back: u32,
}

/// The callbacks of one of two tasks.
struct Crossing {
    gate: Arc<Barrier>,
    outcomes: Arc<Mutex<Outcomes>>,
    /// The other one has not been met.
    is_first: Mutex<bool>,
    /// Whose balance grows by one with each row that is written.
    other: Option<&'static str>,
}

impl Crossing {
    async fn written(&self, session: &Session, what: &str, rows: &[user::Model]) -> Result<()> {
        self.outcomes.lock().unwrap().calls += 1;
        let (committed, rolled_back) = (self.outcomes.clone(), self.outcomes.clone());
        session.after_commit(async move || committed.lock().unwrap().committed += 1)?;
        session.after_rollback(async move || rolled_back.lock().unwrap().rolled_back += 1)?;
        let notes = rows.iter().map(|row| format!("{what} {}={}", row.username, row.status)).collect();
        note(session, notes).await?;
        let is_first = std::mem::take(&mut *self.is_first.lock().unwrap());
        if is_first {
            // From here on each of the two has a row that the other one wants.
            self.gate.wait().await;
        }
        if let Some(other) = self.other {
            let one_more = user::Entity::update_many().col_expr(Balance, Expr::col(Balance).add(1));
            one_more.filter(Phone.eq(other)).exec(session).await?;
        }
        Ok(())
    }
}

/// Writes these down, in the transaction of the write.
async fn note(session: &Session, notes: Vec<String>) -> Result<()> {
    let notes = notes.into_iter().map(|note| tag::ActiveModel {
        id: Set(Uuid::from_u128(fastrand::u128(..))),
        name: Set(format!("{note} {}", fastrand::u64(..))),
    });
    BaseDao::<tag::Entity>::new(session.session()).insert_many(notes).await.map(drop)
}

/// How often each was written down.
async fn notes(db: &TestDb) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for tag in BaseDao::<tag::Entity>::new((**db).clone()).query().all().await.unwrap() {
        let (note, _) = tag.name.rsplit_once(' ').unwrap();
        *counts.entry(note.to_owned()).or_default() += 1;
    }
    counts
}

fn once<const N: usize>(notes: [&str; N]) -> BTreeMap<String, u32> {
    notes.into_iter().map(|note| (note.to_owned(), 1)).collect()
}

impl Callbacks<user::Entity> for Crossing {
    async fn before_insert(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        // Of what was given, not of what an attempt that was undone has made of it.
        rows.iter_mut().for_each(|row| row.username = Set(format!("{}!", row.username.as_ref())));
        Ok(())
    }

    async fn after_insert(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.written(session, "inserted", rows).await
    }

    async fn after_update(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        self.written(session, "updated", rows).await
    }
}

/// The DAO of each of two tasks, and what comes of both.
fn two(db: &TestDb, others: [Option<&'static str>; 2]) -> ([Users; 2], Arc<Mutex<Outcomes>>) {
    let (gate, outcomes) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::default()));
    let users = others.map(|other| {
        let is_first = Mutex::new(true);
        let crossing = Crossing { gate: gate.clone(), outcomes: Arc::clone(&outcomes), is_first, other };
        Users::new((**db).clone()).callbacks(crossing)
    });
    (users, outcomes)
}

fn user(name: &str, status: i16) -> user::ActiveModel {
    user::ActiveModel { status: Set(status), ..new_user(name) }
}

async fn rows(db: &TestDb) -> Vec<(String, i16, i64)> {
    let rows = Users::new((**db).clone()).query().order_asc(Phone).all().await.unwrap();
    rows.into_iter().map(|row| (row.username, row.status, row.balance)).collect()
}

async fn callbacks_that_update_each_others_rows(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    Users::new((*db).clone()).insert_many([user("ada", 0), user("bob", 0)]).await.unwrap();
    let ([one, other], outcomes) = two(&db, [Some("bob"), Some("ada")]);
    let tasks = [(one, "ada", 1), (other, "bob", 2)].map(|(users, name, status)| {
        tokio::spawn(async move { users.upsert(user(name, status)).on([Phone]).update([Username, Status]).await })
    });
    for (task, (name, status)) in tasks.into_iter().zip([("ada!", 1), ("bob!", 2)]) {
        let written = task.await.unwrap().unwrap();
        assert_eq!((written.username.as_str(), written.status), (name, status));
    }
    assert_eq!(rows(&db).await, [("ada!".to_owned(), 1, 1), ("bob!".to_owned(), 2, 1)]);
    assert_eq!(notes(&db).await, once(["updated ada!=1", "updated bob!=2"]));
    let outcomes = outcomes.lock().unwrap();
    assert!(outcomes.rolled_back >= 1, "they have met");
    assert_eq!((outcomes.committed, outcomes.calls), (2, 2 + outcomes.rolled_back));
}

/// It is the upsert's own statement that fails: the two rows do not set the same columns, so that each is written alone.
async fn rows_that_are_inserted_in_opposite_order(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    let ([one, other], outcomes) = two(&db, [None, None]);
    let tasks = [(one, ["ada", "bob"], 1), (other, ["bob", "ada"], 2)].map(|(users, [first, second], status)| {
        let email = Set(Some("somewhere".to_owned()));
        let rows = [user(first, status), user::ActiveModel { email, ..user(second, status) }];
        tokio::spawn(async move { users.upsert_many_returning(rows).on([Phone]).await })
    });
    for (task, (names, status)) in tasks.into_iter().zip([(["ada!", "bob!"], 1), (["bob!", "ada!"], 2)]) {
        let written = task.await.unwrap().unwrap();
        assert!(written.iter().map(|row| (row.username.as_str(), row.status)).eq(names.map(|name| (name, status))));
    }
    let rows = rows(&db).await;
    let last = rows[0].1;
    assert_eq!(rows, [("ada!".to_owned(), last, 0), ("bob!".to_owned(), last, 0)], "all or none of a call");
    let first = 3 - last;
    let inserted = ["ada!", "bob!"].map(|name| format!("inserted {name}={first}"));
    let updated = ["ada!", "bob!"].map(|name| format!("updated {name}={last}"));
    assert_eq!(notes(&db).await, once([&*inserted[0], &*inserted[1], &*updated[0], &*updated[1]]));
    let outcomes = outcomes.lock().unwrap();
    assert!(outcomes.rolled_back >= 1, "they have met");
    assert_eq!((outcomes.committed, outcomes.calls), (4, 4 + outcomes.rolled_back));
}

/// What a transaction did before is undone too; to repeat that is not the upsert's affair.
async fn in_a_transaction_it_is_the_transaction_that_runs_again(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    Users::new((*db).clone()).insert_many([user("ada", 0), user("bob", 0)]).await.unwrap();
    let upsert = async |tx: &Session, users: &Users, name: &str, status| {
        note(tx, vec![format!("before {name}")]).await?;
        users.within(tx).upsert(user(name, status)).on([Phone]).update([Username, Status]).await
    };
    let ([one, other], outcomes) = two(&db, [Some("bob"), Some("ada")]);
    let policy = RetryPolicy::default().base_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(5));
    let again = || db.transaction().retry(policy.clone());
    let ada = again().run(async |tx| -> Result<user::Model> { upsert(tx, &one, "ada", 1).await });
    let bob = again().run(async |tx| -> Result<user::Model> { upsert(tx, &other, "bob", 2).await });
    let (ada, bob) = tokio::join!(ada, bob);
    assert_eq!((ada.unwrap().status, bob.unwrap().status), (1, 2));
    assert_eq!(rows(&db).await, [("ada!".to_owned(), 1, 1), ("bob!".to_owned(), 2, 1)]);
    let written = once(["before ada", "before bob", "updated ada!=1", "updated bob!=2"]);
    assert_eq!(notes(&db).await, written);
    assert!(outcomes.lock().unwrap().rolled_back >= 1, "they have met");

    // Without a policy one of the two is told, and nothing of it is left.
    let ([one, other], _) = two(&db, [Some("bob"), Some("ada")]);
    let ada = execute_transaction(&*db, async |tx| -> Result<user::Model> { upsert(tx, &one, "ada", 3).await });
    let bob = execute_transaction(&*db, async |tx| -> Result<user::Model> { upsert(tx, &other, "bob", 4).await });
    let (ada, bob) = tokio::join!(ada, bob);
    assert_eq!(u8::from(ada.is_ok()) + u8::from(bob.is_ok()), 1, "{ada:?} {bob:?}");
    let expected = match (&ada, &bob) {
        (Ok(_), _) => [("ada!".to_owned(), 3, 1), ("bob!".to_owned(), 2, 2)],
        _ => [("ada!".to_owned(), 1, 2), ("bob!".to_owned(), 4, 1)],
    };
    let told: Error = ada.err().or(bob.err()).unwrap();
    assert!(told.is_retryable(), "{told:?}");
    assert_eq!(rows(&db).await, expected);
    assert_eq!(notes(&db).await.values().sum::<u32>(), 6);
}
