//! A DAO's writes of one row, and its reads by key.

use entities::{country, tag, user, user_tag};
use sea_dao::{BaseDao, Error, hooks::StatementKind, query::Conditions};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    EntityTrait, IntoActiveModel, ModelTrait,
    prelude::{ChronoUtc, DateTimeWithTimeZone, Uuid},
};
use serde_json::json;

use crate::support::{TestDb, count_users, new_user};

for_each_backend!(
    an_inserted_row_comes_back_as_it_was_written,
    keys_that_the_caller_sets,
    a_model_that_exists_elsewhere_is_inserted_whole,
    times_are_stamped_unless_the_caller_sets_them,
    json_comes_back_as_it_was,
    an_update_sends_only_what_is_set,
    an_update_needs_the_key_and_the_row,
    an_update_of_nothing_sends_no_update,
    a_saved_row_is_inserted_or_updated,
    a_deleted_row_stays_until_it_is_removed,
    a_row_without_deleted_at_is_removed,
    a_row_is_deleted_once,
    rows_by_key,
    rows_by_many_keys,
    rows_by_composite_keys,
);

pub(crate) fn users(db: &TestDb) -> BaseDao<user::Entity> {
    BaseDao::new((**db).clone())
}

/// What the database has, read without the crate.
pub(crate) async fn outside(db: &TestDb, id: i64) -> Option<user::Model> {
    user::Entity::find_by_id(id).one(db.outside()).await.expect("the row")
}

async fn an_inserted_row_comes_back_as_it_was_written(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert_eq!((ada.status, ada.version, ada.balance, ada.email.as_deref()), (1, 0, 0, None), "the columns' defaults");
    assert_eq!(outside(&db, ada.id).await.as_ref(), Some(&ada));
    let bob = users.insert(new_user("bob")).await.unwrap();
    assert!(bob.id > ada.id);
    assert_eq!(users.find_by_id(bob.id).await.unwrap(), Some(bob));
}

async fn keys_that_the_caller_sets(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(user::ActiveModel { id: Set(4_711), ..new_user("ada") }).await.unwrap();
    assert_eq!((ada.id, ada.username.as_str()), (4_711, "ada"));

    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let germany = country::Model { code: "de".to_owned(), name: "Germany".to_owned() };
    assert_eq!(countries.insert(germany.clone()).await.unwrap(), germany);
    assert_eq!(countries.find_by_id("de").await.unwrap(), Some(germany.clone()));

    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let red = tag::Model { id: Uuid::from_u128(u128::MAX - 7), name: "red".to_owned() };
    assert_eq!(tags.insert(red.clone()).await.unwrap(), red);
    assert_eq!(tags.find_by_id(red.id).await.unwrap(), Some(red.clone()));

    let tagged = BaseDao::<user_tag::Entity>::new((*db).clone());
    let row = user_tag::ActiveModel { user_id: Set(ada.id), tag_id: Set(red.id), ..Default::default() };
    let row = tagged.insert(row).await.unwrap();
    assert_eq!((row.user_id, row.tag_id), (ada.id, red.id));
    assert_eq!(tagged.find_by_id((ada.id, red.id)).await.unwrap(), Some(row));

    // A key that exists is never updated by an insert.
    let again = countries.insert(country::Model { name: "another".to_owned(), ..germany }).await.unwrap_err();
    assert!(again.is_unique_violation(), "{again:?}");
    assert_eq!(countries.query().one().await.unwrap().name, "Germany");
}

async fn a_model_that_exists_elsewhere_is_inserted_whole(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    ada.clone().delete(db.outside()).await.unwrap();
    assert_eq!(users.insert(ada.clone()).await.unwrap(), ada);
    assert_eq!(outside(&db, ada.id).await, Some(ada));
}

