//! Rows are read as SeaORM reads them, in whatever way that is done.

use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt;
use sea_dao::{BaseDao, Error};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DbBackend, DbErr, DeriveActiveEnum, EntityTrait, EnumIter, IntoActiveModel, Iterable, QueryOrder,
    QuerySelect, TryGetError, TryGetable,
    entity::prelude::*,
    sea_query::{ArrayType, Nullable, ValueType, ValueTypeErr},
};

use crate::support::TestDb;

for_each_backend!(
    every_type,
    null_at_first,
    types_that_are_read_in_their_own_way,
    fields_that_are_no_columns,
    two_columns_with_one_name,
    columns_that_changed_their_types,
    null_where_none_is_expected,
    nothing_but_null,
    what_comes_back_from_writes,
);

/// A table with a column of each type that all three databases have.
mod sample {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) flag: bool,
        pub(super) small: Option<i16>,
        pub(super) number: Option<i32>,
        pub(super) float: Option<f32>,
        pub(super) real: f64,
        pub(super) name: String,
        pub(super) note: Option<String>,
        pub(super) raw: Vec<u8>,
        #[sea_orm(column_type = "Json")]
        pub(super) data: Json,
        #[sea_orm(column_type = "Json", nullable)]
        pub(super) extra: Option<Json>,
        pub(super) day: Option<ChronoDate>,
        pub(super) time: Option<ChronoTime>,
        pub(super) local: Option<ChronoDateTime>,
        pub(super) instant: Option<ChronoDateTimeUtc>,
        pub(super) uid: Option<Uuid>,
        #[sea_orm(column_type = "Decimal(Some((12, 2)))", nullable)]
        pub(super) price: Option<Decimal>,
        pub(super) r#type: Option<i32>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The same table, with other Rust types.
mod other {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) day: Option<TimeDate>,
        pub(super) time: Option<TimeTime>,
        pub(super) local: Option<TimeDateTime>,
        pub(super) instant: Option<TimeDateTimeWithTimeZone>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod zoned {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) instant: Option<ChronoDateTimeWithTimeZone>,
        pub(super) note: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A text that is read in capitals and written as it is.
#[derive(Clone, PartialEq)]
pub(crate) struct Loud(String);

/// As if it were derived for the text itself.
impl std::fmt::Debug for Loud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Loud> for Value {
    fn from(loud: Loud) -> Self {
        loud.0.into()
    }
}

impl ValueType for Loud {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <String as ValueType>::try_from(value).map(Self)
    }

    fn type_name() -> String {
        "Loud".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::String
    }

    fn column_type() -> ColumnType {
        ColumnType::Text
    }
}

impl Nullable for Loud {
    fn null() -> Value {
        Value::String(None)
    }
}

impl TryGetable for Loud {
    fn try_get_by<I: sea_orm::ColIdx>(row: &sea_orm::QueryResult, index: I) -> Result<Self, TryGetError> {
        String::try_get_by(row, index).map(|text| Self(text.to_uppercase()))
    }
}

mod loud {
    use super::Loud;
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) name: Loud,
        pub(super) note: Option<Loud>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Debug, Clone, PartialEq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub(crate) enum Mood {
    #[sea_orm(string_value = "calm")]
    Calm,
    #[sea_orm(string_value = "wild")]
    Wild,
}

mod moody {
    use super::Mood;
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) note: Option<Mood>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// One more each time that a model is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Serial(u32);

