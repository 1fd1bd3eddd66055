//! The SELECT that the builders write, for each database, without a server.

use entities::{country, customer_order, order_item, user};
use sea_dao::{
    BaseDao, Conventions,
    query::{Conditions, QueryBuilder},
};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, ExprTrait, JoinType, QuerySelect, RelationTrait, Value,
    sea_query::{ArrayType, Expr, LockType},
};

use crate::dialects::{Nowhere, countries, for_each_dialect, is, items, orders};

for_each_dialect!(
    the_dialects_differ_in_quotes_and_placeholders,
    comparisons,
    null_is_a_value_like_another,
    lists,
    lists_with_null_and_empty_lists,
    patterns_are_escaped_except_in_like,
    groups,
    empty_groups_ask_for_nothing,
    conditions_of_sea_orm,
    order_limit_and_offset,
    an_offset_has_a_limit,
    distinct_group_and_having,
    joins,
    select_goes_on_with_sea_orm,
    deleted_rows_are_left_out,
);

const COUNTRY: &str = r#"SELECT "country"."code", "country"."name" FROM "country""#;
const ORDER: &str = r#"SELECT "customer_order"."id", "customer_order"."user_id", "customer_order"."number", "customer_order"."total", "customer_order"."status", "customer_order"."created_at", "customer_order"."updated_at", "customer_order"."deleted_at" FROM "customer_order""#;

/// Checks what follows WHERE in a query on countries.
#[track_caller]
fn asks(
    backend: DbBackend,
    narrow: impl FnOnce(QueryBuilder<country::Entity>) -> QueryBuilder<country::Entity>,
    condition: &str,
    values: &[&str],
) {
    let statement = narrow(countries().query()).build(backend).unwrap();
    is(&statement, &format!("{COUNTRY} WHERE {condition}"), values.iter().copied().map(Value::from));
}

fn the_dialects_differ_in_quotes_and_placeholders(backend: DbBackend) {
    let query = countries().query().eq(country::Column::Code, "de").ne(country::Column::Name, "x");
    let expected = match backend {
        DbBackend::Postgres => {
            r#"SELECT "country"."code", "country"."name" FROM "country" WHERE "country"."code" = $1 AND "country"."name" <> $2"#
        }
        DbBackend::MySql => {
            "SELECT `country`.`code`, `country`.`name` FROM `country` WHERE `country`.`code` = ? AND `country`.`name` <> ?"
        }
        _ => {
            r#"SELECT "country"."code", "country"."name" FROM "country" WHERE "country"."code" = ? AND "country"."name" <> ?"#
        }
    };
    assert_eq!(query.build(backend).unwrap().sql, expected);
    assert_eq!(query.build(backend).unwrap().db_backend, backend);
}

