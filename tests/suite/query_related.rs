//! Related rows, subqueries and JSON.

use entities::{
    customer_order, tag, user,
    user::Column::{Balance, Id, Profile, Username},
    user_tag,
};
use sea_dao::{
    BaseDao, Error,
    query::{Conditions, JsonPath, QueryBuilder},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, ExprTrait, sea_query::Expr};
use serde_json::{Value as Json, json};

use crate::{
    query::{NOBODY, Users, filled, names},
    support::TestDb,
};

for_each_backend!(
    related_rows_are_found_once,
    deleted_related_rows_do_not_count,
    related_rows_through_a_junction,
    writes_by_related_rows,
    subqueries_find_their_rows,
    subqueries_ask_for_the_rows_of_the_query,
    upper_and_lower_case_alike,
    json_values_are_told_by_type,
    large_numbers_in_json,
    json_paths,
    json_that_contains,
    hostile_json,
);

type Orders = BaseDao<customer_order::Entity>;

async fn with_orders(db: &TestDb) -> (Users, Orders) {
    let users = filled(db).await;
    let orders = Orders::new((**db).clone());
    let ids: Vec<i64> = users.query().order_asc(Username).column(Id).await.unwrap();
    let order = |number: &str, user: usize, total| customer_order::ActiveModel {
        number: Set(number.to_owned()),
        user_id: Set(ids[user]),
        total: Set(total),
        ..Default::default()
    };
    let rows = [order("1", 0, 5), order("2", 0, 50), order("3", 1, 5), order("4", 2, 50)];
    orders.insert_many(rows).await.unwrap();
    assert_eq!(orders.delete_where().eq(customer_order::Column::Number, "4").exec().await.unwrap(), 1);
    (users, orders)
}

async fn found(query: QueryBuilder<user::Entity>) -> Vec<String> {
    let rows = query.clone().order_asc(Username).all().await.unwrap();
    assert_eq!(query.clone().count().await.unwrap(), rows.len() as u64);
    assert_eq!(query.clone().exists().await.unwrap(), !rows.is_empty());
    assert_eq!(query.order_asc(Username).cursor(100, None).await.unwrap().items, rows);
    names(rows)
}

async fn related_rows_are_found_once(db: TestDb) {
    let (users, _) = with_orders(&db).await;
    let has = |least: i64| {
        users.query().has_related::<customer_order::Entity>(|orders| orders.ge(customer_order::Column::Total, least))
    };
    assert_eq!(found(has(0)).await, ["ada", "bob"]);
    assert_eq!(found(has(50)).await, ["ada"]);
    assert_eq!(found(has(51)).await, NOBODY);
    let either = users.query().has_related::<customer_order::Entity>(|orders| {
        orders.or_(|or| or.eq(customer_order::Column::Number, "2").eq(customer_order::Column::Number, "3"))
    });
    assert_eq!(found(either).await, ["ada", "bob"], "an alternative stays tied to its row");
    let none = users.query().not_(|not| not.has_related::<customer_order::Entity>(|orders| orders));
    assert_eq!(found(none).await, ["cyd", "dan"]);
    let or = users.query().or_(|or| or.eq(Username, "dan").has_related::<customer_order::Entity>(|orders| orders));
    assert_eq!(found(or).await, ["ada", "bob", "dan"]);
}

async fn deleted_related_rows_do_not_count(db: TestDb) {
    let (users, _) = with_orders(&db).await;
    let all = users.query().has_related::<customer_order::Entity>(|orders| orders.with_deleted());
    assert_eq!(found(all).await, ["ada", "bob", "cyd"]);
    let deleted = users.query().has_related::<customer_order::Entity>(|orders| orders.only_deleted());
    assert_eq!(found(deleted).await, ["cyd"]);
    // By the names that the DAO was made with.
    let none = BaseDao::<user::Entity>::with_conventions((*db).clone(), sea_dao::Conventions::NONE);
    let all = none.query().has_related::<customer_order::Entity>(|orders| orders);
    assert_eq!(found(all).await, ["ada", "bob", "cyd"]);
}

