//! Fluent builders for SELECT, COUNT, UPDATE and DELETE on one entity.
#![doc = include_str!("../../docs/queries.md")]

mod aggregate;
mod clause;
mod conditions;
mod count;
mod cursor;
mod delete;
mod fetch;
mod json_path;
mod keyset;
mod limit;
mod lock;
mod operand;
mod order;
mod page;
mod part;
mod projection;
mod related;
mod restore;
mod scope;
mod select;
mod subquery;
mod token;
mod update;
mod with_related;

pub use clause::Group;
pub use conditions::Conditions;
pub use count::CountBuilder;
pub use cursor::CursorPage;
pub use delete::DeleteBuilder;
pub use json_path::JsonPath;
pub use page::{MAX_PAGE_SIZE, Page};
pub use related::RelatedRows;
pub use restore::RestoreBuilder;
pub use scope::DeletedRows;
pub use select::QueryBuilder;
pub use update::UpdateBuilder;
pub use with_related::{RelatedQuery, WithRelated};

#[doc(hidden)]
pub use clause::Clause;

pub(crate) use scope::Scope;
