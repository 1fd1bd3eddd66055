//! Queries and counts on rows.

use entities::{customer_order, user};
use sea_dao::{
    BaseDao, Error,
    query::{Conditions, QueryBuilder},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, ExprTrait, FromQueryResult, JoinType, QuerySelect,
    RelationTrait, prelude::DateTimeWithTimeZone, sea_query::Expr,
};
use user::Column::{Balance, CreatedAt, DeletedAt, Email, Id, Status, Username};

use crate::support::TestDb;

for_each_backend!(
    comparisons_find_their_rows,
    null_is_found_like_any_value,
    lists_find_their_rows,
    an_empty_list_sends_nothing,
    patterns_find_text_literally,
    groups_find_their_rows,
    conditions_of_sea_orm_find_their_rows,
    deleted_rows_are_left_out_everywhere,
    first_takes_one_row,
    one_wants_exactly_one_row,
    exists_asks_for_one_row,
    values_as_tuples,
    groups_into_a_type_of_ones_own,
    rows_of_a_joined_table,
    a_builder_runs_twice,
    sea_orms_select_runs_on_a_session,
    a_value_of_the_wrong_type_is_an_error,
);

pub(crate) type Users = BaseDao<user::Entity>;

pub(crate) fn row(name: &str, status: i16, balance: i64, email: Option<&str>) -> user::ActiveModel {
    user::ActiveModel {
        username: Set(name.to_owned()),
        phone: Set(name.to_owned()),
        status: Set(status),
        balance: Set(balance),
        email: Set(email.map(str::to_owned)),
        ..Default::default()
    }
}

