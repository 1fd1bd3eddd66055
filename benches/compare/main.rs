//! sea-dao beside other ways to reach a database, on one server, in turns.
//!
//! `tests/run --exec cargo bench -p sea-dao-benches --bench compare -- [FILTER] [--rounds N] [--seconds S]
//! [--operations N] [--tasks 1,10,64] [--only CONTENDER] [--plot FILE.svg]`: see `docs/performance.md`.

mod arguments;
mod contender;
mod contenders;
mod fixture;
mod graph;
mod measure;
mod plot;
mod reading;
mod report;
mod scenario;

use std::{error::Error, fs, sync::Arc};

use arguments::Arguments;
use contender::{Contender, Result};
use contenders::{Diesel, SeaDao, SeaOrm, Sqlx, TokioPostgres};
use fixture::{Server, Store};
use measure::Group;
use scenario::Scenario;

/// As many for each contender.
const CONNECTIONS: u32 = 10;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // An unknown argument is a mistake, and `--bench` is cargo's.
    let arguments = Arguments::parse(std::env::args().skip(1).filter(|argument| argument != "--bench"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.plot {
        fs::write(path, "").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mut groups = Vec::new();
    if arguments.wants(Scenario::POSTGRES) {
        let server = Server::create().await?;
        let measured = postgres(&server, arguments).await;
        server.drop().await?;
        groups.extend(measured?);
    }
    if arguments.wants(Scenario::SQLITE) {
        groups.extend(sqlite(arguments).await?);
    }
    if let Some(path) = &arguments.plot {
        fs::write(path, plot::draw(&groups))?;
    }
    Ok(())
}

async fn postgres(server: &Server, arguments: &Arguments) -> Result<Vec<Group>> {
    let url = server.url();
    let mut contenders: Vec<Arc<dyn Contender>> = vec![
        // The first is the one that the others are compared with.
        Arc::new(SeaOrm::open("SeaORM", url, true).await?),
        Arc::new(SeaOrm::open("SeaORM, ping off", url, false).await?),
        Arc::new(Sqlx::open("sqlx, ping off", url).await?),
        Arc::new(Diesel::open("diesel-async", url)?),
        Arc::new(TokioPostgres::open("tokio-postgres", url)?),
        Arc::new(SeaDao::open("sea-dao", url).await?),
    ];
    contenders.retain(|contender| arguments.is_invited(contender.as_ref()));
    let groups = measure_all(&contenders, server.store(), Scenario::POSTGRES, arguments).await;
    for contender in contenders {
        contender.close().await;
    }
    groups
}

async fn sqlite(arguments: &Arguments) -> Result<Vec<Group>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}/compare.db?mode=rwc", folder.path().display());
    let store = Store::migrate(&url).await?;
    let mut contenders: Vec<Arc<dyn Contender>> = vec![
        Arc::new(SeaOrm::open("SeaORM", &url, true).await?),
        Arc::new(SeaOrm::open("SeaORM, ping off", &url, false).await?),
        Arc::new(SeaDao::open("sea-dao", &url).await?),
    ];
    contenders.retain(|contender| arguments.is_invited(contender.as_ref()));
    let groups = measure_all(&contenders, &store, Scenario::SQLITE, arguments).await;
    for contender in contenders {
        contender.close().await;
    }
    store.close().await?;
    groups
}

async fn measure_all(
    contenders: &[Arc<dyn Contender>],
    store: &Store,
    scenarios: &[Scenario],
    arguments: &Arguments,
) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for scenario in arguments.selected(scenarios).filter(|_| !contenders.is_empty()) {
        let contenders: Vec<_> =
            contenders.iter().filter(|contender| !scenario.is_of_two() || contender.has_bulk()).cloned().collect();
        if contenders.is_empty() {
            continue;
        }
        store.fill().await?;
        scenario.check(&contenders).await?;
        for tasks in arguments.tasks_of(*scenario) {
            let group = measure::group(&contenders, store, *scenario, tasks, arguments).await?;
            report::print(&group);
            groups.push(group);
        }
    }
    report::summarize(&groups);
    Ok(groups)
}
