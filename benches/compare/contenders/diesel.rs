//! diesel-async with deadpool and its fast recycling.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, RunQueryDsl,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool},
    },
};
use entities::user::Model;

use crate::{
    CONNECTIONS,
    contender::{Contender, NewUser, Result},
};

diesel::table! {
    user (id) {
        id -> BigInt,
        username -> Text,
        email -> Nullable<Text>,
        phone -> Text,
        status -> SmallInt,
        balance -> BigInt,
        profile -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        deleted_at -> Nullable<Timestamptz>,
        creator_id -> Nullable<BigInt>,
        updater_id -> Nullable<BigInt>,
        version -> Integer,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = user)]
struct User {
    id: i64,
    username: String,
    email: Option<String>,
    phone: String,
    status: i16,
    balance: i64,
    profile: Option<serde_json::Value>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    creator_id: Option<i64>,
    updater_id: Option<i64>,
    version: i32,
}

#[derive(Insertable)]
#[diesel(table_name = user)]
struct Insert {
    username: String,
    email: Option<String>,
    phone: String,
    status: i16,
    balance: i64,
}

impl From<User> for Model {
    fn from(user: User) -> Self {
        let User { id, username, email, phone, status, balance, profile, .. } = user;
        let User { created_at, updated_at, deleted_at, creator_id, updater_id, version, .. } = user;
        let (created_at, updated_at) = (created_at.fixed_offset(), updated_at.fixed_offset());
        let deleted_at = deleted_at.map(|at| at.fixed_offset());
        Self {
            id,
            username,
            email,
            phone,
            status,
            balance,
            profile,
            created_at,
            updated_at,
            deleted_at,
            creator_id,
            updater_id,
            version,
        }
    }
}

impl From<NewUser> for Insert {
    fn from(NewUser { username, email, phone, status, balance }: NewUser) -> Self {
        Self { username, email, phone, status, balance }
    }
}

pub(crate) struct Diesel {
    name: &'static str,
    pool: Pool<AsyncPgConnection>,
}

impl Diesel {
    pub(crate) fn open(name: &'static str, url: &str) -> Result<Self> {
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
        Ok(Self { name, pool: Pool::builder(manager).max_size(CONNECTIONS as usize).build()? })
    }
}

async fn find(connection: &mut AsyncPgConnection, id: i64) -> Result<Model> {
    let query = user::table.filter(user::id.eq(id)).filter(user::deleted_at.is_null()).select(User::as_select());
    let found = query.limit(1).first(connection).await.optional()?;
    Ok(found.ok_or("no such user")?.into())
}

async fn update(connection: &mut AsyncPgConnection, id: i64) -> Result<Model> {
    let before = find(connection, id).await?;
    let found = user::table.filter(user::id.eq(id)).filter(user::deleted_at.is_null());
    let changes = (user::balance.eq(before.balance + 1), user::updated_at.eq(Utc::now()));
    let update = diesel::update(found).set(changes).returning(User::as_returning());
    Ok(update.get_result(connection).await?.into())
}

#[async_trait::async_trait]
impl Contender for Diesel {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn point_select(&self, id: i64) -> Result<Model> {
        find(&mut *self.pool.get().await?, id).await
    }

    async fn insert(&self, new: NewUser) -> Result<Model> {
        let mut connection = self.pool.get().await?;
        let insert = diesel::insert_into(user::table).values(Insert::from(new)).returning(User::as_returning());
        Ok(insert.get_result(&mut connection).await?.into())
    }

    async fn select_update_commit(&self, id: i64) -> Result<Model> {
        let mut connection: Object<AsyncPgConnection> = self.pool.get().await?;
        connection.transaction(async move |connection| update(connection, id).await).await
    }

    async fn list_100(&self, after: i64) -> Result<Vec<Model>> {
        let mut connection = self.pool.get().await?;
        let query = user::table.filter(user::id.gt(after)).filter(user::deleted_at.is_null());
        let query = query.order(user::id.asc()).limit(100).select(User::as_select());
        let users: Vec<User> = query.load(&mut connection).await?;
        Ok(users.into_iter().map(Model::from).collect())
    }

    async fn request_of_3(&self, ids: [i64; 3]) -> Result<Vec<Model>> {
        let mut connection = self.pool.get().await?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(find(&mut connection, id).await?);
        }
        Ok(found)
    }

    /// A statement for as many rows as the protocol has parameters for.
    async fn bulk_insert(&self, users: Vec<NewUser>) -> Result<()> {
        let mut connection = self.pool.get().await?;
        let users: Vec<_> = users.into_iter().map(Insert::from).collect();
        diesel::insert_into(user::table).values(users).execute(&mut connection).await?;
        Ok(())
    }

    async fn close(&self) {
        self.pool.close();
    }
}