/// Four users and a deleted one.
pub(crate) async fn filled(db: &TestDb) -> Users {
    let users = Users::new((**db).clone());
    let rows = [
        row("ada", 1, 100, Some("ada@example.org")),
        row("bob", 2, 200, None),
        row("cyd", 2, 300, Some(r"50%_off!\")),
        row("dan", 3, 400, Some(r"50xyoff!\")),
        row("eve", 3, 500, None),
    ];
    assert_eq!(users.insert_many(rows).await.unwrap(), 5);
    assert_eq!(users.delete_where().eq(Username, "eve").exec().await.unwrap(), 1);
    db.recorder().forget();
    users
}

#[track_caller]
pub(crate) fn names(rows: Vec<user::Model>) -> Vec<String> {
    rows.into_iter().map(|user| user.username).collect()
}

/// The names that a query finds, and that counting it agrees.
async fn found(query: QueryBuilder<user::Entity>) -> Vec<String> {
    let rows = names(query.clone().order_asc(Username).all().await.unwrap());
    assert_eq!(query.clone().count().await.unwrap(), rows.len() as u64);
    assert_eq!(query.exists().await.unwrap(), !rows.is_empty());
    rows
}

pub(crate) const NOBODY: [&str; 0] = [];

async fn comparisons_find_their_rows(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(found(users.query()).await, ["ada", "bob", "cyd", "dan"]);
    assert_eq!(found(users.query().eq(Status, 2)).await, ["bob", "cyd"]);
    assert_eq!(found(users.query().eq(Status, 9)).await, NOBODY);
    assert_eq!(found(users.query().ne(Status, 2)).await, ["ada", "dan"]);
    assert_eq!(found(users.query().gt(Balance, 300)).await, ["dan"]);
    assert_eq!(found(users.query().ge(Balance, 300)).await, ["cyd", "dan"]);
    assert_eq!(found(users.query().lt(Balance, 200)).await, ["ada"]);
    assert_eq!(found(users.query().le(Balance, 200)).await, ["ada", "bob"]);
    assert_eq!(found(users.query().between(Balance, 200, 300)).await, ["bob", "cyd"]);
    assert_eq!(found(users.query().between(Balance, 300, 200)).await, NOBODY);
    assert_eq!(found(users.query().eq(Status, 2).gt(Balance, 250)).await, ["cyd"]);
    assert_eq!(found(users.query().le(CreatedAt, sea_orm::prelude::ChronoUtc::now())).await.len(), 4);
}

async fn null_is_found_like_any_value(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(found(users.query().is_null(Email)).await, ["bob"]);
    assert_eq!(found(users.query().is_not_null(Email)).await, ["ada", "cyd", "dan"]);
    assert_eq!(found(users.query().eq(Email, None::<String>)).await, ["bob"]);
    assert_eq!(found(users.query().ne(Email, None::<String>)).await, ["ada", "cyd", "dan"]);
    assert_eq!(found(users.query().ne(Email, "ada@example.org")).await, ["cyd", "dan"], "NULL is not unequal");
    assert_eq!(found(users.query().gt(Email, None::<String>)).await, NOBODY);
}

async fn lists_find_their_rows(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(found(users.query().in_(Username, ["ada", "dan", "eve", "nobody"])).await, ["ada", "dan"]);
    assert_eq!(found(users.query().in_(Username, ["ada", "ada"])).await, ["ada"]);
    assert_eq!(found(users.query().in_(Email, [Some("ada@example.org"), None])).await, ["ada", "bob"]);
    assert_eq!(found(users.query().in_(Email, [None::<String>])).await, ["bob"]);
    assert_eq!(found(users.query().not_in(Username, ["ada", "dan"])).await, ["bob", "cyd"]);
    assert_eq!(found(users.query().not_in(Username, Vec::<String>::new())).await.len(), 4);
    assert_eq!(found(users.query().not_in(Email, [Some("ada@example.org"), None])).await, ["cyd", "dan"]);
    assert_eq!(found(users.query().not_in(Email, [None::<String>])).await, ["ada", "cyd", "dan"]);
}

async fn an_empty_list_sends_nothing(db: TestDb) {
    let users = filled(&db).await;
    let none = || users.query().eq(Status, 2).in_(Id, Vec::<i64>::new());
    assert_eq!(found(none()).await, NOBODY);
    assert_eq!(none().first().await.unwrap(), None);
    assert!(none().one().await.unwrap_err().is_not_found());
    assert_eq!(none().columns::<(i64,)>([Id]).await.unwrap(), []);
    assert_eq!(none().distinct().count().await.unwrap(), 0);
    assert_eq!(none().page(1, 10).await.unwrap().total, 0);
    assert_eq!(none().sum(Balance).await.unwrap(), 0);
    assert_eq!(none().avg(Balance).await.unwrap(), None);
    assert_eq!(none().min::<i64>(Balance).await.unwrap(), None);
    assert_eq!(users.count().in_(Id, Vec::<i64>::new()).await.unwrap(), 0);
    assert_eq!(users.update_where().in_(Id, Vec::<i64>::new()).set(Status, 9).exec().await.unwrap(), 0);
    assert_eq!(users.delete_where().in_(Id, Vec::<i64>::new()).exec().await.unwrap(), 0);
    assert_eq!(users.query().limit(0).all().await.unwrap(), []);
    assert_eq!(users.find_by_ids(Vec::<i64>::new()).await.unwrap(), []);
    assert_eq!(db.recorder().begun(), 0);

    // In an alternative it is only one of them.
    assert_eq!(found(users.query().or_(|or| or.in_(Id, Vec::<i64>::new()).eq(Username, "ada"))).await, ["ada"]);
    assert_eq!(found(users.query().not_(|not| not.in_(Id, Vec::<i64>::new()))).await.len(), 4);
}

async fn patterns_find_text_literally(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(found(users.query().contains(Email, r"%_off!\")).await, ["cyd"]);
    assert_eq!(found(users.query().contains(Email, r"off!\")).await, ["cyd", "dan"]);
    assert_eq!(found(users.query().contains(Email, "%")).await, ["cyd"]);
    assert_eq!(found(users.query().contains(Email, "")).await, ["ada", "cyd", "dan"]);
    assert_eq!(found(users.query().starts_with(Email, "50%")).await, ["cyd"]);
    assert_eq!(found(users.query().starts_with(Email, "0")).await, NOBODY);
    assert_eq!(found(users.query().ends_with(Email, r"_off!\")).await, ["cyd"]);
    assert_eq!(found(users.query().ends_with(Email, "example.org")).await, ["ada"]);
    assert_eq!(found(users.query().like(Email, "50__off!%")).await, ["cyd", "dan"]);
    assert_eq!(found(users.query().like(Username, "_a%")).await, ["dan"]);
}

async fn groups_find_their_rows(db: TestDb) {
    let users = filled(&db).await;
    let either = users.query().or_(|or| or.eq(Username, "ada").ge(Balance, 300));
    assert_eq!(found(either.clone()).await, ["ada", "cyd", "dan"], "the deleted one is not among them");
    assert_eq!(found(either.eq(Status, 2)).await, ["cyd"]);
    let nested = users.query().or_(|or| or.and_(|and| and.eq(Status, 2).is_null(Email)).eq(Username, "dan"));
    assert_eq!(found(nested).await, ["bob", "dan"]);
    let not = users.query().not_(|not| not.eq(Status, 2).gt(Balance, 250));
    assert_eq!(found(not).await, ["ada", "bob", "dan"]);
    assert_eq!(found(users.query().or_(|or| or).and_(|and| and).not_(|not| not)).await.len(), 4);
}

async fn conditions_of_sea_orm_find_their_rows(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(found(users.query().filter(Status.eq(2)).eq(Username, "cyd")).await, ["cyd"]);
    let any = Condition::any().add(Username.eq("ada")).add(Expr::col(Balance).mul(2).eq(800));
    assert_eq!(found(users.query().filter(any)).await, ["ada", "dan"]);
    assert_eq!(users.count().filter(Status.gt(1)).await.unwrap(), 3);
    assert_eq!(users.update_where().filter(Status.eq(1)).set(Status, 4).exec().await.unwrap(), 1);
}

async fn deleted_rows_are_left_out_everywhere(db: TestDb) {
    let users = filled(&db).await;
    let eve = users.query().only_deleted().one().await.unwrap();
    assert_eq!(eve.username, "eve");
    assert_eq!(found(users.query().with_deleted().eq(Status, 3)).await, ["dan", "eve"]);
    assert_eq!(found(users.query().only_deleted()).await, ["eve"]);
    assert_eq!(users.count().await.unwrap(), 4);
    assert_eq!(users.count().with_deleted().await.unwrap(), 5);
    assert_eq!(users.count().only_deleted().await.unwrap(), 1);
    assert_eq!(users.find_by_id(eve.id).await.unwrap(), None);
    assert_eq!(users.find_by_ids([eve.id]).await.unwrap(), []);
    assert!(!users.exists(eve.id).await.unwrap());
    assert_eq!(users.query().page(1, 10).await.unwrap().total, 4);
    assert_eq!(users.query().sum(Balance).await.unwrap(), 1_000);
    assert_eq!(users.query().with_deleted().sum(Balance).await.unwrap(), 1_500);
    assert_eq!(users.query().max::<i64>(Balance).await.unwrap(), Some(400));
    assert_eq!(users.query().eq(Status, 3).columns::<(String,)>([Username]).await.unwrap(), [("dan".to_owned(),)]);
}

async fn first_takes_one_row(db: TestDb) {
    let users = filled(&db).await;
    let first = users.query().order_desc(Balance).first().await.unwrap();
    assert_eq!(first.map(|user| user.username).as_deref(), Some("dan"));
    let [sent] = &db.recorder().take()[..] else { panic!("one statement") };
    assert!(sent.sql.contains(" LIMIT "), "{}", sent.sql);
    assert_eq!(sent.rows, Some(1));
    assert_eq!(users.query().eq(Status, 9).first().await.unwrap(), None);
    assert_eq!(users.query().limit(0).first().await.unwrap(), None);
    let second = users.query().order_desc(Balance).offset(1).first().await.unwrap();
    assert_eq!(second.map(|user| user.username).as_deref(), Some("cyd"));
}

async fn one_wants_exactly_one_row(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(users.query().eq(Username, "bob").one().await.unwrap().balance, 200);
    let none = users.query().eq(Status, 9).one().await.unwrap_err();
    assert!(matches!(none, Error::NotFound { entity: "user", .. }) && none.is_not_found(), "{none:?}");
    let said = none.to_string();
    assert!(said.contains("status") && said.contains("deleted_at") && !said.contains('9'), "{said}");
    db.recorder().forget();
    let many = users.query().one().await.unwrap_err();
    assert!(matches!(many, Error::NotUnique { entity: "user" }), "{many:?}");
    assert_eq!(db.recorder().take()[0].rows, Some(2), "no more than it takes to see that there are more");
    assert_eq!(users.query().order_asc(Id).limit(1).one().await.unwrap().username, "ada");
}

async fn exists_asks_for_one_row(db: TestDb) {
    let users = filled(&db).await;
    assert!(users.query().exists().await.unwrap());
    assert!(!users.query().eq(Status, 9).exists().await.unwrap());
    assert!(users.query().distinct().exists().await.unwrap());
    assert!(!users.query().offset(4).exists().await.unwrap());
    assert!(!users.query().limit(0).exists().await.unwrap());
    for sent in db.recorder().take() {
        assert!(sent.sql.contains(" LIMIT ") && sent.rows <= Some(1), "{sent:?}");
    }
}

async fn values_as_tuples(db: TestDb) {
    let users = filled(&db).await;
    let query = users.query().order_asc(Username);
    let pairs: Vec<(String, i64)> = query.clone().le(Balance, 200).columns([Username, Balance]).await.unwrap();
    assert_eq!(pairs, [("ada".to_owned(), 100), ("bob".to_owned(), 200)]);
    let emails: Vec<(Option<String>,)> = query.eq(Status, 2).columns([Email]).await.unwrap();
    assert_eq!(emails, [(None,), (Some(r"50%_off!\".to_owned()),)]);
    let statuses: Vec<(i16,)> = users.query().distinct().order_asc(Status).columns([Status]).await.unwrap();
    assert_eq!(statuses, [(1,), (2,), (3,)]);
    let when: Vec<(DateTimeWithTimeZone, Option<DateTimeWithTimeZone>)> =
        users.query().with_deleted().order_asc(Username).columns([CreatedAt, DeletedAt]).await.unwrap();
    assert!(when[3].1.is_none() && when[4].1.is_some_and(|deleted| deleted >= when[4].0), "{when:?}");
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct PerStatus {
    status: i16,
    users: i64,
    richest: i64,
}

async fn groups_into_a_type_of_ones_own(db: TestDb) {
    let users = filled(&db).await;
    let groups = users
        .query()
        .select(|select| {
            let select = select.select_only().column(Status);
            select.column_as(Id.count(), "users").column_as(Balance.max(), "richest")
        })
        .group_by(Status)
        .order_asc(Status);
    let per_status: Vec<PerStatus> = groups.clone().into_model().all().await.unwrap();
    let row = |status, users, richest| PerStatus { status, users, richest };
    assert_eq!(per_status, [row(1, 1, 100), row(2, 2, 300), row(3, 1, 400)]);
    let per_status: Vec<PerStatus> = groups.having(Id.count().gt(1)).into_model().all().await.unwrap();
    assert_eq!(per_status, [row(2, 2, 300)]);
}

#[derive(Debug, PartialEq, FromQueryResult)]
struct OrderOfUser {
    number: String,
    username: String,
}

async fn rows_of_a_joined_table(db: TestDb) {
    let users = filled(&db).await;
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone());
    let ids: Vec<(i64,)> = users.query().order_asc(Username).columns([Id]).await.unwrap();
    let order = |number: &str, (user_id,): (i64,), total| customer_order::ActiveModel {
        number: Set(number.to_owned()),
        user_id: Set(user_id),
        total: Set(total),
        ..Default::default()
    };
    let rows = [order("1", ids[0], 5), order("2", ids[0], 7), order("3", ids[1], 9)];
    assert_eq!(orders.insert_many(rows).await.unwrap(), 3);

    let of_ada = || {
        let joined = orders.query().join(JoinType::InnerJoin, customer_order::Relation::User.def());
        joined.filter(Username.eq("ada")).order_asc(customer_order::Column::Number)
    };
    let numbers = |rows: Vec<customer_order::Model>| rows.into_iter().map(|row| row.number).collect::<Vec<_>>();
    assert_eq!(numbers(of_ada().all().await.unwrap()), ["1", "2"]);
    assert_eq!(of_ada().count().await.unwrap(), 2);
    assert_eq!(of_ada().page(2, 1).await.unwrap().items[0].number, "2");
    assert_eq!(of_ada().sum(customer_order::Column::Total).await.unwrap(), 12);
    assert!(of_ada().exists().await.unwrap());

    let pairs: Vec<OrderOfUser> =
        of_ada().limit(1).select(|select| select.column_as(Username, "username")).into_model().all().await.unwrap();
    assert_eq!(pairs, [OrderOfUser { number: "1".to_owned(), username: "ada".to_owned() }]);
    orders.delete_where().eq(customer_order::Column::Number, "1").exec().await.unwrap();
    assert_eq!(numbers(of_ada().all().await.unwrap()), ["2"], "deleted_at is asked of the right table");
}

async fn a_builder_runs_twice(db: TestDb) {
    let users = filled(&db).await;
    let query = users.query().eq(Status, 2).order_asc(Username);
    assert_eq!(names(query.clone().all().await.unwrap()), ["bob", "cyd"]);
    assert_eq!(names(query.clone().gt(Balance, 200).all().await.unwrap()), ["cyd"]);
    assert_eq!(names(query.all().await.unwrap()), ["bob", "cyd"]);
    let update = users.update_where().eq(Status, 2).set(Status, 2);
    assert_eq!((update.clone().exec().await.unwrap(), update.exec().await.unwrap()), (2, 2));
    let delete = users.delete_where().eq(Status, 2);
    assert_eq!((delete.clone().exec().await.unwrap(), delete.exec().await.unwrap()), (2, 0));
}

async fn sea_orms_select_runs_on_a_session(db: TestDb) {
    let users = filled(&db).await;
    let session = db.session();
    let select = users.query().eq(Status, 2).order_asc(Username).into_select().unwrap();
    assert_eq!(names(select.clone().all(&session).await.unwrap()), ["bob", "cyd"]);
    let with_orders = select.find_with_related(customer_order::Entity).all(&session).await.unwrap();
    assert_eq!(with_orders.len(), 2);
    assert_eq!(user::Entity::find().all(&session).await.unwrap().len(), 5, "SeaORM itself sees deleted rows");
    let second = users.query().order_asc(Username).offset(1).into_select().unwrap().all(&session).await.unwrap();
    assert_eq!(names(second), ["bob", "cyd", "dan"]);
}

async fn a_value_of_the_wrong_type_is_an_error(db: TestDb) {
    let users = filled(&db).await;
    let wrong = users.query().columns::<(i64,)>([Username]).await.unwrap_err();
    assert_eq!(wrong.class(), Some(sea_dao::error::ErrorClass::Decode), "{wrong:?}");
    assert!(wrong.to_string().contains("select user"), "{wrong}");
    let missing: Result<Vec<PerStatus>, _> = users.query().into_model().all().await;
    assert_eq!(missing.unwrap_err().class(), Some(sea_dao::error::ErrorClass::Decode));
    assert_eq!(users.count().await.unwrap(), 4, "the connection is in order");
}
