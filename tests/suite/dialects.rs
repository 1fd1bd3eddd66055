//! Builders without a database behind them, and the differences between the dialects.

use std::cell::RefCell;

use entities::{country, customer_order, order_item, user};
use sea_dao::{BaseDao, Session, SessionProvider};
use sea_orm::{DbBackend, Statement, Value};

/// Makes one test for each dialect out of each `fn(DbBackend)`.
macro_rules! for_each_dialect {
    ($($test:ident),+ $(,)?) => {
        for_each_dialect!(@ sqlite Sqlite $($test)+);
        for_each_dialect!(@ postgres Postgres $($test)+);
        for_each_dialect!(@ mariadb MySql $($test)+);

        /// The statements that these tests expect.
        pub(crate) fn expected(backend: sea_orm::DbBackend) -> Vec<sea_orm::Statement> {
            $($test(backend);)+
            crate::dialects::take_expected()
        }
    };
    (@ $module:ident $backend:ident $($test:ident)+) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::$test(sea_orm::DbBackend::$backend);
            })+
        }
    };
}

pub(crate) use for_each_dialect;

/// There is no database behind these builders.
pub(crate) struct Nowhere;

impl SessionProvider for Nowhere {
    fn session(&self) -> Session {
        panic!("building a statement takes no session")
    }
}

pub(crate) fn countries() -> BaseDao<country::Entity> {
    BaseDao::new(Nowhere)
}

pub(crate) fn users() -> BaseDao<user::Entity> {
    BaseDao::new(Nowhere)
}

pub(crate) fn items() -> BaseDao<order_item::Entity> {
    BaseDao::new(Nowhere)
}

pub(crate) fn orders() -> BaseDao<customer_order::Entity> {
    BaseDao::new(Nowhere)
}

/// SQL with SQLite's quotes and placeholders in those of `backend`. No text here has either in it.
pub(crate) fn in_dialect(backend: DbBackend, sql: &str) -> String {
    match backend {
        DbBackend::MySql => sql.replace('"', "`"),
        DbBackend::Postgres => {
            let mut parts = sql.split('?');
            let first = parts.next().unwrap_or_default().to_owned();
            parts.enumerate().fold(first, |sql, (index, part)| format!("{sql}${}{part}", index + 1))
        }
        _ => sql.to_owned(),
    }
}

pub(crate) fn values_of(statement: &Statement) -> Vec<Value> {
    statement.values.clone().map(|values| values.0).unwrap_or_default()
}

thread_local! {
    /// What [`is`] has seen.
    static EXPECTED: RefCell<Vec<Statement>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn take_expected() -> Vec<Statement> {
    EXPECTED.take()
}

#[track_caller]
pub(crate) fn is(statement: &Statement, sql: &str, values: impl IntoIterator<Item = Value>) {
    assert_eq!(statement.sql, in_dialect(statement.db_backend, sql));
    assert_eq!(values_of(statement), values.into_iter().collect::<Vec<_>>());
    EXPECTED.with_borrow_mut(|expected| expected.push(statement.clone()));
}
