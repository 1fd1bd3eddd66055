// What the examples in queries.md begin with.

#[allow(unused_imports)]
use entities::{customer_order as order, tag, user};
#[allow(unused_imports)]
use futures_util::{StreamExt, TryStreamExt, pin_mut};
#[allow(unused_imports)]
use sea_dao::{
    BaseDao, Database, DatabaseConfig, Error, Result,
    prelude::*,
    query::{CursorPage, JsonPath, Page},
    sea_orm::{
        ActiveValue::Set,
        ColumnTrait, FromQueryResult, JoinType, Order, QuerySelect, RelationTrait,
        prelude::Decimal,
        sea_query::{Expr, ExprTrait, NullOrdering},
    },
};

/// Three users: ada with two orders, bob with one, and cyd.
#[allow(dead_code)]
async fn shop() -> Result<(Database, BaseDao<user::Entity>, BaseDao<order::Entity>)> {
    use migration::MigratorTrait;

    let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
    let users = BaseDao::<user::Entity>::new(db.clone());
    let orders = BaseDao::<order::Entity>::new(db.clone());
    for (name, balance, email) in [("ada", 100, Some("ada@example.org")), ("bob", 200, None), ("cyd", 300, None)] {
        let user = user::ActiveModel {
            username: Set(name.to_owned()),
            phone: Set(name.to_owned()),
            balance: Set(balance),
            email: Set(email.map(str::to_owned)),
            profile: Set(Some(serde_json::json!({"address": {"city": "Oslo"}, "scores": [5]}))),
            ..Default::default()
        };
        let user = users.insert(user).await?;
        for number in 0..(300 - balance) / 100 {
            let order = order::ActiveModel {
                user_id: Set(user.id),
                number: Set(format!("{name}-{number}")),
                total: Set(50 * (number + 1)),
                ..Default::default()
            };
            orders.insert(order).await?;
        }
    }
    Ok((db, users, orders))
}
