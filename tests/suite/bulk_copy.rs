//! Many rows that nothing comes back of: COPY, where the database has it and it does what INSERT does.

use sea_dao::{BaseDao, hooks::StatementKind, prelude::*};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbBackend, IntoActiveModel, prelude::*};

use crate::support::TestDb;

for_each_backend!(
    rows_of_every_type_arrive_as_they_are,
    columns_that_are_not_set_take_their_defaults,
    a_table_where_copy_does_something_else_is_not_copied_into,
    a_column_of_another_type_is_not_copied_into,
    a_row_that_fails_is_named,
    a_value_that_no_column_can_hold_is_named,
    values_of_another_type_further_on_are_inserted,
    triggers_run,
    instants_of_any_time_arrive,
);

/// What is sent by COPY.
const MANY: i64 = 2_500;

mod sample {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) flag: Option<bool>,
        pub(crate) small: Option<i16>,
        pub(crate) middle: Option<i32>,
        pub(crate) large: Option<i64>,
        pub(crate) float: Option<f32>,
        pub(crate) double: Option<f64>,
        pub(crate) text: Option<String>,
        pub(crate) name: Option<String>,
        pub(crate) bytes: Option<Vec<u8>>,
        pub(crate) plain: Option<Json>,
        pub(crate) indexed: Option<Json>,
        pub(crate) day: Option<Date>,
        pub(crate) hour: Option<Time>,
        pub(crate) local: Option<DateTime>,
        pub(crate) instant: Option<DateTimeUtc>,
        pub(crate) key: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Numbers that are bound as one type or another.
mod count {
    use sea_orm::{
        ColIdx, QueryResult, TryGetError, TryGetable,
        entity::prelude::*,
        sea_query::{ArrayType, Nullable, ValueType, ValueTypeErr},
    };

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tally")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        #[sea_orm(column_type = "BigInteger")]
        pub(crate) number: Number,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) enum Number {
        Large(i64),
        Small(i32),
        Unsigned(u64),
    }

    impl From<Number> for Value {
        fn from(number: Number) -> Self {
            match number {
                Number::Large(number) => number.into(),
                Number::Small(number) => number.into(),
                Number::Unsigned(number) => number.into(),
            }
        }
    }

    impl ValueType for Number {
        fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
            <i64 as ValueType>::try_from(value).map(Self::Large)
        }

        fn type_name() -> String {
            "Number".to_owned()
        }

        fn array_type() -> ArrayType {
            ArrayType::BigInt
        }

        fn column_type() -> ColumnType {
            ColumnType::BigInteger
        }
    }

    impl Nullable for Number {
        fn null() -> Value {
            Value::BigInt(None)
        }
    }

    impl TryGetable for Number {
        fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
            i64::try_get_by(row, index).map(Self::Large)
        }
    }
}

use count::Number;

async fn create_counts(db: &TestDb) -> BaseDao<count::Entity> {
    let id = match db.backend() {
        DbBackend::Postgres => "BIGSERIAL PRIMARY KEY",
        DbBackend::MySql => "BIGINT PRIMARY KEY AUTO_INCREMENT",
        _ => "INTEGER PRIMARY KEY",
    };
    let sql = format!("CREATE TABLE tally (id {id}, number BIGINT NOT NULL)");
    db.outside().execute_unprepared(&sql).await.unwrap();
    BaseDao::new((**db).clone())
}

/// What is sent in several pieces, and written in one part.
const COUNTS: i64 = 9_000;

/// Numbers of which the one at `place` is another.
fn counts(place: i64, other: Number) -> impl Iterator<Item = count::ActiveModel> + Send {
    (0..COUNTS).map(move |number| {
        let number = Set(if number == place { other } else { Number::Large(number) });
        count::ActiveModel { number, ..Default::default() }
    })
}

