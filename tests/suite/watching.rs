//! What hooks are told of each statement: where its time went, where it comes from, and what it has in common with
//! others.

use std::{panic::Location, time::Duration};

use entities::user;
use futures_util::TryStreamExt;
use sea_dao::{BaseDao, hooks::Access, prelude::*};
use sea_orm::{ActiveValue::Set, EntityTrait, IntoActiveModel};

use crate::support::{Ended, Recorder, TestDb, add_to_balance, eventually, insert_user, new_user, nonce, slow_query};

for_each_backend!(
    waiting_is_told_from_executing,
    what_the_caller_does_between_rows_is_not_execution,
    decoding_is_told_where_it_is_seen,
    statements_tell_the_line_they_come_from,
    writes_tell_the_line_they_come_from,
    statements_that_differ_in_values_have_one_fingerprint,
    statements_tell_tables_and_access,
    the_end_of_a_session_is_told,
);

async fn waiting_is_told_from_executing(db: TestDb) {
    let recorder = Recorder::default();
    let pool = db.open(|config| config.pool_size(1).hook(recorder.clone())).await;
    let first = pool.session();
    nonce(&first, 1).await.unwrap();
    recorder.forget();
    let second = tokio::spawn({
        let session = pool.session();
        async move {
            nonce(&session, 2).await.unwrap();
            nonce(&session, 3).await.unwrap();
        }
    });
    eventually("the second waits", async || pool.status().waiting == 1).await;
    slow_query(&first).await.unwrap();
    drop(first);
    second.await.unwrap();
    let seen = recorder.take();
    let [slow, waited, after] = &seen[..] else { panic!("{seen:#?}") };
    assert_eq!((slow.wait, after.wait), (Duration::ZERO, Duration::ZERO), "only a session's first statement waits");
    assert!(waited.wait >= slow.execute, "it waited while the other was executed: {seen:#?}");
    if db.capabilities().server {
        assert!(slow.execute >= Duration::from_millis(300), "the server slept: {seen:#?}");
    }
}

async fn what_the_caller_does_between_rows_is_not_execution(db: TestDb) {
    for name in ["a", "b", "c"] {
        insert_user(&*db, name).await.unwrap();
    }
    db.recorder().forget();
    let pause = Duration::from_millis(60);
    let started = std::time::Instant::now();
    let mut rows = user::Entity::find().stream(&*db).await.unwrap();
    while rows.try_next().await.unwrap().is_some() {
        tokio::time::sleep(pause).await;
    }
    drop(rows);
    let all = started.elapsed();
    let seen = db.recorder().take();
    assert_eq!((seen.len(), seen[0].rows), (1, Some(3)));
    assert!(seen[0].execute + 3 * pause <= all, "{seen:#?}, {all:?}");

    // Left between two rows.
    let started = std::time::Instant::now();
    let mut rows = user::Entity::find().stream(&*db).await.unwrap();
    rows.try_next().await.unwrap();
    tokio::time::sleep(pause).await;
    drop(rows);
    let all = started.elapsed();
    let seen = db.recorder().take();
    assert_eq!((seen[0].ended, seen[0].rows), (Ended::Cancelled, None));
    assert!(seen[0].execute + pause <= all, "{seen:#?}, {all:?}");
}

async fn decoding_is_told_where_it_is_seen(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let user = insert_user(&*db, "a").await.unwrap();
    db.recorder().forget();
    users.find_by_id(user.id).await.unwrap().unwrap();
    assert_eq!(users.query().all().await.unwrap().len(), 1);
    let seen = db.recorder().take();
    assert_eq!(seen.len(), 2, "each statement is told once");
    assert!(seen.iter().all(|seen| seen.decode.is_some_and(|decode| decode > Duration::ZERO)), "{seen:#?}");

    db.execute_transaction(async |tx| -> sea_dao::Result<()> {
        users.within(tx).query().first().await.map(drop)?;
        user::Entity::find().all(tx).await?;
        add_to_balance(tx, "a", 1).await
    })
    .await
    .unwrap();
    let decoded: Vec<bool> = db.recorder().take().iter().map(|seen| seen.decode.is_some()).collect();
    assert_eq!(decoded, [false, true, false, false, false], "BEGIN, the builder, SeaORM's own call, UPDATE, COMMIT");
    assert_eq!(db.recorder().begun(), 7);
}

#[track_caller]
fn lines_below(lines: u32) -> (&'static str, u32) {
    (Location::caller().file(), Location::caller().line() + lines)
}

async fn statements_tell_the_line_they_come_from(db: TestDb) {
    let here = lines_below(1);
    let session = db.session();
    nonce(&session, 1).await.unwrap();
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let built = lines_below(1);
    users.query().all().await.unwrap();
    let begun = lines_below(1);
    db.execute_transaction(async |tx| -> sea_dao::Result<()> {
        nonce(tx, 2).await?;
        users.within(tx).query().eq(user::Column::Id, 1).count().await.map(drop)
    })
    .await
    .unwrap();
    let within = (begun.0, begun.1 + 2);
    let found = lines_below(1);
    users.find_by_id(1).await.unwrap();
    let found_all = lines_below(1);
    users.find_by_ids([1, 2]).await.unwrap();
    let existing = lines_below(2);
    let session = db.session();
    users.within(&session).exists(1).await.unwrap();
    let seen = db.recorder().take();
    let lines: Vec<_> = seen.iter().map(|seen| seen.location.map(|at| (at.file(), at.line())).unwrap()).collect();
    assert_eq!(lines, [here, built, begun, begun, within, begun, found, found_all, existing]);
}

