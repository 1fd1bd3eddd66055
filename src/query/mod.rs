//! Fluent builders for SELECT, COUNT, UPDATE and DELETE on one entity.

mod aggregate;
mod conditions;
mod count;
mod delete;
mod page;
mod scope;
mod select;
mod update;

pub use conditions::{Conditions, Group};
pub use count::CountBuilder;
pub use delete::DeleteBuilder;
pub use page::{MAX_PAGE_SIZE, Page};
pub use scope::DeletedRows;
pub use select::QueryBuilder;
pub use update::UpdateBuilder;

pub(crate) use scope::Scope;