async fn create(db: &TestDb) -> BaseDao<sample::Entity> {
    let (id, float, bytes, json, indexed, local, instant, key) = match db.backend() {
        DbBackend::Postgres => {
            ("BIGSERIAL PRIMARY KEY", "REAL", "BYTEA", "JSON", "JSONB", "TIMESTAMP", "TIMESTAMPTZ", "UUID")
        }
        DbBackend::MySql => (
            "BIGINT PRIMARY KEY AUTO_INCREMENT",
            "FLOAT",
            "BLOB",
            "JSON",
            "JSON",
            "DATETIME(6)",
            "DATETIME(6)",
            "BINARY(16)",
        ),
        _ => ("INTEGER PRIMARY KEY", "REAL", "BLOB", "TEXT", "TEXT", "TEXT", "TEXT", "BLOB"),
    };
    let time = if db.backend() == DbBackend::MySql { "TIME(6)" } else { "TIME" };
    let sql = format!(
        "CREATE TABLE sample (id {id}, flag BOOLEAN, small SMALLINT DEFAULT 7, middle INTEGER, large BIGINT, \
         `float` {float}, `double` DOUBLE PRECISION, text TEXT, name VARCHAR(40), bytes {bytes}, plain {json}, \
         indexed {indexed}, day DATE, hour {time}, local {local}, instant {instant}, `key` {key})"
    );
    let quote = if db.backend() == DbBackend::MySql { '`' } else { '"' };
    db.outside().execute_unprepared(&sql.replace('`', &quote.to_string())).await.unwrap();
    BaseDao::new((**db).clone())
}

/// A row of which each column is sometimes NULL, and holds what is at an edge at other times.
fn row(number: i64) -> sample::Model {
    let filled = |place: i64| (number + place) % 5 != 0;
    let texts = ["", "plain", "a\tb\nc\\N", "'; DROP TABLE sample; --", "🦀 \u{301}", "\\.", "\r\n"];
    let text = texts[number as usize % texts.len()];
    let seconds = number * 7_919_777;
    let instant = DateTimeUtc::from_timestamp(seconds % 4_000_000_000, (number % 1_000_000) as u32 * 1_000).unwrap();
    let edge = |edges: [i64; 4]| edges[number as usize % 4];
    let json = serde_json::json!({ "text": text, "number": number, "list": [null, true, 1.5] });
    sample::Model {
        id: number,
        flag: filled(1).then_some(number % 2 == 0),
        small: filled(2).then_some(edge([i16::MIN.into(), -1, 0, i16::MAX.into()]) as i16),
        middle: filled(3).then_some(edge([i32::MIN.into(), -1, 0, i32::MAX.into()]) as i32),
        large: filled(4).then_some(edge([i64::MIN, -1, 0, i64::MAX])),
        float: filled(1).then_some(number as f32 / 4.0),
        double: filled(2).then_some(number as f64 / 3.0),
        text: filled(3).then(|| text.repeat(number as usize % 50)),
        name: filled(4).then(|| text.to_owned()),
        bytes: filled(1).then(|| number.to_be_bytes().to_vec()),
        plain: filled(2).then(|| json.clone()),
        indexed: filled(3).then_some(json),
        day: filled(4).then(|| instant.date_naive()),
        hour: filled(1).then(|| instant.time()),
        local: filled(2).then(|| instant.naive_utc()),
        instant: filled(3).then_some(instant),
        key: filled(4).then(|| Uuid::from_u128(number as u128)),
    }
}

/// How many of the statements since the last look were a COPY; there are some only where the database has it.
fn copies(db: &TestDb) -> usize {
    db.recorder().take_kinds().into_iter().filter(|kind| *kind == StatementKind::Copy).count()
}

async fn rows_of_every_type_arrive_as_they_are(db: TestDb) {
    let samples = create(&db).await;
    let given: Vec<_> = (1..=MANY).map(row).collect();
    db.recorder().forget();
    let rows = given.iter().cloned().map(|row| sample::ActiveModel::from(row).reset_all());
    assert_eq!(samples.insert_many(rows).await.unwrap(), MANY as u64);
    assert_eq!(copies(&db), usize::from(db.capabilities().copy_in));
    let arrived = samples.query().order_asc(sample::Column::Id).all().await.unwrap();
    assert_eq!(arrived.len(), given.len());
    for (arrived, given) in arrived.iter().zip(&given) {
        assert_eq!(arrived, given);
    }
}

