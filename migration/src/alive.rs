//! What is unique among the rows that are not marked as deleted.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Makes a column unique among the rows of a table whose `deleted_at` is NULL: a deleted row is in nobody's way.
///
/// # Errors
///
/// Those of the statements, such as one for rows that are the same already.
pub async fn unique_unless_deleted(
    manager: &SchemaManager<'_>,
    table: &'static str,
    column: &'static str,
) -> Result<(), DbErr> {
    let mut index = Index::create().name(format!("uq_{table}_{column}")).table(table).col(column).unique().take();
    if manager.get_database_backend() != DbBackend::MySql {
        index.and_where(Expr::col("deleted_at").is_null());
        return manager.create_index(index).await;
    }
    // There are no partial indexes there. In a unique index no NULL is the same as another.
    if !manager.has_column(table, "alive").await? {
        let mut alive = ColumnDef::new("alive");
        alive.boolean().generated(Expr::cust("IF(deleted_at IS NULL, TRUE, NULL)"), false);
        manager.alter_table(Table::alter().table(table).add_column(alive).take()).await?;
    }
    manager.create_index(index.col("alive").take()).await
}
