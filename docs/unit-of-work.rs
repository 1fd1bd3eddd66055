// What the examples in unit-of-work.md begin with.

#[allow(unused_imports)]
use entities::{customer_order as order, order_item, tag, user, user_tag};
#[allow(unused_imports)]
use sea_dao::{
    BaseDao, Database, DatabaseConfig, Error, FlushMode, Result,
    prelude::*,
    sea_orm::{ActiveValue::Set, EntityTrait, PaginatorTrait, prelude::Uuid},
};

#[allow(dead_code)]
async fn database() -> Result<Database> {
    use migration::MigratorTrait;

    let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
    Ok(db)
}

#[allow(dead_code)]
fn new_user(name: &str) -> user::ActiveModel {
    user::ActiveModel { username: Set(name.to_owned()), phone: Set(name.to_owned()), ..Default::default() }
}

#[allow(dead_code)]
fn new_order(user: &user::Model, number: &str) -> order::ActiveModel {
    order::ActiveModel { user_id: Set(user.id), number: Set(number.to_owned()), ..Default::default() }
}
