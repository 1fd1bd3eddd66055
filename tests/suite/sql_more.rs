//! The SELECT that the builders write for subqueries, JSON, locks and orders, for each database, without a server.

use entities::{country, customer_order, order_item, tag, user};
use sea_dao::{
    BaseDao, Error,
    query::{Conditions, JsonPath, QueryBuilder, RelatedRows},
};
use sea_orm::{
    ColumnTrait, DbBackend, ExprTrait, Order, QuerySelect, Statement, Value,
    sea_query::{Expr, NullOrdering},
};
use serde_json::json;

use crate::dialects::{Nowhere, countries, for_each_dialect, in_dialect, is, items, orders, users, values_of};

for_each_dialect!(
    upper_and_lower_case_alike,
    long_lists,
    related_rows,
    related_rows_through_a_junction,
    a_table_related_to_itself_is_refused,
    subqueries,
    json_values,
    json_paths_that_cannot_be_written_are_refused,
    json_that_contains,
    locks,
    a_behavior_without_a_lock_is_refused,
    orders_with_nulls,
    orders_of_a_caller,
    one_row_for_each,
    related_rows_of_counts_updates_and_deletions,
);

const COUNTRY: &str = r#"SELECT "country"."code", "country"."name" FROM "country""#;
const ALIVE: &str = r#""user"."deleted_at" IS NULL"#;

/// What stands behind FROM.
fn tail(statement: &Statement) -> Statement {
    let (_, tail) = statement.sql.split_once(" FROM ").unwrap();
    Statement { sql: tail.to_owned(), ..statement.clone() }
}