async fn related_rows_through_a_junction(db: TestDb) {
    let users = filled(&db).await;
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let links = BaseDao::<user_tag::Entity>::new((*db).clone());
    let ids: Vec<i64> = users.query().order_asc(Username).column(Id).await.unwrap();
    for (number, (name, tagged)) in [("vip", &ids[..2]), ("new", &ids[1..3])].into_iter().enumerate() {
        let id = sea_orm::prelude::Uuid::from_u128(number as u128 + 1);
        tags.insert(tag::ActiveModel { id: Set(id), name: Set(name.to_owned()) }).await.unwrap();
        for user in tagged {
            let link = user_tag::ActiveModel { user_id: Set(*user), tag_id: Set(id), ..Default::default() };
            links.insert(link).await.unwrap();
        }
    }
    let tagged = |name: &'static str| users.query().has_related::<tag::Entity>(|tags| tags.eq(tag::Column::Name, name));
    assert_eq!(found(tagged("vip")).await, ["ada", "bob"]);
    assert_eq!(found(tagged("new")).await, ["bob", "cyd"]);
    let both = tagged("vip").has_related::<tag::Entity>(|tags| tags.eq(tag::Column::Name, "new"));
    assert_eq!(found(both).await, ["bob"]);
    assert_eq!(found(users.query().has_related::<tag::Entity>(|tags| tags)).await, ["ada", "bob", "cyd"]);
    // A long list of keys that are bytes.
    let many = (0..70_000_u128).map(sea_orm::prelude::Uuid::from_u128);
    assert_eq!(tags.query().in_(tag::Column::Id, many.clone()).count().await.unwrap(), 2);
    assert_eq!(tags.query().not_in(tag::Column::Id, many).count().await.unwrap(), 0);
}

async fn writes_by_related_rows(db: TestDb) {
    let (users, orders) = with_orders(&db).await;
    let rich = orders
        .update_where()
        .has_related::<user::Entity>(|users| users.gt(Balance, 150))
        .set(customer_order::Column::Status, 7);
    assert_eq!(rich.exec().await.unwrap(), 1);
    assert_eq!(orders.query().eq(customer_order::Column::Status, 7).one().await.unwrap().number, "3");
    let poor = orders.delete_where().has_related::<user::Entity>(|users| users.le(Balance, 150)).hard();
    assert_eq!(poor.exec().await.unwrap(), 2);
    let buyers = users.count().has_related::<customer_order::Entity>(|orders| orders);
    assert_eq!(buyers.await.unwrap(), 1);
}

async fn subqueries_find_their_rows(db: TestDb) {
    use customer_order::Column::{Total, UserId};
    let (users, orders) = with_orders(&db).await;
    let large = || orders.query().ge(Total, 50);
    assert_eq!(found(users.query().in_subquery(Id, large(), UserId)).await, ["ada"]);
    assert_eq!(found(users.query().not_in_subquery(Id, large(), UserId)).await, ["bob", "cyd", "dan"]);
    let nothing = orders.query().in_(customer_order::Column::Id, Vec::<i64>::new());
    assert_eq!(found(users.query().in_subquery(Id, nothing.clone(), UserId)).await, NOBODY);
    assert_eq!(found(users.query().not_in_subquery(Id, nothing, UserId)).await.len(), 4);
    let tied = || orders.query().filter(Expr::col(UserId.as_column_ref()).eq(Expr::col(Id.as_column_ref())));
    assert_eq!(found(users.query().where_exists(tied())).await, ["ada", "bob"]);
    assert_eq!(found(users.query().where_exists(tied().with_deleted())).await, ["ada", "bob", "cyd"]);
    // NULLs in the subquery exclude nothing.
    let creators = users.query().with_deleted();
    assert_eq!(found(users.query().not_in_subquery(Id, creators, user::Column::CreatorId)).await.len(), 4);
}

