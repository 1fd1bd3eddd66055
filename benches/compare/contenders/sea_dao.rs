//! sea-dao, with its default settings but for the size of the pool.

use entities::user::{ActiveModel, Column, Entity, Model};
use sea_dao::{BaseDao, Database, DatabaseConfig, bulk::Loader, execute_transaction, prelude::*};
use sea_orm::{ActiveValue::Set, IntoActiveModel};

use crate::{
    CONNECTIONS,
    contender::{Contender, NewUser, Result},
    graph::{self, Graph, NewGraph},
    reading,
};

pub(crate) struct SeaDao {
    name: &'static str,
    database: Database,
    users: BaseDao<Entity>,
    readings: BaseDao<reading::Entity>,
    loader: Loader<Entity>,
}

impl SeaDao {
    pub(crate) async fn open(name: &'static str, url: &str) -> Result<Self> {
        let database = DatabaseConfig::new(url).pool_size(CONNECTIONS).max_overflow(0).connect().await?;
        let users = BaseDao::new(database.clone());
        let readings = BaseDao::new(database.clone());
        Ok(Self { name, loader: users.loader(), users, readings, database })
    }
}

#[async_trait::async_trait]
impl Contender for SeaDao {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn point_select(&self, id: i64) -> Result<Model> {
        Ok(self.users.find_by_id(id).await?.ok_or("no such user")?)
    }

    async fn insert(&self, user: NewUser) -> Result<Model> {
        Ok(self.users.insert(active(user)).await?)
    }

    async fn select_update_commit(&self, id: i64) -> Result<Model> {
        execute_transaction(&self.database, async |tx| -> Result<Model> {
            let users = self.users.within(tx);
            let user = users.find_by_id(id).await?.ok_or("no such user")?;
            let balance = Set(user.balance + 1);
            Ok(users.update(ActiveModel { balance, ..user.into_active_model() }).await?)
        })
        .await
    }

    async fn list_100(&self, after: i64) -> Result<Vec<Model>> {
        Ok(self.users.query().gt(Column::Id, after).order_asc(Column::Id).limit(100).all().await?)
    }

    async fn request_of_3(&self, ids: [i64; 3]) -> Result<Vec<Model>> {
        let session = self.database.session();
        let users = self.users.within(&session);
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(users.find_by_id(id).await?.ok_or("no such user")?);
        }
        Ok(found)
    }

    async fn bulk_insert(&self, users: Vec<NewUser>) -> Result<()> {
        self.users.insert_many(users.into_iter().map(active)).await?;
        Ok(())
    }

    fn has_bulk(&self) -> bool {
        true
    }

    async fn import(&self, readings: Vec<reading::ActiveModel>) -> Result<()> {
        self.readings.insert_many(readings).await?;
        Ok(())
    }

    async fn import_returning(&self, readings: Vec<reading::ActiveModel>) -> Result<Vec<reading::Model>> {
        Ok(self.readings.insert_many_returning(readings).await?)
    }

    async fn bulk_update(&self, balances: Vec<(i64, i64)>) -> Result<()> {
        let changes = balances.into_iter().map(|(id, balance)| ActiveModel {
            id: Set(id),
            balance: Set(balance),
            ..Default::default()
        });
        self.users.update_many(changes).await?;
        Ok(())
    }

    async fn revise(&self, values: Vec<(i64, f64)>) -> Result<()> {
        let changes = values.into_iter().map(|(id, value)| reading::ActiveModel {
            id: Set(id),
            value: Set(value),
            ..Default::default()
        });
        self.readings.update_many(changes).await?;
        Ok(())
    }

    async fn flush_graph(&self, graph: NewGraph) -> Result<Graph> {
        let session = self.database.session();
        let tags = session.add_all(graph.tags.into_iter().map(graph::tag));
        let (mut orders, mut items) = (Vec::new(), Vec::new());
        for new in graph.orders {
            let order = session.add(graph::order(graph.user_id, new.number));
            for sku in new.skus {
                items.push(session.add_after(&order, move |order| graph::item(order.id, sku.clone())));
            }
            orders.push(order);
        }
        session.flush().await?;
        Ok(Graph {
            orders: orders.iter().map(|order| order.get().cloned()).collect::<Result<_, _>>()?,
            items: items.iter().map(|item| item.get().cloned()).collect::<Result<_, _>>()?,
            tags: tags.iter().map(|tag| tag.get().cloned()).collect::<Result<_, _>>()?,
        })
    }

    async fn load(&self, id: i64) -> Result<Model> {
        Ok(self.loader.load(id).await?.ok_or("no such user")?)
    }

    async fn close(&self) {
        self.database.close().await;
    }
}

pub(super) fn active(user: NewUser) -> ActiveModel {
    let NewUser { username, email, phone, status, balance } = user;
    ActiveModel {
        username: Set(username),
        email: Set(email),
        phone: Set(phone),
        status: Set(status),
        balance: Set(balance),
        ..Default::default()
    }
}
