//! What is known of SeaORM's own connection.

use sea_orm::{DatabaseConnection, DbBackend};

/// How many connections its pool has open.
pub(crate) fn open_connections(connection: &DatabaseConnection) -> usize {
    let open: u32 = match connection.get_database_backend() {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => connection.get_postgres_connection_pool().size(),
        #[cfg(feature = "mysql")]
        DbBackend::MySql => connection.get_mysql_connection_pool().size(),
        #[cfg(feature = "sqlite")]
        DbBackend::Sqlite => connection.get_sqlite_connection_pool().size(),
        _ => 0,
    };
    usize::try_from(open).unwrap_or(usize::MAX)
}
