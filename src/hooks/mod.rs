//! Watching statements: hooks before and after each one, and the slow-SQL log.
//!
//! Every statement passes one place, BEGIN, COMMIT, ROLLBACK, SAVEPOINT and unprepared SQL included, and failures and
//! cancelled statements too. A hook cannot fail, block or change a statement; one that panics is reported and otherwise
//! ignored.

mod observe;
mod slow;
mod statement;

pub use slow::{SlowSqlLog, ValueDisplay};
pub use statement::{Completion, SqlHook, StatementInfo, StatementKind, StatementOutcome};

pub(crate) use observe::{Hooks, Observation, Origin};
