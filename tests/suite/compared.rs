//! Values that a database reads, compares and sorts in different ways.

use sea_dao::{BaseDao, Result, query::Conditions};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbBackend, DeriveActiveEnum, EnumIter, IntoActiveModel, entity::prelude::*,
    query::Order,
};

use crate::support::TestDb;

for_each_backend!(
    texts_of_a_fixed_length,
    keys_of_a_fixed_length,
    conditions_on_texts_of_a_fixed_length,
    enums_in_their_own_order,
);

/// PostgreSQL gives what is shorter than the column with spaces behind it.
mod code {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "code")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Char(Some(8))")]
        pub(super) code: String,
        #[sea_orm(column_type = "Char(Some(4))")]
        pub(super) kind: String,
        #[sea_orm(column_type = "Char(Some(4))", nullable)]
        pub(super) part: Option<String>,
        pub(super) name: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {
        #[sea_orm(has_many = "super::use_of::Entity")]
        Use,
    }

    impl Related<super::use_of::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Use.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod use_of {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "use_of")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: i64,
        #[sea_orm(column_type = "Char(Some(8))", nullable)]
        pub(super) code: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {
        #[sea_orm(belongs_to = "super::code::Entity", from = "Column::Code", to = "super::code::Column::Code")]
        Code,
    }

    impl Related<super::code::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Code.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// In another order than that of the alphabet.
#[derive(Debug, Clone, PartialEq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "weather")]
pub(crate) enum Weather {
    #[sea_orm(string_value = "sun")]
    Sun,
    #[sea_orm(string_value = "rain")]
    Rain,
    #[sea_orm(string_value = "wind")]
    Wind,
}

mod day {
    use super::Weather;
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "day")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) today: Weather,
        pub(super) forecast: Option<Weather>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn codes(db: &TestDb) -> BaseDao<code::Entity> {
    let sql =
        "CREATE TABLE code (code CHAR(8) PRIMARY KEY, kind CHAR(4) NOT NULL, part CHAR(4), name VARCHAR(50) NOT NULL)";
    db.execute_unprepared(sql).await.unwrap();
    let codes = BaseDao::<code::Entity>::new((**db).clone());
    let row = |number: usize| code::ActiveModel {
        code: Set(format!("c{number}")),
        kind: Set(["a", "b", "full"][number % 3].to_owned()),
        part: Set([None, Some("x".to_owned())][number % 2].clone()),
        name: Set(number.to_string()),
    };
    codes.insert_many((0..14).map(row)).await.unwrap();
    codes
}

/// Walks to the end and back again, and compares with what a single query gives.
pub(crate) async fn walk<E: EntityTrait>(dao: &BaseDao<E>, by: E::Column, order: Order, key: E::Column)
where
    E::Model: PartialEq + Send + Sync,
{
    let query = || dao.query().order_by(by, order.clone()).order_asc(key);
    let whole = query().all().await.unwrap();
    let first = query().cursor(3, None).await.unwrap();
    let (mut there, mut last) = (first.items.clone(), first);
    while let Some(token) = last.next {
        last = query().cursor(3, Some(&token)).await.unwrap();
        there.extend(last.items.iter().cloned());
        assert!(there.len() <= whole.len(), "{by:?} {order:?}: it does not end");
    }
    assert_eq!(there, whole, "{by:?} {order:?}");
    let mut back = last.items;
    while let Some(token) = last.previous {
        last = query().cursor(3, Some(&token)).await.unwrap();
        back.splice(..0, last.items);
        assert!(back.len() <= whole.len(), "{by:?} {order:?}: the way back does not end");
    }
    assert_eq!(back, whole, "{by:?} {order:?} backwards");
}

async fn texts_of_a_fixed_length(db: TestDb) {
    use code::Column::{Code, Kind, Part};
    let codes = codes(&db).await;
    for order in [Order::Asc, Order::Desc] {
        for column in [Code, Kind, Part] {
            walk(&codes, column, order.clone(), Code).await;
        }
    }
}

