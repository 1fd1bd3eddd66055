//! Updates of many rows whose keys are given in other words than the rows show them.

use entities::country;
use sea_dao::{BaseDao, Error};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ConnectionTrait, Schema,
    prelude::Decimal,
};

use crate::support::TestDb;

for_each_backend!(
    a_version_is_checked_by_every_name_of_a_row,
    a_row_that_is_there_is_not_missing,
    a_row_that_is_given_twice_in_other_words,
    texts_that_the_database_compares_otherwise,
);

mod measure {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "measure")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Decimal(Some((20, 4)))")]
        pub(crate) id: Decimal,
        pub(crate) name: String,
        pub(crate) version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn measures(db: &TestDb, ids: &[&str]) -> BaseDao<measure::Entity> {
    let table = Schema::new(db.backend()).create_table_from_entity(measure::Entity);
    db.execute(&table).await.unwrap();
    let measures = BaseDao::new((**db).clone());
    let row = |id: &&str| measure::Model { id: decimal(id), name: "first".to_owned(), version: 0 };
    measures.insert_many(ids.iter().map(row)).await.unwrap();
    measures
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn named(id: &str, name: &str, version: i64) -> measure::ActiveModel {
    measure::ActiveModel { id: Unchanged(decimal(id)), name: Set(name.to_owned()), version: Unchanged(version) }
}

async fn names(measures: &BaseDao<measure::Entity>) -> Vec<String> {
    measures.query().order_asc(measure::Column::Id).columns([measure::Column::Name]).await.unwrap()
}

async fn a_version_is_checked_by_every_name_of_a_row(db: TestDb) {
    let measures = measures(&db, &["1.5", "2.25"]).await.optimistic_lock(measure::Column::Version);
    assert_eq!(measures.update_many([named("1.5", "theirs", 0)]).await.unwrap(), 1);
    for id in ["1.5", "1.50", "1.500000"] {
        let error = measures.update_many([named(id, "mine", 0)]).await.unwrap_err();
        assert!(error.is_version_conflict() && error.row() == Some(0), "{id}: {error:?}");
        let error = measures.update_many([named("2.250", "mine", 0), named(id, "mine", 0)]).await.unwrap_err();
        assert!(error.is_version_conflict() && error.row() == Some(1), "{id}: {error:?}");
    }
    assert_eq!(names(&measures).await, ["theirs", "first"]);
    assert_eq!(measures.update_many([named("2.250", "mine", 0), named("1.50", "mine", 1)]).await.unwrap(), 2);
    let rows = measures.query().order_asc(measure::Column::Id).all().await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.name.as_str(), row.version)).collect::<Vec<_>>(), [("mine", 2), ("mine", 1)]);
}

async fn a_row_that_is_there_is_not_missing(db: TestDb) {
    let measures = measures(&db, &["1.5", "2.25"]).await;
    let rows = [named("1.50", "new", 0), named("9", "new", 0), named("2.250", "new", 0)];
    let error = measures.update_many(rows).await.unwrap_err();
    assert!(error.is_not_found() && error.row() == Some(1), "{error:?}");
    assert!(matches!(error.root(), Error::NotFound { key, .. } if key == "id = 9"), "{error:?}");
    assert_eq!(names(&measures).await, ["first", "first"]);
    let same = ["1.50", "2.250"].map(|id| measure::ActiveModel {
        id: Unchanged(decimal(id)),
        name: Unchanged("first".to_owned()),
        version: Unchanged(0),
    });
    assert_eq!(measures.update_many(same).await.unwrap(), 2, "rows in which nothing changes");
}

async fn a_row_that_is_given_twice_in_other_words(db: TestDb) {
    let plain = measures(&db, &["1.5", "2.25"]).await;
    for measures in [plain.clone(), plain.optimistic_lock(measure::Column::Version)] {
        let rows = [named("1.5", "one", 0), named("1.50", "other", 0)];
        let error = measures.update_many(rows).await.unwrap_err();
        assert!(matches!(error.root(), Error::InvalidArgument { argument: "primary key", .. }), "{error:?}");
        assert_eq!(error.row(), Some(1), "{error}");
        assert_eq!(names(&measures).await, ["first", "first"]);
    }
}

/// Whether upper case is another text is up to the column.
async fn texts_that_the_database_compares_otherwise(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let country = |code: &str| country::ActiveModel { code: Set(code.to_owned()), name: Set("new".to_owned()) };
    countries.insert_many(["no", "se"].map(country)).await.unwrap();
    let is_same = countries.exists("NO").await.unwrap();
    let updated = countries.update_many(["NO", "??", "se"].map(country)).await.unwrap_err();
    assert!(updated.is_not_found(), "{updated:?}");
    assert_eq!(updated.row(), Some(usize::from(is_same)), "{updated}");
}
