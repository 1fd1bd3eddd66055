//! What rules a DAO's writes: conventions, the entity's callbacks, and the database's constraints.

use entities::{customer_order, user};
use sea_dao::{BaseDao, Conventions, query::Conditions};
use sea_orm::{ActiveValue::Set, IntoActiveModel, prelude::DateTime};

use crate::{
    dao::{outside, users},
    notes,
    support::{TestDb, count_users, new_user},
};

for_each_backend!(
    conventions_under_other_names,
    conventions_switched_off,
    the_entitys_callbacks_run,
    a_callback_refuses,
    a_row_that_is_saved_has_its_callbacks_run_once,
    a_duplicate_is_a_unique_violation,
    a_missing_parent_is_a_foreign_key_violation,
    a_missing_value_is_a_not_null_violation,
);

async fn conventions_under_other_names(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::with_conventions((*db).clone(), notes::NAMES);
    let first = notes.insert(notes::note("a")).await.unwrap();
    assert!(first.made_at.is_some() && first.changed_at.is_some() && first.removed_at.is_none(), "{first:?}");
    assert_eq!(notes.insert_many([notes::note("b")]).await.unwrap(), 1);
    notes.delete(&first).await.unwrap();
    assert_eq!(notes.query().one().await.unwrap().body, "b");
    let removed = notes.query().only_deleted().one().await.unwrap();
    assert!(removed.removed_at.is_some());
    notes.update_where().all_rows().set(notes::Column::ChangedAt, None::<DateTime>).exec().await.unwrap();
    notes.update_where().all_rows().set(notes::Column::Length, 5).exec().await.unwrap();
    assert!(notes.query().one().await.unwrap().changed_at.is_some());
}

async fn conventions_switched_off(db: TestDb) {
    let stamped = users(&db);
    let off = BaseDao::<user::Entity>::with_conventions((*db).clone(), Conventions::NONE);
    let ada = off.insert(new_user("ada")).await.unwrap();
    db.recorder().forget();
    off.update(user::ActiveModel { status: Set(2), ..ada.clone().into_active_model() }).await.unwrap();
    assert!(!db.recorder().take()[0].sql.split("WHERE").next().unwrap().contains("updated_at"));
    let bob = off.insert(new_user("bob")).await.unwrap();
    stamped.delete(&bob).await.unwrap();
    assert_eq!(off.count().await.unwrap(), 2, "deleted_at is a column like another");
    // The two take turns: what one has built is not for the other.
    for _ in 0..2 {
        assert_eq!(stamped.find_by_id(bob.id).await.unwrap(), None);
        assert_eq!(off.find_by_id(bob.id).await.unwrap().map(|user| user.id), Some(bob.id));
    }
    off.delete(&bob).await.unwrap();
    off.delete(&ada).await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);

    // A column of another type does not make a convention.
    let odd = Conventions { deleted_at: Some("username"), updated_at: Some("no_such_column"), ..Conventions::NONE };
    let odd = BaseDao::<user::Entity>::with_conventions((*db).clone(), odd);
    let cyd = odd.insert(new_user("cyd")).await.unwrap();
    odd.update(user::ActiveModel { status: Set(2), ..cyd.clone().into_active_model() }).await.unwrap();
    odd.delete(&cyd).await.unwrap();
    assert_eq!(outside(&db, cyd.id).await, None);
}

async fn the_entitys_callbacks_run(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::with_conventions((*db).clone(), notes::NAMES);
    let note = notes.insert(notes::note("four")).await.unwrap();
    assert_eq!((note.length, note.saved_by.as_str()), (4, "insert"));
    let changed = notes::ActiveModel { body: Set("longer".to_owned()), ..note.clone().into_active_model() };
    let changed = notes.update(changed).await.unwrap();
    assert_eq!((changed.length, changed.saved_by.as_str()), (6, "update"));
    notes.insert_many([notes::note("x"), notes::note("yy")]).await.unwrap();
    let lengths: Vec<(i32, String)> = notes
        .query()
        .ne(notes::Column::Id, note.id)
        .order_asc(notes::Column::Length)
        .columns([notes::Column::Length, notes::Column::SavedBy])
        .await
        .unwrap();
    assert_eq!(lengths, [(1, "insert".to_owned()), (2, "insert".to_owned())]);

    // A change that only the entity makes is a change: the row is stamped.
    notes.update_where().all_rows().set(notes::Column::ChangedAt, None::<DateTime>).exec().await.unwrap();
    let unchanged = notes.find_by_id(note.id).await.unwrap().unwrap();
    assert_eq!(unchanged.changed_at, None);
    let stamped = notes.update(unchanged.into_active_model()).await.unwrap();
    assert!(stamped.changed_at.is_some());
}

