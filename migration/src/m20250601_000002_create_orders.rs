//! Orders and their items.

use sea_orm_migration::{prelude::*, schema::*};

use crate::columns::{instant_now, instant_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();

        manager
            .create_table(
                Table::create()
                    .table("customer_order")
                    .col(big_pk_auto("id"))
                    .col(big_integer("user_id"))
                    .col(string_len("number", 32))
                    .col(big_integer("total").default(0))
                    .col(small_integer("status").default(0))
                    .col(instant_now(backend, "created_at"))
                    .col(instant_now(backend, "updated_at"))
                    .col(instant_null(backend, "deleted_at"))
                    .foreign_key(
                        // Orders are records: a user who has some cannot be deleted. `NO ACTION`
                        // and not `RESTRICT`, whose violation has error codes of its own on
                        // SQLite and PostgreSQL 18 that SeaORM does not know.
                        ForeignKey::create()
                            .name("fk_customer_order_user")
                            .from("customer_order", "user_id")
                            .to("user", "id")
                            .on_delete(ForeignKeyAction::NoAction),
                    )
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("ix_customer_order_user_id").table("customer_order").col("user_id").take(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("uq_customer_order_number").table("customer_order").col("number").unique().take(),
            )
            .await?;

        manager
            .create_table(
                Table::create()
                    .table("order_item")
                    .col(big_pk_auto("id"))
                    .col(big_integer("order_id"))
                    .col(string_len("sku", 64))
                    .col(integer("quantity"))
                    .col(big_integer("unit_price"))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_order_item_order")
                            .from("order_item", "order_id")
                            .to("customer_order", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .take(),
            )
            .await?;
        manager
            .create_index(Index::create().name("ix_order_item_order_id").table("order_item").col("order_id").take())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["order_item", "customer_order"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
