//! Which models are read by position.

use sea_orm::{DbBackend, FromQueryResult as _, QueryResult, entity::prelude::*};
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::{Models, Way, known};

mod plain {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "thing")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
        pub(super) note: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(Debug, Clone, PartialEq, DeriveValueType)]
pub(crate) struct Name(String);

mod wrapped {
    use super::Name;
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "thing")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) name: Name,
        pub(super) note: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod longer {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "thing")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
        #[sea_orm(ignore)]
        pub(super) length: usize,
        pub(super) note: Option<String>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An entity that nothing is known of.
mod fresh {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "thing")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        pub(super) name: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn rows(sql: &'static str) -> Vec<QueryResult> {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("a connection");
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.expect("rows");
    assert!(rows.iter().all(|row| !row.is_empty()));
    rows.into_iter().map(QueryResult::from).collect()
}

/// So many rows of things whose note is NULL in all but the last ones.
async fn things() -> Vec<QueryResult> {
    rows(
        "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 60) \
         SELECT id, 'it''s ' || id || ', \"Some(1)\" }' AS name, CASE WHEN id > 40 THEN 'note' END AS note FROM n",
    )
    .await
}

/// Reads them; whether the last was read by position.
fn read<E: EntityTrait>(rows: &[QueryResult]) -> bool
where
    E::Model: PartialEq,
{
    let mut models = Models::<E>::new();
    for row in rows {
        let read = models.read(row).expect("a model");
        assert_eq!(read, E::Model::from_query_result(row, "").expect("a model"));
    }
    matches!(models.0, Way::ByPosition { .. })
}

#[tokio::test]
async fn a_plain_model_is_read_by_position() {
    let rows = things().await;
    assert!(read::<plain::Entity>(&rows));
    let shape = known::shape::<plain::Entity>(DbBackend::Sqlite).flatten().expect("a shape");
    let (row, blank) = (super::cells(&rows[59]).expect("cells"), shape.blank());
    assert!(shape.read(&blank, row).is_ok_and(|model| model.note.as_deref() == Some("note")));
}

#[tokio::test]
async fn a_model_that_is_more_than_plain_columns_is_not() {
    let rows = things().await;
    assert!(!read::<wrapped::Entity>(&rows));
    assert!(known::shape::<wrapped::Entity>(DbBackend::Sqlite).is_some_and(|shape| shape.is_none()));
    assert!(!read::<longer::Entity>(&rows));
    assert!(known::shape::<longer::Entity>(DbBackend::Sqlite).is_some_and(|shape| shape.is_none()));
}

#[tokio::test]
async fn columns_in_another_order_are_found_by_their_names() {
    let rows = rows("SELECT 'name' AS name, 1 AS id").await;
    assert!(!read::<fresh::Entity>(&rows));
    assert!(known::shape::<fresh::Entity>(DbBackend::Sqlite).is_none(), "it says nothing of the entity");
}