/// Checks what stands behind WHERE in a query on users.
#[track_caller]
fn asks(
    query: QueryBuilder<user::Entity>,
    backend: DbBackend,
    condition: &str,
    values: impl IntoIterator<Item = Value>,
) {
    let statement = query.build(backend).unwrap();
    let select = &statement.sql[..statement.sql.len() - tail(&statement).sql.len()];
    let user = in_dialect(backend, r#""user""#);
    assert!(select.ends_with(" FROM ") && tail(&statement).sql.starts_with(&user), "{}", statement.sql);
    let condition = format!(r#"{select}{user} WHERE {}"#, in_dialect(backend, &format!("{condition} AND {ALIVE}")));
    assert_eq!(statement.sql, condition);
    is(&statement, &back(backend, &statement.sql), values);
}

/// SQL as [`in_dialect`] takes it.
fn back(backend: DbBackend, sql: &str) -> String {
    match backend {
        DbBackend::MySql => sql.replace('`', "\""),
        DbBackend::Postgres => (1..10).fold(sql.to_owned(), |sql, number| sql.replace(&format!("${number}"), "?")),
        _ => sql.to_owned(),
    }
}

fn upper_and_lower_case_alike(backend: DbBackend) {
    use user::Column::Username;
    let like = r#"LOWER("user"."username") LIKE LOWER(?) ESCAPE '!'"#;
    asks(
        users().query().eq_ignore_case(Username, "Ada"),
        backend,
        r#"LOWER("user"."username") = LOWER(?)"#,
        ["Ada".into()],
    );
    asks(users().query().contains_ignore_case(Username, "A_%"), backend, like, ["%A!_!%%".into()]);
    asks(users().query().starts_with_ignore_case(Username, "A"), backend, like, ["A%".into()]);
    asks(users().query().ends_with_ignore_case(Username, "A"), backend, like, ["%A".into()]);
}

fn long_lists(backend: DbBackend) {
    use customer_order::Column::{Id, Number};
    let build = |query: QueryBuilder<customer_order::Entity>| query.with_deleted().build(backend).unwrap();
    let values = |count: i64| orders().query().in_(Id, 0..count);
    let short = build(values(8_000));
    let long = build(values(100_000));
    let texts = build(orders().query().not_in(Number, (0..8_001).map(|number: i32| number.to_string())));
    let condition = |statement: &Statement| back(backend, statement.sql.split_once(" WHERE ").unwrap().1);
    match backend {
        DbBackend::Postgres => {
            for (statement, condition_of) in [(&short, "= ANY(?)"), (&long, "= ANY(?)")] {
                assert_eq!(condition(statement), format!(r#""customer_order"."id" {condition_of}"#));
            }
            assert_eq!(condition(&texts), r#""customer_order"."number" <> ALL(?)"#);
        }
        DbBackend::MySql => {
            let list = "SELECT v FROM JSON_TABLE(?, '$[*]' COLUMNS (v BIGINT PATH '$')) AS list";
            assert_eq!(condition(&long), format!(r#""customer_order"."id" IN ({list})"#));
            // As long as the longest of them.
            let list = list.replace("BIGINT", "VARCHAR(4)");
            assert_eq!(condition(&texts), format!(r#""customer_order"."number" NOT IN ({list})"#));
        }
        _ => {
            assert_eq!(condition(&long), r#""customer_order"."id" IN (SELECT value FROM json_each(?))"#);
            assert_eq!(condition(&texts), r#""customer_order"."number" NOT IN (SELECT value FROM json_each(?))"#);
        }
    }
    let one_by_one = if backend == DbBackend::Postgres { 1 } else { 8_000 };
    assert_eq!([&short, &long, &texts].map(|statement| values_of(statement).len()), [one_by_one, 1, 1]);
    for statement in [short, long, texts] {
        is(&statement, &back(backend, &statement.sql.clone()), values_of(&statement));
    }
}

fn related_rows(backend: DbBackend) {
    use customer_order::Column::Total;
    let exists = |condition: &str| {
        format!(r#"EXISTS(SELECT 1 FROM "customer_order" WHERE "user"."id" = "customer_order"."user_id"{condition})"#)
    };
    let alive = r#" AND "customer_order"."deleted_at" IS NULL"#;
    type Orders = RelatedRows<customer_order::Entity>;
    let with = |rows: fn(Orders) -> Orders| users().query().has_related(rows);
    asks(with(|orders| orders), backend, &exists(alive), []);
    asks(with(|orders| orders.with_deleted()), backend, &exists(""), []);
    let deleted = r#" AND "customer_order"."deleted_at" IS NOT NULL"#;
    asks(with(|orders| orders.only_deleted()), backend, &exists(deleted), []);
    let total = format!(r#" AND "customer_order"."total" > ?{alive}"#);
    asks(with(|orders| orders.gt(Total, 5_i64)), backend, &exists(&total), [5_i64.into()]);
    let either = format!(r#" AND ("customer_order"."total" > ? OR "customer_order"."total" IS NULL){alive}"#);
    let any = with(|orders| orders.or_(|or| or.gt(Total, 5_i64).is_null(Total)));
    asks(any, backend, &exists(&either), [5_i64.into()]);
    let none = users().query().not_(|not| not.has_related::<customer_order::Entity>(|orders| orders));
    asks(none, backend, &format!("(NOT {})", exists(alive)), []);
    // Two steps, and back again.
    let item = items().query().has_related::<customer_order::Entity>(|orders| orders.gt(Total, 5_i64)).build(backend);
    let sql = format!(
        r#""order_item" WHERE EXISTS(SELECT 1 FROM "customer_order" WHERE "order_item"."order_id" = "customer_order"."id" AND "customer_order"."total" > ?{alive})"#
    );
    assert_eq!(tail(&item.unwrap()).sql, in_dialect(backend, &sql));
}

fn related_rows_through_a_junction(backend: DbBackend) {
    let tagged = users().query().has_related::<tag::Entity>(|tags| tags.eq(tag::Column::Name, "vip"));
    let exists = r#"EXISTS(SELECT 1 FROM "tag" INNER JOIN "user_tag" ON "user_tag"."tag_id" = "tag"."id" WHERE "user"."id" = "user_tag"."user_id" AND "tag"."name" = ?)"#;
    asks(tagged, backend, exists, ["vip".into()]);
}

fn a_table_related_to_itself_is_refused(backend: DbBackend) {
    let selves: BaseDao<employee::Entity> = BaseDao::new(Nowhere);
    let refused = selves.query().has_related::<employee::Entity>(|chief| chief).build(backend);
    assert!(matches!(&refused, Err(Error::Unsupported { what }) if what.contains("employee")), "{refused:?}");
}

/// A table that points to itself.
mod employee {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "employee")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) chief_id: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {
        #[sea_orm(belongs_to = "Entity", from = "Column::ChiefId", to = "Column::Id")]
        Chief,
    }

    impl Related<Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Chief.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

fn subqueries(backend: DbBackend) {
    use customer_order::Column::{Total, UserId};
    use user::Column::Id;
    let alive = r#""customer_order"."deleted_at" IS NULL"#;
    let rich = || orders().query().gt(Total, 5_i64);
    let condition = format!(r#""customer_order"."total" > ? AND {alive}"#);
    asks(
        users().query().in_subquery(Id, rich(), UserId),
        backend,
        &format!(r#""user"."id" IN (SELECT "customer_order"."user_id" FROM "customer_order" WHERE {condition})"#),
        [5_i64.into()],
    );
    let condition = format!(r#""customer_order"."total" > ? AND "customer_order"."user_id" IS NOT NULL AND {alive}"#);
    asks(
        users().query().not_in_subquery(Id, rich(), UserId),
        backend,
        &format!(r#""user"."id" NOT IN (SELECT "customer_order"."user_id" FROM "customer_order" WHERE {condition})"#),
        [5_i64.into()],
    );
    let tied = orders().query().filter(Expr::col(UserId.as_column_ref()).eq(Expr::col(Id.as_column_ref())));
    asks(
        users().query().where_exists(tied),
        backend,
        &format!(
            r#"EXISTS(SELECT 1 FROM "customer_order" WHERE "customer_order"."user_id" = "user"."id" AND {alive})"#
        ),
        [],
    );
    let own = orders().query().select(|select| select.select_only().column(UserId)).distinct();
    let sql =
        format!(r#""user"."id" IN (SELECT DISTINCT "customer_order"."user_id" FROM "customer_order" WHERE {alive})"#);
    asks(users().query().in_subquery(Id, own, UserId), backend, &sql, []);
}

fn json_values(backend: DbBackend) {
    use user::Column::Profile;
    let ask = |value: serde_json::Value| users().query().json_eq(Profile, ["a b", "c"], value);
    let path = r#"$."a b"."c""#;
    match backend {
        DbBackend::Postgres => {
            let at = r#"CAST("user"."profile" AS jsonb) #> ?"#;
            let steps: Value = vec!["a b".to_owned(), "c".to_owned()].into();
            for value in [json!("x"), json!(5), json!(true), json!(null)] {
                let condition = format!("({at}) = ?");
                asks(ask(value.clone()), backend, &condition, [steps.clone(), value.into()]);
            }
            asks(
                users().query().json_has(Profile, JsonPath::from("a").index(0)),
                backend,
                &format!("({at}) IS NOT NULL"),
                [vec!["a".to_owned(), "0".to_owned()].into()],
            );
        }
        DbBackend::MySql => {
            let kind = r#"(JSON_TYPE(JSON_EXTRACT("user"."profile", ?)))"#;
            let text = r#"(JSON_UNQUOTE(JSON_EXTRACT("user"."profile", ?)))"#;
            let number = r#"(JSON_EXTRACT("user"."profile", ?))"#;
            let text_is = |value: &'static str, kind: &'static str, found: &str| (value, kind, found.to_owned());
            for (value, (found, of, column)) in
                [(json!("x"), text_is("x", "STRING", text)), (json!(true), text_is("true", "BOOLEAN", text))]
            {
                let condition = format!("{kind} = ? AND {column} = ?");
                asks(ask(value), backend, &condition, [path.into(), of.into(), path.into(), found.into()]);
            }
            asks(ask(json!(null)), backend, &format!("{kind} = ?"), [path.into(), "NULL".into()]);
            let kinds = ["INTEGER", "UNSIGNED INTEGER", "DOUBLE", "DECIMAL"].map(Value::from);
            let values = [path.into()].into_iter().chain(kinds).chain([path.into(), 5_i64.into()]);
            asks(ask(json!(5)), backend, &format!("{kind} IN (?, ?, ?, ?) AND {number} = ?"), values);
        }
        _ => {
            let kind = r#"(json_type("user"."profile", ?))"#;
            let found = r#"(json_extract("user"."profile", ?))"#;
            let condition = format!("{kind} = ? AND {found} = ?");
            asks(ask(json!("x")), backend, &condition, [path.into(), "text".into(), path.into(), "x".into()]);
            asks(ask(json!(true)), backend, &format!("{kind} = ?"), [path.into(), "true".into()]);
            asks(ask(json!(null)), backend, &format!("{kind} = ?"), [path.into(), "null".into()]);
            let values = [path.into(), "integer".into(), "real".into(), path.into(), 1.5_f64.into()];
            asks(ask(json!(1.5)), backend, &format!("{kind} IN (?, ?) AND {found} = ?"), values);
        }
    }
}

fn json_paths_that_cannot_be_written_are_refused(backend: DbBackend) {
    let build = |key: &str| users().query().json_has(user::Column::Profile, key).build(backend);
    for key in ["a\"b", r"a\b", "\""] {
        let built = build(key);
        if backend == DbBackend::Postgres {
            assert!(built.is_ok());
        } else {
            assert!(matches!(built, Err(Error::InvalidArgument { argument: "json path", .. })), "{key}: {built:?}");
        }
    }
    assert!(build("'; DROP TABLE user; --").is_ok(), "bound");
    let whole = users().query().json_eq(user::Column::Profile, "a", json!({"b": 1})).build(backend);
    assert!(matches!(whole, Err(Error::InvalidArgument { argument: "json_eq", .. })), "{whole:?}");
}

fn json_that_contains(backend: DbBackend) {
    let query = users().query().json_contains(user::Column::Profile, json!({"a": [1]}));
    match backend {
        DbBackend::Postgres => {
            asks(query, backend, r#"CAST("user"."profile" AS jsonb) @> ?"#, [json!({"a": [1]}).into()]);
        }
        DbBackend::MySql => {
            asks(query, backend, r#"(JSON_CONTAINS("user"."profile", ?))"#, [r#"{"a":[1]}"#.into()]);
        }
        _ => assert!(matches!(query.build(backend), Err(Error::Unsupported { .. }))),
    }
}

fn locks(backend: DbBackend) {
    let lock = |query: QueryBuilder<country::Entity>, sql: &str| {
        let sql = match backend {
            DbBackend::Sqlite => COUNTRY.to_owned(),
            DbBackend::MySql => format!("{COUNTRY} {}", sql.replace("FOR SHARE", "LOCK IN SHARE MODE")),
            _ => format!("{COUNTRY} {sql}"),
        };
        is(&query.build(backend).unwrap(), &sql, []);
    };
    lock(countries().query().for_update(), "FOR UPDATE");
    lock(countries().query().for_share(), "FOR SHARE");
    lock(countries().query().for_update().skip_locked(), "FOR UPDATE SKIP LOCKED");
    lock(countries().query().nowait().for_update(), "FOR UPDATE NOWAIT");
    lock(countries().query().for_share().nowait(), "FOR SHARE NOWAIT");
}

fn a_behavior_without_a_lock_is_refused(backend: DbBackend) {
    for query in [countries().query().skip_locked(), countries().query().nowait()] {
        let refused = query.build(backend);
        assert!(matches!(refused, Err(Error::InvalidArgument { argument: "lock", .. })), "{refused:?}");
    }
}

fn orders_with_nulls(backend: DbBackend) {
    use country::Column::{Code, Name};
    let query = countries().query().order_by_with_nulls(Name, Order::Desc, NullOrdering::Last).order_asc(Code);
    let name = match backend {
        DbBackend::MySql => r#""country"."name" IS NULL ASC, "country"."name" DESC"#,
        _ => r#""country"."name" DESC NULLS LAST"#,
    };
    is(&query.build(backend).unwrap(), &format!(r#"{COUNTRY} ORDER BY {name}, "country"."code" ASC"#), []);
}

fn orders_of_a_caller(backend: DbBackend) {
    use country::Column::{Code, Name};
    let sort = |request| countries().query().sort(request, [Code, Name]);
    for (request, order) in [
        ("", ""),
        ("  ", ""),
        ("code", r#" ORDER BY "country"."code" ASC"#),
        ("-name", r#" ORDER BY "country"."name" DESC"#),
        ("-name, code", r#" ORDER BY "country"."name" DESC, "country"."code" ASC"#),
    ] {
        is(&sort(request).unwrap().build(backend).unwrap(), &format!("{COUNTRY}{order}"), []);
    }
    for request in ["population", "code,", ",", "--code", "- code", "code,code", "code,-code", "CODE", "code desc", "*"]
    {
        let Err(error) = sort(request) else { panic!("{request:?} is taken") };
        assert!(matches!(error, Error::InvalidArgument { argument: "sort", .. }), "{request}: {error:?}");
        assert!(error.to_string().contains("code, name"), "{error}");
    }
}

fn one_row_for_each(backend: DbBackend) {
    use order_item::Column::{Id, OrderId};
    let query = items().query().distinct_on([OrderId]).order_asc(OrderId).order_desc(Id);
    if backend != DbBackend::Postgres {
        assert!(matches!(query.build(backend), Err(Error::Unsupported { .. })));
        return;
    }
    let sql = r#"SELECT DISTINCT ON ("order_item"."order_id") "order_item"."id", "order_item"."order_id", "order_item"."sku", "order_item"."quantity", "order_item"."unit_price" FROM "order_item" ORDER BY "order_item"."order_id" ASC, "order_item"."id" DESC"#;
    is(&query.build(backend).unwrap(), sql, []);
}

fn related_rows_of_counts_updates_and_deletions(backend: DbBackend) {
    use order_item::Column::Quantity;
    let exists = r#"EXISTS(SELECT 1 FROM "customer_order" WHERE "order_item"."order_id" = "customer_order"."id" AND "customer_order"."total" > ? AND "customer_order"."deleted_at" IS NULL)"#;
    macro_rules! of_orders {
        ($builder:expr) => {
            $builder.has_related::<customer_order::Entity>(|orders| orders.gt(customer_order::Column::Total, 5_i64))
        };
    }
    let count = of_orders!(items().count()).build(backend).unwrap();
    is(&count, &format!(r#"SELECT COUNT(*) FROM "order_item" WHERE {exists}"#), [5_i64.into()]);
    let update = of_orders!(items().update_where()).set(Quantity, 1).build(backend).unwrap();
    is(&update, &format!(r#"UPDATE "order_item" SET "quantity" = ? WHERE {exists}"#), [1.into(), 5_i64.into()]);
    let delete = of_orders!(items().delete_where()).build(backend).unwrap();
    is(&delete, &format!(r#"DELETE FROM "order_item" WHERE {exists}"#), [5_i64.into()]);
}
