//! Ending a program in order: what was started last is closed first, each with its own deadline.

mod resource;
mod signal;

pub use resource::{Closing, Lifecycle, LifecycleReport, Outcome};
pub use signal::shutdown_signal;
