//! What every contender does.

use std::error::Error;

use entities::user::Model;

use crate::{
    graph::{Graph, NewGraph},
    reading,
};

pub(crate) type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A user to insert; the database fills in the rest.
#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: String,
    pub(crate) status: i16,
    pub(crate) balance: i64,
}

/// One way to reach the database, on a pool of its own. All of them read and write the same columns of the same rows, and
/// leave deleted users out.
#[async_trait::async_trait]
pub(crate) trait Contender: Send + Sync {
    fn name(&self) -> &'static str;
    /// The user with this id.
    async fn point_select(&self, id: i64) -> Result<Model>;
    /// Inserts a user and gives it back with what the database filled in.
    async fn insert(&self, user: NewUser) -> Result<Model>;
    /// In a transaction: reads a user, adds 1 to its balance, and gives it back as it was written.
    async fn select_update_commit(&self, id: i64) -> Result<Model>;
    /// The 100 users that follow this id.
    async fn list_100(&self, after: i64) -> Result<Vec<Model>>;
    /// Three users, one after the other, on one connection where the contender has such a thing.
    async fn request_of_3(&self, ids: [i64; 3]) -> Result<Vec<Model>>;
    /// Inserts all of the users or none, in the contender's own best way that needs no more than its documentation.
    async fn bulk_insert(&self, users: Vec<NewUser>) -> Result<()>;
    /// Whether it has ways of its own for the methods that follow, or is what those are compared with.
    fn has_bulk(&self) -> bool {
        false
    }
    /// Inserts all of these rows of a plain table or none.
    async fn import(&self, readings: Vec<reading::ActiveModel>) -> Result<()> {
        let _ = readings;
        Err("not taking part".into())
    }
    /// As `import`, and gives the rows back with their keys.
    async fn import_returning(&self, readings: Vec<reading::ActiveModel>) -> Result<Vec<reading::Model>> {
        let _ = readings;
        Err("not taking part".into())
    }
    /// Gives each of these users a balance of its own, all of them or none.
    async fn bulk_update(&self, balances: Vec<(i64, i64)>) -> Result<()> {
        let _ = balances;
        Err("not taking part".into())
    }
    /// Gives each of these rows of a plain table a value of its own, all of them or none.
    async fn revise(&self, values: Vec<(i64, f64)>) -> Result<()> {
        let _ = values;
        Err("not taking part".into())
    }
    /// The values of these two.
    async fn readings(&self, ids: [i64; 2]) -> Result<Vec<f64>> {
        let _ = ids;
        Err("not taking part".into())
    }
    /// Inserts orders with their items, and tags, all of them or none, and gives them back with the keys that the database
    /// generated.
    async fn flush_graph(&self, graph: NewGraph) -> Result<Graph> {
        let _ = graph;
        Err("not taking part".into())
    }
    /// The user with this id, asked for by many tasks at the same moment.
    async fn load(&self, id: i64) -> Result<Model> {
        self.point_select(id).await
    }
    /// Closes all connections.
    async fn close(&self);
}
