//! What other libraries need to work with this one; each behind a cargo feature, needed by nothing else.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "page")]
pub mod page;
#[cfg(feature = "axum")]
mod probe;
