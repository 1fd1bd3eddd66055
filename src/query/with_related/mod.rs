//! Queries that bring related rows along.

mod key;
mod route;
mod run;
mod source;
mod step;
mod steps;

pub use run::WithRelated;
pub use source::RelatedQuery;
