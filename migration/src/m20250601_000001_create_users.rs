//! Users and the accounts they have elsewhere.

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
                    .table("user")
                    .col(big_pk_auto("id"))
                    .col(string_len("username", 64))
                    .col(string_len_null("email", 255))
                    .col(string_len("phone", 32))
                    .col(small_integer("status").default(1))
                    // Minor units, so that no sum is ever rounded.
                    .col(big_integer("balance").default(0))
                    .col(json_binary_null("profile"))
                    .col(instant_now(backend, "created_at"))
                    .col(instant_now(backend, "updated_at"))
                    .col(instant_null(backend, "deleted_at"))
                    // No foreign keys: what a user wrote outlives the user.
                    .col(big_integer_null("creator_id"))
                    .col(big_integer_null("updater_id"))
                    .col(integer("version").default(0))
                    .take(),
            )
            .await?;
        for column in ["username", "phone"] {
            manager
                .create_index(
                    Index::create().name(format!("uq_user_{column}")).table("user").col(column).unique().take(),
                )
                .await?;
        }

        manager
            .create_table(
                Table::create()
                    .table("third_party_account")
                    .col(big_pk_auto("id"))
                    .col(big_integer("user_id"))
                    .col(string_len("platform", 32))
                    .col(string_len("open_id", 128))
                    .col(instant_now(backend, "created_at"))
                    .foreign_key(
                        ForeignKey::create()
                            .name("fk_third_party_account_user")
                            .from("third_party_account", "user_id")
                            .to("user", "id")
                            .on_delete(ForeignKeyAction::Cascade),
                    )
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("ix_third_party_account_user_id")
                    .table("third_party_account")
                    .col("user_id")
                    .take(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("uq_third_party_account_platform_open_id")
                    .table("third_party_account")
                    .col("platform")
                    .col("open_id")
                    .unique()
                    .take(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["third_party_account", "user"] {
            manager.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}
