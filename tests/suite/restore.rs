//! Rows that are marked as deleted: restored, removed for good, and not in the way of others.

use entities::{
    country, customer_order, user,
    user::Column::{Balance, Id, Username, Version},
};
use sea_dao::{BaseDao, Error, query::Conditions, with_actor};
use sea_orm::{ActiveValue::Set, IntoActiveModel};

use crate::{
    dao::{outside, users},
    members::{self, member, members},
    notes,
    support::{TestDb, count_users, new_user, new_user_with},
};

for_each_backend!(
    a_row_is_restored,
    only_deleted_rows_are_restored,
    the_version_is_checked_and_raised,
    rows_are_restored_by_condition,
    a_row_is_purged,
    rows_are_purged_by_condition,
    an_entity_without_soft_deletion,
    the_entitys_callbacks_run,
    a_phone_that_a_deleted_row_has,
    an_upsert_beside_a_deleted_row,
    null_is_in_nobodys_way,
);

async fn a_row_is_restored(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user_with("ada", 5)).await.unwrap();
    users.delete(&ada).await.unwrap();
    let deleted = outside(&db, ada.id).await.unwrap();
    let restored = with_actor(7, users.restore(&deleted)).await.unwrap();
    assert_eq!((restored.deleted_at, restored.updater_id, restored.balance), (None, Some(7), 5));
    assert!(restored.updated_at >= deleted.updated_at && restored.created_at == ada.created_at);
    assert_eq!(outside(&db, ada.id).await, Some(restored), "the instance is the row");
    assert!(users.delete_by_id(ada.id).await.unwrap());
    // As it was before it was deleted.
    assert_eq!(users.restore(&ada).await.unwrap().deleted_at, None);
    assert!(users.delete_by_id(ada.id).await.unwrap());
    assert!(users.restore_by_id(ada.id).await.unwrap());
    assert!(!users.restore_by_id(ada.id).await.unwrap());
    assert!(users.exists(ada.id).await.unwrap());
}

async fn only_deleted_rows_are_restored(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let error = users.restore(&ada).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert!(error.to_string().contains(&format!("id = {} that is marked as deleted", ada.id)), "{error}");
    let error = users.purge(&ada).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert!(!users.purge_by_id(ada.id).await.unwrap());
    let never = user::Model { id: ada.id + 1, ..ada.clone() };
    assert!(users.restore(&never).await.unwrap_err().is_not_found());
    assert!(users.purge(&never).await.unwrap_err().is_not_found());
    assert_eq!(outside(&db, ada.id).await, Some(ada), "nothing is written");
}

async fn the_version_is_checked_and_raised(db: TestDb) {
    let users = users(&db).optimistic_lock(Version);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.delete(&ada).await.unwrap();
    for error in [users.restore(&ada).await.map(drop).unwrap_err(), users.purge(&ada).await.unwrap_err()] {
        assert!(error.is_version_conflict(), "it was read before it was deleted: {error:?}");
    }
    let deleted = users.query().only_deleted().one().await.unwrap();
    assert_eq!(deleted.version, 1);
    let restored = users.restore(&deleted).await.unwrap();
    assert_eq!(restored.version, 2);
    users.delete(&restored).await.unwrap();
    assert_eq!(users.restore_where().eq(Id, ada.id).exec().await.unwrap(), 1);
    assert_eq!(outside(&db, ada.id).await.unwrap().version, 4);
    users.delete_by_id(ada.id).await.unwrap();
    let deleted = users.query().only_deleted().one().await.unwrap();
    users.purge(&deleted).await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn rows_are_restored_by_condition(db: TestDb) {
    let users = users(&db);
    users.insert_many((0..6).map(|number| new_user_with(&number.to_string(), number))).await.unwrap();
    users.delete_where().lt(Balance, 4).exec().await.unwrap();
    db.recorder().forget();
    for refused in [users.restore_where().exec().await, users.purge_where().exec().await] {
        assert!(matches!(refused.unwrap_err(), Error::MissingCondition { .. }));
    }
    assert_eq!(users.restore_where().in_(Id, Vec::<i64>::new()).exec().await.unwrap(), 0);
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    assert_eq!(with_actor(3, users.restore_where().ge(Balance, 2).exec()).await.unwrap(), 2, "2 and 3 were deleted");
    assert_eq!(users.query().eq(user::Column::UpdaterId, 3).count().await.unwrap(), 2);
    assert_eq!(users.restore_where().all_rows().exec().await.unwrap(), 2);
    assert_eq!(users.count().await.unwrap(), 6);
}

async fn a_row_is_purged(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.delete(&ada).await.unwrap();
    users.purge(&ada).await.unwrap();
    assert_eq!(outside(&db, ada.id).await, None);
    assert!(users.purge(&ada).await.unwrap_err().is_not_found());
    let bob = users.insert(new_user("bob")).await.unwrap();
    users.delete(&bob).await.unwrap();
    assert!(users.purge_by_id(bob.id).await.unwrap());
    assert_eq!(count_users(db.outside()).await, 0);

    let cyd = users.insert(new_user("cyd")).await.unwrap();
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone());
    let order = customer_order::ActiveModel { user_id: Set(cyd.id), number: Set("1".to_owned()), ..Default::default() };
    orders.insert(order).await.unwrap();
    users.delete(&cyd).await.unwrap();
    let error = users.purge(&cyd).await.unwrap_err();
    assert!(error.is_foreign_key_violation(), "{error:?}");
    assert!(error.to_string().starts_with("purge user: "), "{error}");
}