async fn columns_that_are_not_set_take_their_defaults(db: TestDb) {
    let samples = create(&db).await;
    let rows = (1..=MANY).map(|number| {
        let mut row = sample::ActiveModel { id: Set(number), ..Default::default() };
        match number % 3 {
            0 => row.large = Set(Some(number)),
            1 => row.small = Set(None),
            _ => {}
        }
        row
    });
    assert_eq!(samples.insert_many(rows).await.unwrap(), MANY as u64);
    let defaults = samples.query().eq(sample::Column::Small, 7).count().await.unwrap();
    let nulls = samples.query().eq(sample::Column::Small, None::<i16>).count().await.unwrap();
    assert_eq!((defaults, nulls), (1_666, 834));
}

async fn a_table_where_copy_does_something_else_is_not_copied_into(db: TestDb) {
    if !db.capabilities().copy_in {
        return;
    }
    let samples = create(&db).await;
    let rows = || (1..=MANY).map(|number| row(number).into_active_model().reset_all());
    for (change, back) in [
        ("CREATE RULE twice AS ON INSERT TO sample DO ALSO NOTIFY sample", "DROP RULE twice ON sample"),
        ("ALTER TABLE sample ENABLE ROW LEVEL SECURITY", "ALTER TABLE sample DISABLE ROW LEVEL SECURITY"),
        (
            "ALTER TABLE sample RENAME TO kept; CREATE VIEW sample AS SELECT * FROM kept",
            "DROP VIEW sample; ALTER TABLE kept RENAME TO sample",
        ),
    ] {
        db.outside().execute_unprepared(change).await.unwrap();
        db.recorder().forget();
        assert_eq!(samples.insert_many(rows()).await.unwrap(), MANY as u64, "{change}");
        assert_eq!(copies(&db), 0, "{change}");
        db.outside().execute_unprepared(back).await.unwrap();
        assert_eq!(samples.query().count().await.unwrap(), MANY as u64, "{change}");
        db.outside().execute_unprepared("DELETE FROM sample").await.unwrap();
    }
    samples.insert_many(rows()).await.unwrap();
    assert_eq!(copies(&db), 1, "as it was");
}

async fn a_column_of_another_type_is_not_copied_into(db: TestDb) {
    if !db.capabilities().copy_in {
        return;
    }
    let samples = create(&db).await;
    db.outside().execute_unprepared("ALTER TABLE sample ALTER COLUMN large TYPE NUMERIC(30)").await.unwrap();
    db.recorder().forget();
    let rows = (1..=MANY).map(|number| sample::ActiveModel { large: Set(Some(number)), ..Default::default() });
    assert_eq!(samples.insert_many(rows).await.unwrap(), MANY as u64);
    assert_eq!(copies(&db), 0);
    let rows = (1..=MANY).map(|number| sample::ActiveModel { middle: Set(Some(number as i32)), ..Default::default() });
    assert_eq!(samples.insert_many(rows).await.unwrap(), MANY as u64);
    assert_eq!(copies(&db), 1, "the other columns are as they were");
}

async fn a_row_that_fails_is_named(db: TestDb) {
    if !db.capabilities().server {
        return;
    }
    let samples = create(&db).await;
    let rows = |bad: usize| {
        (0..MANY as usize).map(move |index| {
            let name = if index == bad { "x".repeat(41) } else { "x".to_owned() };
            sample::ActiveModel { name: Set(Some(name)), ..Default::default() }
        })
    };
    for bad in [0, 1_234, 2_499] {
        let error = samples.insert_many(rows(bad)).await.unwrap_err();
        assert_eq!(error.row(), Some(bad), "{error}");
        assert_eq!(samples.count().await.unwrap(), 0);
    }
    let tx = db.begin().await.unwrap();
    let within = samples.within(&tx);
    within.insert(rows(9).next().unwrap()).await.unwrap();
    assert_eq!(within.insert_many(rows(7)).await.unwrap_err().row(), Some(7));
    assert_eq!(within.insert_many(rows(usize::MAX)).await.unwrap(), MANY as u64);
    tx.commit().await.unwrap();
    assert_eq!(samples.count().await.unwrap(), MANY as u64 + 1);
}

