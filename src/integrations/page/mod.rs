//! A page to look at, behind the cargo feature `page`: how the pool, its statements and its alerts are doing, live.
//!
//! One HTML file that asks nobody else for anything, fed by server-sent events once a second. It shows what is switched
//! on; [`DatabaseConfig::watch_everything`](crate::DatabaseConfig::watch_everything) switches on all of it. Beside it, for
//! programs, `state` has the same figures as JSON.
//!
//! The page shows SQL without values, lines of the program's code, and figures; no addresses, user names, passwords or
//! texts of errors. It asks the database nothing, so that it is there when the database is not.
//!
//! | | |
//! |---|---|
//! | [`Page::serve`] | a small server of its own, on the loopback address unless told otherwise |
//! | [`Page::into_router`] | routes for an [axum] application, to be nested where it likes |
//!
//! [axum]: ::axum

mod builder;
mod cut;
mod document;
mod guard;
mod routes;
mod server;
mod state;

pub use builder::Page;
pub use server::PageServer;
