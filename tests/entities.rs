//! The schema of `migration` works on every database, and `entities` is generated from it.
//!
//! `TEST_POSTGRES_URL` and `TEST_MYSQL_URL` name servers where the tests may create databases of
//! their own, for example `postgres://root@127.0.0.1:5432/postgres` and
//! `mysql://root@127.0.0.1:3306/mysql`. They drop these databases again.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use entities::{
    country, customer_order, order_item,
    prelude::{Country, CustomerOrder, OrderItem, Tag, ThirdPartyAccount, User, UserTag},
    tag, third_party_account, user, user_tag,
};
use migration::{Migrator, MigratorTrait, SchemaManager};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, Database, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, ModelTrait,
    PaginatorTrait, QueryFilter, SqlErr,
    prelude::{DateTimeWithTimeZone, Uuid},
};
use sea_orm_codegen::{
    BannerVersion, BigIntegerType, DateTimeCrate, EntityFormat, EntityTransformer, EntityWriterContext, WithPrelude,
    WithSerde,
};
use sea_schema::postgres::discovery::SchemaDiscovery;
use serde_json::json;
use url::Url;

type TestResult<T = ()> = Result<T, Box<dyn Error>>;

const TABLES: [&str; 7] = ["country", "customer_order", "order_item", "tag", "third_party_account", "user", "user_tag"];

const REGENERATE: &str = r#"to regenerate, with $URL an empty PostgreSQL database:
    cargo run -p migration --features postgres --example migrate -- "$URL"
    sea-orm-cli generate entity --database-url "$URL" --lib --with-serde both --output-dir entities/src
and remove the files of tables that are gone (sea-orm-cli 2.0.4)"#;

// ---------------------------------------------------------------------------------------------
// Databases
// ---------------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy)]
enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

/// Runs `body` on a new, empty database, which is removed afterwards whatever the outcome.
///
/// `body` returns its failures instead of panicking, so that the removal is always reached.
async fn with_database(kind: Kind, body: impl AsyncFnOnce(&DatabaseConnection) -> TestResult) -> TestResult {
    let name = unique_name();
    match kind {
        Kind::Sqlite => {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.db"));
            let url = format!("sqlite://{}?mode=rwc", file.display());
            let outcome = connect_and_run(&url, body).await;
            let removed = fs::remove_file(file);
            outcome?;
            Ok(removed?)
        }
        Kind::Postgres | Kind::MySql => {
            let admin_url = server_url(kind)?;
            let admin = Database::connect(admin_url.as_str()).await?;
            admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
            let mut url = admin_url;
            url.set_path(&name);
            let outcome = connect_and_run(url.as_str(), body).await;
            let dropped = admin.execute_unprepared(&format!("DROP DATABASE {name}")).await;
            outcome?;
            dropped?;
            Ok(admin.close().await?)
        }
    }
}

async fn connect_and_run(url: &str, body: impl AsyncFnOnce(&DatabaseConnection) -> TestResult) -> TestResult {
    let connection = Database::connect(url).await?;
    let outcome = body(&connection).await;
    connection.close().await?;
    outcome
}

fn server_url(kind: Kind) -> TestResult<Url> {
    let variable = match kind {
        Kind::Postgres => "TEST_POSTGRES_URL",
        _ => "TEST_MYSQL_URL",
    };
    let url = std::env::var(variable)
        .map_err(|_| format!("{variable} is not set: it has to name a {kind:?} server for this test"))?;
    Ok(Url::parse(&url)?)
}

/// A name that no other test run uses, be it of this process or of another one.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("sea_dao_entities_{}_{}_{}", std::process::id(), now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An `assert!` that returns its failure, see [`with_database`].
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+).into());
        }
    };
}

macro_rules! ensure_eq {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) => {
                ensure!(left == right, "line {}: {} is\n  {left:?}\nand not\n  {right:?}", line!(), stringify!($left))
            }
        }
    };
}

/// Fails the test with the message itself, which `unwrap` would print escaped, on one line.
#[track_caller]
fn succeed(outcome: TestResult) {
    let message = outcome.err().map(|error| error.to_string());
    assert!(message.is_none(), "{}", message.unwrap_or_default());
}

// ---------------------------------------------------------------------------------------------
// Generated files
// ---------------------------------------------------------------------------------------------

/// File names and their contents.
type Sources = BTreeMap<String, String>;