async fn a_value_that_no_column_can_hold_is_named(db: TestDb) {
    let all = create_counts(&db).await;
    let within = async |counts_of: &BaseDao<count::Entity>| {
        for place in [0, 8_999] {
            // SQLite and PostgreSQL have no such number, and MariaDB not in this column.
            let error = counts_of.insert_many(counts(place, Number::Unsigned(u64::MAX))).await.unwrap_err();
            assert_eq!(error.row(), Some(place as usize), "{error}");
            assert_eq!(counts_of.query().count().await.unwrap(), 0);
        }
    };
    within(&all).await;
    let tx = db.begin().await.unwrap();
    within(&all.within(&tx)).await;
    tx.commit().await.unwrap();
    assert_eq!(all.insert_many(counts(-1, Number::Small(0))).await.unwrap(), COUNTS as u64);
}

async fn values_of_another_type_further_on_are_inserted(db: TestDb) {
    let all = create_counts(&db).await;
    for place in [1, 8_400] {
        let inserted = all.insert_many(counts(place, Number::Small(-1))).await.unwrap();
        assert_eq!(inserted, COUNTS as u64);
        let tx = db.begin().await.unwrap();
        assert_eq!(all.within(&tx).insert_many(counts(place, Number::Small(-1))).await.unwrap(), COUNTS as u64);
        tx.commit().await.unwrap();
    }
    let numbers = (0..COUNTS).sum::<i64>() * 4 - 2 * (1 + 8_400) - 4;
    assert_eq!(all.query().count().await.unwrap(), 4 * COUNTS as u64);
    let read = all.query().all().await.unwrap().into_iter().map(|row| match row.number {
        Number::Large(number) => number,
        other => panic!("{other:?}"),
    });
    assert_eq!(read.sum::<i64>(), numbers);
}

async fn triggers_run(db: TestDb) {
    if !db.capabilities().copy_in {
        return;
    }
    let samples = create(&db).await;
    let sql = "CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN NEW.large := NEW.large * 2; RETURN NEW; END $$; \
               CREATE TRIGGER doubles BEFORE INSERT ON sample FOR EACH ROW EXECUTE FUNCTION doubled()";
    db.outside().execute_unprepared(sql).await.unwrap();
    let rows = (1..=MANY).map(|number| sample::ActiveModel { large: Set(Some(number)), ..Default::default() });
    samples.insert_many(rows).await.unwrap();
    assert_eq!(samples.query().sum(sample::Column::Large).await.unwrap(), MANY * (MANY + 1));
}

async fn instants_of_any_time_arrive(db: TestDb) {
    let samples = create(&db).await;
    for instant in ["1960-02-29T12:00:00.5Z", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z", "2999-12-31T23:59:59Z"] {
        let instant: DateTimeUtc = instant.parse().unwrap();
        let row =
            samples.insert(sample::ActiveModel { instant: Set(Some(instant)), ..Default::default() }).await.unwrap();
        assert_eq!(row.instant, Some(instant));
        let found = samples.query().eq(sample::Column::Instant, instant).one().await.unwrap();
        assert_eq!(found.id, row.id);
        let zoned = instant.fixed_offset();
        assert_eq!(samples.query().eq(sample::Column::Instant, zoned).one().await.unwrap().id, row.id);
    }
    assert_eq!(samples.query().is_null(sample::Column::Instant).count().await.unwrap(), 0);
}
