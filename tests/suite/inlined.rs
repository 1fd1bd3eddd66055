//! SQL with its values in place is for the database what was sent to it.

use std::sync::{Arc, Mutex};

use sea_dao::{
    Database,
    hooks::{SqlHook, StatementInfo, StatementOutcome},
};
use sea_orm::{
    ConnectionTrait, DbBackend, QueryResult, Statement, Value,
    prelude::{ChronoDateTime, ChronoDateTimeUtc, ChronoDateTimeWithTimeZone, Decimal, Uuid},
    sea_query::ArrayType,
};

use crate::support::TestDb;

for_each_backend!(a_column_holds_the_same, a_condition_finds_the_same, a_value_alone_is_the_same);

/// Keeps the last statement with its values in place.
#[derive(Clone, Default)]
struct Inlined(Arc<Mutex<String>>);

impl SqlHook for Inlined {
    fn after(&self, statement: &StatementInfo<'_>, _: &StatementOutcome<'_>) {
        *self.0.lock().unwrap() = statement.inlined().unwrap_or_default();
    }

    fn needs_values(&self) -> bool {
        true
    }
}

/// A database, and what it was sent, sent again by another way.
struct Twice {
    pool: Database,
    inlined: Inlined,
}

impl Twice {
    async fn open(db: &TestDb) -> Self {
        let inlined = Inlined::default();
        Self { pool: db.open(|config| config.hook(inlined.clone())).await, inlined }
    }

    async fn execute(&self, db: &TestDb, sql: &str, value: &Value) {
        self.pool.execute_raw(self.statement(sql, value)).await.unwrap();
        let inlined = self.inlined.0.lock().unwrap().clone();
        db.outside().execute_unprepared(&inlined).await.unwrap_or_else(|error| panic!("{inlined}: {error}"));
    }

    async fn query(&self, db: &TestDb, sql: &str, value: &Value) -> (String, [QueryResult; 2]) {
        let bound = self.pool.query_one_raw(self.statement(sql, value)).await;
        let bound = bound.unwrap_or_else(|error| panic!("{sql}, {value:?}: {error}")).unwrap();
        let inlined = self.inlined.0.lock().unwrap().clone();
        let again = db.outside().query_one_raw(Statement::from_string(db.backend(), &inlined)).await;
        let again = again.unwrap_or_else(|error| panic!("{inlined}: {error}")).unwrap();
        (inlined, [bound, again])
    }

    fn statement(&self, sql: &str, value: &Value) -> Statement {
        let placeholder = if self.pool.backend() == DbBackend::Postgres { "$1" } else { "?" };
        Statement::from_sql_and_values(self.pool.backend(), sql.replace('?', placeholder), [value.clone()])
    }
}

fn array(of: ArrayType, elements: Vec<Value>) -> Value {
    Value::Array(of, Some(Box::new(elements)))
}

fn text(text: &str) -> Value {
    text.into()
}

/// Values, and the types of columns for them on PostgreSQL, MariaDB and SQLite.
fn values(backend: DbBackend) -> Vec<(&'static str, Value)> {
    let naive: ChronoDateTime = "2024-02-29T23:59:58.123456".parse().unwrap();
    let instant: ChronoDateTimeWithTimeZone = "2024-02-29T23:59:58.123456+05:30".parse().unwrap();
    let utc: ChronoDateTimeUtc = "2024-02-29T23:59:58.100Z".parse().unwrap();
    let uuid = Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
    let json = serde_json::json!({"a": "it's \\ \"q\" \n ä", "b": [1, null, {"c": 1.5}]});
    let mut values = Vec::new();
    let mut add = |[postgres, mysql, sqlite]: [&'static str; 3], value: Value| {
        let column = match backend {
            DbBackend::Postgres => postgres,
            DbBackend::MySql => mysql,
            _ => sqlite,
        };
        values.push((column, value));
    };
    let hostile = [
        "it's",
        "a\\b",
        "\\",
        "'",
        "\"",
        "\n\r\t",
        "%_",
        "ä€😀",
        "--",
        "/*",
        ";",
        "$1",
        "\\'",
        "\u{1a}\u{8}\u{7f}",
        "",
    ];
    for one in hostile {
        add(["text", "longtext", "text"], text(one));
    }
    add(["text", "text", "text"], Value::from('ä'));
    add(["text", "text", "text"], None::<String>.into());
    add(["bytea", "longblob", "blob"], vec![0_u8, 1, 255, 39, 92, 10].into());
    add(["bytea", "longblob", "blob"], Vec::<u8>::new().into());
    add(["smallint", "smallint", "int"], i16::MIN.into());
    add(["int", "int", "int"], i32::MIN.into());
    add(["bigint", "bigint", "int"], i64::MIN.into());
    add(["bigint", "bigint unsigned", "int"], 7_u64.into());
    add(["real", "float", "real"], 0.1_f32.into());
    for number in [0.1, 1.0, 1e300, -1.5e-7] {
        add(["double precision", "double", "real"], number.into());
    }
    add(["bool", "bool", "bool"], true.into());
    add(["bool", "bool", "bool"], None::<bool>.into());
    add(["date", "date", "date"], naive.date().into());
    add(["time", "time(6)", "time"], naive.time().into());
    add(["timestamp", "datetime(6)", "datetime"], naive.into());
    add(["timestamptz", "timestamp(6)", "datetime"], instant.into());
    add(["timestamptz", "datetime(6)", "text"], instant.into());
    add(["timestamptz", "timestamp(6)", "text"], utc.into());
    add(["uuid", "binary(16)", "blob"], uuid.into());
    add(["jsonb", "json", "json"], json.clone().into());
    add(["jsonb", "json", "json"], None::<serde_json::Value>.into());
    add(["numeric", "decimal(30,10)", "numeric"], Decimal::new(-1_234_567_890_123, 5).into());
    if backend == DbBackend::Postgres {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            values.push(("double precision", number.into()));
        }
        let strings = ["it's", "a\\b", "a,b", "{\"x\"}", "NULL"].map(text);
        values.extend([
            ("int[]", array(ArrayType::Int, vec![1.into(), (-2).into(), Value::Int(None)])),
            ("text[]", array(ArrayType::String, strings.into())),
            ("text[]", array(ArrayType::String, Vec::new())),
            ("text[]", Value::Array(ArrayType::String, None)),
            ("uuid[]", array(ArrayType::Uuid, vec![uuid.into()])),
            ("bytea[]", array(ArrayType::Bytes, vec![vec![1_u8, 255].into()])),
            ("timestamptz[]", array(ArrayType::ChronoDateTimeUtc, vec![utc.into()])),
            ("date[]", array(ArrayType::ChronoDate, vec![naive.date().into()])),
            ("jsonb[]", array(ArrayType::Json, vec![json.into()])),
            ("numeric[]", array(ArrayType::Decimal, vec![Decimal::new(15, 1).into()])),
            ("bool[]", array(ArrayType::Bool, vec![true.into()])),
        ]);
    }
    values
}

