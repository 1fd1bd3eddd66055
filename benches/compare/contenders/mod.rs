//! The contenders.

mod diesel;
mod sea_dao;
mod sea_orm;
mod sqlx;
mod tokio_postgres;

pub(crate) use self::{diesel::Diesel, sea_dao::SeaDao, sea_orm::SeaOrm, sqlx::Sqlx, tokio_postgres::TokioPostgres};