async fn keys_of_a_fixed_length(db: TestDb) {
    let codes = codes(&db).await;
    let named = |row: &code::Model, name: &str| code::ActiveModel {
        name: Set(name.to_owned()),
        ..row.clone().into_active_model()
    };
    let rows = codes.find_by_ids(["c1", "c2", "c3"]).await.unwrap();
    assert_eq!(codes.update(named(&rows[0], "updated")).await.unwrap().name, "updated");
    assert_eq!(codes.update_many(rows.iter().map(|row| named(row, "many"))).await.unwrap(), 3);
    let keys = || rows.iter().map(|row| row.code.clone());
    assert_eq!(codes.find_by_ids(keys()).await.unwrap().len(), 3);
    assert!(codes.find_by_ids_in_order(keys()).await.unwrap().iter().all(|row| row.as_ref().unwrap().name == "many"));
    assert!(codes.find_by_ids_in_order(["c1", "c2"]).await.unwrap().iter().all(Option::is_some));
    assert!(codes.loader().load(rows[0].code.clone()).await.unwrap().is_some());

    db.execute_transaction(async |tx| -> Result<()> {
        let codes = codes.within(tx);
        for row in &rows {
            codes.edit(row.clone())?.set(code::Column::Name, format!("edited {}", row.code.trim_end()))?;
        }
        tx.flush().await?;
        codes.remove(&rows[2])
    })
    .await
    .unwrap();
    assert_eq!(codes.find_by_id("c2").await.unwrap().unwrap().name, "edited c2");
    codes.delete(&rows[1]).await.unwrap();
    assert_eq!(codes.delete_many(keys()).await.unwrap(), 1);
    assert_eq!(codes.count().await.unwrap(), 11);
}

async fn conditions_on_texts_of_a_fixed_length(db: TestDb) {
    use code::Column::{Code, Name};
    let codes = codes(&db).await;
    let uses = BaseDao::<use_of::Entity>::new((*db).clone());
    db.execute_unprepared("CREATE TABLE use_of (id BIGINT PRIMARY KEY, code CHAR(8))").await.unwrap();
    let use_of = |id: i64| use_of::ActiveModel { id: Set(id), code: Set((id % 3 > 0).then(|| format!("c{}", id % 3))) };
    uses.insert_many((0..9).map(use_of)).await.unwrap();

    let read = codes.find_by_id("c1").await.unwrap().unwrap();
    let code = || read.code.clone();
    assert_eq!(codes.count().eq(Code, code()).await.unwrap(), 1);
    assert_eq!(codes.count().ne(Code, code()).await.unwrap(), 13);
    assert_eq!(codes.count().in_(Code, [code(), "c2".to_owned()]).await.unwrap(), 2);
    assert_eq!(codes.count().not_in(Code, [code(), "c2".to_owned()]).await.unwrap(), 12);
    assert_eq!(codes.count().between(Code, code(), code()).await.unwrap(), 1);
    assert_eq!(codes.count().ge(Code, code()).le(Code, code()).await.unwrap(), 1);
    assert_eq!(codes.count().gt(Code, code()).lt(Code, code()).await.unwrap(), 0);

    let used = codes.query().in_(Name, ["0", "1", "2"]).order_asc(Code).with_many(use_of::Entity).all().await.unwrap();
    assert_eq!(used.iter().map(|(_, uses)| uses.len()).collect::<Vec<_>>(), [0, 3, 3]);
    let found = uses.query().with_one(code::Entity).all().await.unwrap();
    assert_eq!(found.iter().filter(|(_, code)| code.is_some()).count(), 6);

    let (found, inserted) = codes.find_or_insert([Code], read.clone().into_active_model().reset_all()).await.unwrap();
    assert_eq!((&found, inserted), (&read, false));
    let upserted =
        codes.upsert_many_returning([code::ActiveModel { name: Set("up".into()), ..read.into_active_model() }]);
    assert_eq!(upserted.await.unwrap()[0].name, "up");
}

async fn enums_in_their_own_order(db: TestDb) {
    let weather = match db.backend() {
        DbBackend::MySql => "ENUM('sun', 'rain', 'wind')",
        DbBackend::Postgres => "weather",
        _ => "TEXT",
    };
    let id = match db.backend() {
        DbBackend::MySql => "BIGINT AUTO_INCREMENT PRIMARY KEY",
        DbBackend::Postgres => "BIGSERIAL PRIMARY KEY",
        _ => "INTEGER PRIMARY KEY",
    };
    if db.backend() == DbBackend::Postgres {
        db.execute_unprepared("CREATE TYPE weather AS ENUM ('sun', 'rain', 'wind')").await.unwrap();
    }
    let sql = format!("CREATE TABLE day (id {id}, today {weather} NOT NULL, forecast {weather})");
    db.execute_unprepared(&sql).await.unwrap();
    let days = BaseDao::<day::Entity>::new((*db).clone());
    let row = |number: usize| day::ActiveModel {
        today: Set([Weather::Sun, Weather::Rain, Weather::Wind][number % 3].clone()),
        forecast: Set([None, Some(Weather::Sun), Some(Weather::Rain), Some(Weather::Wind)][number % 4].clone()),
        ..Default::default()
    };
    days.insert_many((0..20).map(row)).await.unwrap();
    for order in [Order::Asc, Order::Desc] {
        for column in [day::Column::Today, day::Column::Forecast] {
            walk(&days, column, order.clone(), day::Column::Id).await;
        }
    }
}
