//! How long the text of a statement takes, beside SeaORM's own builder: `cargo bench -p sea-dao-benches --bench building`.

use std::{error::Error, hint::black_box, time::Instant};

use entities::user::{
    self,
    Column::{Balance, DeletedAt, Id, Status, Username},
};
use sea_dao::{BaseDao, DatabaseConfig, prelude::*, query::QueryBuilder};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement,
    sea_query::LikeExpr,
};

const ROUNDS: usize = 31;
const TIMES: u32 = 5_000;

type Build<'b> = Box<dyn Fn() -> Statement + 'b>;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let database = runtime.block_on(DatabaseConfig::new("sqlite::memory:").connect())?;
    let users = BaseDao::<user::Entity>::new(database);
    const BACKEND: DbBackend = DbBackend::Postgres;
    let ours = |query: QueryBuilder<user::Entity>| query.into_statement(BACKEND).expect("a statement");
    let scenarios: [(&str, Build<'_>, Build<'_>); 2] = [
        (
            "find by key",
            Box::new(|| ours(users.query().eq(Id, 42_i64).limit(1))),
            Box::new(|| user::Entity::find_by_id(42_i64).filter(DeletedAt.is_null()).limit(1).build(BACKEND)),
        ),
        (
            "page with three filters",
            Box::new(|| {
                let query = users.query().eq(Status, 1).gt(Balance, 100).starts_with(Username, "a");
                ours(query.order_desc(Balance).order_asc(Id).limit(20).offset(40))
            }),
            Box::new(|| {
                let query = user::Entity::find().filter(Status.eq(1)).filter(Balance.gt(100));
                let query = query.filter(Username.like(LikeExpr::new("a%").escape('!'))).filter(DeletedAt.is_null());
                query.order_by_desc(Balance).order_by_asc(Id).limit(20).offset(40).build(BACKEND)
            }),
        ),
    ];
    println!("| | SeaORM | sea-dao | ratio (quartiles) |\n|---|--:|--:|--:|");
    for (name, ours, theirs) in &scenarios {
        assert_eq!(ours(), theirs(), "{name}: the same text and values");
        let mut rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (time(theirs), time(ours))).collect();
        let mut ratios: Vec<f64> = rounds.iter().map(|(theirs, ours)| ours / theirs).collect();
        ratios.sort_by(f64::total_cmp);
        let quartile = |quarter: usize| ratios[(ROUNDS - 1) * quarter / 4];
        rounds.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (theirs, ours) = rounds[ROUNDS / 2];
        println!(
            "| {name} | {theirs:.2} µs | {ours:.2} µs | {:.2} ({:.2}–{:.2}) |",
            quartile(2),
            quartile(1),
            quartile(3)
        );
    }
    Ok(())
}

/// Microseconds for one.
fn time(build: &Build<'_>) -> f64 {
    let started = Instant::now();
    for _ in 0..TIMES {
        black_box(build());
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}