/// Those that it would give by itself, whatever it leaves out.
async fn subqueries_ask_for_the_rows_of_the_query(db: TestDb) {
    use user::Column::{Email, Status};
    let users = filled(&db).await;
    users.update_where().all_rows().set(Status, 1).exec().await.unwrap();
    users.update_where().eq(Username, "cyd").set(Status, 7).exec().await.unwrap();

    let first_two = || users.query().order_asc(Username).limit(2);
    assert_eq!(found(users.query().in_subquery(Id, first_two(), Id)).await, ["ada", "bob"]);
    assert_eq!(found(users.query().not_in_subquery(Id, first_two().offset(1), Id)).await, ["ada", "dan"]);
    // Of the first two, bob has no email.
    assert_eq!(found(users.query().not_in_subquery(Email, first_two(), Email)).await, ["cyd", "dan"]);
    assert_eq!(found(users.query().not_in_subquery(Email, users.query(), Email)).await, NOBODY);

    // The first two have the same status.
    let of_two = || first_two().distinct();
    assert_eq!(found(users.query().in_subquery(Status, of_two(), Status)).await, ["ada", "bob", "dan"]);
    assert_eq!(found(users.query().where_exists(of_two().offset(3))).await.len(), 4);
    assert_eq!(found(users.query().where_exists(of_two().offset(4))).await, NOBODY);
    let all = || users.query().distinct().order_asc(Username);
    assert_eq!(found(users.query().in_subquery(Status, all(), Status)).await.len(), 4);
    assert_eq!(found(users.query().where_exists(all())).await.len(), 4);
    let written = users.update_where().in_subquery(Id, first_two(), Id).set(Balance, 5).exec().await.unwrap();
    assert_eq!(written, 2);
}

async fn upper_and_lower_case_alike(db: TestDb) {
    let users = filled(&db).await;
    use user::Column::Email;
    assert_eq!(found(users.query().eq_ignore_case(Username, "ADA")).await, ["ada"]);
    assert_eq!(found(users.query().contains_ignore_case(Email, "@EXAMPLE.")).await, ["ada"]);
    assert_eq!(found(users.query().starts_with_ignore_case(Email, "ADA@")).await, ["ada"]);
    assert_eq!(found(users.query().ends_with_ignore_case(Email, ".ORG")).await, ["ada"]);
    assert_eq!(found(users.query().contains_ignore_case(Email, "50%_OFF!\\")).await, ["cyd"], "taken literally");
    assert_eq!(found(users.query().contains_ignore_case(Email, "a_a")).await, NOBODY);
}

/// Users with these profiles, named by their positions.
async fn profiles(db: &TestDb, profiles: &[Json]) -> Users {
    let users = Users::new((**db).clone());
    for (number, profile) in profiles.iter().enumerate() {
        let mut row = crate::query::row(&number.to_string(), 1, 0, None);
        row.profile = Set(Some(profile.clone()));
        users.insert(row).await.unwrap();
    }
    users.insert(crate::query::row("none", 1, 0, None)).await.unwrap();
    users
}

async fn json_values_are_told_by_type(db: TestDb) {
    let values =
        [json!("5"), json!(5), json!(true), json!(null), json!("true"), json!([5]), json!(1.5), json!("X"), json!("")];
    let documents: Vec<Json> = values.iter().map(|value| json!({"a": value})).collect();
    let users = profiles(&db, &documents).await;
    for (number, value) in values.iter().enumerate() {
        let query = users.query().json_eq(Profile, "a", value.clone());
        if value.is_array() {
            let refused = query.all().await.unwrap_err();
            assert!(matches!(refused.root(), Error::InvalidArgument { .. }), "{refused:?}");
            continue;
        }
        assert_eq!(found(query).await, [number.to_string()], "{value}");
        let others = users.query().not_(|not| not.json_eq(Profile, "a", value.clone()));
        assert_eq!(found(others).await.len(), values.len() - 1, "all others that have something there: {value}");
    }
    assert_eq!(found(users.query().json_eq(Profile, "a", 5.0)).await, ["1"]);
    assert_eq!(found(users.query().json_eq(Profile, "a", "x")).await, NOBODY);
    assert_eq!(found(users.query().json_eq(Profile, "b", "5")).await, NOBODY);
    assert_eq!(found(users.query().json_has(Profile, "a")).await.len(), values.len(), "null is something");
    assert_eq!(found(users.query().json_has(Profile, "b")).await, NOBODY);
}

