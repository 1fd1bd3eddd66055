//! The program `sea-dao-monitor`: samples, summaries and exit codes, through an outage too.

use std::process::Stdio;

use axum::http::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
    sync::watch,
};

use crate::{
    common::{in_time, proxied},
    support::TestDb,
};

for_each_server!(
    an_outage_is_seen_and_its_end,
    a_test_ends_with_a_summary,
    a_health_page_is_watched,
    a_page_that_says_nothing_does_not_hold_up_the_end,
    what_makes_no_sense_is_refused,
);

struct Monitor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sea-dao-monitor"));
    command.args(arguments).env_remove("DATABASE_URL").stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).kill_on_drop(true);
    command
}

impl Monitor {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn next(&mut self) -> Value {
        let line = in_time("a line", self.lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn until(&mut self, up: bool) -> Value {
        loop {
            let sample = self.next().await;
            if sample["up"] == up {
                return sample;
            }
        }
    }
}

async fn an_outage_is_seen_and_its_end(db: TestDb) {
    let (proxy, _pool) = proxied(&db, |config| config).await;
    let mut monitor = Monitor::start(&["--url", proxy.url(), "--interval", "0.05", "--deadline", "1", "--json"]);
    let sample = monitor.until(true).await;
    assert!(sample["latency_ms"].as_f64().unwrap() > 0.0, "{sample}");
    assert_eq!(sample["pool"]["size"], 1, "{sample}");

    proxy.refuse();
    proxy.cut().await;
    let sample = monitor.until(false).await;
    assert!(!sample["error"].as_str().unwrap().is_empty(), "{sample}");
    proxy.heal();
    assert!(monitor.until(true).await["reconnects"].as_u64().unwrap() > 0);

    proxy.blackhole();
    monitor.until(false).await;
    proxy.heal();
    monitor.until(true).await;

    // Told to end, it says what it has seen.
    let id = monitor.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let summary = loop {
        let line = monitor.next().await;
        if !line["summary"].is_null() {
            break line["summary"].clone();
        }
    };
    assert!(summary["failed"].as_u64().unwrap() >= 2, "{summary}");
    assert!(summary["success_rate"].as_f64().unwrap() < 100.0, "{summary}");
    assert_eq!(in_time("the end", monitor.child.wait()).await.unwrap().code(), Some(1));
}

async fn a_test_ends_with_a_summary(db: TestDb) {
    let arguments = ["--url", db.url(), "--mode", "test", "--test-count", "7", "--test-interval", "0.01"];
    let output = in_time("the test", command(&arguments).output()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  up  ")).count(), 7, "{text}");
    assert!(text.contains("\nsamples     7 in ") && text.contains("\nup          100.00 %\n"), "{text}");
    let latency = text.lines().last().unwrap();
    assert!(latency.starts_with("latency     min ") && !latency.contains(" 0.00"), "{text}");
}

async fn a_health_page_is_watched(_db: TestDb) {
    let (set, status) = watch::channel(StatusCode::OK);
    let page = axum::Router::new().route("/api/v1/hc/database", {
        let get = async move || (*status.borrow(), r#"{"status":"as it is"}"#);
        axum::routing::get(get)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, page).await });
    let mut monitor = Monitor::start(&["--health", &address, "--interval", "0.02", "--json", "--deadline", "60"]);
    assert_eq!(monitor.until(true).await["page"]["status"], "as it is");
    set.send(StatusCode::SERVICE_UNAVAILABLE).unwrap();
    assert_eq!(monitor.until(false).await["error"], "status 503");
    set.send(StatusCode::OK).unwrap();
    monitor.until(true).await;
    server.abort();
}

async fn a_page_that_says_nothing_does_not_hold_up_the_end(_db: TestDb) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut monitor = Monitor::start(&["--health", &address, "--deadline", "3600", "--json"]);
    let (_asked, _) = in_time("a question", listener.accept()).await.unwrap();
    let id = monitor.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    assert_eq!(monitor.next().await["summary"]["samples"], 0);
    assert_eq!(in_time("the end", monitor.child.wait()).await.unwrap().code(), Some(1));
}

async fn what_makes_no_sense_is_refused(_db: TestDb) {
    for (arguments, said) in [
        (&[][..], "--url or --health"),
        (&["--url", "oracle://ada:secret@host/x"], "Oracle"),
        (&["--url", "sqlite::memory:", "--health", "http://host"], "cannot be used with"),
        (&["--url", "sqlite::memory:", "--interval=-1"], "interval"),
        (&["--url", "sqlite::memory:", "--mode", "test", "--test-count", "0"], "test-count"),
        (&["--health", "ada:secret@host"], "address"),
    ] {
        let output = in_time("a refusal", command(arguments).output()).await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said) && !text.contains("secret"), "{arguments:?}: {text}");
    }
}
