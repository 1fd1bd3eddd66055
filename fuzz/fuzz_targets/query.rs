//! `cargo +nightly fuzz run query`: texts of every kind in filters, sort strings and tokens.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sea_dao::{BaseDao, Database, DatabaseConfig};
use sea_dao_fuzz::{Users, check};
use tokio::runtime::{Builder, Runtime};

fn world() -> &'static (Runtime, Users) {
    static WORLD: OnceLock<(Runtime, Users)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connect = DatabaseConfig::new("sqlite::memory:").no_slow_log().connect();
        let database: Database = runtime.block_on(connect).expect("a database in memory");
        (runtime, BaseDao::new(database))
    })
}

fuzz_target!(|input: &[u8]| {
    let (runtime, users) = world();
    runtime.block_on(check(users, input));
});
