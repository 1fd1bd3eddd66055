//! Updating and deleting many rows by their keys.

use entities::{country, tag, user, user_tag};
use sea_dao::{BaseDao, Conventions, Error, hooks::StatementKind};
use sea_orm::{ActiveValue::Set, IntoActiveModel, IsolationLevel, prelude::*};

use crate::support::{TestDb, count_users, new_user_with};

for_each_backend!(
    nothing_to_update_sends_nothing,
    each_row_gets_its_own_values,
    rows_that_set_other_columns,
    rows_that_set_nothing_have_to_be_there,
    updated_at_is_set,
    keys_of_two_columns_and_of_text,
    a_missing_row_takes_all_back,
    deleted_rows_are_missing,
    rows_that_are_deleted_since_the_transaction_began_are_missing,
    a_key_that_is_given_twice_or_not_at_all,
    a_row_that_fails_is_named,
    the_entity_is_asked_for_each_update,
    few_round_trips_for_many_rows,
    keys_are_deleted,
    more_keys_than_one_statement_takes_are_deleted,
    a_deletion_that_fails_takes_all_back,
);

fn users(db: &TestDb) -> BaseDao<user::Entity> {
    BaseDao::new((**db).clone())
}

async fn filled(db: &TestDb, count: i64) -> (BaseDao<user::Entity>, Vec<user::Model>) {
    let users = users(db);
    let rows = (0..count).map(|number| new_user_with(&format!("user {number}"), number));
    let rows = users.insert_many_returning(rows).await.unwrap();
    db.recorder().forget();
    (users, rows)
}

async fn all(users: &BaseDao<user::Entity>) -> Vec<user::Model> {
    users.query().order_asc(user::Column::Id).all().await.unwrap()
}

async fn nothing_to_update_sends_nothing(db: TestDb) {
    assert_eq!(users(&db).update_many([]).await.unwrap(), 0);
    assert_eq!(users(&db).delete_many(Vec::<i64>::new()).await.unwrap(), 0);
    assert_eq!(db.recorder().begun(), 0);
}

async fn each_row_gets_its_own_values(db: TestDb) {
    let (users, rows) = filled(&db, 1_500).await;
    let changed: Vec<user::Model> = rows
        .into_iter()
        .map(|row| user::Model {
            balance: row.balance * 3 - 7,
            email: (row.id % 2 == 0).then(|| format!("{}@example.org", row.id)),
            profile: (row.id % 3 == 0).then(|| serde_json::json!({"n": row.id, "s": "'\"\\"})),
            ..row
        })
        .collect();
    let updates = changed.iter().map(|row| user::ActiveModel {
        id: Set(row.id),
        balance: Set(row.balance),
        email: Set(row.email.clone()),
        profile: Set(row.profile.clone()),
        ..Default::default()
    });
    assert_eq!(users.update_many(updates.rev().collect::<Vec<_>>()).await.unwrap(), 1_500);
    let found = all(&users).await;
    assert_eq!(found.len(), 1_500);
    for (row, changed) in found.iter().zip(&changed) {
        assert_eq!(*row, user::Model { updated_at: row.updated_at, ..changed.clone() });
    }
}

async fn rows_that_set_other_columns(db: TestDb) {
    let (users, rows) = filled(&db, 4).await;
    let other = |row: &user::Model| user::ActiveModel { id: Set(row.id), ..Default::default() };
    let updates = [
        user::ActiveModel { balance: Set(100), ..other(&rows[0]) },
        user::ActiveModel { status: Set(9), ..other(&rows[1]) },
        user::ActiveModel { balance: Set(300), ..other(&rows[2]) },
    ];
    assert_eq!(users.update_many(updates).await.unwrap(), 3);
    let found: Vec<_> = all(&users).await.iter().map(|row| (row.balance, row.status)).collect();
    assert_eq!(found, [(100, 1), (1, 9), (300, 1), (3, 1)]);
}