async fn rows_are_purged_by_condition(db: TestDb) {
    let users = users(&db);
    users.insert_many((0..6).map(|number| new_user_with(&number.to_string(), number))).await.unwrap();
    users.delete_where().lt(Balance, 4).exec().await.unwrap();
    assert_eq!(users.purge_where().ge(Balance, 2).exec().await.unwrap(), 2);
    let names: Vec<String> = users.query().with_deleted().order_asc(Username).column(Username).await.unwrap();
    assert_eq!(names, ["0", "1", "4", "5"]);
    assert_eq!(users.purge_where().all_rows().exec().await.unwrap(), 2);
    assert_eq!(users.count().with_deleted().await.unwrap(), 2);
}

async fn an_entity_without_soft_deletion(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let norway = countries.insert(country::Model { code: "no".to_owned(), name: "Norway".to_owned() }).await.unwrap();
    db.recorder().forget();
    for error in [
        countries.restore(&norway).await.map(drop).unwrap_err(),
        countries.restore_by_id("no").await.map(drop).unwrap_err(),
        countries.restore_where().all_rows().exec().await.map(drop).unwrap_err(),
        countries.purge(&norway).await.unwrap_err(),
        countries.purge_by_id("no").await.map(drop).unwrap_err(),
        countries.purge_where().all_rows().exec().await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error.root(), Error::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains("Conventions::deleted_at"), "{error}");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}

async fn the_entitys_callbacks_run(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::with_conventions((*db).clone(), notes::NAMES);
    let kept = notes.insert(notes::note("kept")).await.unwrap();
    notes.delete_by_id(kept.id).await.unwrap();
    let error = notes.purge(&kept).await.unwrap_err();
    assert!(error.to_string().contains("a note that is kept"), "{error}");
    let restored = notes.restore(&kept).await.unwrap();
    assert_eq!((restored.removed_at, restored.saved_by.as_str()), (None, "insert"));
}

async fn a_phone_that_a_deleted_row_has(db: TestDb) {
    let members = members(&db).await;
    let ada = members.insert(member("1", "ada")).await.unwrap();
    assert!(members.insert(member("1", "eve")).await.unwrap_err().is_unique_violation());
    members.delete(&ada).await.unwrap();
    let eve = members.insert(member("1", "eve")).await.unwrap();
    members.delete(&eve).await.unwrap();
    let fay = members.insert(member("1", "fay")).await.unwrap();
    assert_eq!(members.count().with_deleted().await.unwrap(), 3);
    let error = members.restore(&ada).await.unwrap_err();
    assert!(error.is_unique_violation(), "somebody else has the phone now: {error:?}");
    let change = members::ActiveModel { phone: Set("2".to_owned()), ..fay.into_active_model() };
    members.update(change).await.unwrap();
    assert_eq!(members.restore(&ada).await.unwrap().deleted_at, None);
    assert_eq!(members.purge_where().all_rows().exec().await.unwrap(), 1);
}

async fn an_upsert_beside_a_deleted_row(db: TestDb) {
    use members::Column::{Name, Phone};
    let members = members(&db).await;
    let ada = members.upsert(member("1", "ada")).on([Phone]).await.unwrap();
    let bea = members.upsert(member("1", "bea")).on([Phone]).await.unwrap();
    assert_eq!((bea.id, bea.name.as_str()), (ada.id, "bea"));
    members.delete(&bea).await.unwrap();
    let cyd = members.upsert(member("1", "cyd")).on([Phone]).await.unwrap();
    assert_ne!(cyd.id, ada.id, "the deleted row is not in the way");
    // Nor is it restored.
    members.delete(&cyd).await.unwrap();
    let dan = members.upsert(member("1", "dan")).on([Phone]).restore_deleted().await.unwrap();
    let rows = [member("1", "eve"), member("2", "fay")];
    let rows = members.upsert_many_returning(rows).on([Phone]).await.unwrap();
    assert_eq!((rows[0].id, rows[0].name.as_str()), (dan.id, "eve"));
    let found = members.find_or_insert([Phone], member("1", "gus")).await.unwrap();
    assert_eq!(found, (rows[0].clone(), false));
    members.delete(&rows[0]).await.unwrap();
    let (gus, inserted) = members.find_or_insert([Phone], member("1", "gus")).await.unwrap();
    assert!(inserted && gus.name == "gus");
    let names: Vec<String> = members.query().order_asc(Name).column(Name).await.unwrap();
    assert_eq!(names, ["fay", "gus"]);
    assert_eq!(members.count().with_deleted().await.unwrap(), 5);
}

async fn null_is_in_nobodys_way(db: TestDb) {
    use members::Column::Badge;
    let members = members(&db).await;
    let row = |phone: &str, badge| members::ActiveModel { badge: Set(badge), ..member(phone, phone) };
    let rows = [row("1", None), row("2", Some(5)), row("3", None)];
    let first = members.upsert_many_returning(rows).on([Badge]).await.unwrap();
    let rows = [row("4", None), row("5", Some(5)), row("6", Some(6)), row("7", None)];
    let second = members.upsert_many_returning(rows).on([Badge]).await.unwrap();
    assert_eq!(second.iter().map(|row| row.phone.as_str()).collect::<Vec<_>>(), ["4", "5", "6", "7"]);
    assert_eq!(second[1].id, first[1].id);
    assert_eq!(members.count().await.unwrap(), 6);
    let (new, inserted) = members.find_or_insert([Badge], row("8", None)).await.unwrap();
    assert!(inserted && new.phone == "8");
}
