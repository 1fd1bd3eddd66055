//! What rules an upsert: conventions, deleted rows, versions, the entity's callbacks.

use std::time::Duration;

use entities::{
    user,
    user::Column::{Balance, CreatedAt, Phone, Version},
};
use sea_dao::{BaseDao, Conventions, Error, query::Conditions, with_actor};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    IntoActiveModel,
    prelude::ChronoUtc,
};

use crate::{
    dao::{outside, users},
    notes,
    support::{TestDb, new_user, new_user_with},
};

for_each_backend!(
    actors_and_times,
    times_of_the_callers_own,
    without_conventions,
    versions_are_raised,
    a_version_is_a_column_like_another,
    a_deleted_row_is_in_the_way,
    a_deleted_row_is_restored,
    a_deleted_row_is_restored_as_it_was,
    the_entitys_callbacks_run,
);

fn by(user: &user::Model) -> (Option<i64>, Option<i64>) {
    (user.creator_id, user.updater_id)
}

async fn actors_and_times(db: TestDb) {
    let users = users(&db);
    let made = with_actor(1, async { users.upsert(new_user("ada")).on([Phone]).await }).await.unwrap();
    assert_eq!(by(&made), (Some(1), Some(1)));
    let changed = with_actor(2, async { users.upsert(new_user_with("ada", 2)).on([Phone]).await }).await.unwrap();
    assert_eq!((by(&changed), changed.created_at), ((Some(1), Some(2)), made.created_at));
    assert!(changed.updated_at >= made.updated_at);
    let rows = [new_user_with("ada", 3), new_user("bob")];
    let many =
        with_actor(3, async { users.upsert_many_returning(rows).on([Phone]).update([Balance]).await }).await.unwrap();
    assert_eq!((by(&many[0]), by(&many[1])), ((Some(1), Some(3)), (Some(3), Some(3))));
    assert_eq!(outside(&db, many[0].id).await.as_ref(), Some(&many[0]), "the instance is the row");
    // Nobody: the last one that is known stays.
    let nobody = users.upsert(new_user_with("ada", 4)).on([Phone]).await.unwrap();
    assert_eq!(by(&nobody), (Some(1), Some(3)));
    let kept =
        with_actor(5, async { users.upsert(new_user_with("ada", 5)).on([Phone]).do_nothing().await }).await.unwrap();
    assert_eq!(kept, nobody, "nothing at all is written");
}

async fn times_of_the_callers_own(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let then = ChronoUtc::now().fixed_offset() - Duration::from_secs(259_200);
    let row = || user::ActiveModel { created_at: Set(then), updated_at: Set(then), ..new_user_with("ada", 2) };
    let changed = users.upsert(row()).on([Phone]).await.unwrap();
    assert_eq!(changed.created_at, ada.created_at, "it was made when it was made");
    assert!(changed.updated_at < ada.updated_at, "{:?}", changed.updated_at);
    let changed = users.upsert(row()).on([Phone]).update([CreatedAt]).await.unwrap();
    assert!(changed.created_at < ada.created_at, "unless it is said");
}

async fn without_conventions(db: TestDb) {
    let stamped = users(&db);
    let ada = stamped.insert(new_user("ada")).await.unwrap();
    stamped.delete(&ada).await.unwrap();
    let plain = BaseDao::<user::Entity>::with_conventions((*db).clone(), Conventions::NONE);
    let deleted = outside(&db, ada.id).await.unwrap();
    let changed = plain.upsert(new_user_with("ada", 2)).on([Phone]).await.unwrap();
    assert_eq!(changed, user::Model { balance: 2, ..deleted }, "deleted_at and updated_at are columns like others");
}

async fn versions_are_raised(db: TestDb) {
    let users = users(&db).optimistic_lock(Version);
    let ada = users.upsert(new_user("ada")).on([Phone]).await.unwrap();
    assert_eq!(ada.version, 0);
    assert_eq!(users.upsert(new_user_with("ada", 2)).on([Phone]).await.unwrap().version, 1);
    let rows = [new_user_with("ada", 3), new_user("bob")];
    let many = users.upsert_many_returning(rows).on([Phone]).update([Balance]).await.unwrap();
    assert_eq!((many[0].version, many[1].version), (2, 0));
    let kept = users.upsert(new_user_with("ada", 9)).on([Phone]).do_nothing().await.unwrap();
    assert_eq!((kept.version, kept.balance), (2, 3));
    // None is checked, so that one that is known counts for nothing.
    let stale = user::ActiveModel { balance: Set(4), ..ada.clone().into_active_model() };
    let raised = users.upsert(stale).on([Phone]).await.unwrap();
    assert_eq!((raised.version, raised.balance), (3, 4));
    let error = users.update(user::ActiveModel { status: Set(2), ..ada.into_active_model() }).await.unwrap_err();
    assert!(error.is_version_conflict(), "others see that the row was written: {error:?}");
    let set = user::ActiveModel { version: Set(40), ..new_user("ada") };
    assert_eq!(users.upsert(set).on([Phone]).update([Version]).await.unwrap().version, 40, "unless the caller sets it");
}

