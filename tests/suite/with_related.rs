//! Queries that bring related rows along.

use entities::{
    customer_order::{
        self,
        Column::{Number, Total},
    },
    order_item, tag,
    user::{self, Column::Username},
    user_tag,
};
use futures_util::{TryStreamExt, pin_mut};
use sea_dao::{BaseDao, Conventions, Error, hooks::StatementKind, query::Conditions};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, FromQueryResult, JoinType, Linked, QueryOrder, QuerySelect, RelationDef, RelationTrait,
    prelude::Uuid,
    sea_query::{Expr, ExprTrait, IntoCondition},
};

use crate::{
    query::{Users, filled},
    support::TestDb,
};

for_each_backend!(
    all_rows_that_belong_to_each,
    one_row_for_each,
    through_a_junction,
    rows_of_rows,
    several_relations_at_once,
    a_limit_counts_for_each_row,
    deleted_rows_are_not_brought_along,
    pages_and_places_and_parts,
    links_over_several_tables,
    a_relation_with_a_condition,
    a_type_of_ones_own_is_brought_along,
    groups_are_brought_along,
    one_session_for_all,
    nothing_needs_no_statement,
    rows_that_were_there_before,
    what_cannot_be_brought_along,
    a_loop_is_warned_of_and_bringing_along_is_not,
);

type Orders = BaseDao<customer_order::Entity>;
type Items = BaseDao<order_item::Entity>;

struct Shop {
    users: Users,
    orders: Orders,
    items: Items,
}

/// Four users: ada with the orders 1 to 3 and a deleted one, bob with order 4, cyd and dan without. Order 1 has two items,
/// order 4 one.
async fn shop(db: &TestDb) -> Shop {
    let users = filled(db).await;
    let orders = Orders::new((**db).clone());
    let items = Items::new((**db).clone());
    let ids: Vec<i64> = users.query().order_asc(Username).column(user::Column::Id).await.unwrap();
    let order = |number: &str, user: usize, total| customer_order::ActiveModel {
        number: Set(number.to_owned()),
        user_id: Set(ids[user]),
        total: Set(total),
        ..Default::default()
    };
    let rows = [order("1", 0, 10), order("2", 0, 30), order("3", 0, 20), order("gone", 0, 99), order("4", 1, 5)];
    let rows = orders.insert_many_returning(rows).await.unwrap();
    orders.delete(&rows[3]).await.unwrap();
    let item = |order: usize, sku: &str| order_item::ActiveModel {
        order_id: Set(rows[order].id),
        sku: Set(sku.to_owned()),
        quantity: Set(1),
        unit_price: Set(1),
        ..Default::default()
    };
    items.insert_many([item(0, "b"), item(0, "a"), item(4, "c")]).await.unwrap();
    db.recorder().forget();
    Shop { users, orders, items }
}

type Named<'a> = Vec<(&'a str, Vec<&'a str>)>;

fn named(rows: &[(user::Model, Vec<customer_order::Model>)]) -> Named<'_> {
    rows.iter()
        .map(|(user, orders)| (user.username.as_str(), orders.iter().map(|order| order.number.as_str()).collect()))
        .collect()
}

/// How many queries were sent since the last call.
fn sent(db: &TestDb) -> usize {
    db.recorder().take_queries()
}

async fn all_rows_that_belong_to_each(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let rows = users.query().order_desc(Username).with_many(customer_order::Entity).all().await.unwrap();
    assert_eq!(sent(&db), 2);
    assert_eq!(named(&rows), [("dan", vec![]), ("cyd", vec![]), ("bob", vec!["4"]), ("ada", vec!["1", "2", "3"])]);

    let large = orders.query().ge(Total, 10).order_desc(Total);
    let rows = users.query().ne(Username, "cyd").order_asc(Username).with_many(large).all().await.unwrap();
    assert_eq!(named(&rows), [("ada", vec!["2", "3", "1"]), ("bob", vec![]), ("dan", vec![])]);
    assert_eq!(sent(&db), 2);
    // The rows are whole.
    let (_, first) = &rows[0];
    assert_eq!(first[0], orders.query().eq(Number, "2").one().await.unwrap());
}

