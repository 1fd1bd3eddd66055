//! INSERT and UPDATE of one row that give the row back, written as SeaORM writes them.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbBackend, DbErr, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, RuntimeErr,
    StatementBuilder, Value, Values,
    sea_query::{Expr, InsertStatement, IntoCondition, Query, UpdateStatement},
};

use super::{
    key::Key,
    texts::{Operation, Ready, Shape, bound, into_bound},
};
use crate::{backend::insert_returning, convention::ExpectedVersion};

/// What one row sets, in the order of the columns.
type Sets<E> = Vec<(<E as EntityTrait>::Column, Expr)>;

/// The statement that inserts a row.
pub(super) fn insert<E: EntityTrait>(mut model: E::ActiveModel, backend: DbBackend) -> Result<Ready, DbErr> {
    let mut shape = Shape::new::<E>(Operation::Insert, backend, None);
    let mut sets = Sets::<E>::new();
    for (place, column) in E::Column::iter().enumerate() {
        if let Some(value) = model.take(column).into_value() {
            let expression = column.save_as(Expr::Value(value));
            shape.sets(place, &expression);
            sets.push((column, expression));
        }
    }
    if let Some(sql) = shape.known() {
        return Ok(Ready::Known(sql, Values(into_values::<E>(sets).collect())));
    }
    let values: Vec<Value> = values::<E>(&sets).collect();
    let (columns, expressions): (Vec<_>, Vec<_>) = sets.into_iter().unzip();
    let mut insert = InsertStatement::new();
    insert.into_table(E::default().table_ref()).or_default_values().columns(columns);
    insert.values(expressions).map_err(|error| DbErr::Query(RuntimeErr::Internal(error.to_string())))?;
    let statement = insert_returning(insert, whole_row::<E>(backend), backend);
    shape.keep(&statement, values.into_iter());
    Ok(Ready::Built(statement))
}

/// The statement that updates the row with this key, unless it is deleted.
pub(super) fn update<E: EntityTrait>(
    mut model: E::ActiveModel,
    key: &Key<E>,
    deleted_at: Option<E::Column>,
    expected: Option<&ExpectedVersion<E>>,
    backend: DbBackend,
) -> Ready {
    let mut shape = Shape::new::<E>(Operation::Update, backend, deleted_at.map(|column| column.as_str()));
    let mut sets = Sets::<E>::new();
    for (place, column) in E::Column::iter().enumerate() {
        if let sea_orm::ActiveValue::Set(value) = model.take(column)
            && E::PrimaryKey::from_column(column).is_none()
        {
            let expression = column.save_as(Expr::Value(value));
            shape.sets(place, &expression);
            sets.push((column, expression));
        }
    }
    for (place, (column, value)) in key.parts().enumerate() {
        // Behind all columns that can be set.
        shape.compares(usize::MAX - 1 - place, column, value);
    }
    if let Some(ExpectedVersion { column, value }) = expected {
        shape.expects(*column, value);
    }
    let compared = || key.parts().map(|(_, value)| value).chain(expected.map(|expected| &expected.value)).cloned();
    if let Some(sql) = shape.known() {
        return Ready::Known(sql, Values(into_values::<E>(sets).chain(compared()).collect()));
    }
    let values: Vec<Value> = values::<E>(&sets).collect();
    let mut update = UpdateStatement::new();
    update.table(E::default().table_ref());
    for condition in key.conditions() {
        update.cond_where(condition.into_condition());
    }
    if let Some(deleted_at) = deleted_at {
        update.cond_where(deleted_at.is_null().into_condition());
    }
    if let Some(expected) = expected {
        update.cond_where(expected.condition().into_condition());
    }
    for (column, expression) in sets {
        update.value(column, expression);
    }
    update.returning(Query::returning().exprs(whole_row::<E>(backend)));
    let statement = StatementBuilder::build(&update, &backend);
    shape.keep(&statement, values.into_iter().chain(compared()));
    Ready::Built(statement)
}