impl Default for Serial {
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

mod counted {
    use super::Serial;
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
        #[sea_orm(ignore)]
        pub(super) serial: Serial,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A table whose columns change.
mod shifting {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "shifting")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) size: i32,
        pub(super) note: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Without a column that has to be set.
mod empty {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, Copy, Default, DeriveEntity)]
    pub(super) struct Entity;

    impl EntityName for Entity {
        fn table_name(&self) -> &'static str {
            "empty_row"
        }
    }

    #[derive(Debug, Clone, PartialEq, DeriveModel, DeriveActiveModel)]
    pub(super) struct Model {
        pub(super) id: Option<i64>,
        pub(super) note: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveColumn)]
    pub(super) enum Column {
        Id,
        Note,
    }

    impl ColumnTrait for Column {
        type EntityName = Entity;

        fn def(&self) -> ColumnDef {
            match self {
                Self::Id => ColumnType::BigInteger.def().nullable(),
                Self::Note => ColumnType::Text.def().nullable(),
            }
        }
    }

    #[derive(Debug, Clone, Copy, EnumIter, DerivePrimaryKey)]
    pub(super) enum PrimaryKey {
        Id,
    }

    impl PrimaryKeyTrait for PrimaryKey {
        type ValueType = i64;

        fn auto_increment() -> bool {
            false
        }
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn create_samples(db: &TestDb) {
    let backend = db.backend();
    let [id, real, raw, data, local, instant, uid] = match backend {
        DbBackend::Postgres => ["BIGSERIAL PRIMARY KEY", "FLOAT8", "BYTEA", "JSON", "TIMESTAMP", "TIMESTAMPTZ", "UUID"],
        DbBackend::MySql => [
            "BIGINT AUTO_INCREMENT PRIMARY KEY",
            "DOUBLE",
            "BLOB",
            "JSON",
            "DATETIME(6)",
            "TIMESTAMP(6) NULL",
            "BINARY(16)",
        ],
        _ => ["INTEGER PRIMARY KEY", "REAL", "BLOB", "TEXT", "TEXT", "TEXT", "BLOB"],
    };
    let (float, price) = match backend {
        DbBackend::Postgres => ("FLOAT4", "NUMERIC(12, 2)"),
        DbBackend::MySql => ("FLOAT", "DECIMAL(12, 2)"),
        _ => ("REAL", "REAL"),
    };
    let name = |name: &str| if backend == DbBackend::MySql { format!("`{name}`") } else { format!("\"{name}\"") };
    let (time, local_, kind) = (name("time"), name("local"), name("type"));
    let sql = format!(
        "CREATE TABLE sample (id {id}, flag BOOLEAN NOT NULL, small SMALLINT, number INTEGER, {} {float}, {} {real} NOT NULL, \
         name VARCHAR(255) NOT NULL, note TEXT, raw {raw} NOT NULL, data {data} NOT NULL, extra {data}, day DATE, \
         {time} {}, {local_} {local}, instant {instant}, uid {uid}, price {price}, {kind} INTEGER)",
        name("float"),
        name("real"),
        if backend == DbBackend::MySql { "TIME(6)" } else { "TIME" },
    );
    db.execute_unprepared(&sql).await.unwrap();
}

fn full(id: i64) -> sample::Model {
    sample::Model {
        id,
        flag: id % 2 == 0,
        small: Some(i16::MIN),
        number: Some(i32::MAX),
        float: Some(-1.5),
        real: 1e300,
        name: format!("it's \"{id}\" ä, Some(None) }}"),
        note: Some(String::new()),
        raw: vec![0, 255, 39],
        data: serde_json::json!({"a": [1, null, "x"], "b": {"c": 1.5}}),
        extra: Some(serde_json::json!("text")),
        day: ChronoDate::from_ymd_opt(2024, 2, 29),
        time: ChronoTime::from_hms_micro_opt(23, 59, 58, 123_456),
        local: Some("2024-02-29T23:59:58.123456".parse().unwrap()),
        instant: Some("2024-02-29T23:59:58.100200Z".parse().unwrap()),
        uid: Some(Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8)),
        price: Some(Decimal::new(1_234_550, 2)),
        r#type: Some(7),
    }
}

fn bare(id: i64) -> sample::Model {
    sample::Model {
        small: None,
        number: None,
        float: None,
        note: None,
        extra: None,
        day: None,
        time: None,
        local: None,
        instant: None,
        uid: None,
        price: None,
        r#type: None,
        ..full(id)
    }
}

async fn insert(db: &TestDb, rows: impl IntoIterator<Item = sample::Model>) {
    let rows = rows.into_iter().map(|row| row.into_active_model().reset_all());
    sample::Entity::insert_many(rows).exec_without_returning(db.outside()).await.unwrap();
}