async fn one_row_for_each(db: TestDb) {
    let Shop { users, orders, items } = shop(&db).await;
    let rows = orders.query().order_desc(Number).with_one(user::Entity).all().await.unwrap();
    assert_eq!(sent(&db), 2);
    let buyers: Vec<_> =
        rows.iter().map(|(order, user)| (order.number.as_str(), user.as_ref().unwrap().username.as_str())).collect();
    assert_eq!(buyers, [("4", "bob"), ("3", "ada"), ("2", "ada"), ("1", "ada")]);

    let rich = users.query().gt(user::Column::Balance, 100);
    let rows = orders.query().order_asc(Number).with_one(rich).all().await.unwrap();
    let found: Vec<bool> = rows.iter().map(|(_, user)| user.is_some()).collect();
    assert_eq!(found, [false, false, false, true]);

    // The first of many.
    let dearest = orders.query().order_desc(Total);
    let rows = users.query().order_asc(Username).with_one(dearest).all().await.unwrap();
    let dearest: Vec<_> = rows.into_iter().map(|(_, order)| order.map(|order| order.number)).collect();
    assert_eq!(dearest, [Some("2".to_owned()), Some("4".to_owned()), None, None]);
    let (item, order) =
        items.query().eq(order_item::Column::Sku, "c").with_one(customer_order::Entity).one().await.unwrap();
    assert_eq!((item.order_id, order.unwrap().number.as_str()), (rows_of(&orders, "4").await, "4"));
    // No more than one of each is read.
    db.recorder().forget();
    users.query().with_one(customer_order::Entity).all().await.unwrap();
    let read: Vec<_> = db.recorder().take().into_iter().map(|seen| seen.sql).collect();
    assert!(read.len() == 2 && read[1].contains("ROW_NUMBER"), "{read:?}");
}

async fn rows_of(orders: &Orders, number: &str) -> i64 {
    orders.query().eq(Number, number).one().await.unwrap().id
}

async fn tagged(db: &TestDb, users: &Users) {
    let tags = BaseDao::<tag::Entity>::new((**db).clone());
    let links = BaseDao::<user_tag::Entity>::new((**db).clone());
    let ids: Vec<i64> = users.query().order_asc(Username).column(user::Column::Id).await.unwrap();
    for (number, (name, tagged)) in [("vip", &ids[..2]), ("new", &ids[1..3])].into_iter().enumerate() {
        let id = Uuid::from_u128(number as u128 + 1);
        tags.insert(tag::ActiveModel { id: Set(id), name: Set(name.to_owned()) }).await.unwrap();
        let link = |user: &i64| user_tag::ActiveModel { user_id: Set(*user), tag_id: Set(id), ..Default::default() };
        links.insert_many(tagged.iter().map(link)).await.unwrap();
    }
    db.recorder().forget();
}

async fn through_a_junction(db: TestDb) {
    let users = filled(&db).await;
    tagged(&db, &users).await;
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let rows = users.query().order_asc(Username).with_many(tag::Entity).all().await.unwrap();
    assert_eq!(sent(&db), 2, "the junction takes no statement of its own");
    let names: Vec<Vec<&str>> =
        rows.iter().map(|(_, tags)| tags.iter().map(|tag| tag.name.as_str()).collect()).collect();
    assert_eq!(names, [vec!["vip"], vec!["vip", "new"], vec!["new"], vec![]]);
    // The other way, from keys that are no numbers.
    let rows =
        tags.query().order_asc(tag::Column::Name).with_many(users.query().order_desc(Username)).all().await.unwrap();
    let names: Vec<Vec<&str>> =
        rows.iter().map(|(_, users)| users.iter().map(|user| user.username.as_str()).collect()).collect();
    assert_eq!(names, [["cyd", "bob"], ["bob", "ada"]]);
    let rows = users.query().eq(Username, "bob").with_many(tags.query().order_asc(tag::Column::Name).limit(1)).all();
    assert_eq!(rows.await.unwrap()[0].1[0].name, "new");
}

