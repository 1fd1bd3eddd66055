//! Rows that are sent in bulk.

use futures_util::{Stream, StreamExt};

use super::Session;
use crate::{
    backend::Aborted,
    error::{Error, Result},
};

impl Session {
    /// Runs a `COPY … FROM STDIN` of PostgreSQL and gives the number of rows. `source` gives their data, in the format
    /// that `sql` names and in pieces of any size.
    ///
    /// An error from `source` aborts the COPY, and the transaction if there is one: no row is written, and the error comes
    /// back as it was. `statement_timeout` holds for each wait for the server, not for `source`.
    ///
    /// ```no_run
    /// # use sea_dao::{Database, Result};
    /// # use sea_dao::{Error, sea_orm::EntityTrait};
    /// # async fn example(db: Database) -> Result<()> {
    /// let lines = ["1\tAda\n", "2\tGrace\n"].map(|line| Ok::<_, Error>(line.as_bytes().to_vec()));
    /// let rows = db.session().copy_in("COPY person (id, name) FROM STDIN", futures_util::stream::iter(lines)).await?;
    /// assert_eq!(rows, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on a database without [`copy_in`](crate::backend::Capabilities::copy_in),
    /// [`Error::InvalidArgument`] for SQL that is something else; those of a statement; what `source` gives.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future writes nothing and closes the connection; in a transaction it aborts the transaction.
    pub async fn copy_in<E: From<Error> + Send>(
        &self,
        sql: &str,
        source: impl Stream<Item = Result<Vec<u8>, E>> + Send,
    ) -> Result<u64, E> {
        if !self.capabilities().copy_in {
            return Err(Error::unsupported("COPY on this database; insert the rows in bulk").into());
        }
        let mut failure = None;
        let source = source.map(|data| {
            data.map_err(|error| {
                failure = Some(error);
                Aborted
            })
        });
        let mut lease = self.lease("a COPY").await?;
        let result = lease.connection()?.copy_in(sql, source).await;
        let result = lease.check(result);
        match failure {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }
}
