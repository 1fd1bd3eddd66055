//! Optimistic locking and actors in the unit of work.

use entities::user;
use sea_dao::{BaseDao, Error, Session, session::Edited, with_actor};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use crate::{
    dao::{outside, users},
    support::{TestDb, new_user},
};

for_each_backend!(
    an_edit_checks_and_raises_the_version,
    an_edit_of_a_version_that_is_gone_writes_nothing,
    a_conflict_names_the_row_that_somebody_else_has_changed,
    a_row_that_is_gone_is_no_conflict,
    a_delete_checks_the_version,
    a_delete_of_many_names_the_row_that_somebody_else_has_changed,
    an_edit_and_a_delete_of_one_row_go_together,
    a_conflict_is_found_in_a_transaction_that_has_seen_the_row_before,
    a_version_that_cannot_be_raised_is_refused,
    without_being_asked_the_version_stays,
    actors_are_those_who_asked,
    edits_of_one_flush_share_its_time,
);

/// The users within the session, with optimistic locking.
fn locked(db: &TestDb, session: &Session) -> BaseDao<user::Entity> {
    users(db).optimistic_lock(user::Column::Version).within(session)
}

/// As many users as names, all at version 0.
async fn added(dao: &BaseDao<user::Entity>, session: &Session, names: &[&str]) -> Vec<user::Model> {
    let rows = dao.add_all(names.iter().map(|name| new_user(name))).unwrap();
    session.flush().await.unwrap();
    rows.iter().map(|row| row.get().unwrap().clone()).collect()
}

/// Somebody else raises the version.
async fn change_meanwhile(db: &TestDb, row: &user::Model, version: i32) {
    let other = user::ActiveModel { version: Set(version), status: Set(77), ..row.clone().into_active_model() };
    other.update(db.outside()).await.unwrap();
}

#[track_caller]
fn assert_conflict(failed: &Error, row: &user::Model, said: (&str, &str)) {
    let Error::VersionConflict { entity: "user", key, expected, found } = failed.root() else { panic!("{failed:?}") };
    assert_eq!((key, expected.as_str(), found.as_str()), (&format!("id = {}", row.id), said.0, said.1));
}

async fn an_edit_checks_and_raises_the_version(db: TestDb) {
    let session = db.session();
    let dao = locked(&db, &session);
    let ada = added(&dao, &session, &["ada"]).await.remove(0);
    assert_eq!(ada.version, 0);
    let ada = dao.edit(ada).unwrap();
    for (status, version) in [(2_i16, 1), (3, 2)] {
        ada.set(user::Column::Status, status).unwrap();
        assert_eq!(session.flush().await.unwrap(), 1);
        let row = ada.get().unwrap();
        assert_eq!((row.status, row.version), (status, version));
        assert_eq!(outside(&db, row.id).await, Some(row));
    }
    ada.set(user::Column::Status, 3_i16).unwrap();
    assert_eq!((session.flush().await.unwrap(), ada.get().unwrap().version), (0, 2), "no difference, no new version");
}

async fn an_edit_of_a_version_that_is_gone_writes_nothing(db: TestDb) {
    let session = db.session();
    let dao = locked(&db, &session);
    let rows = added(&dao, &session, &["ada", "bob"]).await;
    let edits: Vec<Edited<_>> = rows.iter().map(|row| dao.edit(row.clone()).unwrap()).collect();
    change_meanwhile(&db, &rows[1], 1).await;
    for (edit, status) in edits.iter().zip([8_i16, 9]) {
        edit.set(user::Column::Status, status).unwrap();
    }
    let failed = session.flush().await.unwrap_err();
    assert!(failed.is_version_conflict() && !failed.is_not_found(), "{failed:?}");
    assert_conflict(&failed, &rows[1], ("0", "1"));
    assert_eq!(session.pending(), 2);
    assert_eq!(outside(&db, rows[0].id).await.as_ref(), Some(&rows[0]), "nothing is written");
    // What is read anew can be written.
    edits[1].discard();
    let fresh = dao.edit(outside(&db, rows[1].id).await.unwrap()).unwrap();
    fresh.set(user::Column::Status, 9_i16).unwrap();
    assert_eq!(session.flush().await.unwrap(), 2);
    let versions = [outside(&db, rows[0].id).await.unwrap().version, outside(&db, rows[1].id).await.unwrap().version];
    assert_eq!(versions, [1, 2]);
}

