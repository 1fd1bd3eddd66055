//! What a database can do.

/// What a database can do, so that code asks for the ability and never for the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// INSERT, UPDATE and DELETE give back the rows they wrote.
    pub returning: bool,
    /// The most bound values in one statement.
    pub bind_limit: usize,
    /// A failed statement aborts its transaction, up to the innermost savepoint.
    pub failure_aborts_transaction: bool,
    /// Transactions have the four isolation levels of the standard.
    pub isolation_levels: bool,
    /// Several connections may write at the same time.
    pub concurrent_writers: bool,
    /// The database is a server of its own that can be reached over a network.
    pub server: bool,
}