async fn times_are_stamped_unless_the_caller_sets_them(db: TestDb) {
    let users = users(&db);
    let before = ChronoUtc::now() - std::time::Duration::from_secs(1);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert!(ada.created_at >= before && ada.created_at <= ChronoUtc::now(), "{ada:?}");
    assert_eq!(ada.updated_at, ada.created_at, "one moment for both");

    let then: DateTimeWithTimeZone = "2024-02-29T12:30:00.123456+00:00".parse().unwrap();
    let bob = user::ActiveModel { created_at: Set(then), updated_at: Set(then), ..new_user("bob") };
    let bob = users.insert(bob).await.unwrap();
    assert_eq!((bob.created_at, bob.updated_at), (then, then));

    // An update raises updated_at only.
    let changed = user::ActiveModel { status: Set(2), ..bob.clone().into_active_model() };
    let changed = users.update(changed).await.unwrap();
    assert_eq!(changed.created_at, then);
    assert!(changed.updated_at >= before, "{changed:?}");
    assert_eq!(outside(&db, bob.id).await, Some(changed.clone()));
    let kept = user::ActiveModel { status: Set(3), updated_at: Set(then), ..changed.into_active_model() };
    assert_eq!(users.update(kept).await.unwrap().updated_at, then);

    users.update_where().eq(user::Column::Id, bob.id).set(user::Column::Status, 4).exec().await.unwrap();
    assert!(outside(&db, bob.id).await.unwrap().updated_at >= before);
    users.delete_by_id(bob.id).await.unwrap();
    let deleted = outside(&db, bob.id).await.unwrap();
    assert_eq!(deleted.deleted_at, Some(deleted.updated_at), "one moment for both");
}

async fn json_comes_back_as_it_was(db: TestDb) {
    let users = users(&db);
    for (index, profile) in [
        json!({"name": "Ada \"the first\" \\ 😀", "tags": [1, 2.5, null, true], "nested": {"a": {"b": []}}}),
        json!([]),
        json!("text"),
        json!(-7),
        json!(null),
    ]
    .into_iter()
    .enumerate()
    {
        let row = user::ActiveModel { profile: Set(Some(profile.clone())), ..new_user(&format!("user {index}")) };
        let row = users.insert(row).await.unwrap();
        assert_eq!(row.profile, Some(profile));
        let read = users.find_by_id(row.id).await.unwrap();
        assert_eq!(read, Some(row));
    }
    let none = users.insert(user::ActiveModel { profile: Set(None), ..new_user("none") }).await.unwrap();
    assert_eq!(none.profile, None);
    assert_eq!(users.query().is_null(user::Column::Profile).one().await.unwrap(), none);
}

async fn an_update_sends_only_what_is_set(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let loaded = users.find_by_id(ada.id).await.unwrap().unwrap();
    // Somebody else changes another column meanwhile.
    users.update_where().eq(user::Column::Id, ada.id).set(user::Column::Balance, 900).exec().await.unwrap();
    db.recorder().forget();
    let mut changed = loaded.into_active_model();
    changed.email = Set(Some("ada@example.org".to_owned()));
    let updated = users.update(changed).await.unwrap();
    assert_eq!((updated.balance, updated.email.as_deref()), (900, Some("ada@example.org")));
    let sent = db.recorder().take();
    assert!(sent[0].sql.starts_with("UPDATE") && !sent[0].sql.split("WHERE").next().unwrap().contains("balance"));
    assert_eq!(outside(&db, ada.id).await, Some(updated));

    let only_key = user::ActiveModel { id: Set(ada.id), status: Set(5), ..Default::default() };
    let updated = users.update(only_key).await.unwrap();
    assert_eq!((updated.status, updated.balance, updated.username.as_str()), (5, 900, "ada"));
}