async fn writes_tell_the_line_they_come_from(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let check = |what: &str, (file, line): (&str, u32)| {
        let seen = db.recorder().take();
        assert!(!seen.is_empty(), "{what}");
        for seen in seen {
            assert_eq!(seen.location.map(|at| (at.file(), at.line())), Some((file, line)), "{what}: {}", seen.sql);
        }
    };
    let at = lines_below(1);
    let ada = users.insert(new_user("ada")).await.unwrap();
    check("insert", at);
    let at = lines_below(1);
    users.update(user::ActiveModel { balance: Set(5), ..ada.clone().into_active_model() }).await.unwrap();
    check("update", at);
    let nothing_new = ada.clone().into_active_model();
    let at = lines_below(1);
    users.update(nothing_new).await.unwrap();
    check("an update of nothing", at);
    for name in ["new", "ada"] {
        let key = if name == "ada" { Set(ada.id) } else { Set(ada.id + 100) };
        let saved = user::ActiveModel { id: key, ..new_user(name) };
        let at = lines_below(1);
        users.save(saved).await.unwrap();
        check("save", at);
    }
    let at = lines_below(1);
    users.insert_many(["b", "c"].map(new_user)).await.unwrap();
    check("insert_many", at);
    let rows = ["d", "e"].map(new_user);
    let at = lines_below(1);
    let mut many = users.insert_many_returning(rows).await.unwrap();
    check("insert_many_returning", at);
    let changed = many.iter().map(|user| user::ActiveModel { balance: Set(7), ..user.clone().into_active_model() });
    let at = lines_below(1);
    users.update_many(changed).await.unwrap();
    check("update_many", at);
    let json = serde_json::json!({ "username": "json", "phone": "json" });
    let at = lines_below(1);
    users.insert_json([json]).await.unwrap();
    check("insert_json", at);
    let keys: Vec<_> = many.iter().map(|user| user.id).collect();
    let at = lines_below(1);
    users.delete_many(keys).await.unwrap();
    check("delete_many", at);
    let at = lines_below(1);
    users.delete_by_id(ada.id + 100).await.unwrap();
    check("delete_by_id", at);
    let at = lines_below(1);
    users.delete(&ada).await.unwrap();
    check("delete", at);
    let gone = many.remove(0);
    let at = lines_below(1);
    users.delete(&gone).await.unwrap_err();
    check("a delete that finds nothing", at);

    // In a transaction the line of the call, too.
    let tx = db.begin().await.unwrap();
    db.recorder().forget();
    let within = users.within(&tx);
    let at = lines_below(1);
    within.insert(new_user("f")).await.unwrap();
    check("insert within", at);
    tx.rollback().await.unwrap();
}

async fn statements_that_differ_in_values_have_one_fingerprint(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    for names in [vec!["a"], vec!["b", "c", "d"]] {
        users.query().in_(user::Column::Username, names).all().await.unwrap();
    }
    users.insert_many(vec![new_user("a")]).await.unwrap();
    users.insert_many(vec![new_user("b"), new_user("c")]).await.unwrap();
    let seen = db.recorder().take();
    let selects: Vec<_> = seen.iter().filter(|seen| &*seen.fingerprint.operation == "SELECT").collect();
    assert_eq!(selects.len(), 2);
    assert_eq!(selects[0].fingerprint, selects[1].fingerprint);
    let inserts: Vec<_> = seen.iter().filter(|seen| &*seen.fingerprint.operation == "INSERT").collect();
    assert!(inserts.len() >= 2);
    assert!(inserts.iter().all(|insert| insert.fingerprint == inserts[0].fingerprint), "{seen:#?}");
}

async fn statements_tell_tables_and_access(db: TestDb) {
    insert_user(&*db, "a").await.unwrap();
    db.recorder().forget();
    db.execute_transaction(async |tx| -> sea_dao::Result<()> {
        user::Entity::find().all(tx).await?;
        add_to_balance(tx, "a", 1).await
    })
    .await
    .unwrap();
    let seen = db.recorder().take();
    let told: Vec<_> = seen.iter().map(|seen| (seen.fingerprint.summary(), seen.fingerprint.access)).collect();
    let expected = [("SELECT user", Access::Read), ("UPDATE user", Access::Write), ("COMMIT", Access::Neither)];
    assert_eq!(told[1..], expected.map(|(summary, access)| (summary.to_owned(), access)));
    assert_eq!(told[0].1, Access::Neither);
}

async fn the_end_of_a_session_is_told(db: TestDb) {
    use std::sync::{Arc, Mutex};

    use sea_dao::hooks::SqlHook;

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<u64>>>);

    impl SqlHook for Ends {
        fn session_ended(&self, session: u64) {
            self.0.lock().unwrap().push(session);
        }
    }

    let ends = Ends::default();
    let pool = db.open(|config| config.hook(ends.clone())).await;
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    let tx = session.begin().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(*ends.0.lock().unwrap(), [] as [u64; 0]);
    let id = session.id();
    drop(session);
    assert_eq!(*ends.0.lock().unwrap(), [id]);
}