/// The others were given that very version by the same statement.
async fn a_conflict_names_the_row_that_somebody_else_has_changed(db: TestDb) {
    let session = db.session();
    let dao = locked(&db, &session);
    let rows = added(&dao, &session, &["ada", "bob", "cyd"]).await;
    change_meanwhile(&db, &rows[1], 1).await;
    for row in &rows {
        dao.edit(row.clone()).unwrap().set(user::Column::Status, 5_i16).unwrap();
    }
    assert_conflict(&session.flush().await.unwrap_err(), &rows[1], ("0", "1"));
    assert_eq!(outside(&db, rows[0].id).await.unwrap().version, 0);
}

async fn a_row_that_is_gone_is_no_conflict(db: TestDb) {
    let session = db.session();
    let dao = locked(&db, &session);
    let rows = added(&dao, &session, &["ada", "bob", "cyd"]).await;
    users(&db).optimistic_lock(user::Column::Version).delete(&rows[1]).await.unwrap();
    for row in &rows {
        dao.edit(row.clone()).unwrap().set(user::Column::Status, 5_i16).unwrap();
    }
    let failed = session.flush().await.unwrap_err();
    assert!(failed.is_not_found() && !failed.is_version_conflict(), "{failed:?}");
    assert_eq!(failed.to_string(), format!("no user with id = {}", rows[1].id));
}

async fn a_delete_checks_the_version(db: TestDb) {
    for hard in [false, true] {
        let session = db.session();
        let dao = locked(&db, &session);
        let row = added(&dao, &session, &[&format!("row {hard}")]).await.remove(0);
        change_meanwhile(&db, &row, 4).await;
        if hard { dao.hard_remove(&row) } else { dao.remove(&row) }.unwrap();
        assert_conflict(&session.flush().await.unwrap_err(), &row, ("0", "4"));
        assert_eq!(session.pending(), 1);

        let other = db.session();
        let fresh = outside(&db, row.id).await.unwrap();
        let others = locked(&db, &other);
        if hard { others.hard_remove(&fresh) } else { others.remove(&fresh) }.unwrap();
        assert_eq!(other.flush().await.unwrap(), 1);
        let left = outside(&db, row.id).await.map(|row| (row.version, row.deleted_at.is_some()));
        assert_eq!(left, (!hard).then_some((5, true)));
        assert!(session.flush().await.unwrap_err().is_not_found(), "now it is gone");
    }
}

async fn a_delete_of_many_names_the_row_that_somebody_else_has_changed(db: TestDb) {
    for hard in [false, true] {
        let session = db.session();
        let dao = locked(&db, &session);
        let names = ["a", "b", "c"].map(|name| format!("{name} {hard}"));
        let rows = added(&dao, &session, &names.each_ref().map(String::as_str)).await;
        change_meanwhile(&db, &rows[1], 1).await;
        for row in &rows {
            if hard { dao.hard_remove(row) } else { dao.remove(row) }.unwrap();
        }
        assert_conflict(&session.flush().await.unwrap_err(), &rows[1], ("0", "1"));
        assert_eq!(session.pending(), 3);
        for row in &rows {
            assert_eq!(outside(&db, row.id).await.unwrap().deleted_at, None, "nothing is deleted");
        }
    }
}

async fn an_edit_and_a_delete_of_one_row_go_together(db: TestDb) {
    for hard in [false, true] {
        let session = db.session();
        let dao = locked(&db, &session);
        let row = added(&dao, &session, &[&format!("row {hard}")]).await.remove(0);
        let edited = dao.edit(row.clone()).unwrap();
        edited.set(user::Column::Status, 6_i16).unwrap();
        if hard { dao.hard_remove(&row) } else { dao.remove(&edited.get().unwrap()) }.unwrap();
        assert_eq!(session.flush().await.unwrap(), 2);
        let left = outside(&db, row.id).await.map(|row| (row.status, row.version, row.deleted_at.is_some()));
        assert_eq!(left, (!hard).then_some((6, 2, true)));
    }
}

/// A transaction may see the row as it was when it began.
async fn a_conflict_is_found_in_a_transaction_that_has_seen_the_row_before(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        // Nobody else can write meanwhile.
        return an_edit_of_a_version_that_is_gone_writes_nothing(db).await;
    }
    let session = db.session();
    let row = added(&locked(&db, &session), &session, &["ada"]).await.remove(0);
    let tx = db.begin().await.unwrap();
    let dao = locked(&db, &tx);
    let seen = tx.get::<user::Entity>(row.id).await.unwrap().unwrap();
    change_meanwhile(&db, &row, 1).await;
    dao.edit(seen).unwrap().set(user::Column::Status, 6_i16).unwrap();
    assert_conflict(&tx.flush().await.unwrap_err(), &row, ("0", "1"));
    tx.rollback().await.unwrap();
}