async fn a_version_is_a_column_like_another(db: TestDb) {
    let users = users(&db);
    users.upsert(new_user("ada")).on([Phone]).await.unwrap();
    assert_eq!(users.upsert(new_user_with("ada", 2)).on([Phone]).await.unwrap().version, 0);
    let set = user::ActiveModel { version: Set(7), ..new_user("ada") };
    assert_eq!(users.upsert(set).on([Phone]).await.unwrap().version, 7);
}

async fn a_deleted_row_is_in_the_way(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user_with("ada", 5)).await.unwrap();
    users.delete(&ada).await.unwrap();
    let deleted = outside(&db, ada.id).await;
    for error in [
        users.upsert(new_user_with("ada", 9)).on([Phone]).await.unwrap_err(),
        users.upsert(new_user_with("ada", 9)).on([Phone]).do_nothing().await.unwrap_err(),
        users.upsert_many([new_user_with("ada", 9)]).on([Phone]).await.unwrap_err(),
        users.upsert_many([new_user_with("ada", 9)]).on([Phone]).do_nothing().await.unwrap_err(),
        users.upsert(user::ActiveModel { id: Set(ada.id), ..new_user("other") }).await.unwrap_err(),
        users.find_or_insert([Phone], new_user("ada")).await.unwrap_err(),
    ] {
        assert!(matches!(error.root(), Error::HeldByDeleted { entity: "user", .. }), "{error:?}");
        assert_eq!(error.row(), Some(0));
    }
    for rows in [
        users.upsert_many([new_user("bob"), new_user("ada"), new_user("cyd")]).on([Phone]).await,
        users.upsert_many([new_user("bob"), new_user("ada"), new_user("cyd")]).on([Phone]).do_nothing().await,
    ] {
        let error = rows.unwrap_err();
        assert!(matches!(error.root(), Error::HeldByDeleted { .. }) && error.row() == Some(1), "{error:?}");
        assert!(error.to_string().contains("phone = 'ada'"), "{error}");
    }
    assert_eq!(users.count().with_deleted().await.unwrap(), 1, "nothing is written");
    assert_eq!(outside(&db, ada.id).await, deleted);
    // A transaction goes on.
    let tx = db.begin().await.unwrap();
    assert!(users.within(&tx).upsert(new_user("ada")).on([Phone]).await.is_err());
    users.within(&tx).upsert(new_user("eve")).on([Phone]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(users.count().await.unwrap(), 1);
}

async fn a_deleted_row_is_restored(db: TestDb) {
    let users = users(&db).optimistic_lock(Version);
    let rows = users.insert_many_returning([new_user("ada"), new_user("bob")]).await.unwrap();
    users.delete(&rows[0]).await.unwrap();
    let deleted = outside(&db, rows[0].id).await.unwrap();
    let again = with_actor(7, async { users.upsert(new_user_with("ada", 9)).on([Phone]).restore_deleted().await });
    let again = again.await.unwrap();
    assert_eq!((again.id, again.balance, again.deleted_at), (rows[0].id, 9, None));
    assert_eq!((again.version, again.updater_id), (deleted.version + 1, Some(7)));
    assert!(again.updated_at >= deleted.updated_at);
    assert_eq!(outside(&db, again.id).await.as_ref(), Some(&again));

    users.delete(&again).await.unwrap();
    let three = [new_user_with("bob", 3), new_user_with("ada", 3), new_user_with("cyd", 3)];
    assert_eq!(users.upsert_many(three).on([Phone]).restore_deleted().await.unwrap(), 3);
    assert_eq!(users.query().eq(Balance, 3).count().await.unwrap(), 3);
}

async fn a_deleted_row_is_restored_as_it_was(db: TestDb) {
    let users = users(&db);
    let rows = users.insert_many_returning([new_user_with("ada", 5), new_user_with("bob", 5)]).await.unwrap();
    users.delete(&rows[0]).await.unwrap();
    let new = || [new_user_with("bob", 9), new_user_with("ada", 9)];
    let upsert = || users.upsert_many_returning(new()).on([Phone]).do_nothing().restore_deleted();
    let found = upsert().await.unwrap();
    assert_eq!(found[0], rows[1], "a row that is not deleted is left alone");
    assert_eq!((found[1].id, found[1].balance, found[1].deleted_at), (rows[0].id, 5, None));
    assert_eq!(upsert().await.unwrap(), found);
}

async fn the_entitys_callbacks_run(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::with_conventions((*db).clone(), notes::NAMES);
    // Counted in the whole process.
    let (text, longer) = (format!("upserted {:?}", db.backend()), format!("upserted again {:?}", db.backend()));
    let length = |text: &str| i32::try_from(text.len()).unwrap();
    let note = notes.upsert(notes::note(&text)).await.unwrap();
    assert_eq!((note.length, note.saved_by.as_str(), notes::saves(&text)), (length(&text), "insert", 1));
    let changed = notes::ActiveModel { id: Set(note.id), ..notes::note(&longer) };
    let changed = notes.upsert(changed).await.unwrap();
    assert_eq!((changed.id, changed.length, changed.made_at), (note.id, length(&longer), note.made_at));
    assert_eq!(notes::saves(&longer), 1);
    let refused = notes::ActiveModel { id: NotSet, ..notes::note(notes::REFUSED) };
    let error = notes.upsert_many([notes::note("fine"), refused]).await.unwrap_err();
    assert!(error.row() == Some(1) && error.to_string().contains("a refused note"), "{error}");
    assert_eq!(notes.count().await.unwrap(), 1);
}