/// Reads all rows by a DAO, in several ways, and by SeaORM.
async fn both<E>(db: &TestDb) -> [Vec<E::Model>; 2]
where
    E: EntityTrait,
    E::Model: PartialEq + Sync + IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: Send,
{
    let id = E::Column::iter().next().unwrap();
    let dao = BaseDao::<E>::new((**db).clone());
    let read = dao.query().order_asc(id).all().await.unwrap();
    // Often enough for whatever is found out about the entity at first.
    for _ in 0..40 {
        assert_eq!(dao.query().order_asc(id).all().await.unwrap(), read);
    }
    let streamed: Vec<E::Model> = dao.query().order_asc(id).stream().try_collect().await.unwrap();
    assert_eq!(streamed, read);
    [read, E::find().order_by_asc(id).all(db.outside()).await.unwrap()]
}

async fn every_type(db: TestDb) {
    create_samples(&db).await;
    insert(&db, [full(1), bare(2), full(3), full(4), bare(5)]).await;
    let [read, by_sea_orm] = both::<sample::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
    assert_eq!(read[0].data, full(1).data);
    let [read, by_sea_orm] = both::<other::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
    assert_eq!(read[1].instant, None);
    let [read, by_sea_orm] = both::<zoned::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
    let dao = BaseDao::<sample::Entity>::new((*db).clone());
    for id in 1..6 {
        assert_eq!(
            dao.find_by_id(id).await.unwrap().as_ref(),
            sample::Entity::find_by_id(id).one(db.outside()).await.unwrap().as_ref()
        );
    }
}

/// What a column of nothing but NULL holds is found out later.
async fn null_at_first(db: TestDb) {
    create_samples(&db).await;
    insert(&db, (1..60).map(bare)).await;
    insert(&db, [sample::Model { note: Some("later".to_owned()), ..bare(60) }, full(61), bare(62)]).await;
    let [read, by_sea_orm] = both::<sample::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
    assert_eq!(read[59].note.as_deref(), Some("later"));
    let [read, by_sea_orm] = both::<other::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
}

async fn types_that_are_read_in_their_own_way(db: TestDb) {
    create_samples(&db).await;
    let named = |id, name: &str, note: Option<&str>| sample::Model {
        name: name.to_owned(),
        note: note.map(str::to_owned),
        ..bare(id)
    };
    // The first does not show that it is read in capitals.
    insert(&db, [named(1, "ADA", Some("CALM")), named(2, "bob", Some("calm")), named(3, "Cyd", Some("wild"))]).await;
    let [read, by_sea_orm] = both::<loud::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
    assert_eq!(read[1].name, Loud("BOB".to_owned()));
    db.execute_unprepared("UPDATE sample SET note = NULL WHERE id = 1").await.unwrap();
    let [read, by_sea_orm] = both::<moody::Entity>(&db).await;
    assert_eq!(read, by_sea_orm);
    assert_eq!([&read[0].note, &read[2].note], [&None, &Some(Mood::Wild)]);
}

async fn fields_that_are_no_columns(db: TestDb) {
    create_samples(&db).await;
    insert(&db, (1..5).map(full)).await;
    let dao = BaseDao::<counted::Entity>::new((*db).clone());
    let mut serials = Vec::new();
    for _ in 0..40 {
        serials.extend(dao.query().all().await.unwrap().into_iter().map(|row| row.serial.0));
    }
    let made = serials.len();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), made);
}

async fn two_columns_with_one_name(db: TestDb) {
    create_samples(&db).await;
    insert(&db, [full(1)]).await;
    both::<sample::Entity>(&db).await;
    let dao = BaseDao::<sample::Entity>::new((*db).clone());
    let read = dao.query().select(|select| select.column_as(Expr::val("another"), "name")).one().await.unwrap();
    let select = sample::Entity::find().column_as(Expr::val("another"), "name");
    assert_eq!(Some(&read), select.one(db.outside()).await.unwrap().as_ref());
    assert_eq!(read.name, "another");
    let read = dao.query().select(|select| select.column_as(Expr::val(1), "more")).one().await.unwrap();
    assert_eq!(read.name, full(1).name);
}

async fn create_shifting(db: &TestDb, size: &str) {
    db.execute_unprepared("DROP TABLE IF EXISTS shifting").await.unwrap();
    db.execute_unprepared(&format!("CREATE TABLE shifting (id BIGINT, size {size}, note VARCHAR(20))")).await.unwrap();
}

