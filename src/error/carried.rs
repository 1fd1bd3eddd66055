//! An error on its way through SeaORM.

use std::{error::Error as StdError, fmt, io, sync::Arc};

use sea_orm::{DbErr, RuntimeErr};

use super::Error;

/// SeaORM's error is given back as it was; an error of this crate travels inside it and is found again on the way back.
impl From<Error> for DbErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Database { source, .. } => source,
            other => {
                // Of the variants that can carry an error, the one whose own words mislead least.
                let carrier = sqlx::Error::Io(io::Error::other(Carried(other)));
                DbErr::Conn(RuntimeErr::SqlxError(Arc::new(carrier)))
            }
        }
    }
}

/// An [`Error`] on its way through SeaORM.
#[derive(Debug)]
struct Carried(Error);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// The error of this crate that `error` carries, if it carries one.
pub(crate) fn carried(error: &DbErr) -> Option<Error> {
    let (DbErr::Conn(RuntimeErr::SqlxError(inner))
    | DbErr::Exec(RuntimeErr::SqlxError(inner))
    | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return None;
    };
    match inner.as_ref() {
        sqlx::Error::Io(carrier) => carrier.get_ref()?.downcast_ref::<Carried>().map(|carried| carried.0.clone()),
        _ => None,
    }
}