async fn rows_of_rows(db: TestDb) {
    let Shop { users, orders, items } = shop(&db).await;
    let sorted = items.query().order_asc(order_item::Column::Sku);
    let nested = orders.query().order_asc(Number).with_many(sorted);
    let rows = users.query().order_asc(Username).with_many(nested).all().await.unwrap();
    assert_eq!(sent(&db), 3, "a statement for each relation, however many rows there are");
    let (ada, orders_of_ada) = &rows[0];
    assert_eq!((ada.username.as_str(), orders_of_ada.len()), ("ada", 3));
    let skus = |items: &[order_item::Model]| items.iter().map(|item| item.sku.clone()).collect::<Vec<_>>();
    assert_eq!(skus(&orders_of_ada[0].1), ["a", "b"]);
    assert!(orders_of_ada[1].1.is_empty());
    assert_eq!(skus(&rows[1].1[0].1), ["c"]);
    // And up again.
    let rows = items.query().order_asc(order_item::Column::Sku);
    let rows = rows.with_one(orders.query().with_one(user::Entity)).all().await.unwrap();
    let buyers: Vec<String> = rows.into_iter().map(|(_, order)| order.unwrap().1.unwrap().username).collect();
    assert_eq!(buyers, ["ada", "ada", "bob"]);
}

async fn several_relations_at_once(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    tagged(&db, &users).await;
    let rows = users
        .query()
        .order_asc(Username)
        .with_many(customer_order::Entity)
        .with_one(orders.query().order_desc(Total))
        .with_many(tag::Entity)
        .all()
        .await
        .unwrap();
    assert_eq!(sent(&db), 4);
    let counts: Vec<_> = rows
        .iter()
        .map(|(user, orders, dearest, tags)| {
            (user.username.as_str(), orders.len(), dearest.as_ref().map(|order| order.number.as_str()), tags.len())
        })
        .collect();
    assert_eq!(counts, [("ada", 3, Some("2"), 1), ("bob", 1, Some("4"), 2), ("cyd", 0, None, 1), ("dan", 0, None, 0)]);
}

async fn a_limit_counts_for_each_row(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let two = |offset| {
        let orders = orders.query().order_desc(Total).limit(2).offset(offset);
        users.query().order_asc(Username).limit(2).with_many(orders).all()
    };
    assert_eq!(named(&two(0).await.unwrap()), [("ada", vec!["2", "3"]), ("bob", vec!["4"])]);
    assert_eq!(named(&two(1).await.unwrap()), [("ada", vec!["3", "1"]), ("bob", vec![])]);
    assert_eq!(named(&two(9).await.unwrap()), [("ada", vec![]), ("bob", vec![])]);
    let rest = users.query().order_asc(Username).limit(2).with_many(orders.query().order_desc(Total).offset(1));
    assert_eq!(named(&rest.all().await.unwrap()), [("ada", vec!["3", "1"]), ("bob", vec![])]);
    let none = users.query().order_asc(Username).limit(1).with_many(orders.query().limit(0)).all().await.unwrap();
    assert_eq!(named(&none), [("ada", vec![])]);
}

