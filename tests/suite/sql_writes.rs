//! The COUNT, UPDATE and DELETE that the builders write, for each database, without a server.

use entities::{country, customer_order, order_item};
use sea_dao::{BaseDao, Conventions, Error, query::Conditions};
use sea_orm::{DbBackend, ExprTrait, Value, prelude::ChronoUtc, sea_query::Expr};

use crate::dialects::{Nowhere, countries, for_each_dialect, in_dialect, is, items, orders, values_of};

for_each_dialect!(
    counts,
    updates,
    updated_at_is_added,
    an_update_of_nothing_is_refused,
    deletions,
    nothing_without_a_condition,
);

fn counts(backend: DbBackend) {
    use customer_order::Column::{Status, UserId};
    let from = r#"FROM "customer_order""#;
    let alive = r#""customer_order"."deleted_at" IS NULL"#;
    is(&orders().count().build(backend).unwrap(), &format!("SELECT COUNT(*) {from} WHERE {alive}"), []);
    is(&orders().count().with_deleted().build(backend).unwrap(), &format!("SELECT COUNT(*) {from}"), []);
    let sql = format!(r#"SELECT COUNT(*) {from} WHERE "customer_order"."status" = ? AND {alive}"#);
    is(&orders().count().eq(Status, 1_i16).build(backend).unwrap(), &sql, [1_i16.into()]);
    let sql = format!(r#"SELECT COUNT("customer_order"."user_id") {from} WHERE {alive}"#);
    is(&orders().count().column(UserId).build(backend).unwrap(), &sql, []);
    let sql = format!(r#"SELECT COUNT(DISTINCT "customer_order"."user_id") {from} WHERE {alive}"#);
    is(&orders().count().distinct(UserId).build(backend).unwrap(), &sql, []);
    is(&countries().count().build(backend).unwrap(), r#"SELECT COUNT(*) FROM "country""#, []);
}

fn updates(backend: DbBackend) {
    use order_item::Column::{Id, Quantity, Sku};
    let update = items().update_where().eq(Id, 1_i64).set(Sku, "a").set(Quantity, 2);
    let sql = r#"UPDATE "order_item" SET "sku" = ?, "quantity" = ? WHERE "order_item"."id" = ?"#;
    is(&update.build(backend).unwrap(), sql, ["a".into(), 2_i32.into(), 1_i64.into()]);

    // The last one counts.
    let twice = items().update_where().eq(Id, 1_i64).set(Quantity, 1).set(Sku, "a").set(Quantity, 2);
    is(&twice.build(backend).unwrap(), sql, ["a".into(), 2_i32.into(), 1_i64.into()]);

    let more = items().update_where().eq(Id, 1_i64).set_expr(Quantity, Expr::col(Quantity).add(1));
    let sql = r#"UPDATE "order_item" SET "quantity" = "quantity" + ? WHERE "order_item"."id" = ?"#;
    is(&more.build(backend).unwrap(), sql, [1_i32.into(), 1_i64.into()]);

    let all = items().update_where().all_rows().set(Sku, None::<String>);
    is(&all.build(backend).unwrap(), r#"UPDATE "order_item" SET "sku" = ?"#, [None::<String>.into()]);
}

fn updated_at_is_added(backend: DbBackend) {
    use customer_order::Column::{Id, Status, UpdatedAt};
    let sql = r#"UPDATE "customer_order" SET "status" = ?, "updated_at" = ? WHERE "customer_order"."id" = ? AND "customer_order"."deleted_at" IS NULL"#;
    let update = orders().update_where().eq(Id, 1_i64).set(Status, 3_i16);
    let statement = update.build(backend).unwrap();
    assert_eq!(statement.sql, in_dialect(backend, sql));
    let [status, Value::ChronoDateTimeWithTimeZone(Some(_)), id] = &values_of(&statement)[..] else {
        panic!("{:?}", statement.values)
    };
    assert_eq!((status, id), (&3_i16.into(), &1_i64.into()));

    let then = ChronoUtc::now().fixed_offset();
    let given = update.set(UpdatedAt, then).build(backend).unwrap();
    is(&given, sql, [3_i16.into(), then.into(), 1_i64.into()]);

    let off = Conventions { updated_at: None, ..Conventions::default() };
    let off: BaseDao<customer_order::Entity> = BaseDao::with_conventions(Nowhere, off);
    let statement = off.update_where().eq(Id, 1_i64).set(Status, 3_i16).build(backend).unwrap();
    is(&statement, &sql.replace(r#", "updated_at" = ?"#, ""), [3_i16.into(), 1_i64.into()]);
}

fn an_update_of_nothing_is_refused(backend: DbBackend) {
    let refused = orders().update_where().eq(customer_order::Column::Id, 1_i64).build(backend);
    assert!(matches!(refused, Err(Error::InvalidArgument { argument: "update", .. })), "{refused:?}");
}

fn deletions(backend: DbBackend) {
    let id = r#"WHERE "customer_order"."id" = ?"#;
    let alive = r#""customer_order"."deleted_at" IS NULL"#;
    let delete = || orders().delete_where().eq(customer_order::Column::Id, 1_i64);
    let soft = delete().build(backend).unwrap();
    let sql = format!(r#"UPDATE "customer_order" SET "deleted_at" = ?, "updated_at" = ? {id} AND {alive}"#);
    assert_eq!(soft.sql, in_dialect(backend, &sql));
    let values = values_of(&soft);
    assert!(matches!(&values[..2], [Value::ChronoDateTimeWithTimeZone(Some(_)), Value::ChronoDateTimeWithTimeZone(_)]));
    assert_eq!(values[2..], [1_i64.into()]);

    let sql = format!(r#"DELETE FROM "customer_order" {id} AND {alive}"#);
    is(&delete().hard().build(backend).unwrap(), &sql, [1_i64.into()]);
    let sql = format!(r#"DELETE FROM "customer_order" {id} AND {}"#, alive.replace("IS NULL", "IS NOT NULL"));
    is(&delete().hard().only_deleted().build(backend).unwrap(), &sql, [1_i64.into()]);
    let sql = format!(r#"DELETE FROM "customer_order" {id}"#);
    is(&delete().hard().with_deleted().build(backend).unwrap(), &sql, [1_i64.into()]);

    let statement = countries().delete_where().eq(country::Column::Code, "de").build(backend).unwrap();
    is(&statement, r#"DELETE FROM "country" WHERE "country"."code" = ?"#, ["de".into()]);
    is(&countries().delete_where().all_rows().build(backend).unwrap(), r#"DELETE FROM "country""#, []);
}

fn nothing_without_a_condition(backend: DbBackend) {
    let update = || orders().update_where().set(customer_order::Column::Status, 1_i16);
    for builder in [update(), update().with_deleted(), update().only_deleted(), update().or_(|or| or)] {
        let refused = builder.build(backend);
        let Err(Error::MissingCondition { operation: "update", entity: "customer_order" }) = refused else {
            panic!("{refused:?}")
        };
        assert!(builder.all_rows().build(backend).is_ok());
    }
    let delete = || orders().delete_where();
    let none = std::iter::empty::<i64>();
    for builder in [delete(), delete().hard(), delete().not_in(customer_order::Column::Id, none)] {
        let refused = builder.build(backend);
        let Err(Error::MissingCondition { operation: "delete", entity: "customer_order" }) = refused else {
            panic!("{refused:?}")
        };
        assert!(builder.all_rows().build(backend).is_ok());
    }
}
