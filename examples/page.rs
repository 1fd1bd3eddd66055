//! A page to look at, and something to see on it: `cargo run --example page --features page`.
//!
//! With an address it serves there until Ctrl-C: `… -- 127.0.0.1:8080`, then `http://127.0.0.1:8080`. A second argument is
//! a token that the page asks for. Without arguments it works for three seconds and prints what the page would show.
//! The database is that of `DATABASE_URL`, or SQLite in memory; it gets the tables of the examples.

use std::{env, error::Error, net::SocketAddr, time::Duration};

use entities::{customer_order as order, user};
use migration::{Migrator, MigratorTrait};
use sea_dao::{
    BaseDao, Database, DatabaseConfig,
    hooks::StatementOrder::Total,
    integrations::page::Page,
    lifecycle::{Lifecycle, shutdown_signal},
    prelude::*,
    sea_orm::{
        ActiveValue::Set,
        ConnectionTrait, DbBackend, Statement,
        sea_query::{Expr, ExprTrait},
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address: Option<SocketAddr> = arguments.next().map(|address| address.parse()).transpose()?;

    let db = DatabaseConfig::from_env()?
        .pool_size(6)
        .max_overflow(4)
        .slow_threshold(Duration::from_millis(150))
        .watch_everything()
        .connect()
        .await?;
    Migrator::up(&db.sea_orm_connection().await?, None).await?;
    let mut lifecycle = Lifecycle::new();
    lifecycle.database("database", db.clone(), Duration::from_secs(10));

    let mut page = Page::new().database("shop", db.clone());
    if let Some(address) = address {
        page = page.address(address);
    }
    if let Some(token) = arguments.next() {
        page = page.token(token);
    }
    let server = page.serve().await?;
    println!("http://{}", server.address());
    server.close_with(&mut lifecycle);

    let mut shop = Shop::open(&db).await?;
    tokio::select! {
        failed = shop.work() => failed?,
        signal = shutdown_signal(), if address.is_some() => println!("{}: closing", signal?),
        () = sleep(Duration::from_secs(3)), if address.is_none() => {}
    }
    shop.workers.shutdown().await;

    println!("{}", db.status());
    for statement in db.statements().top(5).by(Total) {
        println!("{statement}");
    }
    let report = lifecycle.close().await;
    println!("{report}");
    if report.is_clean() { Ok(()) } else { Err("not everything was closed".into()) }
}

/// A shop with customers that come in waves.
struct Shop {
    db: Database,
    users: Vec<i64>,
    workers: JoinSet<sea_dao::Result<()>>,
}

impl Shop {
    async fn open(db: &Database) -> sea_dao::Result<Self> {
        let users = BaseDao::<user::Entity>::new(db.clone());
        let run = fastrand::u32(..);
        let named = (0..40).map(|number| user::ActiveModel {
            username: Set(format!("customer-{run}-{number}")),
            phone: Set(format!("{run}-{number}")),
            balance: Set(10_000),
            ..Default::default()
        });
        let users =
            users.insert_many_returning(named.collect::<Vec<_>>()).await?.into_iter().map(|user| user.id).collect();
        Ok(Self { db: db.clone(), users, workers: JoinSet::new() })
    }

    /// Works until something fails that should not.
    async fn work(&mut self) -> sea_dao::Result<()> {
        let started = Instant::now();
        for number in 0..14 {
            let worker = Worker {
                users: BaseDao::new(self.db.clone()),
                orders: BaseDao::new(self.db.clone()),
                db: self.db.clone(),
                keys: self.users.clone(),
            };
            self.workers.spawn(async move {
                loop {
                    // A wave of forty seconds; some come only at its top.
                    let wave = 0.5 + 0.5 * (started.elapsed().as_secs_f64() / 6.4).sin();
                    if f64::from(number) / 14.0 <= wave + 0.2 {
                        worker.one_thing().await?;
                    }
                    sleep(Duration::from_millis(fastrand::u64(2..40))).await;
                }
            });
        }
        match self.workers.join_next().await {
            Some(Ok(Err(error))) => Err(error),
            _ => Ok(()),
        }
    }
}

struct Worker {
    db: Database,
    users: BaseDao<user::Entity>,
    orders: BaseDao<order::Entity>,
    keys: Vec<i64>,
}

impl Worker {
    fn any(&self) -> i64 {
        self.keys[fastrand::usize(..self.keys.len())]
    }

    async fn one_thing(&self) -> sea_dao::Result<()> {
        match fastrand::u32(0..200) {
            0..90 => self.users.find_by_id(self.any()).await.map(drop),
            90..120 => self.newest_orders().await,
            120..150 => self.buy().await,
            150..180 => self.users.query().contains(user::Column::Username, "-7").page(1, 10).await.map(drop),
            180..186 => self.orders_one_by_one().await,
            186..188 => self.report().await,
            190 => self.strange_name().await,
            191..193 => {
                // Gives up; the statement is cancelled on the server.
                let _ = timeout(Duration::from_millis(2), self.report()).await;
                Ok(())
            }
            _ => self.taken_name().await,
        }
    }

    async fn newest_orders(&self) -> sea_dao::Result<()> {
        let newest = self.orders.query().eq(order::Column::UserId, self.any()).order_desc(order::Column::CreatedAt);
        newest.limit(5).all().await.map(drop)
    }

    async fn buy(&self) -> sea_dao::Result<()> {
        let (buyer, price) = (self.any(), fastrand::i64(1..50));
        self.db
            .execute_transaction(async |tx| -> sea_dao::Result<()> {
                let number = format!("{:x}", fastrand::u64(..));
                let bought = order::ActiveModel {
                    user_id: Set(buyer),
                    number: Set(number),
                    total: Set(price),
                    ..Default::default()
                };
                self.orders.within(tx).insert(bought).await?;
                let paid = Expr::col(user::Column::Balance).sub(price);
                let buyers = self.users.within(tx);
                buyers.update_where().eq(user::Column::Id, buyer).set_expr(user::Column::Balance, paid).exec().await?;
                Ok(())
            })
            .await
    }

    /// As it should not be done: a query for each user.
    async fn orders_one_by_one(&self) -> sea_dao::Result<()> {
        let session = self.db.session();
        let orders = self.orders.within(&session);
        for user in &self.keys {
            orders.query().eq(order::Column::UserId, *user).count().await?;
        }
        Ok(())
    }

    /// Takes its time.
    async fn report(&self) -> sea_dao::Result<()> {
        let sql = match self.db.backend() {
            DbBackend::Postgres => "SELECT COUNT(*) FROM customer_order, pg_sleep(0.25)".to_owned(),
            DbBackend::MySql => "SELECT COUNT(*), SLEEP(0.25) FROM customer_order".to_owned(),
            _ => {
                let rows = fastrand::u32(100_000..400_000);
                format!(
                    "WITH RECURSIVE day (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM day WHERE n < {rows}) \
                     SELECT COUNT(*) FROM day"
                )
            }
        };
        let session = self.db.session();
        session.query_all_raw(Statement::from_string(self.db.backend(), sql)).await?;
        Ok(())
    }

    /// What looks like markup is shown as it is.
    async fn strange_name(&self) -> sea_dao::Result<()> {
        let quote = if self.db.backend() == DbBackend::MySql { '`' } else { '"' };
        let sql = format!("SELECT COUNT(*) AS {quote}<img src=x onerror=alert(1)>{quote} FROM customer_order");
        self.db.query_all_raw(Statement::from_string(self.db.backend(), sql)).await?;
        Ok(())
    }

    async fn taken_name(&self) -> sea_dao::Result<()> {
        let user = self.users.find_by_id(self.any()).await?;
        let Some(user) = user else { return Ok(()) };
        let again =
            user::ActiveModel { username: Set(user.username), phone: Set("taken".into()), ..Default::default() };
        match self.users.insert(again).await {
            Err(error) if error.is_unique_violation() => Ok(()),
            other => other.map(drop),
        }
    }
}