async fn read_shifting(db: &TestDb) -> (Result<Vec<shifting::Model>, Error>, Result<Vec<shifting::Model>, DbErr>) {
    let dao = BaseDao::<shifting::Entity>::new(db.open(|config| config.pool_size(1)).await);
    // Of its own: a statement that was prepared before stays with the types that it had.
    let connection = sea_orm::Database::connect(db.url()).await.unwrap();
    let by_sea_orm = shifting::Entity::find().all(&connection).await;
    connection.close().await.unwrap();
    (dao.query().all().await, by_sea_orm)
}

/// What SeaORM says when it cannot read a row.
fn assert_same_failure(read: Result<Vec<shifting::Model>, Error>, by_sea_orm: Result<Vec<shifting::Model>, DbErr>) {
    let (error, expected) = (read.unwrap_err().to_string(), by_sea_orm.unwrap_err().to_string());
    assert!(error.contains(&expected), "{error}\n{expected}");
}

async fn columns_that_changed_their_types(db: TestDb) {
    create_shifting(&db, "INTEGER").await;
    db.execute_unprepared("INSERT INTO shifting (id, size) VALUES (1, 5)").await.unwrap();
    for _ in 0..40 {
        let (read, by_sea_orm) = read_shifting(&db).await;
        assert_eq!(read.unwrap(), by_sea_orm.unwrap());
    }
    create_shifting(&db, "VARCHAR(20)").await;
    // As many bytes as the number had.
    db.execute_unprepared("INSERT INTO shifting (id, size) VALUES (1, 'four')").await.unwrap();
    let (read, by_sea_orm) = read_shifting(&db).await;
    assert_same_failure(read, by_sea_orm);
}

async fn null_where_none_is_expected(db: TestDb) {
    create_shifting(&db, "INTEGER").await;
    db.execute_unprepared("INSERT INTO shifting (id, size) VALUES (1, 5), (2, 6)").await.unwrap();
    for _ in 0..40 {
        let (read, by_sea_orm) = read_shifting(&db).await;
        assert_eq!(read.unwrap(), by_sea_orm.unwrap());
    }
    db.execute_unprepared("INSERT INTO shifting (id) VALUES (3)").await.unwrap();
    let (read, by_sea_orm) = read_shifting(&db).await;
    assert_same_failure(read, by_sea_orm);
}

/// SeaORM takes such a row for none.
async fn nothing_but_null(db: TestDb) {
    db.execute_unprepared("CREATE TABLE empty_row (id BIGINT, note VARCHAR(20))").await.unwrap();
    db.execute_unprepared("INSERT INTO empty_row (id, note) VALUES (1, 'a'), (2, 'b')").await.unwrap();
    let dao = BaseDao::<empty::Entity>::new((*db).clone());
    for _ in 0..40 {
        assert_eq!(dao.query().all().await.unwrap(), empty::Entity::find().all(db.outside()).await.unwrap());
    }
    db.execute_unprepared("INSERT INTO empty_row (id, note) VALUES (NULL, NULL)").await.unwrap();
    let error = dao.query().all().await.unwrap_err().to_string();
    let expected = empty::Entity::find().all(db.outside()).await.unwrap_err().to_string();
    assert!(error.contains(&expected), "{error}\n{expected}");
}

async fn what_comes_back_from_writes(db: TestDb) {
    create_samples(&db).await;
    let dao = BaseDao::<sample::Entity>::new((*db).clone());
    let new = |model: sample::Model| sample::ActiveModel { id: NotSet, ..model.into_active_model().reset_all() };
    for number in 0..40 {
        let model = if number % 3 == 0 { bare(0) } else { full(0) };
        let inserted = dao.insert(new(model)).await.unwrap();
        let id = inserted.id;
        let stored = sample::Entity::find_by_id(id).one(db.outside()).await.unwrap();
        assert_eq!(Some(&inserted), stored.as_ref());
        let note = Set(Some(format!("note {number}")));
        let updated = dao.update(sample::ActiveModel { note, ..inserted.into_active_model() }).await.unwrap();
        let stored = sample::Entity::find_by_id(id).one(db.outside()).await.unwrap();
        assert_eq!(Some(&updated), stored.as_ref());
    }
    let many = dao.insert_many_returning((0..5).map(|_| new(full(0)))).await.unwrap();
    assert_eq!(
        many,
        sample::Entity::find()
            .filter(sample::Column::Id.gt(40))
            .order_by_asc(sample::Column::Id)
            .all(db.outside())
            .await
            .unwrap()
    );
}
