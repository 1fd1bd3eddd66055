//! A new connection runs the caller's own SQL.

use sea_orm::ExecResult;

use super::{
    connection::{Connection, Wire},
    statements::bounded,
};
use crate::{backend::SetUp, error::Result, hooks::StatementKind};

impl Connection {
    /// Runs one text of `after_connect`. It may hold secrets, and so may what the database says of it: nobody is told
    /// either.
    pub(super) async fn run_set_up(&mut self, set_up: &SetUp<'_>) -> Result<()> {
        let flight = self.depart(StatementKind::Script, &set_up.shown(), None);
        let limit = self.statement_timeout;
        match bounded(limit, self.raw()?.execute_unprepared(set_up.sql())).await {
            Ok(Err(error)) => {
                self.state.wire = Wire::Quiet;
                let error = set_up.failed(self.note_failure(error, false));
                flight.failed(&error);
                Err(error)
            }
            sent => self.arrive(flight, sent, false, ExecResult::rows_affected).map(drop),
        }
    }
}