pub(super) fn whole_row<E: EntityTrait>(backend: DbBackend) -> impl Iterator<Item = Expr> {
    E::Column::iter().map(move |column| column.select_as(column.into_returning_expr(backend)))
}

fn values<E: EntityTrait>(sets: &Sets<E>) -> impl Iterator<Item = Value> {
    sets.iter().filter_map(|(_, expression)| bound(expression)).cloned()
}

fn into_values<E: EntityTrait>(sets: Sets<E>) -> impl Iterator<Item = Value> {
    sets.into_iter().filter_map(|(_, expression)| into_bound(expression))
}

#[cfg(test)]
mod tests {
    use sea_orm::{
        ActiveValue::{NotSet, Set, Unchanged},
        DeriveActiveEnum, EntityTrait, EnumIter, QueryFilter, QueryTrait, Statement,
        entity::prelude::*,
    };

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "mood")]
    enum Mood {
        #[sea_orm(string_value = "calm")]
        Calm,
        #[sea_orm(string_value = "wild")]
        Wild,
    }

    mod animal {
        use super::Mood;
        use sea_orm::entity::prelude::*;

        #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "animal", schema_name = "zoo")]
        pub(super) struct Model {
            #[sea_orm(primary_key)]
            pub(super) id: i64,
            pub(super) legs: Option<i16>,
            pub(super) mood: Option<Mood>,
            #[sea_orm(save_as = "citext", select_as = "text")]
            pub(super) name: String,
            pub(super) data: Json,
            pub(super) deleted_at: Option<DateTimeUtc>,
        }

        #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
        pub(super) enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    /// Large amounts are written in another way than small ones.
    mod payment {
        use sea_orm::{
            entity::prelude::*,
            sea_query::{Expr, ExprTrait},
        };

        #[derive(Debug, Clone, Copy, Default, DeriveEntity)]
        pub(super) struct Entity;

        impl EntityName for Entity {
            fn table_name(&self) -> &'static str {
                "payment"
            }
        }

        #[derive(Debug, Clone, PartialEq, Eq, DeriveModel, DeriveActiveModel)]
        pub(super) struct Model {
            pub(super) id: i64,
            pub(super) amount: i64,
        }

        #[derive(Debug, Clone, Copy, EnumIter, DeriveColumn)]
        pub(super) enum Column {
            Id,
            Amount,
        }

        #[derive(Debug, Clone, Copy, EnumIter, DerivePrimaryKey)]
        pub(super) enum PrimaryKey {
            Id,
        }

        impl PrimaryKeyTrait for PrimaryKey {
            type ValueType = i64;

            fn auto_increment() -> bool {
                true
            }
        }

        impl ColumnTrait for Column {
            type EntityName = Entity;

            fn def(&self) -> ColumnDef {
                ColumnType::BigInteger.def()
            }

            fn save_as(&self, value: Expr) -> Expr {
                match &value {
                    Expr::Value(Value::BigInt(Some(amount))) if *amount > 1_000 => value.cast_as("numeric"),
                    _ => value,
                }
            }
        }

        #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
        pub(super) enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    const DATABASES: [DbBackend; 3] = [DbBackend::Sqlite, DbBackend::Postgres, DbBackend::MySql];

    fn text(ready: Ready) -> (String, Vec<Value>) {
        match ready {
            Ready::Known(sql, values) => (sql.into_text().to_string(), values.0),
            Ready::Built(statement) => parts(statement),
        }
    }

    fn parts(statement: Statement) -> (String, Vec<Value>) {
        (statement.sql, statement.values.map(|values| values.0).unwrap_or_default())
    }

    fn inserted_by_sea_orm<E: EntityTrait>(model: E::ActiveModel, backend: DbBackend) -> (String, Vec<Value>) {
        parts(insert_returning(E::insert(model).into_query(), whole_row::<E>(backend), backend))
    }

    fn updated_by_sea_orm(
        model: animal::ActiveModel,
        deleted_at: Option<animal::Column>,
        expected: Option<&ExpectedVersion<animal::Entity>>,
        backend: DbBackend,
    ) -> (String, Vec<Value>) {
        let mut update = animal::Entity::update(model).validate().expect("a key");
        if let Some(deleted_at) = deleted_at {
            update = update.filter(deleted_at.is_null());
        }
        if let Some(expected) = expected {
            update = update.filter(expected.condition());
        }
        let whole_row = Query::returning().exprs(whole_row::<animal::Entity>(backend));
        parts(StatementBuilder::build(update.into_query().returning(whole_row), &backend))
    }

    /// Animals that set each choice of the columns, twice, with other values the second time. A column that is not set
    /// is left out, or was loaded.
    fn animals() -> impl Iterator<Item = (u8, animal::ActiveModel)> {
        (0..32_u8).flat_map(|columns| [(columns, false), (columns, true)]).map(|(columns, second)| {
            let set = |column: u8| columns & (1 << column) != 0;
            let model = animal::ActiveModel {
                id: Set(i64::from(columns)),
                legs: if set(0) { Set(second.then_some(4)) } else { Unchanged(Some(2)) },
                mood: if set(1) { Set(Some(if second { Mood::Wild } else { Mood::Calm })) } else { NotSet },
                name: if set(2) { Set(format!("animal {second}")) } else { NotSet },
                data: if set(3) { Set(second.into()) } else { NotSet },
                deleted_at: if set(4) { Set(None) } else { NotSet },
            };
            (columns, model)
        })
    }

    #[test]
    fn inserts_are_those_of_sea_orm() {
        for backend in DATABASES {
            for (columns, model) in animals() {
                let expected = inserted_by_sea_orm::<animal::Entity>(model.clone(), backend);
                let ready = insert::<animal::Entity>(model, backend).expect("an insert");
                assert_eq!(text(ready), expected, "{columns:05b} {backend:?}");
            }
            let nothing: animal::ActiveModel = ActiveModelTrait::default();
            for _ in 0..2 {
                let expected = inserted_by_sea_orm::<animal::Entity>(nothing.clone(), backend);
                let ready = insert::<animal::Entity>(nothing.clone(), backend).expect("an insert");
                assert_eq!(text(ready), expected, "{backend:?}");
            }
        }
    }

    #[test]
    fn updates_are_those_of_sea_orm() {
        for backend in DATABASES {
            for (columns, model) in animals() {
                let version = |value| Some(ExpectedVersion { column: animal::Column::Legs, value });
                let alive = Some(animal::Column::DeletedAt);
                for (deleted_at, expected) in [
                    (None, None),
                    (alive, None),
                    (alive, version(3_i16.into())),
                    (None, version(4_i16.into())),
                    (None, version(None::<i16>.into())),
                ] {
                    let by_sea_orm = updated_by_sea_orm(model.clone(), deleted_at, expected.as_ref(), backend);
                    let key = Key::of_active_model(&model).expect("a key");
                    let ready = update::<animal::Entity>(model.clone(), &key, deleted_at, expected.as_ref(), backend);
                    assert_eq!(text(ready), by_sea_orm, "{columns:05b} {backend:?}");
                }
            }
        }
    }

    #[test]
    fn a_text_is_kept_unless_a_value_is_more_than_a_placeholder() {
        for backend in DATABASES {
            for (columns, model) in animals() {
                let casts = columns & 0b100 != 0;
                let key = Key::of_active_model(&model).expect("a key");
                let again = || update::<animal::Entity>(model.clone(), &key, None, None, backend);
                drop(again());
                assert_eq!(matches!(again(), Ready::Known(..)), !casts, "{columns:05b} {backend:?}");
            }
        }
    }

    #[test]
    fn a_column_may_write_its_values_in_different_ways() {
        for backend in DATABASES {
            for amount in [1, 2, 3_000, 4, 5_000, 6] {
                let model = payment::ActiveModel { id: NotSet, amount: Set(amount) };
                let expected = inserted_by_sea_orm::<payment::Entity>(model.clone(), backend);
                let ready = insert::<payment::Entity>(model, backend).expect("an insert");
                assert_eq!(text(ready), expected, "{amount} {backend:?}");
            }
        }
    }
}
