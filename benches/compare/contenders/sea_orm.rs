//! SeaORM on the pool that it brings along.

use entities::user::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection,
    EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

use super::sea_dao::active;
use crate::{
    CONNECTIONS,
    contender::{Contender, NewUser, Result},
    graph::{self, Graph, NewGraph},
    reading,
};

/// SeaORM's documentation leaves the size of the statements to the caller.
const ROWS_PER_STATEMENT: usize = 1_000;

pub(crate) struct SeaOrm {
    name: &'static str,
    connection: DatabaseConnection,
}

impl SeaOrm {
    /// `ping` is SeaORM's default: each connection is checked before it is handed out.
    pub(crate) async fn open(name: &'static str, url: &str, ping: bool) -> Result<Self> {
        let mut options = ConnectOptions::new(url);
        options.max_connections(CONNECTIONS).test_before_acquire(ping);
        // What sea-dao sets; SeaORM's own default writes each commit through to the disk.
        options.map_sqlx_sqlite_opts(|options| {
            options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal)
        });
        Ok(Self { name, connection: Database::connect(options).await? })
    }

    async fn find(&self, id: i64, connection: &impl ConnectionTrait) -> Result<Model> {
        let user = Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).one(connection).await?;
        Ok(user.ok_or("no such user")?)
    }
}

#[async_trait::async_trait]
impl Contender for SeaOrm {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn point_select(&self, id: i64) -> Result<Model> {
        self.find(id, &self.connection).await
    }

    async fn insert(&self, user: NewUser) -> Result<Model> {
        Ok(active(user).insert(&self.connection).await?)
    }

    async fn select_update_commit(&self, id: i64) -> Result<Model> {
        let transaction = self.connection.begin().await?;
        let user = self.find(id, &transaction).await?;
        let balance = Set(user.balance + 1);
        let updated_at = Set(chrono::Utc::now().fixed_offset());
        let changed = ActiveModel { balance, updated_at, ..user.into_active_model() };
        let user = changed.update(&transaction).await?;
        transaction.commit().await?;
        Ok(user)
    }

    async fn list_100(&self, after: i64) -> Result<Vec<Model>> {
        let users = Entity::find().filter(Column::Id.gt(after)).filter(Column::DeletedAt.is_null());
        Ok(users.order_by_asc(Column::Id).limit(100).all(&self.connection).await?)
    }

    /// Each statement takes its own connection: the only way to keep one is a transaction.
    async fn request_of_3(&self, ids: [i64; 3]) -> Result<Vec<Model>> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.find(id, &self.connection).await?);
        }
        Ok(found)
    }

    async fn bulk_insert(&self, users: Vec<NewUser>) -> Result<()> {
        let transaction = self.connection.begin().await?;
        let mut users = users.into_iter().map(active).peekable();
        while users.peek().is_some() {
            let part = users.by_ref().take(ROWS_PER_STATEMENT);
            Entity::insert_many(part).exec_without_returning(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    fn has_bulk(&self) -> bool {
        true
    }

    async fn import(&self, readings: Vec<reading::ActiveModel>) -> Result<()> {
        let transaction = self.connection.begin().await?;
        let mut readings = readings.into_iter().peekable();
        while readings.peek().is_some() {
            let part = readings.by_ref().take(ROWS_PER_STATEMENT);
            reading::Entity::insert_many(part).exec_without_returning(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn import_returning(&self, readings: Vec<reading::ActiveModel>) -> Result<Vec<reading::Model>> {
        let transaction = self.connection.begin().await?;
        let mut inserted = Vec::with_capacity(readings.len());
        let mut readings = readings.into_iter().peekable();
        while readings.peek().is_some() {
            let part = readings.by_ref().take(ROWS_PER_STATEMENT);
            inserted.extend(reading::Entity::insert_many(part).exec_with_returning(&transaction).await?);
        }
        transaction.commit().await?;
        Ok(inserted)
    }

    /// It has no statement for rows with values of their own.
    async fn bulk_update(&self, balances: Vec<(i64, i64)>) -> Result<()> {
        let transaction = self.connection.begin().await?;
        let updated_at = Set(chrono::Utc::now().fixed_offset());
        for (id, balance) in balances {
            let balance = Set(balance);
            let changed = ActiveModel { id: Set(id), balance, updated_at: updated_at.clone(), ..Default::default() };
            changed.update(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn revise(&self, values: Vec<(i64, f64)>) -> Result<()> {
        let transaction = self.connection.begin().await?;
        for (id, value) in values {
            let changed = reading::ActiveModel { id: Set(id), value: Set(value), ..Default::default() };
            changed.update(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn readings(&self, ids: [i64; 2]) -> Result<Vec<f64>> {
        let found = reading::Entity::find().filter(reading::Column::Id.is_in(ids)).order_by_asc(reading::Column::Id);
        Ok(found.all(&self.connection).await?.into_iter().map(|row| row.value).collect())
    }

    /// A row needs the key of another: one statement for each.
    async fn flush_graph(&self, graph: NewGraph) -> Result<Graph> {
        let transaction = self.connection.begin().await?;
        let mut written = Graph::default();
        for tag in graph.tags {
            written.tags.push(graph::tag(tag).insert(&transaction).await?);
        }
        for new in graph.orders {
            let order = graph::order(graph.user_id, new.number).insert(&transaction).await?;
            for sku in new.skus {
                written.items.push(graph::item(order.id, sku).insert(&transaction).await?);
            }
            written.orders.push(order);
        }
        transaction.commit().await?;
        Ok(written)
    }

    async fn close(&self) {
        // It is over in either case.
        let _ = self.connection.clone().close().await;
    }
}
