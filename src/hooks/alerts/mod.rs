//! Alerts: rules over sliding windows that fire and are resolved.

mod engine;
mod rule;
mod window;

pub use engine::{Alert, AlertEvent, AlertState};
pub use rule::{AlertRule, AlertSignal, Severity};

pub(crate) use engine::{AlertCallback, Alerts};
pub(crate) use window::Gauges;
