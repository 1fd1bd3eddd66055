//! What is known of SeaORM's own connection.

use sea_orm::DatabaseConnection;

/// How many connections its pool has open.
pub(crate) fn open_connections(connection: &DatabaseConnection) -> u32 {
    let backend = connection.get_database_backend();
    #[cfg(feature = "postgres")]
    if backend == sea_orm::DbBackend::Postgres {
        return connection.get_postgres_connection_pool().size();
    }
    #[cfg(feature = "mysql")]
    if backend == sea_orm::DbBackend::MySql {
        return connection.get_mysql_connection_pool().size();
    }
    #[cfg(feature = "sqlite")]
    if backend == sea_orm::DbBackend::Sqlite {
        return connection.get_sqlite_connection_pool().size();
    }
    let _ = backend;
    0
}
