//! The driver tokio-postgres with deadpool-postgres: SQL by hand, prepared statements kept by hand, columns read by
//! position. As little as can be done.

use std::pin::pin;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod};
use entities::user::Model;
use tokio_postgres::{
    NoTls, Row,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

use crate::{
    CONNECTIONS,
    contender::{Contender, NewUser, Result},
};

macro_rules! columns {
    () => {
        "id, username, email, phone, status, balance, profile, created_at, updated_at, deleted_at, creator_id, \
         updater_id, version"
    };
}

pub(super) const SELECT: &str =
    concat!("SELECT ", columns!(), " FROM \"user\" WHERE id = $1 AND deleted_at IS NULL LIMIT 1");
pub(super) const LIST: &str =
    concat!("SELECT ", columns!(), " FROM \"user\" WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT 100");
pub(super) const INSERT: &str = concat!(
    "INSERT INTO \"user\" (username, email, phone, status, balance) VALUES ($1, $2, $3, $4, $5) RETURNING ",
    columns!()
);
pub(super) const UPDATE: &str = concat!(
    "UPDATE \"user\" SET balance = $1, updated_at = clock_timestamp() WHERE id = $2 AND deleted_at IS NULL RETURNING ",
    columns!()
);
pub(super) const INSERT_ALL: &str = "INSERT INTO \"user\" (username, email, phone, status, balance) \
    SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bigint[])";
const COPY: &str = "COPY \"user\" (username, email, phone, status, balance) FROM STDIN BINARY";

pub(crate) struct TokioPostgres {
    name: &'static str,
    pool: Pool,
}

impl TokioPostgres {
    pub(crate) fn open(name: &'static str, url: &str) -> Result<Self> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(url.parse()?, NoTls, config);
        Ok(Self { name, pool: Pool::builder(manager).max_size(CONNECTIONS as usize).build()? })
    }
}

fn user(row: &Row) -> Result<Model> {
    Ok(Model {
        id: row.try_get(0)?,
        username: row.try_get(1)?,
        email: row.try_get(2)?,
        phone: row.try_get(3)?,
        status: row.try_get(4)?,
        balance: row.try_get(5)?,
        profile: row.try_get(6)?,
        created_at: row.try_get(7)?,
        updated_at: row.try_get(8)?,
        deleted_at: row.try_get(9)?,
        creator_id: row.try_get(10)?,
        updater_id: row.try_get(11)?,
        version: row.try_get(12)?,
    })
}

async fn find(client: &Client, id: i64) -> Result<Model> {
    let statement = client.prepare_cached(SELECT).await?;
    user(&client.query_one(&statement, &[&id]).await?)
}

#[async_trait::async_trait]
impl Contender for TokioPostgres {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn point_select(&self, id: i64) -> Result<Model> {
        find(&self.pool.get().await?, id).await
    }

    async fn insert(&self, new: NewUser) -> Result<Model> {
        let NewUser { username, email, phone, status, balance } = new;
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(INSERT).await?;
        user(&client.query_one(&statement, &[&username, &email, &phone, &status, &balance]).await?)
    }

    async fn select_update_commit(&self, id: i64) -> Result<Model> {
        let mut client = self.pool.get().await?;
        let transaction = client.transaction().await?;
        let select = transaction.prepare_cached(SELECT).await?;
        let before = user(&transaction.query_one(&select, &[&id]).await?)?;
        let update = transaction.prepare_cached(UPDATE).await?;
        let after = user(&transaction.query_one(&update, &[&(before.balance + 1), &id]).await?)?;
        transaction.commit().await?;
        Ok(after)
    }

    async fn list_100(&self, after: i64) -> Result<Vec<Model>> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(LIST).await?;
        client.query(&statement, &[&after]).await?.iter().map(user).collect()
    }

    async fn request_of_3(&self, ids: [i64; 3]) -> Result<Vec<Model>> {
        let client = self.pool.get().await?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(find(&client, id).await?);
        }
        Ok(found)
    }

    async fn bulk_insert(&self, users: Vec<NewUser>) -> Result<()> {
        let types = [Type::TEXT, Type::TEXT, Type::TEXT, Type::INT2, Type::INT8];
        let client = self.pool.get().await?;
        let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(COPY).await?, &types));
        for NewUser { username, email, phone, status, balance } in &users {
            let values: [&(dyn ToSql + Sync); 5] = [username, email, phone, status, balance];
            writer.as_mut().write(&values).await?;
        }
        writer.finish().await?;
        Ok(())
    }

    async fn close(&self) {
        self.pool.close();
    }
}
