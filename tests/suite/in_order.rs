//! Rows in the order of their keys.

use entities::{country, tag, user_tag};
use sea_dao::BaseDao;
use sea_orm::{ActiveValue::Set, prelude::Uuid};

use crate::{
    dao::users,
    support::{TestDb, new_user},
};

for_each_backend!(
    the_order_and_repetitions_are_kept,
    more_keys_than_one_statement_takes,
    keys_of_several_columns,
    keys_that_the_database_compares_otherwise,
);

async fn the_order_and_repetitions_are_kept(db: TestDb) {
    let users = users(&db);
    let rows = users.insert_many_returning(["ada", "bob", "cyd"].map(new_user)).await.unwrap();
    let (ada, bob, cyd) = (&rows[0], &rows[1], &rows[2]);
    users.delete(bob).await.unwrap();
    let keys = [cyd.id, i64::MAX, ada.id, bob.id, cyd.id, ada.id];
    let found = users.find_by_ids_in_order(keys).await.unwrap();
    assert_eq!(found, [Some(cyd), None, Some(ada), None, Some(cyd), Some(ada)].map(|user| user.cloned()));
    db.recorder().forget();
    assert_eq!(users.find_by_ids_in_order(Vec::<i64>::new()).await.unwrap(), []);
    assert_eq!(db.recorder().begun(), 0);
}

async fn more_keys_than_one_statement_takes(db: TestDb) {
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let id = |number: usize| Uuid::from_u128(number as u128);
    tags.insert_many((0..2_000).map(|number| tag::Model { id: id(number), name: number.to_string() })).await.unwrap();
    let count = db.capabilities().bind_limit + 10;
    let found = tags.find_by_ids_in_order((0..count).rev().map(id)).await.unwrap();
    assert_eq!(found.len(), count);
    let (missing, there) = found.split_at(count - 2_000);
    assert!(missing.iter().all(Option::is_none));
    let mut there = there.iter().rev().enumerate();
    assert!(there.all(|(number, row)| row.as_ref().is_some_and(|row| row.name == number.to_string())));
}

async fn keys_of_several_columns(db: TestDb) {
    let ada = users(&db).insert(new_user("ada")).await.unwrap();
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let ids = [1, 2].map(Uuid::from_u128);
    tags.insert_many(ids.map(|id| tag::Model { id, name: id.to_string() })).await.unwrap();
    let tagged = BaseDao::<user_tag::Entity>::new((*db).clone());
    let rows = ids.map(|id| user_tag::ActiveModel { user_id: Set(ada.id), tag_id: Set(id), ..Default::default() });
    tagged.insert_many(rows).await.unwrap();
    let keys = [(ada.id, ids[1]), (ada.id + 1, ids[0]), (ada.id, ids[0])];
    let found = tagged.find_by_ids_in_order(keys).await.unwrap();
    let found: Vec<Option<Uuid>> = found.into_iter().map(|row| row.map(|row| row.tag_id)).collect();
    assert_eq!(found, [Some(ids[1]), None, Some(ids[0])]);
}

/// Whether upper case is another text is up to the column.
async fn keys_that_the_database_compares_otherwise(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let norway = country::Model { code: "no".to_owned(), name: "Norway".to_owned() };
    countries.insert(norway.clone()).await.unwrap();
    let upper = countries.find_by_id("NO").await.unwrap();
    let found = countries.find_by_ids_in_order(["NO", "??", "no", "NO"]).await.unwrap();
    assert_eq!(found, [upper.clone(), None, Some(norway), upper.clone()]);
    assert_eq!(countries.find_by_ids_in_order(["NO"]).await.unwrap(), [upper]);
    db.recorder().forget();
    countries.find_by_ids_in_order(["no", "??", "!!"]).await.unwrap();
    assert_eq!(db.recorder().begun(), 2, "those that are missing are asked for once more, together");
}
