//! Tags and the users who carry them.

use sea_orm_migration::{prelude::*, schema::*};

use crate::columns::instant_now;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();

        manager
            .create_table(Table::create().table("tag").col(pk_uuid("id")).col(string_len("name", 64)).take())
            .await?;
        manager.create_index(Index::create().name("uq_tag_name").table("tag").col("name").unique().take()).await?;

        manager
            .create_table(
                Table::create()
                    .table("user_tag")
                    .col(big_integer("user_id"))
                    .col(uuid("tag_id"))
                    .col(instant_now(backend, "created_at"))
                    .primary_key(Index::create().col("user_id").col("tag_id"))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_user_tag_user")
                            .from("user_tag", "user_id")
                            .to("user", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_user_tag_tag")
                            .from("user_tag", "tag_id")
                            .to("tag", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .take(),
            )
            .await?;
        // The primary key already serves lookups by user.
        manager.create_index(Index::create().name("ix_user_tag_tag_id").table("user_tag").col("tag_id").take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["user_tag", "tag"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
