//! Primary keys that are made on this side.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicI64, Ordering},
};

use entities::{country, tag, user};
use sea_dao::{
    BaseDao, Conventions, Error, Result,
    convention::{IdGenerator, Ids, Snowflake},
    query::Conditions,
};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait,
    entity::prelude::*,
    sea_query::{ColumnDef, Table},
};

use crate::support::{TestDb, new_user};

for_each_backend!(
    a_uuid_is_made,
    a_snowflake_is_made,
    a_key_that_the_database_makes_is_left_to_it,
    a_key_of_another_row_is_not_made,
    a_generator_of_ones_own,
    a_generated_key_that_does_not_fit,
);

mod event {
    use super::*;

    /// A row whose key the database does not make.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "event")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    pub(crate) fn new(name: &str) -> ActiveModel {
        ActiveModel { name: Set(name.to_owned()), ..Default::default() }
    }

    pub(crate) async fn create(db: &TestDb) {
        let table = Table::create()
            .table(Entity)
            .col(ColumnDef::new(Column::Id).big_integer().not_null().primary_key())
            .col(ColumnDef::new(Column::Name).string_len(64).not_null())
            .to_owned();
        db.execute(&table).await.expect("the table");
        db.recorder().forget();
    }
}

mod settings {
    use super::*;

    /// One to one: its key is a user's.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "settings")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) user_id: i64,
        pub(crate) theme: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {
        #[sea_orm(belongs_to = "user::Entity", from = "Column::UserId", to = "user::Column::Id")]
        User,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

async fn a_uuid_is_made(db: TestDb) {
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let new = |name: String| tag::ActiveModel { name: Set(name), ..Default::default() };
    let first = tags.insert(new("first".to_owned())).await.unwrap();
    assert_eq!(first.id.get_version_num(), 7);
    assert_eq!(tags.find_by_id(first.id).await.unwrap().as_ref(), Some(&first));

    tags.insert_many((0..500).map(|index| new(index.to_string()))).await.unwrap();
    let all = tags.query().order_asc(tag::Column::Id).all().await.unwrap();
    assert_eq!(all.len(), 501);
    assert_eq!(all[0], first, "they sort by when they were made");
    let names: Vec<_> = all[1..].iter().map(|tag| tag.name.parse::<i32>().unwrap()).collect();
    assert!(names.is_sorted(), "also within a millisecond");

    let given = Uuid::from_u128(9);
    let set = tag::ActiveModel { id: Set(given), ..new("given".to_owned()) };
    assert_eq!(tags.insert(set).await.unwrap().id, given);
}

async fn a_snowflake_is_made(db: TestDb) {
    event::create(&db).await;
    let events = BaseDao::<event::Entity>::new((*db).clone());
    let first = events.insert(event::new("first")).await.unwrap();
    let node = i64::from(Snowflake::of_process().unwrap().node());
    assert_eq!(first.id >> 12 & 1023, node);
    events.insert_many((0..500).map(|index| event::new(&index.to_string()))).await.unwrap();
    let all = events.query().order_asc(event::Column::Id).all().await.unwrap();
    assert_eq!((all.len(), &all[0]), (501, &first));
    let set = event::ActiveModel { id: Set(7), ..event::new("given") };
    assert_eq!(events.insert(set).await.unwrap().id, 7);

    // From many tasks at once.
    let work = (0..200).map(|index| {
        let events = events.clone();
        tokio::spawn(async move { events.insert(event::new(&format!("task {index}"))).await.unwrap().id })
    });
    let ids = futures_util::future::join_all(work).await.into_iter().map(|id| id.unwrap());
    assert_eq!(ids.collect::<HashSet<_>>().len(), 200);

    let off = Conventions { ids: Ids::Database, ..Conventions::default() };
    let off = BaseDao::<event::Entity>::with_conventions((*db).clone(), off);
    db.recorder().forget();
    let _ = off.insert(event::new("none")).await;
    assert_eq!(inserted_columns(&db), ["name"]);
}

/// The columns that the last INSERT names.
fn inserted_columns(db: &TestDb) -> Vec<String> {
    let sent = db.recorder().take();
    let (_, rest) = sent[0].sql.split_once('(').unwrap();
    let (columns, _) = rest.split_once(')').unwrap();
    columns.split(", ").map(|column| column.trim_matches(['"', '`']).to_owned()).collect()
}

async fn a_key_that_the_database_makes_is_left_to_it(db: TestDb) {
    let users = BaseDao::<user::Entity>::new((*db).clone());
    assert_eq!(users.insert(new_user("ada")).await.unwrap().id, 1);
    // A text is not made up.
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let nameless = country::ActiveModel { name: Set("Norway".to_owned()), ..Default::default() };
    let made = countries.insert(nameless).await;
    assert!(made.is_err(), "{made:?}");
}

async fn a_key_of_another_row_is_not_made(db: TestDb) {
    let table = Table::create()
        .table(settings::Entity)
        .col(ColumnDef::new(settings::Column::UserId).big_integer().not_null().primary_key())
        .col(ColumnDef::new(settings::Column::Theme).string_len(64).not_null())
        .to_owned();
    db.execute(&table).await.unwrap();
    db.recorder().forget();
    let dao = BaseDao::<settings::Entity>::new((*db).clone());
    let homeless = settings::ActiveModel { theme: Set("dark".to_owned()), ..Default::default() };
    let _ = dao.insert(homeless).await;
    assert_eq!(inserted_columns(&db), ["theme"]);
}

struct Numbers(AtomicI64);

impl IdGenerator for Numbers {
    fn next_id(&self) -> Result<sea_orm::Value> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed).into())
    }
}

async fn a_generator_of_ones_own(db: TestDb) {
    static NUMBERS: Numbers = Numbers(AtomicI64::new(1_000_000));
    let by_number = Conventions { ids: Ids::From(&NUMBERS), ..Conventions::default() };
    // It counts also where the database would make the key.
    let users = BaseDao::<user::Entity>::with_conventions((*db).clone(), by_number);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert!(ada.id >= 1_000_000);
    users.insert_many((0..10).map(|index| new_user(&index.to_string()))).await.unwrap();
    assert_eq!(users.query().ge(user::Column::Id, ada.id).count().await.unwrap(), 11);
}

async fn a_generated_key_that_does_not_fit(db: TestDb) {
    static NUMBERS: Numbers = Numbers(AtomicI64::new(0));
    let by_number = Conventions { ids: Ids::From(&NUMBERS), ..Conventions::default() };
    let tags = BaseDao::<tag::Entity>::with_conventions((*db).clone(), by_number);
    let error = tags.insert(tag::ActiveModel { name: Set("red".to_owned()), ..Default::default() }).await.unwrap_err();
    assert!(matches!(error.root(), Error::InvalidArgument { argument: "generated id", .. }), "{error:?}");
    assert!(error.to_string().contains("tag.id, Uuid"), "{error}");
    assert_eq!(db.recorder().begun(), 0);
}
