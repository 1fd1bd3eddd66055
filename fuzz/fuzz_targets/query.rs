//! `cargo +nightly fuzz run query`: texts of every kind in filters, sort strings and tokens.

#![no_main]

use std::sync::OnceLock;

use entities::user;
use libfuzzer_sys::fuzz_target;
use migration::MigratorTrait;
use sea_dao::{BaseDao, DatabaseConfig, Result};
use sea_dao_fuzz::{Users, check};
use sea_orm::ActiveValue::Set;
use tokio::runtime::{Builder, Runtime};

fn world() -> &'static (Runtime, Users) {
    static WORLD: OnceLock<(Runtime, Users)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let users = runtime.block_on(users()).expect("a database in memory");
        (runtime, users)
    })
}

/// Two, so that a page of one has a token for the next.
async fn users() -> Result<Users> {
    let database = DatabaseConfig::new("sqlite::memory:").no_slow_log().connect().await?;
    migration::Migrator::up(&database.sea_orm_connection().await?, None).await?;
    let users = BaseDao::new(database);
    let user = |name: &str| user::ActiveModel {
        username: Set(name.to_owned()),
        phone: Set(name.to_owned()),
        ..Default::default()
    };
    users.insert_many([user("ada"), user("bob")]).await?;
    Ok(users)
}

fuzz_target!(|input: &[u8]| {
    let (runtime, users) = world();
    runtime.block_on(check(users, input));
});
