//! Data-access objects for SeaORM.
#![forbid(unsafe_code)]