async fn a_column_holds_the_same(db: TestDb) {
    let twice = Twice::open(&db).await;
    let seen = match db.backend() {
        DbBackend::Postgres => "coalesce(held::text, 'NULL')",
        DbBackend::MySql => "coalesce(hex(held), 'NULL')",
        _ => "quote(held) || typeof(held)",
    };
    for (number, (column, value)) in values(db.backend()).iter().enumerate() {
        db.outside().execute_unprepared(&format!("CREATE TABLE t{number} (held {column})")).await.unwrap();
        twice.execute(&db, &format!("INSERT INTO t{number} VALUES (?)"), value).await;
        let both = format!("SELECT count(*), count(DISTINCT {seen}) FROM t{number}");
        let both = db.outside().query_one_raw(Statement::from_string(db.backend(), both)).await.unwrap().unwrap();
        let counts = (both.try_get_by_index::<i64>(0).unwrap(), both.try_get_by_index::<i64>(1).unwrap());
        assert_eq!(counts, (2, 1), "{column}, {value:?}: {}", twice.inlined.0.lock().unwrap());
    }
}

async fn a_condition_finds_the_same(db: TestDb) {
    let twice = Twice::open(&db).await;
    for (number, (column, value)) in values(db.backend()).iter().enumerate() {
        db.outside().execute_unprepared(&format!("CREATE TABLE t{number} (held {column})")).await.unwrap();
        twice.pool.execute_raw(twice.statement(&format!("INSERT INTO t{number} VALUES (?)"), value)).await.unwrap();
        let (sql, found) = twice.query(&db, &format!("SELECT count(*) FROM t{number} WHERE held=?"), value).await;
        let [bound, inlined] = found.map(|row| row.try_get_by_index::<i64>(0).unwrap());
        assert_eq!(inlined, bound, "{column}, {value:?}: {sql}");
    }
}

async fn a_value_alone_is_the_same(db: TestDb) {
    let twice = Twice::open(&db).await;
    let minus = [("SELECT CAST(10-? AS CHAR(9))", (-5).into()), ("SELECT CAST(1=? AND 2=2 AS CHAR(9))", 1.into())];
    let utc: ChronoDateTimeUtc = "2024-02-29T23:59:58.100Z".parse().unwrap();
    let alone = [
        ("SELECT date_trunc('day', ?)::text", Value::from(utc)),
        ("SELECT (? + interval '1 day')::text", utc.into()),
        ("SELECT cardinality(?)::text", array(ArrayType::Int, vec![1.into()])),
        ("SELECT cardinality(?)::text", array(ArrayType::Uuid, Vec::new())),
        ("SELECT count(*)::text FROM unnest(?)", array(ArrayType::ChronoDateTimeUtc, vec![utc.into()])),
        ("SELECT length(?)::text", vec![1_u8, 2].into()),
        ("SELECT (? / 3)::text", 5.0.into()),
        ("SELECT (?::int2)::text", i16::MIN.into()),
        ("SELECT upper(?)", text("it's \\ ä")),
        ("SELECT ? ->> 'a'", serde_json::json!({"a": "it's"}).into()),
    ];
    let alone = if db.backend() == DbBackend::Postgres { &alone[..] } else { &[] };
    for (sql, value) in minus.iter().chain(alone) {
        let (inlined, [bound, again]) = twice.query(&db, sql, value).await;
        let [bound, again] = [bound, again].map(|row| row.try_get_by_index::<String>(0).unwrap());
        assert_eq!(again, bound, "{inlined}");
    }
}
