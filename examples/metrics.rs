//! The metrics of a pool, as a Prometheus server reads them: `cargo run --example metrics --features metrics`.
//!
//! With an address it serves them there until Ctrl-C: `… -- 127.0.0.1:9100`, then `http://127.0.0.1:9100/metrics`.

use std::{env, error::Error, net::SocketAddr, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use sea_dao::{
    DatabaseConfig,
    hooks::{AlertRule, DURATION_BUCKETS, StatementOrder::Total},
    sea_orm::{ConnectionTrait, Statement},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: Option<SocketAddr> = env::args().nth(1).map(|address| address.parse()).transpose()?;
    let builder = PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets_for_metric(Matcher::Suffix("duration".to_owned()), &DURATION_BUCKETS)?;
    let builder = match address {
        Some(address) => builder.with_http_listener(address),
        None => builder,
    };
    let metrics = match address {
        Some(_) => {
            builder.install()?;
            None
        }
        None => Some(builder.install_recorder()?),
    };

    let db = DatabaseConfig::from_env()?
        .metrics("example")
        .statement_statistics(500)
        .alerts(AlertRule::defaults())
        .connect()
        .await?;
    let load = async {
        loop {
            for number in 0..20 {
                let one_of = if number % 2 == 0 { "SELECT 1 AS even" } else { "SELECT 1 AS odd" };
                db.query_all_raw(Statement::from_string(db.backend(), one_of)).await?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        #[expect(unreachable_code, reason = "tells the type of the error")]
        Ok::<(), Box<dyn Error>>(())
    };
    let long_enough = async {
        match metrics {
            // Gauges are brought up to date each second.
            Some(_) => tokio::time::sleep(Duration::from_millis(1_500)).await,
            None => drop(tokio::signal::ctrl_c().await),
        }
    };
    tokio::select! {
        failed = load => failed?,
        () = long_enough => {}
    }
    if let Some(metrics) = metrics {
        print!("{}", metrics.render());
    }
    for statement in db.statements().top(3).by(Total) {
        println!("# {statement}");
    }
    db.close_within(Duration::from_secs(5)).await;
    Ok(())
}