async fn rows_that_set_nothing_have_to_be_there(db: TestDb) {
    let (users, rows) = filled(&db, 3).await;
    let same = rows.iter().cloned().map(IntoActiveModel::into_active_model);
    assert_eq!(users.update_many(same.clone().collect::<Vec<_>>()).await.unwrap(), 3);
    assert_eq!(all(&users).await, rows, "nothing is changed, updated_at neither");
    users.delete_by_id(rows[1].id).await.unwrap();
    let missing = users.update_many(same.collect::<Vec<_>>()).await.unwrap_err();
    assert!(missing.is_not_found() && missing.row() == Some(1), "{missing:?}");
}

async fn updated_at_is_set(db: TestDb) {
    let (users, rows) = filled(&db, 2).await;
    let updates = rows.iter().map(|row| user::ActiveModel { id: Set(row.id), status: Set(2), ..Default::default() });
    users.update_many(updates.collect::<Vec<_>>()).await.unwrap();
    for (before, after) in rows.iter().zip(all(&users).await) {
        assert!(after.updated_at > before.updated_at && after.created_at == before.created_at);
    }
    let given = rows[0].created_at - std::time::Duration::from_secs(60);
    let own = user::ActiveModel { id: Set(rows[0].id), status: Set(3), updated_at: Set(given), ..Default::default() };
    users.update_many([own]).await.unwrap();
    assert_eq!(all(&users).await[0].updated_at, given);
}

async fn keys_of_two_columns_and_of_text(db: TestDb) {
    let (_, people) = filled(&db, 10).await;
    let tags: Vec<tag::Model> = (0..10).map(|n| tag::Model { id: Uuid::from_u128(n), name: n.to_string() }).collect();
    let tag_dao = BaseDao::<tag::Entity>::new((*db).clone());
    tag_dao.insert_many(tags.clone()).await.unwrap();
    let links = BaseDao::<user_tag::Entity>::new((*db).clone());
    let moment = people[0].created_at;
    let link = |user: &user::Model, tag: &tag::Model| user_tag::ActiveModel {
        user_id: Set(user.id),
        tag_id: Set(tag.id),
        created_at: Set(moment),
    };
    let pairs = || people.iter().flat_map(|user| tags.iter().map(move |tag| (user, tag)));
    links.insert_many(pairs().map(|(user, tag)| link(user, tag)).collect::<Vec<_>>()).await.unwrap();
    let time = |user: &user::Model, tag: &tag::Model| {
        moment + std::time::Duration::from_secs(user.id as u64 * 100 + tag.id.as_u128() as u64)
    };
    let updates =
        pairs().map(|(user, tag)| user_tag::ActiveModel { created_at: Set(time(user, tag)), ..link(user, tag) });
    assert_eq!(links.update_many(updates.collect::<Vec<_>>()).await.unwrap(), 100);
    for (user, tag) in pairs() {
        let found = links.find_by_id((user.id, tag.id)).await.unwrap().unwrap();
        assert_eq!(found.created_at, time(user, tag));
    }
    let renamed = tags.iter().map(|tag| tag::ActiveModel { id: Set(tag.id), name: Set(format!("new {}", tag.name)) });
    assert_eq!(tag_dao.update_many(renamed.collect::<Vec<_>>()).await.unwrap(), 10);
    assert_eq!(tag_dao.find_by_id(tags[7].id).await.unwrap().unwrap().name, "new 7");
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let country = |code: &str, name: &str| country::ActiveModel { code: Set(code.into()), name: Set(name.into()) };
    countries.insert_many([country("DE", "a"), country("NO", "b"), country("SE", "c")]).await.unwrap();
    countries.update_many([country("SE", "Sweden"), country("DE", "Germany")]).await.unwrap();
    let names: Vec<String> =
        countries.query().order_asc(country::Column::Code).columns([country::Column::Name]).await.unwrap();
    assert_eq!(names, ["Germany", "b", "Sweden"]);
}

