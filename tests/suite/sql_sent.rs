//! The SQL that the builders' methods send, seen on its way to each database.

use entities::{
    customer_order, order_item,
    order_item::Column::{Id, OrderId, Quantity, Sku, UnitPrice},
};
use futures_util::{StreamExt, TryStreamExt};
use sea_dao::{
    BaseDao,
    query::{Conditions, QueryBuilder},
};
use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult, Statement, prelude::Decimal};

use crate::{
    dialects::in_dialect,
    support::{TestDb, insert_user},
};

for_each_backend!(
    rows,
    by_key,
    a_key_that_many_rows_have,
    a_plan_outlives_its_execution,
    columns_and_counts,
    aggregates,
    plans,
    pages,
    cursors,
    cursors_over_columns_with_null,
    parts
);

type Items = BaseDao<order_item::Entity>;

const ROW: &str = r#""order_item"."id", "order_item"."order_id", "order_item"."sku", "order_item"."quantity", "order_item"."unit_price""#;
const FROM: &str = r#"FROM "order_item""#;

/// Five items of one order, of quantity 1 to 5.
async fn items(db: &TestDb) -> Items {
    let user = insert_user(&**db, "ada").await.unwrap();
    let order = customer_order::ActiveModel {
        user_id: sea_orm::ActiveValue::Set(user.id),
        number: sea_orm::ActiveValue::Set("1".to_owned()),
        total: sea_orm::ActiveValue::Set(5),
        ..Default::default()
    };
    let order = BaseDao::<customer_order::Entity>::new((**db).clone()).insert(order).await.unwrap();
    let items = Items::new((**db).clone());
    let item = |number: i32| order_item::ActiveModel {
        order_id: sea_orm::ActiveValue::Set(order.id),
        sku: sea_orm::ActiveValue::Set(number.to_string()),
        quantity: sea_orm::ActiveValue::Set(number),
        unit_price: sea_orm::ActiveValue::Set(10),
        ..Default::default()
    };
    items.insert_many((1..=5).map(item)).await.unwrap();
    db.recorder().forget();
    items
}

/// Checks all that was sent since the last look.
#[track_caller]
fn sent(db: &TestDb, expected: &[&str]) {
    let sent: Vec<_> = db.recorder().take().into_iter().map(|seen| seen.sql).collect();
    let expected: Vec<_> = expected.iter().map(|sql| in_dialect(db.backend(), sql)).collect();
    assert_eq!(sent, expected);
}

fn dear(items: &Items) -> QueryBuilder<order_item::Entity> {
    items.query().ge(Quantity, 2)
}

const DEAR: &str = r#"WHERE "order_item"."quantity" >= ?"#;