async fn deleted_rows_are_not_brought_along(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let ada = || users.query().eq(Username, "ada");
    let all = ada().with_many(orders.query().with_deleted().order_asc(Number)).one().await.unwrap();
    assert_eq!(named(&[all]), [("ada", vec!["1", "2", "3", "gone"])]);
    let deleted = ada().with_many(orders.query().only_deleted()).one().await.unwrap();
    assert_eq!(named(&[deleted]), [("ada", vec!["gone"])]);
    // An entity follows the conventions of the query that brings it along, a query those of its own DAO.
    let none = Users::with_conventions((*db).clone(), Conventions::NONE);
    let all = none.query().eq(Username, "ada").with_many(customer_order::Entity).one().await.unwrap();
    assert_eq!(all.1.len(), 4);
    let left_out = none.query().eq(Username, "ada").with_many(orders.query()).one().await.unwrap();
    assert_eq!(left_out.1.len(), 3);
    // The buyer is deleted.
    users.delete_where().eq(Username, "bob").exec().await.unwrap();
    let (order, buyer) = orders.query().eq(Number, "4").with_one(user::Entity).one().await.unwrap();
    assert_eq!((order.number.as_str(), buyer), ("4", None));
}

async fn pages_and_places_and_parts(db: TestDb) {
    let Shop { users, .. } = shop(&db).await;
    let query = || users.query().order_asc(Username).with_many(customer_order::Entity);
    let page = query().page(1, 3).await.unwrap();
    assert_eq!((page.total, page.pages()), (4, 2));
    assert_eq!(named(&page.items), [("ada", vec!["1", "2", "3"]), ("bob", vec!["4"]), ("cyd", vec![])]);
    assert_eq!(named(&query().page(2, 3).await.unwrap().items), [("dan", vec![])]);

    let first = query().cursor(1, None).await.unwrap();
    assert_eq!(named(&first.items), [("ada", vec!["1", "2", "3"])]);
    let second = query().cursor(1, first.next.as_deref()).await.unwrap();
    assert_eq!(named(&second.items), [("bob", vec!["4"])]);
    // A token is good with and without related rows.
    let plain = users.query().order_asc(Username).cursor(1, first.next.as_deref()).await.unwrap();
    assert_eq!(plain.items[0].username, "bob");

    let parts = query().chunks(3);
    pin_mut!(parts);
    let mut seen = Vec::new();
    while let Some(part) = parts.try_next().await.unwrap() {
        seen.push(part.iter().map(|(_, orders)| orders.len()).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec![3, 1, 0], vec![0]]);

    assert_eq!(query().first().await.unwrap().unwrap().1.len(), 3);
    let nobody = users.query().eq(Username, "nobody").with_many(customer_order::Entity);
    assert_eq!(nobody.clone().first().await.unwrap(), None);
    assert!(nobody.one().await.unwrap_err().is_not_found());
    assert!(matches!(query().one().await.unwrap_err(), Error::NotUnique { .. }));
    assert!(matches!(query().page(0, 3).await.unwrap_err().root(), Error::InvalidArgument { .. }));
}

struct Bought;

impl Linked for Bought {
    type FromEntity = user::Entity;
    type ToEntity = order_item::Entity;

    fn link(&self) -> Vec<RelationDef> {
        vec![user::Relation::CustomerOrder.def(), customer_order::Relation::OrderItem.def()]
    }
}

async fn links_over_several_tables(db: TestDb) {
    let Shop { users, items, .. } = shop(&db).await;
    let sorted = items.query().order_asc(order_item::Column::Sku);
    let rows = users.query().order_asc(Username).with_many_linked(Bought, sorted.clone()).all().await.unwrap();
    assert_eq!(sent(&db), 2);
    let skus: Vec<Vec<&str>> =
        rows.iter().map(|(_, items)| items.iter().map(|item| item.sku.as_str()).collect()).collect();
    assert_eq!(skus, [vec!["a", "b"], vec!["c"], vec![], vec![]]);
    let rows = users.query().order_asc(Username).with_many(customer_order::Entity).with_one_linked(Bought, sorted);
    let first: Vec<Option<String>> =
        rows.all().await.unwrap().into_iter().map(|(_, _, item)| item.map(|item| item.sku)).collect();
    assert_eq!(first, [Some("a".to_owned()), Some("c".to_owned()), None, None]);
}

struct Large;