async fn a_missing_row_takes_all_back(db: TestDb) {
    let (users, rows) = filled(&db, 700).await;
    let update = |id: i64| user::ActiveModel { id: Set(id), status: Set(5), ..Default::default() };
    let ids = rows.iter().map(|row| row.id).take(600).chain([-1]).chain(rows.iter().map(|row| row.id).skip(600));
    let error = users.update_many(ids.chain([-2]).map(update).collect::<Vec<_>>()).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert_eq!(error.row(), Some(600), "{error}");
    let Error::NotFound { entity: "user", key } = error.root() else { panic!("{error:?}") };
    assert!(key.starts_with("id = -1"), "{key}");
    if db.capabilities().arrays {
        assert_eq!(key, "id = -1; id = -2", "all that are missing are named");
    }
    assert!(all(&users).await.iter().all(|row| row.status == 1), "nothing is changed");
}

async fn deleted_rows_are_missing(db: TestDb) {
    let (users, rows) = filled(&db, 3).await;
    users.delete_by_id(rows[2].id).await.unwrap();
    let update = |row: &user::Model| user::ActiveModel { id: Set(row.id), status: Set(5), ..Default::default() };
    let error = users.update_many(rows.iter().map(update).collect::<Vec<_>>()).await.unwrap_err();
    assert!(error.is_not_found() && error.row() == Some(2), "{error:?}");
    let stays = users.query().with_deleted().all().await.unwrap();
    assert!(stays.iter().all(|row| row.status == 1), "{stays:?}");
}

/// A transaction that still sees them as they were.
async fn rows_that_are_deleted_since_the_transaction_began_are_missing(db: TestDb) {
    if !db.capabilities().isolation_levels {
        return;
    }
    for users in [users(&db), users(&db).optimistic_lock(user::Column::Version)] {
        let rows = users.insert_many_returning([new_user_with("ada", 1), new_user_with("bob", 1)]).await.unwrap();
        let tx = db.transaction().isolation(IsolationLevel::RepeatableRead).begin().await.unwrap();
        let within = users.within(&tx);
        assert_eq!(within.count().await.unwrap(), 2, "from now on it sees what is there now");
        users.delete(&rows[1]).await.unwrap();
        let update = |row: &user::Model| user::ActiveModel { balance: Set(5), ..row.clone().into_active_model() };
        let error = within.update_many(rows.iter().map(update)).await.unwrap_err();
        // Where the snapshot is not to be left, the transaction is run again.
        assert!((error.is_not_found() && error.row() == Some(1)) || error.is_retryable(), "{error:?}");
        tx.rollback().await.unwrap();
        users.delete_where().with_deleted().all_rows().hard().exec().await.unwrap();
    }
}

async fn a_key_that_is_given_twice_or_not_at_all(db: TestDb) {
    let (users, rows) = filled(&db, 2).await;
    let update = |row: &user::Model| user::ActiveModel { id: Set(row.id), status: Set(5), ..Default::default() };
    let twice = users.update_many([update(&rows[0]), update(&rows[1]), update(&rows[0])]).await.unwrap_err();
    assert!(matches!(twice.root(), Error::InvalidArgument { argument: "primary key", .. }), "{twice:?}");
    assert_eq!(twice.row(), Some(2));
    let keyless = user::ActiveModel { status: Set(5), ..Default::default() };
    let without = users.update_many([update(&rows[0]), keyless]).await.unwrap_err();
    assert!(matches!(without.root(), Error::InvalidArgument { argument: "primary key", .. }), "{without:?}");
    assert_eq!(without.row(), Some(1));
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}

async fn a_row_that_fails_is_named(db: TestDb) {
    let (users, rows) = filled(&db, 900).await;
    for bad in [0, 511, 899] {
        let updates = rows.iter().enumerate().map(|(index, row)| {
            let name = if index == bad { "user 450".to_owned() } else { format!("new {index}") };
            // The row itself keeps its name, so that it is still there for the clash.
            let name = if index == 450 { "user 450".to_owned() } else { name };
            user::ActiveModel { id: Set(row.id), username: Set(name), ..Default::default() }
        });
        let error = users.update_many(updates.collect::<Vec<_>>()).await.unwrap_err();
        assert!(error.is_unique_violation(), "{error:?}");
        assert_eq!(error.row(), Some(bad), "{error}");
        assert!(error.to_string().contains(&format!("(id = {})", rows[bad].id)), "{error}");
        assert_eq!(all(&users).await, rows);
    }
}