async fn an_update_needs_the_key_and_the_row(db: TestDb) {
    let users = users(&db);
    let keyless = users.update(user::ActiveModel { status: Set(2), ..Default::default() }).await.unwrap_err();
    assert!(matches!(keyless, Error::InvalidArgument { argument: "primary key", .. }), "{keyless:?}");
    assert_eq!(db.recorder().begun(), 0);

    let missing = user::ActiveModel { id: Set(77), status: Set(2), ..Default::default() };
    let missing = users.update(missing).await.unwrap_err();
    assert!(missing.is_not_found());
    assert_eq!(missing.to_string(), "no user with id = 77");

    let ada = users.insert(new_user("ada")).await.unwrap();
    users.delete(&ada).await.unwrap();
    let changed = user::ActiveModel { status: Set(2), ..ada.clone().into_active_model() };
    assert!(users.update(changed).await.unwrap_err().is_not_found());
    assert!(users.update(ada.clone().into_active_model()).await.unwrap_err().is_not_found(), "unchanged, too");
    assert_eq!(outside(&db, ada.id).await.unwrap().status, 1);

    let tagged = BaseDao::<user_tag::Entity>::new((*db).clone());
    let half = user_tag::ActiveModel { user_id: Set(ada.id), created_at: Set(ada.created_at), ..Default::default() };
    assert!(matches!(tagged.update(half).await, Err(Error::InvalidArgument { .. })));
    let key = Uuid::from_u128(1);
    let missing = user_tag::ActiveModel { user_id: Set(7), tag_id: Set(key), created_at: Set(ada.created_at) };
    let missing = tagged.update(missing).await.unwrap_err().to_string();
    assert!(missing.starts_with("no user_tag with user_id = 7, tag_id = "), "{missing}");
}

async fn an_update_of_nothing_sends_no_update(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    db.recorder().forget();
    assert_eq!(users.update(ada.clone().into_active_model()).await.unwrap(), ada);
    let only_key = user::ActiveModel { id: Set(ada.id), ..Default::default() };
    assert_eq!(users.update(only_key).await.unwrap(), ada);
    for sent in db.recorder().take() {
        assert!(sent.sql.starts_with("SELECT"), "{}", sent.sql);
    }
    // A row that is set to what it has is matched all the same.
    let same = user::ActiveModel { status: Set(1), updated_at: Set(ada.updated_at), ..ada.clone().into_active_model() };
    assert_eq!(users.update(same).await.unwrap(), ada);
}

async fn a_saved_row_is_inserted_or_updated(db: TestDb) {
    let users = users(&db);
    let ada = users.save(new_user("ada")).await.unwrap();
    let changed = user::ActiveModel { status: Set(2), ..ada.clone().into_active_model() };
    let changed = users.save(changed).await.unwrap();
    assert_eq!((changed.id, changed.status), (ada.id, 2));
    let given = users.save(user::ActiveModel { id: Set(900), ..new_user("bob") }).await.unwrap();
    assert_eq!(given.id, 900);
    let again = users.save(user::ActiveModel { id: Set(900), status: Set(3), ..Default::default() }).await.unwrap();
    assert_eq!((again.username.as_str(), again.status), ("bob", 3));
    assert_eq!(count_users(db.outside()).await, 2);

    let countries = BaseDao::<country::Entity>::new((*db).clone());
    for name in ["Germany", "Deutschland"] {
        let row = country::ActiveModel { code: Set("de".to_owned()), name: Set(name.to_owned()) };
        assert_eq!(countries.save(row).await.unwrap().name, name);
    }
    // A row that was loaded and is gone meanwhile is not written anew.
    let gone = user::ActiveModel { id: Unchanged(12_345), ..new_user("cyd") };
    assert!(users.save(gone).await.unwrap_err().is_not_found());
    users.delete(&changed).await.unwrap();
    let deleted = user::ActiveModel { id: Set(ada.id), ..new_user("ada") };
    assert!(users.save(deleted).await.unwrap_err().is_unique_violation(), "a deleted row keeps its key");
}

async fn a_deleted_row_stays_until_it_is_removed(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.delete(&ada).await.unwrap();
    let row = outside(&db, ada.id).await.unwrap();
    assert!(row.deleted_at.is_some_and(|deleted| deleted >= row.created_at));
    assert_eq!(users.find_by_id(ada.id).await.unwrap(), None);
    assert_eq!(users.query().with_deleted().one().await.unwrap(), row);

    let hard = || users.delete_where().eq(user::Column::Id, ada.id).hard();
    assert_eq!(hard().exec().await.unwrap(), 0, "deleted rows are left out");
    assert_eq!(hard().only_deleted().exec().await.unwrap(), 1);
    assert_eq!(outside(&db, ada.id).await, None);
}

