//! What is asked of a connection, and switched on it, in each database's own way.

/// How a database tells whether a transaction is open.
pub(super) enum Probe {
    /// This begins one, and fails inside of one.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    Begin(&'static str),
    /// This fails outside of one.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    FailsOutside(&'static str),
    /// This answers with a number; where it is not understood, nothing can be told.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code))]
    Ask(&'static str),
}

/// A setting of a connection that is on or off.
pub(super) struct Switch {
    /// Answers with 1 when it is on.
    pub(super) ask: &'static str,
    pub(super) on: &'static str,
    pub(super) off: &'static str,
}
