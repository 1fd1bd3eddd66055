//! What happened in the last minutes, second by second.

mod keep;
mod past;
mod tally;

pub use keep::History;
pub use past::{HistoryPoint, PastAlert, Quantiles, SlowStatement};
