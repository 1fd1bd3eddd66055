//! Generic data-access objects, sessions with a unit of work, transactions and a fluent query builder for
//! [SeaORM](sea_orm), on a connection pool that knows the state of each of its connections. For PostgreSQL,
//! MySQL/MariaDB and SQLite, on entities as `sea-orm-cli` generates them.
//!
//! | to | take |
//! |---|---|
//! | connect | [`DatabaseConfig`], which gives a [`Database`] |
//! | read and write the rows of an entity | [`BaseDao`], see [`dao`], and the builders in [`query`] |
//! | do several things in one transaction | [`execute_transaction`], [`Database::transaction`] |
//! | keep one connection for a request or job | [`Session`] |
//! | run any SeaORM call | a `Session` or `Database`: both are SeaORM connections |
//! | watch statements | [`hooks`] |
//!
//! ```
//! use sea_dao::{BaseDao, DatabaseConfig, Result, prelude::*};
//! use sea_dao::sea_orm::ActiveValue::Set;
//! use entities::country;
//! # use migration::MigratorTrait;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
//! # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
//! let countries = BaseDao::<country::Entity>::new(db.clone());
//!
//! countries.insert(country::ActiveModel { code: Set("NO".into()), name: Set("Norway".into()) }).await?;
//!
//! db.execute_transaction(async |tx| -> Result<()> {
//!     let countries = countries.within(tx);
//!     countries.insert(country::ActiveModel { code: Set("SE".into()), name: Set("Sweden".into()) }).await?;
//!     assert_eq!(countries.count().await?, 2);
//!     Ok(())
//! }).await?;
//!
//! let found = countries.query().contains(country::Column::Name, "way").first().await?;
//! assert_eq!(found.map(|country| country.code).as_deref(), Some("NO"));
//! # Ok(())
//! # }
//! ```

pub mod backend;
#[doc = include_str!("../docs/bulk.md")]
pub mod bulk {
    pub use crate::dao::{Loader, Progress, Upsert};
}
pub mod config;
pub mod convention;
pub mod dao;
pub mod error;
pub mod hooks;
pub mod integrations;
pub mod lifecycle;
pub mod pool;
pub mod prelude;
pub mod query;
pub mod session;

pub use sea_orm;

pub use config::{DatabaseConfig, PoolConfig};
pub use convention::{Conventions, with_actor};
pub use dao::BaseDao;
pub use error::{Error, Result};
pub use session::global;
pub use session::{Database, FlushMode, RetryPolicy, Sandbox, Session, SessionProvider, execute_transaction};

/// The examples in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