async fn a_version_that_cannot_be_raised_is_refused(db: TestDb) {
    let session = db.session();
    let dao = locked(&db, &session);
    let row = dao.add(user::ActiveModel { version: Set(i32::MAX), ..new_user("ada") }).unwrap();
    session.flush().await.unwrap();
    let edited = dao.edit(row.get().unwrap().clone()).unwrap();
    edited.set(user::Column::Status, 6_i16).unwrap();
    db.recorder().forget();
    let refused = session.flush().await.unwrap_err();
    assert!(matches!(refused.root(), Error::InvalidArgument { argument: "version", .. }), "{refused:?}");
    edited.discard();

    let odd = users(&db).optimistic_lock(user::Column::Username).within(&session);
    odd.edit(row.get().unwrap().clone()).unwrap().set(user::Column::Status, 6_i16).unwrap();
    let refused = session.flush().await.unwrap_err();
    assert!(matches!(refused.root(), Error::InvalidArgument { argument: "version column", .. }), "{refused:?}");
    assert_eq!(session.pending(), 1);
}

async fn without_being_asked_the_version_stays(db: TestDb) {
    let session = db.session();
    let dao = users(&db).within(&session);
    let row = added(&dao, &session, &["ada"]).await.remove(0);
    change_meanwhile(&db, &row, 3).await;
    let edited = session.edit(row);
    edited.set(user::Column::Status, 6_i16).unwrap();
    assert_eq!(session.flush().await.unwrap(), 1);
    assert_eq!((edited.get().unwrap().version, edited.get().unwrap().status), (3, 6));
}

async fn actors_are_those_who_asked(db: TestDb) {
    let by = |row: &user::Model| (row.creator_id, row.updater_id);
    let session = db.session();
    let ada = with_actor(1, async { session.add(new_user("ada")) }).await;
    let bob = with_actor(2, async { session.add(new_user("bob")) }).await;
    // Where nobody was, it is whoever flushes.
    let cyd = session.add(new_user("cyd"));
    with_actor(9, session.flush()).await.unwrap();
    let (ada, bob, cyd) = (ada.get().unwrap(), bob.get().unwrap(), cyd.get().unwrap());
    assert_eq!((by(ada), by(bob), by(cyd)), ((Some(1), Some(1)), (Some(2), Some(2)), (Some(9), Some(9))));
    assert_eq!(outside(&db, ada.id).await.as_ref(), Some(ada));

    let (first, second) = (session.edit(ada.clone()), session.edit(bob.clone()));
    with_actor(3, async { first.set(user::Column::Status, 5_i16).map(drop) }).await.unwrap();
    with_actor(4, async { second.set(user::Column::Status, 5_i16).map(drop) }).await.unwrap();
    with_actor(5, async { session.delete(cyd) }).await;
    session.flush().await.unwrap();
    assert_eq!(by(&first.get().unwrap()), (Some(1), Some(3)));
    assert_eq!(by(&outside(&db, bob.id).await.unwrap()), (Some(2), Some(4)));
    let cyd = outside(&db, cyd.id).await.unwrap();
    assert_eq!((by(&cyd), cyd.deleted_at), ((Some(9), Some(5)), Some(cyd.updated_at)));

    // One that does not fit is told at the flush, and what waits still waits.
    with_actor("ada", async { session.add(new_user("dan")) }).await;
    let refused = session.flush().await.unwrap_err();
    assert!(matches!(refused.root(), Error::InvalidArgument { argument: "actor", .. }), "{refused:?}");
    assert_eq!(session.pending(), 1);
}

async fn edits_of_one_flush_share_its_time(db: TestDb) {
    let session = db.session();
    let rows = added(&users(&db).within(&session), &session, &["a", "b", "c"]).await;
    let edits: Vec<_> = rows.into_iter().map(|row| session.edit(row)).collect();
    for edit in &edits {
        edit.set(user::Column::Status, 5_i16).unwrap();
    }
    db.recorder().forget();
    assert_eq!(session.flush().await.unwrap(), 3);
    let updates = db.recorder().take().into_iter().filter(|seen| seen.sql.starts_with("UPDATE")).count();
    assert_eq!(updates, 1, "they get the same values");
    let time = edits[0].get().unwrap().updated_at;
    for edit in &edits {
        let row = edit.get().unwrap();
        assert_eq!((row.updated_at, row.status), (time, 5));
        assert_eq!(outside(&db, row.id).await, Some(row));
    }
}