async fn rows(db: TestDb) {
    let items = items(&db).await;
    assert_eq!(dear(&items).all().await.unwrap().len(), 4);
    sent(&db, &[&format!("SELECT {ROW} {FROM} {DEAR}")]);
    assert_eq!(dear(&items).order_desc(Quantity).first().await.unwrap().unwrap().quantity, 5);
    sent(&db, &[&format!(r#"SELECT {ROW} {FROM} {DEAR} ORDER BY "order_item"."quantity" DESC LIMIT ?"#)]);
    assert_eq!(items.query().eq(Quantity, 2).one().await.unwrap().quantity, 2);
    sent(&db, &[&format!(r#"SELECT {ROW} {FROM} WHERE "order_item"."quantity" = ? LIMIT ?"#)]);
    assert_eq!(dear(&items).stream().try_collect::<Vec<_>>().await.unwrap().len(), 4);
    sent(&db, &[&format!("SELECT {ROW} {FROM} {DEAR}")]);
}

async fn by_key(db: TestDb) {
    let items = items(&db).await;
    let first = items.query().order_asc(Id).first().await.unwrap().unwrap();
    db.recorder().forget();
    // Built once and kept, so the second look may differ from the first.
    for _ in 0..2 {
        assert_eq!(items.find_by_id(first.id).await.unwrap().unwrap(), first);
        sent(&db, &[&format!(r#"SELECT {ROW} {FROM} WHERE "order_item"."id" = ?"#)]);
    }
}

mod twin {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "twin")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What the entity calls a key may be none in the database, as with a view.
async fn a_key_that_many_rows_have(db: TestDb) {
    db.execute_unprepared("CREATE TABLE twin (id BIGINT NOT NULL, name VARCHAR(200) NOT NULL)").await.unwrap();
    let rows = vec![format!("(1, '{}')", "x".repeat(200)); 500].join(", ");
    db.execute_unprepared(&format!("INSERT INTO twin (id, name) VALUES {rows}, (2, 'two')")).await.unwrap();
    let session = db.session();
    let twins = BaseDao::<twin::Entity>::new((*db).clone()).within(&session);
    for _ in 0..3 {
        assert_eq!(twins.find_by_id(1).await.unwrap().unwrap().id, 1);
        assert_eq!(twins.find_by_id(2).await.unwrap().unwrap().name, "two");
    }
    drop((twins, session));
    assert!(db.counters().closed.iter().all(|(_, closed)| *closed == 0), "{:?}", db.counters().closed);
}

/// What the server says of the statements that it keeps, where it keeps plans.
async fn a_plan_outlives_its_execution(db: TestDb) {
    let items = items(&db).await;
    if db.capabilities().copy_in {
        let many = "INSERT INTO order_item (order_id, sku, quantity, unit_price) \
                    SELECT order_id, sku || n, quantity, unit_price FROM order_item, generate_series(1, 1000) AS n";
        db.outside().execute_unprepared(many).await.unwrap();
        db.outside().execute_unprepared("ANALYZE order_item").await.unwrap();
    }
    let session = db.session();
    let items = items.within(&session);
    for _ in 0..20 {
        assert_eq!(items.query().ge(Id, 0).order_asc(Id).limit(2).all().await.unwrap().len(), 2);
        assert_eq!(items.query().ge(Id, 0).order_asc(Id).limit(3).offset(1).all().await.unwrap().len(), 3);
    }
    if !db.capabilities().copy_in {
        return;
    }
    let kept =
        "SELECT statement, generic_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT \"order_item\"%'";
    let kept = session.query_all_raw(Statement::from_string(DbBackend::Postgres, kept)).await.unwrap();
    let plans = |end: &str| {
        let is_it = |row: &&QueryResult| row.try_get::<String>("", "statement").unwrap().ends_with(end);
        kept.iter().find(is_it).unwrap().try_get::<i64>("", "generic_plans").unwrap()
    };
    assert!(plans("LIMIT 2") > 0, "no plan was kept");
    // Why the number stands in the text.
    assert_eq!(plans("LIMIT $2 OFFSET $3"), 0);
}

async fn columns_and_counts(db: TestDb) {
    let items = items(&db).await;
    let pairs: Vec<(String, i32)> = dear(&items).columns([Sku, Quantity]).await.unwrap();
    assert_eq!(pairs.len(), 4);
    sent(&db, &[&format!(r#"SELECT "order_item"."sku", "order_item"."quantity" {FROM} {DEAR}"#)]);
    let prices: Vec<i64> = dear(&items).distinct().column(UnitPrice).await.unwrap();
    assert_eq!(prices, [10]);
    sent(&db, &[&format!(r#"SELECT DISTINCT "order_item"."unit_price" {FROM} {DEAR}"#)]);
    assert!(dear(&items).exists().await.unwrap());
    sent(&db, &[&format!("SELECT 1 {FROM} {DEAR} LIMIT ?")]);
    assert_eq!(dear(&items).order_asc(Id).count().await.unwrap(), 4);
    sent(&db, &[&format!("SELECT COUNT(*) {FROM} {DEAR}")]);
    assert_eq!(dear(&items).limit(2).count().await.unwrap(), 2);
    sent(&db, &[&format!(r#"SELECT COUNT(*) FROM (SELECT {ROW} {FROM} {DEAR} LIMIT ?) AS "matching""#)]);
}

async fn aggregates(db: TestDb) {
    let items = items(&db).await;
    let (integer, float, exact) = match db.backend() {
        DbBackend::MySql => ("SIGNED", "DOUBLE", None),
        DbBackend::Postgres => ("BIGINT", "DOUBLE PRECISION", Some("NUMERIC")),
        _ => ("BIGINT", "REAL", Some("REAL")),
    };
    let quantity = r#""order_item"."quantity""#;
    let cast = |call: &str, kind: Option<&str>| match kind {
        Some(kind) => format!("SELECT CAST({call}({quantity}) AS {kind}) {FROM} {DEAR}"),
        None => format!("SELECT {call}({quantity}) {FROM} {DEAR}"),
    };
    assert_eq!(dear(&items).sum(Quantity).await.unwrap(), 14);
    let sum = format!("CAST(SUM({quantity}) AS {integer})");
    sent(&db, &[&format!("SELECT {sum}, SUM({quantity}) = {sum} {FROM} {DEAR}")]);
    assert_eq!(dear(&items).sum_as::<Decimal>(Quantity).await.unwrap(), Some(14.into()));
    sent(&db, &[&cast("SUM", exact)]);
    assert_eq!(dear(&items).sum_as::<f64>(Quantity).await.unwrap(), Some(14.0));
    sent(&db, &[&cast("SUM", Some(float))]);
    assert_eq!(dear(&items).sum_as::<i64>(Quantity).await.unwrap(), Some(14));
    sent(&db, &[&cast("SUM", Some(integer))]);
    assert_eq!(dear(&items).avg(Quantity).await.unwrap(), Some(3.5));
    sent(&db, &[&cast("AVG", Some(float))]);
    assert_eq!(dear(&items).avg_as::<Decimal>(Quantity).await.unwrap(), Some(Decimal::new(35, 1)));
    sent(&db, &[&cast("AVG", exact)]);
    assert_eq!(dear(&items).min::<i32>(Quantity).await.unwrap(), Some(2));
    sent(&db, &[&cast("MIN", None)]);
    assert_eq!(dear(&items).max::<i32>(Quantity).await.unwrap(), Some(5));
    sent(&db, &[&cast("MAX", None)]);
    assert_eq!(items.query().eq(Quantity, 9).sum_as::<Decimal>(Quantity).await.unwrap(), None);
}

async fn plans(db: TestDb) {
    let items = items(&db).await;
    let plan = dear(&items).explain().await.unwrap();
    assert!(plan.contains("order_item"), "{plan}");
    let explain = match db.backend() {
        DbBackend::Postgres => "EXPLAIN",
        DbBackend::MySql => "EXPLAIN FORMAT=JSON",
        _ => "EXPLAIN QUERY PLAN",
    };
    sent(&db, &[&format!("{explain} SELECT {ROW} {FROM} {DEAR}")]);
}

async fn pages(db: TestDb) {
    let items = items(&db).await;
    dear(&items).order_asc(Id).page(2, 3).await.unwrap();
    let page = format!(r#"SELECT {ROW} {FROM} {DEAR} ORDER BY "order_item"."id" ASC LIMIT ? OFFSET ?"#);
    sent(&db, &[&format!("SELECT COUNT(*) {FROM} {DEAR}"), &page]);
    dear(&items).page(9, 3).await.unwrap();
    sent(&db, &[&format!("SELECT COUNT(*) {FROM} {DEAR}")]);
}

async fn cursors(db: TestDb) {
    let items = items(&db).await;
    let query = || dear(&items).order_desc(UnitPrice).order_desc(Quantity);
    let order = |way| {
        format!(
            r#"ORDER BY "order_item"."unit_price" {way}, "order_item"."quantity" {way}, "order_item"."id" {way} LIMIT ?"#
        )
    };
    let first = query().cursor(2, None).await.unwrap();
    sent(&db, &[&format!("SELECT {ROW} {FROM} {DEAR} {}", order("DESC"))]);
    let second = query().cursor(2, first.next.as_deref()).await.unwrap();
    let columns = r#"("order_item"."unit_price", "order_item"."quantity", "order_item"."id")"#;
    let spelled = |sign: &str| {
        format!(
            r#"("order_item"."unit_price" {sign}= ? AND ("order_item"."unit_price" {sign} ? OR ("order_item"."unit_price" = ? AND ("order_item"."quantity" {sign} ? OR ("order_item"."quantity" = ? AND "order_item"."id" {sign} ?)))))"#
        )
    };
    // Not every database looks a row of values up in an index.
    let behind = |sign: &str| match db.backend() {
        DbBackend::MySql => spelled(sign),
        _ => format!("{columns} {sign} (?, ?, ?)"),
    };
    sent(&db, &[&format!("SELECT {ROW} {FROM} {DEAR} AND {} {}", behind("<"), order("DESC"))]);
    let back = query().cursor(2, second.previous.as_deref()).await.unwrap();
    sent(&db, &[&format!("SELECT {ROW} {FROM} {DEAR} AND {} {}", behind(">"), order("ASC"))]);
    assert_eq!(back.items, first.items);

    // Mixed directions.
    let query = || dear(&items).order_asc(UnitPrice).order_desc(Quantity);
    let first = query().cursor(2, None).await.unwrap();
    db.recorder().forget();
    query().cursor(2, first.next.as_deref()).await.unwrap();
    let behind = r#"("order_item"."unit_price" >= ? AND ("order_item"."unit_price" > ? OR ("order_item"."unit_price" = ? AND ("order_item"."quantity" < ? OR ("order_item"."quantity" = ? AND "order_item"."id" < ?)))))"#;
    let order =
        r#"ORDER BY "order_item"."unit_price" ASC, "order_item"."quantity" DESC, "order_item"."id" DESC LIMIT ?"#;
    sent(&db, &[&format!("SELECT {ROW} {FROM} {DEAR} AND {behind} {order}")]);
}

async fn cursors_over_columns_with_null(db: TestDb) {
    use entities::user::Column::{Email, Id};
    let users = BaseDao::<entities::user::Entity>::new((*db).clone());
    for name in ["ada", "bob", "cyd"] {
        insert_user(&*db, name).await.unwrap();
    }
    let query = || users.query().with_deleted().order_asc(Email);
    let first = query().cursor(1, None).await.unwrap();
    db.recorder().forget();
    query().cursor(1, first.next.as_deref()).await.unwrap();
    let seen = db.recorder().take();
    let (_, sql) = seen[0].sql.split_once(" WHERE ").unwrap();
    let tied = r#""user"."email" IS NULL AND "user"."id" > ?"#;
    // On PostgreSQL nothing comes behind the NULLs, elsewhere everything else does.
    let behind = match db.backend() {
        DbBackend::Postgres => tied.to_owned(),
        _ => format!(r#"("user"."email" IS NOT NULL OR ({tied}))"#),
    };
    let order = r#"ORDER BY "user"."email" ASC, "user"."id" ASC LIMIT ?"#;
    let behind = behind.strip_prefix('(').and_then(|behind| behind.strip_suffix(')')).unwrap_or(&behind);
    assert_eq!(sql, in_dialect(db.backend(), &format!("{behind} {order}")));
    assert_eq!(query().order_asc(Id).cursor(5, first.next.as_deref()).await.unwrap().items.len(), 2, "the same order");
}

async fn parts(db: TestDb) {
    let items = items(&db).await;
    let parts = dear(&items).limit(3).chunks(2);
    let parts: Vec<usize> = parts.map(|part| part.unwrap().len()).collect().await;
    assert_eq!(parts, [2, 1]);
    let order = r#"ORDER BY "order_item"."id" ASC LIMIT ?"#;
    sent(
        &db,
        &[
            &format!("SELECT {ROW} {FROM} {DEAR} {order}"),
            &format!(r#"SELECT {ROW} {FROM} {DEAR} AND "order_item"."id" > ? {order}"#),
        ],
    );
    assert_eq!(items.query().eq(OrderId, 0).chunks(2).count().await, 0);
}