impl Linked for Large {
    type FromEntity = user::Entity;
    type ToEntity = customer_order::Entity;

    fn link(&self) -> Vec<RelationDef> {
        let dearer = |user: sea_orm::sea_query::DynIden, order: sea_orm::sea_query::DynIden| {
            let rich = Expr::col((user, user::Column::Balance)).gt(50);
            Expr::col((order, Total)).gt(15).and(rich).into_condition()
        };
        vec![user::Relation::CustomerOrder.def().on_condition(dearer)]
    }
}

async fn a_relation_with_a_condition(db: TestDb) {
    let Shop { users, .. } = shop(&db).await;
    let query = || users.query().order_asc(Username).with_many_linked(Large, customer_order::Entity);
    assert_eq!(named(&query().all().await.unwrap()[..2]), [("ada", vec!["2", "3"]), ("bob", vec![])]);
    users.update_where().all_rows().set(user::Column::Balance, 0).exec().await.unwrap();
    assert_eq!(named(&query().all().await.unwrap()[..1]), [("ada", vec![])]);
}

#[derive(Debug, Clone, PartialEq, FromQueryResult)]
struct Slim {
    number: String,
}

async fn a_type_of_ones_own_is_brought_along(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let slim =
        orders.query().select(|select| select.select_only().column(Number)).order_asc(Number).into_model::<Slim>();
    let rows = users.query().order_asc(Username).limit(1).with_many(slim).all().await.unwrap();
    assert_eq!(rows[0].1, ["1", "2", "3"].map(|number| Slim { number: number.to_owned() }));
}

#[derive(Debug, Clone, PartialEq, FromQueryResult)]
struct Sum {
    orders: i64,
    status: i16,
}

async fn groups_are_brought_along(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    orders.update_where().eq(Number, "2").set(customer_order::Column::Status, 3).exec().await.unwrap();
    let per_status = orders
        .query()
        .select(|select| {
            let count = customer_order::Column::Id.count();
            select.select_only().column(customer_order::Column::Status).column_as(count, "orders")
        })
        .group_by(customer_order::Column::Status)
        .order_asc(customer_order::Column::Status)
        .into_model::<Sum>();
    let rows = users.query().order_asc(Username).limit(3).with_many(per_status).all().await.unwrap();
    let sums: Vec<Vec<Sum>> = rows.into_iter().map(|(_, sums)| sums).collect();
    let sum = |status, orders| Sum { orders, status };
    assert_eq!(sums, [vec![sum(0, 2), sum(3, 1)], vec![sum(0, 1)], vec![]]);
}

async fn one_session_for_all(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let query = || users.query().order_asc(Username).with_many(orders.query().with_many(order_item::Entity));
    query().all().await.unwrap();
    let seen = db.recorder().take().into_iter().filter(|seen| seen.kind == StatementKind::Query);
    let sessions: Vec<_> = seen.map(|seen| seen.session).collect();
    assert!(sessions.len() == 3 && sessions[0].is_some() && sessions.iter().all(|one| *one == sessions[0]));
    // In a transaction the related rows are the transaction's, though their DAO is not in it.
    db.execute_transaction(async |tx| -> sea_dao::Result<()> {
        orders.within(tx).update_where().eq(Number, "1").set(Number, "changed").exec().await?;
        let rows =
            users.within(tx).query().eq(Username, "ada").with_many(orders.query().order_asc(Total)).all().await?;
        assert_eq!(named(&rows), [("ada", vec!["changed", "3", "2"])]);
        let locked = users.within(tx).query().eq(Username, "ada").for_update();
        let rows = locked.with_many(orders.query().for_update().order_asc(Total)).all().await?;
        assert_eq!(rows[0].1.len(), 3);
        Ok(())
    })
    .await
    .unwrap();
    // Outside of one a lock is gone with its statement.
    let refused = users.query().with_many(orders.query().for_update()).all().await.unwrap_err();
    assert!(matches!(refused.root(), Error::NoTransaction), "{refused:?}");
}

