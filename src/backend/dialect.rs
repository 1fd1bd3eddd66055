//! Words that differ between the databases.

use sea_orm::{
    DbBackend, Statement, StatementBuilder, Value,
    sea_query::{ColumnType, Expr, InsertStatement, MysqlQueryBuilder, Query},
};

use super::{errors::status_code, fingerprint::fingerprint, inline::inline, literal::literal};
use crate::hooks::Dialect;

/// What watching statements has to know of the database.
pub(crate) fn sql_dialect(backend: DbBackend) -> Dialect {
    let system = match backend {
        DbBackend::Postgres => "postgresql",
        DbBackend::MySql => "mysql",
        DbBackend::Sqlite => "sqlite",
        _ => "other_sql",
    };
    Dialect { backend, system, fingerprint, inline, literal, status_code }
}

/// An INSERT that gives these columns of the rows that it wrote.
pub(crate) fn insert_returning(
    mut insert: InsertStatement,
    columns: impl Iterator<Item = Expr>,
    backend: DbBackend,
) -> Statement {
    if backend != DbBackend::MySql {
        insert.returning(Query::returning().exprs(columns));
        return StatementBuilder::build(&insert, &backend);
    }
    // MariaDB's clause is the same; sea-query leaves it out, as MySQL has none.
    let columns = Query::select().exprs(columns).to_string(MysqlQueryBuilder);
    let mut statement = StatementBuilder::build(&insert, &backend);
    statement.sql.push_str(" RETURNING ");
    statement.sql.push_str(columns.strip_prefix("SELECT ").unwrap_or(&columns));
    statement
}

/// Asks the server for its sessions of this user on this database, those of them that are idle in a transaction where it
/// tells, and how many sessions it takes in all.
pub(crate) fn server_sessions(backend: DbBackend) -> Option<&'static str> {
    match backend {
        DbBackend::Postgres => Some(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE state LIKE 'idle in transaction%'), \
             current_setting('max_connections')::bigint FROM pg_catalog.pg_stat_activity \
             WHERE usename = current_user AND datname = current_database()",
        ),
        DbBackend::MySql => Some(
            "SELECT COUNT(*), CAST(NULL AS SIGNED), CAST(@@max_connections AS SIGNED) \
             FROM information_schema.PROCESSLIST \
             WHERE USER = SUBSTRING_INDEX(USER(), '@', 1) AND DB <=> DATABASE()",
        ),
        _ => None,
    }
}

/// The type to which a sum of integers is cast, so that it can be read as one.
pub(crate) fn integer_type(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::MySql => "SIGNED",
        _ => "BIGINT",
    }
}

/// The type to which an average is cast, so that it can be read as a number.
pub(crate) fn float_type(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::MySql => "DOUBLE",
        DbBackend::Postgres => "DOUBLE PRECISION",
        _ => "REAL",
    }
}

/// The type to which a sum or average is cast, so that it can be read as a number of this type; `None` when it can be
/// read as it is.
pub(crate) fn sum_type(backend: DbBackend, read_as: &ColumnType) -> Option<&'static str> {
    match read_as {
        ColumnType::Float | ColumnType::Double => Some(float_type(backend)),
        ColumnType::TinyInteger | ColumnType::SmallInteger | ColumnType::Integer | ColumnType::BigInteger => {
            Some(integer_type(backend))
        }
        ColumnType::Decimal(_) => match backend {
            DbBackend::Postgres => Some("NUMERIC"),
            // A DECIMAL without digits behind the point is a whole number; sums of exact numbers are DECIMAL anyway.
            DbBackend::MySql => None,
            _ => Some("REAL"),
        },
        _ => None,
    }
}

/// Whether NULL is the largest value of an order that does not say where it stands, and not the smallest.
pub(crate) fn nulls_are_largest(backend: DbBackend) -> bool {
    matches!(backend, DbBackend::Postgres)
}

/// Whether `(a, b) > (1, 2)` is looked up in an index on both columns.
pub(crate) fn compares_rows_by_index(backend: DbBackend) -> bool {
    !matches!(backend, DbBackend::MySql)
}

/// Whether rows can be locked by a SELECT. Where they cannot, a transaction that writes locks everything.
pub(crate) fn has_row_locks(backend: DbBackend) -> bool {
    !matches!(backend, DbBackend::Sqlite)
}

pub(crate) fn has_distinct_on(backend: DbBackend) -> bool {
    matches!(backend, DbBackend::Postgres)
}

/// What stands before a statement to ask for its plan, and the column of the answer that holds it.
pub(crate) fn explain(backend: DbBackend) -> (&'static str, usize) {
    match backend {
        DbBackend::Postgres => ("EXPLAIN ", 0),
        DbBackend::MySql => ("EXPLAIN FORMAT=JSON ", 0),
        _ => ("EXPLAIN QUERY PLAN ", 3),
    }
}

/// Whether a value is written as a placeholder and no more. One that names its type may be written with a cast.
pub(crate) fn is_bound_as_it_is(value: &Value) -> bool {
    match value {
        Value::Enum(_) => false,
        #[cfg(feature = "postgres")]
        Value::Array(sea_orm::sea_query::ArrayType::Enum(_), _) => false,
        _ => true,
    }
}
