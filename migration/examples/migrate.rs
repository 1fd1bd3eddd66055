//! Applies the migrations to the database whose URL is the first argument.

use std::error::Error;

use migration::{Migrator, MigratorTrait};
use sea_orm_migration::sea_orm::Database;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: migrate <database URL>")?;
    let connection = Database::connect(url).await?;
    Migrator::up(&connection, None).await?;
    Ok(())
}