async fn json_paths(db: TestDb) {
    let users = profiles(
        &db,
        &[
            json!({"address": {"city": "Oslo", "no. 1": 7}}),
            json!({"address": [{"city": "Rome"}, {"city": "Bonn"}]}),
            json!({"address.city": "Lima", "": "x", "日本": {"😀": 1}}),
        ],
    )
    .await;
    let eq = |path: JsonPath, value: Json| found(users.query().json_eq(Profile, path, value));
    assert_eq!(eq(["address", "city"].into(), json!("Oslo")).await, ["0"]);
    assert_eq!(eq(["address", "no. 1"].into(), json!(7)).await, ["0"]);
    assert_eq!(eq(JsonPath::from("address").index(1).key("city"), json!("Bonn")).await, ["1"]);
    assert_eq!(eq(JsonPath::from("address").index(2).key("city"), json!("Bonn")).await, NOBODY);
    assert_eq!(eq("address.city".into(), json!("Lima")).await, ["2"]);
    assert_eq!(eq(["日本", "😀"].into(), json!(1)).await, ["2"]);
    let has = users.query().json_has(Profile, JsonPath::from("address").index(0));
    assert!(found(has).await.contains(&"1".to_owned()));
}

async fn json_that_contains(db: TestDb) {
    let users = profiles(&db, &[json!({"tags": ["a", "b"], "n": 1}), json!({"tags": ["b"]}), json!([1, 2])]).await;
    let contains = |value: Json| users.query().json_contains(Profile, value).order_asc(Username);
    let first = contains(json!({"tags": ["a"]})).all().await;
    if let Err(error) = &first
        && matches!(error.root(), Error::Unsupported { .. })
    {
        assert!(!db.capabilities().server, "the servers have it");
        return;
    }
    assert_eq!(names(first.unwrap()), ["0"]);
    assert_eq!(found(contains(json!({"tags": ["b"]}))).await, ["0", "1"]);
    assert_eq!(found(contains(json!({"n": 1}))).await, ["0"]);
    assert_eq!(found(contains(json!([2]))).await, ["2"]);
    assert_eq!(found(contains(json!({"n": "1"}))).await, NOBODY);
}

async fn hostile_json(db: TestDb) {
    let text = r#"'; DROP TABLE "user"; -- \ ` % _ {} $ ? "#;
    let users = profiles(&db, &[json!({"a": text, "'; DROP TABLE user; --": 1, "$": 2})]).await;
    assert_eq!(found(users.query().json_eq(Profile, "a", text)).await, ["0"]);
    assert_eq!(found(users.query().json_eq(Profile, "'; DROP TABLE user; --", 1)).await, ["0"]);
    assert_eq!(found(users.query().json_eq(Profile, "$", 2)).await, ["0"]);
    for key in ["\"", "\\", "a\"].b", "\0", "]", "[0]", "*", "**", "$.a", "#-1", "last"] {
        match users.query().json_has(Profile, key).all().await {
            Ok(rows) => assert_eq!(names(rows), NOBODY, "{key:?}"),
            Err(error) if db.capabilities().server => assert!(
                matches!(error.root(), Error::InvalidArgument { .. } | Error::Database { .. }),
                "{key:?}: {error:?}"
            ),
            Err(error) => assert!(matches!(error.root(), Error::InvalidArgument { .. }), "{key:?}: {error:?}"),
        }
    }
    assert_eq!(users.count().await.unwrap(), 2);
}

async fn large_numbers_in_json(db: TestDb) {
    const EXACT: u64 = 1 << 53;
    let numbers = [u64::MAX, u64::MAX - 1, 1 << 63, i64::MAX.unsigned_abs(), EXACT + 1, EXACT, EXACT - 1, 0];
    let users = profiles(&db, &numbers.map(|number| json!({"a": number}))).await;
    for (at, number) in numbers.into_iter().enumerate() {
        assert_eq!(found(users.query().json_eq(Profile, "a", number)).await, [at.to_string()], "{number}");
    }
    assert_eq!(found(users.query().json_eq(Profile, "a", 0.0)).await, ["7"]);
    assert_eq!(found(users.query().json_eq(Profile, "a", i64::MIN)).await, NOBODY);
}
