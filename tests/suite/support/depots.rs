//! Tables that belong together by other keys than one number: depots with their parcels by two columns of different types,
//! languages with their words by text.

#![allow(unreachable_pub, reason = "SeaORM's macros make what belongs to an entity public")]

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend};

/// A depot of a region.
pub(crate) mod depot {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "depot")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub region: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::parcel::Entity")]
        Parcel,
    }

    impl Related<super::parcel::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Parcel.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A parcel that may lie in a depot.
pub(crate) mod parcel {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "parcel")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub depot_region: Option<i64>,
        pub depot_number: Option<i32>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::depot::Entity",
            from = "(Column::DepotRegion, Column::DepotNumber)",
            to = "(super::depot::Column::Region, super::depot::Column::Number)"
        )]
        Depot,
    }

    impl Related<super::depot::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Depot.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A language.
pub(crate) mod language {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "language")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(has_many = "super::word::Entity")]
        Word,
    }

    impl Related<super::word::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Word.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A word that may belong to a language.
pub(crate) mod word {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "word")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub language: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::language::Entity",
            from = "Column::Language",
            to = "super::language::Column::Code"
        )]
        Language,
    }

    impl Related<super::language::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::Language.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn create_depots(connection: &impl ConnectionTrait) {
    // The comparison of text that MariaDB has by default.
    let code = match connection.get_database_backend() {
        DbBackend::Sqlite => "VARCHAR(8) COLLATE NOCASE",
        _ => "VARCHAR(8)",
    };
    for statement in [
        "CREATE TABLE depot (region INTEGER NOT NULL, number BIGINT NOT NULL, PRIMARY KEY (region, number))".to_owned(),
        "CREATE TABLE parcel (id BIGINT PRIMARY KEY, depot_region BIGINT, depot_number INTEGER)".to_owned(),
        format!("CREATE TABLE language (code {code} PRIMARY KEY)"),
        format!("CREATE TABLE word (id BIGINT PRIMARY KEY, language {code})"),
    ] {
        connection.execute_unprepared(&statement).await.expect("the tables");
    }
}

pub(crate) fn parcel(id: i64, region: Option<i64>, number: Option<i32>) -> parcel::ActiveModel {
    parcel::ActiveModel { id: Set(id), depot_region: Set(region), depot_number: Set(number) }
}

pub(crate) fn word(id: i64, language: Option<&str>) -> word::ActiveModel {
    word::ActiveModel { id: Set(id), language: Set(language.map(str::to_owned)) }
}
