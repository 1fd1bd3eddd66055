//! Rows that the tests write and read.

use entities::user;
use sea_dao::Result;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait,
    PaginatorTrait, QueryFilter, QueryOrder, Statement, sea_query::Expr,
};

/// A user with this name and nothing else.
pub(crate) fn new_user(name: &str) -> user::ActiveModel {
    new_user_with(name, 0)
}

pub(crate) fn new_user_with(name: &str, balance: i64) -> user::ActiveModel {
    user::ActiveModel {
        username: Set(name.to_owned()),
        phone: Set(name.to_owned()),
        balance: Set(balance),
        ..Default::default()
    }
}

pub(crate) async fn insert_user(connection: &impl ConnectionTrait, name: &str) -> Result<user::Model> {
    Ok(new_user(name).insert(connection).await?)
}

pub(crate) async fn count_users(connection: &impl ConnectionTrait) -> u64 {
    user::Entity::find().count(connection).await.expect("a count")
}

/// The names of all users in order.
pub(crate) async fn usernames(connection: &impl ConnectionTrait) -> Vec<String> {
    let users = user::Entity::find().order_by_asc(user::Column::Username).all(connection).await.expect("the users");
    users.into_iter().map(|user| user.username).collect()
}

pub(crate) async fn balances(connection: &impl ConnectionTrait) -> Vec<i64> {
    let users = user::Entity::find().order_by_asc(user::Column::Id).all(connection).await.expect("the users");
    users.into_iter().map(|user| user.balance).collect()
}

/// Asks the database to repeat a number.
pub(crate) async fn nonce(connection: &impl ConnectionTrait, number: i64) -> Result<i64> {
    let backend = connection.get_database_backend();
    let sql = if backend == DbBackend::Postgres { "SELECT $1::bigint" } else { "SELECT ?" };
    let statement = Statement::from_sql_and_values(backend, sql, [number.into()]);
    let row = connection.query_one_raw(statement).await?.expect("one row");
    Ok(row.try_get_by_index(0)?)
}

/// Adds to the balance of the user with this name, in one UPDATE.
pub(crate) async fn add_to_balance(connection: &impl ConnectionTrait, name: &str, amount: i64) -> Result<()> {
    let balance = Expr::col(user::Column::Balance).add(amount);
    user::Entity::update_many()
        .col_expr(user::Column::Balance, balance)
        .filter(user::Column::Username.eq(name))
        .exec(connection)
        .await?;
    Ok(())
}

/// A query that the database needs a while for, without locking or writing anything.
pub(crate) async fn slow_query(connection: &impl ConnectionTrait) -> Result<()> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT pg_sleep(0.3)",
        DbBackend::MySql => "SELECT SLEEP(0.3)",
        _ => {
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) \
             SELECT COUNT(*) FROM n"
        }
    };
    connection.query_all_raw(Statement::from_string(backend, sql)).await?;
    Ok(())
}
