//! sqlx alone: SQL by hand, columns read by name.

use entities::user::Model;
use sqlx::{
    FromRow, PgPool, Postgres, Row,
    postgres::{PgConnection, PgPoolOptions, PgRow},
};

use super::tokio_postgres::{INSERT, INSERT_ALL, LIST, SELECT, UPDATE};
use crate::{
    CONNECTIONS,
    contender::{Contender, NewUser, Result},
};

pub(crate) struct Sqlx {
    name: &'static str,
    pool: PgPool,
}

impl Sqlx {
    pub(crate) async fn open(name: &'static str, url: &str) -> Result<Self> {
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
        Ok(Self { name, pool: options.connect(url).await? })
    }
}

struct User(Model);

impl FromRow<'_, PgRow> for User {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self(Model {
            id: row.try_get("id")?,
            username: row.try_get("username")?,
            email: row.try_get("email")?,
            phone: row.try_get("phone")?,
            status: row.try_get("status")?,
            balance: row.try_get("balance")?,
            profile: row.try_get("profile")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            deleted_at: row.try_get("deleted_at")?,
            creator_id: row.try_get("creator_id")?,
            updater_id: row.try_get("updater_id")?,
            version: row.try_get("version")?,
        }))
    }
}

async fn find(connection: &mut PgConnection, id: i64) -> Result<Model> {
    let user: User = sqlx::query_as::<Postgres, _>(SELECT).bind(id).fetch_one(connection).await?;
    Ok(user.0)
}

#[async_trait::async_trait]
impl Contender for Sqlx {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn point_select(&self, id: i64) -> Result<Model> {
        find(&mut *self.pool.acquire().await?, id).await
    }

    async fn insert(&self, user: NewUser) -> Result<Model> {
        let NewUser { username, email, phone, status, balance } = user;
        let insert = sqlx::query_as::<_, User>(INSERT).bind(username).bind(email).bind(phone).bind(status);
        Ok(insert.bind(balance).fetch_one(&self.pool).await?.0)
    }

    async fn select_update_commit(&self, id: i64) -> Result<Model> {
        let mut transaction = self.pool.begin().await?;
        let user = find(&mut transaction, id).await?;
        let update = sqlx::query_as::<_, User>(UPDATE).bind(user.balance + 1).bind(id);
        let user = update.fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(user.0)
    }

    async fn list_100(&self, after: i64) -> Result<Vec<Model>> {
        let users = sqlx::query_as::<_, User>(LIST).bind(after).fetch_all(&self.pool).await?;
        Ok(users.into_iter().map(|user| user.0).collect())
    }

    async fn request_of_3(&self, ids: [i64; 3]) -> Result<Vec<Model>> {
        let mut connection = self.pool.acquire().await?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(find(&mut connection, id).await?);
        }
        Ok(found)
    }

    /// As its list of frequent questions says: one array for each column.
    async fn bulk_insert(&self, users: Vec<NewUser>) -> Result<()> {
        let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for NewUser { username, email, phone, status, balance } in users {
            columns.0.push(username);
            columns.1.push(email);
            columns.2.push(phone);
            columns.3.push(status);
            columns.4.push(balance);
        }
        let insert = sqlx::query(INSERT_ALL).bind(columns.0).bind(columns.1).bind(columns.2).bind(columns.3);
        insert.bind(columns.4).execute(&self.pool).await?;
        Ok(())
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