async fn a_callback_refuses(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::new((*db).clone());
    let refused = notes.insert(notes::note(notes::REFUSED)).await.unwrap_err();
    assert!(refused.to_string().starts_with("insert note: ") && refused.to_string().contains("a refused note"));
    let many = (0..2_000).map(|index| notes::note(if index == 1_999 { notes::REFUSED } else { "x" }));
    assert!(notes.insert_many(many).await.is_err());
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    let kept = notes.insert(notes::note("kept")).await.unwrap();
    let changed = notes::ActiveModel { body: Set(notes::REFUSED.to_owned()), ..kept.clone().into_active_model() };
    assert!(notes.update(changed).await.unwrap_err().to_string().starts_with("update note: "));
    assert!(notes.delete(&kept).await.unwrap_err().to_string().starts_with("delete note: "));
    assert_eq!(notes.query().one().await.unwrap(), kept);
    assert!(notes.delete_by_id(kept.id).await.unwrap(), "no callbacks there");
}

async fn a_duplicate_is_a_unique_violation(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let bob = users.insert(new_user("bob")).await.unwrap();
    let inserted = users.insert(new_user("ada")).await.map(|_| 0);
    let many = users.insert_many([new_user("cyd"), new_user("ada")]).await;
    let clash = user::ActiveModel { username: Set("ada".to_owned()), ..bob.clone().into_active_model() };
    let updated = users.update(clash).await.map(|_| 0);
    let set = users.update_where().eq(user::Column::Id, bob.id).set(user::Column::Phone, "ada").exec().await;
    for (result, said) in
        [(inserted, "insert user"), (many, "insert user"), (updated, "update user"), (set, "update user")]
    {
        let error = result.unwrap_err();
        assert!(error.is_unique_violation() && error.to_string().starts_with(said), "{error:?}");
        assert!(!error.is_foreign_key_violation() && !error.is_not_null_violation() && !error.is_retryable());
    }
    assert_eq!(users.find_by_ids([ada.id, bob.id]).await.unwrap().len(), 2);
    assert_eq!(count_users(db.outside()).await, 2);
}

async fn a_missing_parent_is_a_foreign_key_violation(db: TestDb) {
    let users = users(&db);
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone());
    let orphan = |number: &str, user_id| customer_order::ActiveModel {
        user_id: Set(user_id),
        number: Set(number.to_owned()),
        ..Default::default()
    };
    let error = orders.insert(orphan("1", 77)).await.unwrap_err();
    assert!(error.is_foreign_key_violation() && error.to_string().starts_with("insert customer_order: "), "{error:?}");
    let ada = users.insert(new_user("ada")).await.unwrap();
    orders.insert(orphan("1", ada.id)).await.unwrap();
    let error = users.delete_where().eq(user::Column::Id, ada.id).hard().exec().await.unwrap_err();
    assert!(error.is_foreign_key_violation() && error.to_string().starts_with("delete user: "), "{error:?}");
    let error = orders.update_where().all_rows().set(customer_order::Column::UserId, 77).exec().await.unwrap_err();
    assert!(error.is_foreign_key_violation() && error.to_string().starts_with("update customer_order: "), "{error:?}");
}

async fn a_missing_value_is_a_not_null_violation(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let nameless = user::ActiveModel { phone: Set("1".to_owned()), ..Default::default() };
    let error = users.insert(nameless).await.unwrap_err();
    assert!(error.is_not_null_violation() && error.to_string().starts_with("insert user: "), "{error:?}");
    let set = users.update_where().eq(user::Column::Id, ada.id).set(user::Column::Username, None::<String>);
    let error = set.exec().await.unwrap_err();
    assert!(error.is_not_null_violation() && error.to_string().starts_with("update user: "), "{error:?}");
    assert_eq!(outside(&db, ada.id).await, Some(ada));
}

async fn a_row_that_is_saved_has_its_callbacks_run_once(db: TestDb) {
    notes::create(&db).await;
    let notes = BaseDao::<notes::Entity>::with_conventions((*db).clone(), notes::NAMES);
    // The count is the process's.
    let body = |what| format!("{what} {}", db.url());
    for (what, saved_by) in [("new", "insert"), ("again", "update")] {
        let note = notes.save(notes::ActiveModel { id: Set(5), ..notes::note(&body(what)) }).await.unwrap();
        assert_eq!((note.body, note.saved_by.as_str()), (body(what), saved_by));
        assert_eq!(notes::saves(&body(what)), 1);
    }
}
