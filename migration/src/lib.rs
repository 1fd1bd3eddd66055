//! The schema that the tests, benches and examples of `sea-dao` run on.
//!
//! The same migrations run on SQLite, PostgreSQL and MySQL/MariaDB. The `entities` crate is
//! generated from the result; `tests/entities.rs` of the root package checks that the two agree.

// `async_trait` copies this elision from the trait of SeaORM: with `SchemaManager<'_>` the lifetime
// parameters of the methods would no longer match those of the trait.
#![allow(elided_lifetimes_in_paths)]

mod alive;
mod columns;
mod m20250601_000001_create_users;
mod m20250601_000002_create_orders;
mod m20250601_000003_create_tags;
mod m20250601_000004_create_countries;

pub use alive::unique_unless_deleted;
pub use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

/// Creates and removes every table of the schema.
#[derive(Debug, Clone, Copy, Default)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20250601_000001_create_users::Migration),
            Box::new(m20250601_000002_create_orders::Migration),
            Box::new(m20250601_000003_create_tags::Migration),
            Box::new(m20250601_000004_create_countries::Migration),
        ]
    }
}