async fn a_row_without_deleted_at_is_removed(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let germany = country::Model { code: "de".to_owned(), name: "Germany".to_owned() };
    countries.insert(germany.clone()).await.unwrap();
    countries.delete(&germany).await.unwrap();
    assert_eq!(countries.count().with_deleted().await.unwrap(), 0);
    let again = countries.delete(&germany).await.unwrap_err();
    assert!(again.is_not_found() && again.to_string().starts_with("no country with code = "), "{again}");
}

async fn a_row_is_deleted_once(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.delete(&ada).await.unwrap();
    let first = outside(&db, ada.id).await.unwrap();
    let again = users.delete(&ada).await.unwrap_err();
    assert_eq!((again.is_not_found(), again.to_string()), (true, format!("no user with id = {}", ada.id)));
    assert!(!users.delete_by_id(ada.id).await.unwrap());
    assert_eq!(outside(&db, ada.id).await, Some(first), "the time of the deletion stays");
    let bob = users.insert(new_user("bob")).await.unwrap();
    assert!(users.delete_by_id(bob.id).await.unwrap());
    assert!(!users.delete_by_id(bob.id + 1).await.unwrap());
}

async fn rows_by_key(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert_eq!(users.find_by_id(ada.id).await.unwrap().as_ref(), Some(&ada));
    assert_eq!(users.find_by_id(ada.id + 1).await.unwrap(), None);
    assert!(users.exists(ada.id).await.unwrap());
    assert!(!users.exists(-1).await.unwrap());
    assert_eq!(users.count().await.unwrap(), 1);
}

async fn rows_by_many_keys(db: TestDb) {
    let users = users(&db);
    users.insert_many((0..10).map(|index| new_user(&index.to_string()))).await.unwrap();
    let all = users.query().order_asc(user::Column::Id).all().await.unwrap();
    let (first, last) = (all[0].id, all[9].id);
    let found = users.find_by_ids([last, first, first, last, last + 1]).await.unwrap();
    let mut ids: Vec<_> = found.iter().map(|user| user.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [first, last], "each row once");

    db.recorder().forget();
    let keys = (first..first + 70_000).chain(first..last);
    let mut found = users.find_by_ids(keys).await.unwrap();
    found.sort_unstable_by_key(|user| user.id);
    assert_eq!(found, all);
    let mut sent = db.recorder().take();
    // So many keys may take longer than a connection is trusted to be idle.
    sent.retain(|statement| statement.kind != StatementKind::Ping);
    assert_eq!(sent.len(), 70_000_usize.div_ceil(db.capabilities().bind_limit));
    assert!(sent.iter().all(|part| part.session == sent[0].session), "all parts on one connection");
}

async fn rows_by_composite_keys(db: TestDb) {
    let owner = users(&db).insert(new_user("ada")).await.unwrap();
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let tagged = BaseDao::<user_tag::Entity>::new((*db).clone());
    let id = |index: u128| Uuid::from_u128(index);
    tags.insert_many((0..450).map(|index| tag::Model { id: id(index), name: index.to_string() })).await.unwrap();
    let row = |index| user_tag::ActiveModel { user_id: Set(owner.id), tag_id: Set(id(index)), ..Default::default() };
    assert_eq!(tagged.insert_many((0..450).map(row)).await.unwrap(), 450);
    assert_eq!(tagged.find_by_ids((0..900).map(|index| (owner.id, id(index % 500)))).await.unwrap().len(), 450);
    assert_eq!(tagged.find_by_ids([(owner.id, id(0)), (owner.id + 1, id(1))]).await.unwrap().len(), 1);
    assert!(tagged.exists((owner.id, id(3))).await.unwrap());
    assert!(!tagged.exists((owner.id + 1, id(3))).await.unwrap());
    assert!(tagged.delete_by_id((owner.id, id(3))).await.unwrap());
    assert_eq!(tagged.count().await.unwrap(), 449, "only that one");
    let two = tagged.query().eq(user_tag::Column::TagId, id(2)).one().await.unwrap();
    tagged.delete(&two).await.unwrap();
    assert_eq!(tagged.count().await.unwrap(), 448);
}