#[tokio::test]
async fn entities_are_what_the_schema_generates() {
    succeed(
        with_database(Kind::Postgres, async |connection| {
            Migrator::up(connection, None).await?;
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("entities");
            let expected = format_sources(&root, generate(connection).await?)?;
            let found = read_sources(&root.join("src"))?;
            let differences = differences(&expected, &found);
            ensure!(
                differences.is_empty(),
                "entities/src differs from what the schema generates:\n{}\n{REGENERATE}",
                differences.join("\n")
            );
            Ok(())
        })
        .await,
    );
}

/// Does what `sea-orm-cli generate entity --lib --with-serde both` does.
async fn generate(connection: &DatabaseConnection) -> TestResult<Sources> {
    let pool = connection.get_postgres_connection_pool().clone();
    let schema = SchemaDiscovery::new(pool, "public").discover().await?;
    let tables = schema
        .tables
        .into_iter()
        .filter(|table| table.info.name != "seaql_migrations")
        .map(|mut table| {
            table.columns.retain(|column| column.generated.is_none());
            table.unique_constraints.retain(|unique| !unique.is_partial);
            table.write()
        })
        .collect();
    let context = EntityWriterContext::new(
        EntityFormat::default(),
        WithPrelude::All,
        WithSerde::Both,
        false,
        DateTimeCrate::default(),
        BigIntegerType::default(),
        None,
        true,
        false,
        false,
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Vec::new(),
        false,
        true,
        BannerVersion::default(),
    );
    Ok(EntityTransformer::transform(tables)?
        .generate(&context)
        .files
        .into_iter()
        .map(|file| (file.name, file.content))
        .collect())
}

/// Runs `rustfmt` with the configuration of the `entities` crate, as `sea-orm-cli` does.
fn format_sources(root: &Path, sources: Sources) -> TestResult<Sources> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique_name());
    fs::create_dir(&folder)?;
    let outcome = format_in(root, &folder, sources);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn format_in(root: &Path, folder: &Path, sources: Sources) -> TestResult<Sources> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for (name, content) in sources {
        let path = folder.join(name);
        fs::write(&path, content)?;
        paths.push(path);
    }
    let status = Command::new("rustfmt").arg("--config-path").arg(root).args(paths).status()?;
    ensure!(status.success(), "rustfmt fails on the generated files");
    read_sources(folder)
}

fn read_sources(folder: &Path) -> TestResult<Sources> {
    let mut sources = Sources::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        sources.insert(name, fs::read_to_string(entry.path())?);
    }
    Ok(sources)
}

/// One message for each file that is missing, left over, or different.
fn differences(expected: &Sources, found: &Sources) -> Vec<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) => first_difference(name, expected, found),
            (Some(_), None) => Some(format!("{name}: is missing")),
            _ => Some(format!("{name}: is not generated")),
        })
        .collect()
}

fn first_difference(name: &str, expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    // Not `lines()`, which hides the ends of lines.
    let mut expected = expected.split_inclusive('\n');
    let mut found = found.split_inclusive('\n');
    let mut number = 0;
    loop {
        number += 1;
        let (expected, found) = (expected.next(), found.next());
        if expected != found {
            return Some(format!(
                "{name}: line {number}\n  generated: {}\n  in file:   {}",
                shown(expected),
                shown(found)
            ));
        }
    }
}

fn shown(line: Option<&str>) -> String {
    line.map_or_else(|| "(end of file)".to_owned(), |line| format!("{line:?}"))
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let sources = |files: &[(&str, &str)]| -> Sources {
        files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
    };
    let expected = sources(&[("a.rs", "one\ntwo\n"), ("b.rs", "three\n")]);

    assert!(differences(&expected, &expected).is_empty());
    assert_eq!(
        differences(&expected, &sources(&[("a.rs", "one\n2\n"), ("b.rs", "three")])),
        [
            "a.rs: line 2\n  generated: \"two\\n\"\n  in file:   \"2\\n\"",
            "b.rs: line 1\n  generated: \"three\\n\"\n  in file:   \"three\"",
        ]
    );
    assert_eq!(
        differences(&expected, &sources(&[("a.rs", "one\n"), ("c.rs", "four\n")])),
        [
            "a.rs: line 2\n  generated: \"two\\n\"\n  in file:   (end of file)",
            "b.rs: is missing",
            "c.rs: is not generated",
        ]
    );
}

// ---------------------------------------------------------------------------------------------
// Migrations
// ---------------------------------------------------------------------------------------------