async fn nothing_needs_no_statement(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let nobody = users.query().eq(Username, "nobody").with_many(orders.query().with_many(order_item::Entity));
    assert!(nobody.all().await.unwrap().is_empty());
    assert_eq!(sent(&db), 1);
    let never = users.query().eq(Username, "ada").with_many(orders.query().in_(Number, Vec::<String>::new()));
    assert_eq!(named(&never.all().await.unwrap()), [("ada", vec![])]);
    assert_eq!(sent(&db), 1);
    let childless = users.query().eq(Username, "dan").with_many(orders.query().with_many(order_item::Entity));
    assert!(childless.all().await.unwrap()[0].1.is_empty());
    assert_eq!(sent(&db), 2);
}

async fn rows_that_were_there_before(db: TestDb) {
    let Shop { users, .. } = shop(&db).await;
    let mut rows = users.query().in_(Username, ["ada", "bob"]).order_asc(Username).all().await.unwrap();
    // The same row twice, as a join gives it.
    rows.push(rows[0].clone());
    db.recorder().forget();
    let loaded = users.query().with_many(customer_order::Entity).load_for(rows).await.unwrap();
    assert_eq!(named(&loaded), [("ada", vec!["1", "2", "3"]), ("bob", vec!["4"]), ("ada", vec!["1", "2", "3"])]);
    assert_eq!(sent(&db), 1);
}

struct Nowhere;

impl Linked for Nowhere {
    type FromEntity = user::Entity;
    type ToEntity = order_item::Entity;

    fn link(&self) -> Vec<RelationDef> {
        Vec::new()
    }
}

async fn what_cannot_be_brought_along(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let unsupported = |result: sea_dao::Result<Vec<(user::Model, Vec<customer_order::Model>)>>| {
        let error = result.unwrap_err();
        assert!(matches!(error.root(), Error::Unsupported { .. }), "{error:?}");
    };
    unsupported(users.query().with_many(orders.query().distinct_on([Total])).all().await);
    unsupported(users.query().with_many(orders.query().select(|select| select.limit(1))).all().await);
    let ordered = orders.query().select(|select| select.order_by_asc(Total)).limit(1);
    unsupported(users.query().with_many(ordered).all().await);
    let with_items = || orders.query().join(JoinType::InnerJoin, customer_order::Relation::OrderItem.def()).distinct();
    unsupported(users.query().with_many(with_items().limit(2)).all().await);
    unsupported(users.query().with_many(with_items().offset(1)).all().await);
    users.query().with_many(with_items()).all().await.unwrap();
    users.query().with_one(with_items()).all().await.unwrap();
    let nowhere = users.query().with_many_linked(Nowhere, order_item::Entity).all().await.unwrap_err();
    assert!(matches!(nowhere.root(), Error::InvalidArgument { argument: "relation", .. }), "{nowhere:?}");
}

async fn a_loop_is_warned_of_and_bringing_along_is_not(db: TestDb) {
    let Shop { users, orders, .. } = shop(&db).await;
    let pool = db.open(|config| config.n_plus_one(2)).await;
    let session = pool.session();
    let (users, orders) = (users.within(&session), orders.within(&session));
    let rows = users.query().with_many(customer_order::Entity).with_many(tag::Entity).all().await.unwrap();
    assert_eq!(rows.len(), 4);
    pool.repeated_queries().check().unwrap();
    for (user, brought) in &rows.iter().map(|(user, orders, _)| (user, orders)).collect::<Vec<_>>() {
        let read = orders.query().eq(customer_order::Column::UserId, user.id).all().await.unwrap();
        assert_eq!(read.len(), brought.len());
    }
    let found = pool.repeated_queries().check().unwrap_err();
    assert_eq!((found.queries.len(), found.queries[0].count, found.queries[0].sessions), (1, 4, 1), "{found}");
}
