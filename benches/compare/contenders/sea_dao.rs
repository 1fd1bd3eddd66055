//! sea-dao, with its default settings but for the size of the pool.

use entities::user::{ActiveModel, Column, Entity, Model};
use sea_dao::{BaseDao, Database, DatabaseConfig, execute_transaction, prelude::*};
use sea_orm::{ActiveValue::Set, IntoActiveModel};

use crate::{
    CONNECTIONS,
    contender::{Contender, NewUser, Result},
};

pub(crate) struct SeaDao {
    name: &'static str,
    database: Database,
    users: BaseDao<Entity>,
}

impl SeaDao {
    pub(crate) async fn open(name: &'static str, url: &str) -> Result<Self> {
        let database = DatabaseConfig::new(url).pool_size(CONNECTIONS).max_overflow(0).connect().await?;
        Ok(Self { name, users: BaseDao::new(database.clone()), database })
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