async fn up_down_up(connection: &DatabaseConnection) -> TestResult {
    let none: Vec<&str> = Vec::new();
    Migrator::up(connection, None).await?;
    ensure_eq!(tables(connection).await?, TABLES);
    Migrator::down(connection, None).await?;
    ensure_eq!(tables(connection).await?, none);
    Migrator::up(connection, None).await?;
    ensure_eq!(tables(connection).await?, TABLES);
    ensure!(Migrator::get_pending_migrations(connection).await?.is_empty(), "a migration is still pending");
    Ok(())
}

async fn tables(connection: &DatabaseConnection) -> Result<Vec<&'static str>, DbErr> {
    let manager = SchemaManager::new(connection);
    let mut found = Vec::new();
    for table in TABLES {
        if manager.has_table(table).await? {
            found.push(table);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn migrations_go_up_and_down_on_sqlite() {
    succeed(with_database(Kind::Sqlite, up_down_up).await);
}

#[tokio::test]
async fn migrations_go_up_and_down_on_postgres() {
    succeed(with_database(Kind::Postgres, up_down_up).await);
}

#[tokio::test]
async fn migrations_go_up_and_down_on_mysql() {
    succeed(with_database(Kind::MySql, up_down_up).await);
}

// ---------------------------------------------------------------------------------------------
// Rows
// ---------------------------------------------------------------------------------------------

#[tokio::test]
async fn rows_survive_the_round_trip_on_sqlite() {
    succeed(with_database(Kind::Sqlite, round_trip).await);
}

#[tokio::test]
async fn rows_survive_the_round_trip_on_postgres() {
    succeed(with_database(Kind::Postgres, round_trip).await);
}

#[tokio::test]
async fn rows_survive_the_round_trip_on_mysql() {
    succeed(with_database(Kind::MySql, round_trip).await);
}

async fn round_trip(connection: &DatabaseConnection) -> TestResult {
    Migrator::up(connection, None).await?;
    defaults(connection).await?;
    explicit_values(connection).await?;
    constraints(connection).await
}

/// A row of every table that leaves all it can to the defaults of the database.
async fn defaults(connection: &DatabaseConnection) -> TestResult {
    let user = user::ActiveModel { username: Set("anna".to_owned()), phone: Set("1".to_owned()), ..Default::default() }
        .insert(connection)
        .await?;
    ensure_eq!(user, find(User::find_by_id(user.id).one(connection).await?)?);
    ensure_eq!((user.status, user.balance, user.version), (1, 0, 0));
    ensure_eq!((&user.email, &user.profile), (&None, &None));
    ensure_eq!((user.deleted_at, user.creator_id, user.updater_id), (None, None, None));
    ensure_eq!(user.created_at, user.updated_at);
    ensure_eq!(user.created_at.offset().local_minus_utc(), 0);

    // What a default writes has to compare with what SeaORM writes.
    let earlier = user.created_at - std::time::Duration::from_secs(1);
    let later = user.created_at + std::time::Duration::from_secs(1);
    let matches = User::find().filter(user::Column::CreatedAt.between(earlier, later)).count(connection).await?;
    ensure_eq!(matches, 1);

    let account = third_party_account::ActiveModel {
        user_id: Set(user.id),
        platform: Set("github".to_owned()),
        open_id: Set("anna".to_owned()),
        ..Default::default()
    }
    .insert(connection)
    .await?;
    let accounts = user.find_related(ThirdPartyAccount).all(connection).await?;
    ensure_eq!(accounts, [account]);

    let order =
        customer_order::ActiveModel { user_id: Set(user.id), number: Set("A-1".to_owned()), ..Default::default() }
            .insert(connection)
            .await?;
    ensure_eq!((order.total, order.status, order.deleted_at), (0, 0, None));
    let orders = user.find_related(CustomerOrder).all(connection).await?;
    ensure_eq!(orders, [order]);

    let tag = tag::ActiveModel { id: Set(Uuid::from_u128(1)), name: Set("new".to_owned()) }.insert(connection).await?;
    let link = user_tag::ActiveModel { user_id: Set(user.id), tag_id: Set(tag.id), ..Default::default() }
        .insert(connection)
        .await?;
    let key = (user.id, tag.id);
    ensure_eq!(link, find(UserTag::find_by_id(key).one(connection).await?)?);
    ensure_eq!(user.find_related(Tag).all(connection).await?, [tag]);
    Ok(())
}

/// A row of every table with every value given, at the limits of its type where it has some.
async fn explicit_values(connection: &DatabaseConnection) -> TestResult {
    let created_at = DateTimeWithTimeZone::parse_from_rfc3339("2024-02-29T23:59:59.123456+02:00")?;
    let updated_at = DateTimeWithTimeZone::parse_from_rfc3339("2025-06-01T00:00:00.000001-05:30")?;
    let deleted_at = DateTimeWithTimeZone::parse_from_rfc3339("2037-12-31T23:59:59.999999Z")?;

    let user = user::Model {
        id: 1 << 40,
        username: "bjørn".to_owned(),
        email: Some("bjørn@example.org".to_owned()),
        phone: "+47 2".to_owned(),
        status: i16::MIN,
        balance: i64::MAX,
        profile: Some(json!({ "name": "Bjørn", "sizes": [1, 2.5, null], "active": true })),
        created_at,
        updated_at,
        deleted_at: Some(deleted_at),
        creator_id: Some(i64::MIN),
        updater_id: Some(i64::MAX),
        version: i32::MAX,
    };
    insert(&user, connection).await?;
    ensure_eq!(user, find(User::find_by_id(user.id).one(connection).await?)?);

    let account = third_party_account::Model {
        id: 1 << 40,
        user_id: user.id,
        platform: "gitlab".to_owned(),
        open_id: "bjørn".to_owned(),
        created_at,
    };
    insert(&account, connection).await?;
    let found = ThirdPartyAccount::find_by_id(account.id);
    ensure_eq!(account, find(found.one(connection).await?)?);

    let order = customer_order::Model {
        id: 1 << 40,
        user_id: user.id,
        number: "B-1".to_owned(),
        total: i64::MIN,
        status: i16::MAX,
        created_at,
        updated_at,
        deleted_at: Some(deleted_at),
    };
    insert(&order, connection).await?;
    let found = CustomerOrder::find_by_id(order.id);
    ensure_eq!(order, find(found.one(connection).await?)?);

    let item = order_item::Model {
        id: 1 << 40,
        order_id: order.id,
        sku: "chair".to_owned(),
        quantity: i32::MIN,
        unit_price: i64::MAX,
    };
    insert(&item, connection).await?;
    ensure_eq!(item, find(OrderItem::find_by_id(item.id).one(connection).await?)?);

    let tag = tag::Model { id: Uuid::from_u128(u128::MAX - 1), name: "regular".to_owned() };
    insert(&tag, connection).await?;
    ensure_eq!(tag, find(Tag::find_by_id(tag.id).one(connection).await?)?);

    let link = user_tag::Model { user_id: user.id, tag_id: tag.id, created_at };
    insert(&link, connection).await?;
    let key = (user.id, tag.id);
    ensure_eq!(link, find(UserTag::find_by_id(key).one(connection).await?)?);

    let country = country::Model { code: "NO".to_owned(), name: "Norge".to_owned() };
    insert(&country, connection).await?;
    let found = Country::find_by_id(country.code.clone());
    ensure_eq!(country, find(found.one(connection).await?)?);
    Ok(())
}

/// What the schema refuses, and what it deletes along.
async fn constraints(connection: &DatabaseConnection) -> TestResult {
    let twice =
        user::ActiveModel { username: Set("carl".to_owned()), phone: Set("1".to_owned()), ..Default::default() }
            .insert(connection)
            .await;
    let violation = twice.err().and_then(|error| error.sql_err());
    ensure!(
        matches!(violation, Some(SqlErr::UniqueConstraintViolation(_))),
        "a phone number is taken twice: {violation:?}"
    );

    let with_orders = User::delete_by_id(1_i64 << 40).exec(connection).await;
    let violation = with_orders.err().and_then(|error| error.sql_err());
    ensure!(
        matches!(violation, Some(SqlErr::ForeignKeyConstraintViolation(_))),
        "a user with orders is deleted: {violation:?}"
    );

    CustomerOrder::delete_many().exec(connection).await?;
    ensure_eq!(OrderItem::find().count(connection).await?, 0);
    User::delete_many().exec(connection).await?;
    ensure_eq!(ThirdPartyAccount::find().count(connection).await?, 0);
    ensure_eq!(UserTag::find().count(connection).await?, 0);
    ensure_eq!(Tag::find().count(connection).await?, 2);
    Ok(())
}

/// Inserts every value of the row, the primary key included.
async fn insert<M>(row: &M, connection: &DatabaseConnection) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    let row = row.clone().into_active_model().reset_all();
    M::Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

fn find<M>(row: Option<M>) -> TestResult<M> {
    row.ok_or_else(|| "the row is not found".into())
}
