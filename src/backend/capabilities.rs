//! What a database can do.

/// What a database can do, so that code asks for the ability and never for the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// INSERT, UPDATE and DELETE give back the rows they wrote.
    pub returning: bool,
    /// INSERT gives back the rows it wrote, whatever UPDATE and DELETE do.
    pub insert_returning: bool,
    /// The most bound values in one statement.
    pub bind_limit: usize,
    /// A list of values can be bound as one.
    pub arrays: bool,
    /// UPDATE takes new values from a table beside the one that it updates.
    pub update_from: bool,
    /// INSERT can name the unique key by which a row may be in the way: `ON CONFLICT (columns)`.
    pub on_conflict: bool,
    /// A failed statement aborts its transaction, up to the innermost savepoint.
    pub failure_aborts_transaction: bool,
    /// Transactions have the four isolation levels of the standard.
    pub isolation_levels: bool,
    /// Several connections may write at the same time.
    pub concurrent_writers: bool,
    /// Rows can be sent in bulk with `COPY … FROM STDIN`.
    pub copy_in: bool,
    /// The database is a server of its own that can be reached over a network.
    pub server: bool,
}