fn comparisons(backend: DbBackend) {
    use country::Column::{Code, Name};
    asks(backend, |query| query.eq(Code, "a"), r#""country"."code" = ?"#, &["a"]);
    asks(backend, |query| query.ne(Code, "a"), r#""country"."code" <> ?"#, &["a"]);
    asks(backend, |query| query.gt(Code, "a"), r#""country"."code" > ?"#, &["a"]);
    asks(backend, |query| query.ge(Code, "a"), r#""country"."code" >= ?"#, &["a"]);
    asks(backend, |query| query.lt(Code, "a"), r#""country"."code" < ?"#, &["a"]);
    asks(backend, |query| query.le(Code, "a"), r#""country"."code" <= ?"#, &["a"]);
    asks(backend, |query| query.between(Code, "a", "b"), r#""country"."code" BETWEEN ? AND ?"#, &["a", "b"]);
    asks(backend, |query| query.is_null(Name), r#""country"."name" IS NULL"#, &[]);
    asks(backend, |query| query.is_not_null(Name), r#""country"."name" IS NOT NULL"#, &[]);
    asks(
        backend,
        |query| query.eq(Code, "a").ge(Name, "b").lt(Name, "c"),
        r#""country"."code" = ? AND "country"."name" >= ? AND "country"."name" < ?"#,
        &["a", "b", "c"],
    );
}

fn null_is_a_value_like_another(backend: DbBackend) {
    use country::Column::Name;
    asks(backend, |query| query.eq(Name, None::<String>), r#""country"."name" IS NULL"#, &[]);
    asks(backend, |query| query.ne(Name, None::<String>), r#""country"."name" IS NOT NULL"#, &[]);
    asks(backend, |query| query.eq(Name, Some("x")), r#""country"."name" = ?"#, &["x"]);
}

/// PostgreSQL gets a list as one array.
fn lists(backend: DbBackend) {
    use country::Column::Code;
    lists_as(backend, |query| query.in_(Code, ["a"]), r#""country"."code" IN (?)"#, &["a"]);
    lists_as(backend, |query| query.in_(Code, ["a", "b", "a"]), r#""country"."code" IN (?, ?, ?)"#, &["a", "b", "a"]);
    lists_as(backend, |query| query.not_in(Code, ["a", "b"]), r#""country"."code" NOT IN (?, ?)"#, &["a", "b"]);
}

/// Checks a condition with one list in it, whose values are all there are.
#[track_caller]
fn lists_as(
    backend: DbBackend,
    narrow: impl FnOnce(QueryBuilder<country::Entity>) -> QueryBuilder<country::Entity>,
    condition: &str,
    values: &[&str],
) {
    if backend != DbBackend::Postgres {
        return asks(backend, narrow, condition, values);
    }
    let list = format!("({})", vec!["?"; values.len()].join(", "));
    let condition =
        condition.replace(&format!("NOT IN {list}"), "<> ALL(?)").replace(&format!("IN {list}"), "= ANY(?)");
    let array = values.iter().copied().map(Value::from).collect();
    let statement = narrow(countries().query()).build(backend).unwrap();
    is(&statement, &format!("{COUNTRY} WHERE {condition}"), [Value::Array(ArrayType::String, Some(Box::new(array)))]);
}

fn lists_with_null_and_empty_lists(backend: DbBackend) {
    use country::Column::Name;
    let none = || std::iter::empty::<String>();
    let either = r#""country"."name" IN (?) OR "country"."name" IS NULL"#;
    lists_as(backend, |query| query.in_(Name, [Some("a"), None]), either, &["a"]);
    asks(backend, |query| query.in_(Name, [None::<String>]), r#""country"."name" IS NULL"#, &[]);
    asks(backend, |query| query.in_(Name, none()), "1 = 0", &[]);
    lists_as(backend, |query| query.not_in(Name, [Some("a"), None]), r#""country"."name" NOT IN (?)"#, &["a"]);
    asks(backend, |query| query.not_in(Name, [None::<String>]), r#""country"."name" IS NOT NULL"#, &[]);
    is(&countries().query().not_in(Name, none()).build(backend).unwrap(), COUNTRY, []);
    asks(
        backend,
        |query| query.or_(|or| or.in_(Name, none()).eq(Name, "a")),
        r#"(1 = 0) OR "country"."name" = ?"#,
        &["a"],
    );
}

fn patterns_are_escaped_except_in_like(backend: DbBackend) {
    use country::Column::Name;
    let escaped = r#""country"."name" LIKE ? ESCAPE '!'"#;
    asks(backend, |query| query.contains(Name, r"50%_off!\"), escaped, &[r"%50!%!_off!!\%"]);
    asks(backend, |query| query.starts_with(Name, "%"), escaped, &["!%%"]);
    asks(backend, |query| query.ends_with(Name, "_"), escaped, &["%!_"]);
    asks(backend, |query| query.contains(Name, ""), escaped, &["%%"]);
    asks(backend, |query| query.like(Name, "a%_!"), r#""country"."name" LIKE ?"#, &["a%_!"]);
}

fn groups(backend: DbBackend) {
    use country::Column::{Code, Name};
    asks(
        backend,
        |query| query.eq(Code, "a").or_(|or| or.eq(Name, "b").is_null(Name)),
        r#""country"."code" = ? AND ("country"."name" = ? OR "country"."name" IS NULL)"#,
        &["a", "b"],
    );
    asks(
        backend,
        |query| query.or_(|or| or.and_(|and| and.eq(Code, "a").eq(Name, "b")).eq(Code, "c")),
        r#"("country"."code" = ? AND "country"."name" = ?) OR "country"."code" = ?"#,
        &["a", "b", "c"],
    );
    asks(
        backend,
        |query| query.not_(|not| not.eq(Code, "a").eq(Name, "b")),
        r#"NOT ("country"."code" = ? AND "country"."name" = ?)"#,
        &["a", "b"],
    );
    asks(
        backend,
        |query| query.not_(|not| not.or_(|or| or.eq(Code, "a").eq(Code, "b"))),
        r#"NOT ("country"."code" = ? OR "country"."code" = ?)"#,
        &["a", "b"],
    );
}

fn empty_groups_ask_for_nothing(backend: DbBackend) {
    let query = countries().query().or_(|or| or).and_(|and| and).not_(|not| not).or_(|or| or.and_(|and| and));
    is(&query.filter(Condition::all()).build(backend).unwrap(), COUNTRY, []);
}

fn conditions_of_sea_orm(backend: DbBackend) {
    use country::Column::{Code, Name};
    asks(backend, |query| query.filter(Code.eq("a")), r#""country"."code" = ?"#, &["a"]);
    asks(
        backend,
        |query| query.filter(Condition::any().add(Code.eq("a")).add(Name.like("b%"))),
        r#""country"."code" = ? OR "country"."name" LIKE ?"#,
        &["a", "b%"],
    );
    asks(
        backend,
        |query| query.filter(Expr::col(Code).eq(Expr::col(Name))).eq(Code, "a"),
        r#""code" = "name" AND "country"."code" = ?"#,
        &["a"],
    );
}

fn order_limit_and_offset(backend: DbBackend) {
    use country::Column::{Code, Name};
    let query = countries().query().order_desc(Name).order_asc(Code).limit(10).offset(20);
    let sql = format!(r#"{COUNTRY} ORDER BY "country"."name" DESC, "country"."code" ASC LIMIT ? OFFSET ?"#);
    is(&query.build(backend).unwrap(), &sql, [10_u64.into(), 20_u64.into()]);
    is(&query.limit(3).build(backend).unwrap(), &sql, [3_u64.into(), 20_u64.into()]);
}

/// SQLite and MySQL know no OFFSET without LIMIT.
fn an_offset_has_a_limit(backend: DbBackend) {
    let sql = format!("{COUNTRY} LIMIT ? OFFSET ?");
    let everything = u64::try_from(i64::MAX).unwrap();
    is(&countries().query().offset(20).build(backend).unwrap(), &sql, [everything.into(), 20_u64.into()]);
    let limited = countries().query().select(|select| select.limit(5)).offset(20);
    is(&limited.build(backend).unwrap(), &sql, [5_u64.into(), 20_u64.into()]);
    is(&countries().query().offset(20).limit(5).build(backend).unwrap(), &sql, [5_u64.into(), 20_u64.into()]);
}

fn distinct_group_and_having(backend: DbBackend) {
    let distinct = countries().query().distinct().eq(country::Column::Code, "a").build(backend).unwrap();
    let select = COUNTRY.replace("SELECT", "SELECT DISTINCT");
    is(&distinct, &format!(r#"{select} WHERE "country"."code" = ?"#), ["a".into()]);

    let quantity = || order_item::Column::Quantity.sum();
    let grouped = items()
        .query()
        .gt(order_item::Column::UnitPrice, 5_i64)
        .select(|select| select.select_only().column(order_item::Column::Sku).column_as(quantity(), "sold"))
        .group_by(order_item::Column::Sku)
        .having(quantity().gt(7))
        .order_asc(order_item::Column::Sku);
    let sql = r#"SELECT "order_item"."sku", SUM("order_item"."quantity") AS "sold" FROM "order_item" WHERE "order_item"."unit_price" > ? GROUP BY "order_item"."sku" HAVING SUM("order_item"."quantity") > ? ORDER BY "order_item"."sku" ASC"#;
    is(&grouped.build(backend).unwrap(), sql, [5_i64.into(), 7_i32.into()]);
}

fn joins(backend: DbBackend) {
    let joined = orders()
        .query()
        .join(JoinType::InnerJoin, customer_order::Relation::User.def())
        .filter(user::Column::Username.eq("ada"));
    let sql = format!(
        r#"{ORDER} INNER JOIN "user" ON "customer_order"."user_id" = "user"."id" WHERE "user"."username" = ? AND "customer_order"."deleted_at" IS NULL"#
    );
    is(&joined.build(backend).unwrap(), &sql, ["ada".into()]);
}

fn select_goes_on_with_sea_orm(backend: DbBackend) {
    use country::Column::Code;
    let narrowed = countries().query().eq(Code, "a").select(|select| select.select_only().column(Code));
    is(
        &narrowed.build(backend).unwrap(),
        r#"SELECT "country"."code" FROM "country" WHERE "country"."code" = ?"#,
        ["a".into()],
    );

    let locked =
        countries().query().eq(Code, "a").select(|select| select.lock(LockType::Update)).build(backend).unwrap();
    // SQLite has no row locks, and gets only the space before one.
    let lock = if backend == DbBackend::Sqlite { " " } else { " FOR UPDATE" };
    is(&locked, &format!(r#"{COUNTRY} WHERE "country"."code" = ?{lock}"#), ["a".into()]);
}

fn deleted_rows_are_left_out(backend: DbBackend) {
    let query = || orders().query().ge(customer_order::Column::Total, 5_i64);
    let condition = r#"WHERE "customer_order"."total" >= ?"#;
    let deleted = r#""customer_order"."deleted_at""#;
    is(&query().build(backend).unwrap(), &format!("{ORDER} {condition} AND {deleted} IS NULL"), [5_i64.into()]);
    is(&query().with_deleted().build(backend).unwrap(), &format!("{ORDER} {condition}"), [5_i64.into()]);
    is(
        &query().only_deleted().build(backend).unwrap(),
        &format!("{ORDER} {condition} AND {deleted} IS NOT NULL"),
        [5_i64.into()],
    );
    is(&orders().query().build(backend).unwrap(), &format!("{ORDER} WHERE {deleted} IS NULL"), []);
    // An alternative of the caller's does not let deleted rows in.
    let either =
        orders().query().or_(|or| or.eq(customer_order::Column::Id, 1_i64).eq(customer_order::Column::Id, 2_i64));
    let id = r#""customer_order"."id" = ?"#;
    let sql = format!("{ORDER} WHERE ({id} OR {id}) AND {deleted} IS NULL");
    is(&either.build(backend).unwrap(), &sql, [1_i64.into(), 2_i64.into()]);

    is(&countries().query().with_deleted().build(backend).unwrap(), COUNTRY, []);
    is(&countries().query().only_deleted().build(backend).unwrap(), &format!("{COUNTRY} WHERE 1 = 0"), []);
    let off: BaseDao<customer_order::Entity> = BaseDao::with_conventions(Nowhere, Conventions::NONE);
    is(&off.query().build(backend).unwrap(), ORDER, []);
}