async fn the_entity_is_asked_for_each_update(db: TestDb) {
    crate::notes::create(&db).await;
    let notes = BaseDao::<crate::notes::Entity>::with_conventions((*db).clone(), crate::notes::NAMES);
    let rows = notes.insert_many_returning(["a", "b"].map(crate::notes::note)).await.unwrap();
    let update = |row: &crate::notes::Model, body: &str| crate::notes::ActiveModel {
        id: Set(row.id),
        ..crate::notes::note(body)
    };
    notes.update_many([update(&rows[0], "long"), update(&rows[1], "longer")]).await.unwrap();
    let found = notes.query().order_asc(crate::notes::Column::Id).all().await.unwrap();
    let found: Vec<(i32, &str)> = found.iter().map(|row| (row.length, row.saved_by.as_str())).collect();
    assert_eq!(found, [(4, "update"), (6, "update")]);
    let refused =
        notes.update_many([update(&rows[0], "x"), update(&rows[1], crate::notes::REFUSED)]).await.unwrap_err();
    assert_eq!(refused.row(), Some(1), "{refused}");
}

async fn few_round_trips_for_many_rows(db: TestDb) {
    let (users, rows) = filled(&db, 10_000).await;
    let updates =
        rows.iter().map(|row| user::ActiveModel { id: Set(row.id), balance: Set(-row.id), ..Default::default() });
    assert_eq!(users.update_many(updates.collect::<Vec<_>>()).await.unwrap(), 10_000);
    let updates = db.recorder().take().into_iter().filter(|sent| sent.kind == StatementKind::Execute).count();
    let most = match db.capabilities() {
        capabilities if capabilities.arrays => 1,
        capabilities if capabilities.update_from => 14,
        _ => 157,
    };
    assert!(updates <= most, "{updates} statements");
    assert_eq!(users.query().sum(user::Column::Balance).await.unwrap(), rows.iter().map(|row| -row.id).sum::<i64>());
}

async fn keys_are_deleted(db: TestDb) {
    let (users, rows) = filled(&db, 10).await;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(users.delete_many(ids[..4].iter().copied().chain([ids[0], -1])).await.unwrap(), 4);
    assert_eq!(users.delete_many(ids[2..6].to_vec()).await.unwrap(), 2, "deleted once");
    assert_eq!(users.count().await.unwrap(), 4);
    assert_eq!(count_users(db.outside()).await, 10, "the entity has deleted_at");
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    tags.insert_many((0..5).map(|n| tag::Model { id: Uuid::from_u128(n), name: n.to_string() })).await.unwrap();
    assert_eq!(tags.delete_many((3..9).map(Uuid::from_u128)).await.unwrap(), 2);
    assert_eq!(tags.count().await.unwrap(), 3);
}

async fn more_keys_than_one_statement_takes_are_deleted(db: TestDb) {
    let (users, rows) = filled(&db, 100).await;
    let most = db.capabilities().bind_limit as i64;
    let keys = (1..=most + 10).map(|number| -number).chain(rows.iter().map(|row| row.id));
    assert_eq!(users.delete_many(keys).await.unwrap(), 100);
    assert_eq!(users.count().await.unwrap(), 0);
}

async fn a_deletion_that_fails_takes_all_back(db: TestDb) {
    let (_, people) = filled(&db, 1).await;
    let users = BaseDao::<user::Entity>::with_conventions((*db).clone(), Conventions::NONE);
    let order = entities::customer_order::ActiveModel {
        user_id: Set(people[0].id),
        number: Set("1".to_owned()),
        total: Set(1),
        ..Default::default()
    };
    BaseDao::<entities::customer_order::Entity>::new((*db).clone()).insert(order).await.unwrap();
    let most = db.capabilities().bind_limit as i64;
    let others = users.insert_many_returning((0..3).map(|n| new_user_with(&format!("other {n}"), n))).await.unwrap();
    let keys: Vec<i64> =
        others.iter().map(|row| row.id).chain((1..=most).map(|number| -number)).chain([people[0].id]).collect();
    let error = users.delete_many(keys).await.unwrap_err();
    assert!(error.is_foreign_key_violation(), "{error:?}");
    assert_eq!(count_users(db.outside()).await, 4);
}
