//! What belongs to a whole process: its environment, its one database, its end.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use sea_dao::{
    DatabaseConfig, Error, global,
    lifecycle::{Lifecycle, Outcome, shutdown_signal},
};

use crate::support::{TestDb, nonce, poll_times};

for_each_backend!(
    resources_are_closed_in_reverse_order,
    a_database_that_is_held_is_reported,
    a_watcher_that_panics_stops_nothing,
);

/// Says that this process is the child of a test.
const ROLE: &str = "SEA_DAO_FAULTS_CHILD";

/// Runs this test once more, in a process of its own with these variables.
fn child(test: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test binary"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, "1");
    for name in ["DATABASE_URL", "DB_URL", "DB_TYPE"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_child() -> bool {
    env::var_os(ROLE).is_some()
}

async fn resources_are_closed_in_reverse_order(db: TestDb) {
    let pool = db.open(|config| config).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut lifecycle = Lifecycle::new();
    lifecycle.database("database", pool.clone(), Duration::MAX);
    let failing = async || Err(std::io::Error::other("the cache is on fire"));
    lifecycle.resource("cache", Duration::from_secs(5), failing);
    lifecycle.resource("queue", Duration::from_secs(5), async || -> Result<(), Error> { panic!("the queue panics") });
    lifecycle.resource("early", Duration::from_secs(5), || {
        assert!(std::hint::black_box(false), "before there is a future");
        async { Ok::<(), Error>(()) }
    });
    lifecycle.resource("stuck", Duration::from_millis(50), std::future::pending::<Result<(), Error>>);
    lifecycle.resource("last", Duration::from_secs(5), async || Ok::<(), Error>(()));
    lifecycle.on_progress({
        let order = order.clone();
        move |closing| order.lock().unwrap().push((closing.name.to_owned(), closing.outcome.cloned()))
    });
    let report = lifecycle.close().await;
    let names: Vec<&str> = report.resources.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["last", "stuck", "early", "queue", "cache", "database"]);
    let outcomes: Vec<&Outcome> = report.resources.iter().map(|(_, outcome, _)| outcome).collect();
    assert_eq!(*outcomes[0], Outcome::Closed);
    assert_eq!(*outcomes[1], Outcome::TimedOut);
    assert!(matches!(outcomes[2], Outcome::Failed(_)) && matches!(outcomes[3], Outcome::Failed(_)), "{report}");
    assert_eq!(*outcomes[4], Outcome::Failed("the cache is on fire".to_owned()));
    assert_eq!(*outcomes[5], Outcome::Closed);
    assert!(!report.is_clean());
    let shown = report.to_string();
    assert!(shown.contains("stuck: not closed within") && shown.contains("the cache is on fire"), "{shown}");
    let told = order.lock().unwrap().clone();
    assert_eq!(told.len(), 12, "before and after each");
    assert_eq!(told[0], ("last".to_owned(), None));
    assert_eq!(told[1], ("last".to_owned(), Some(Outcome::Closed)));
    assert!(matches!(nonce(&pool, 1).await, Err(Error::PoolClosed)));
}

async fn a_database_that_is_held_is_reported(db: TestDb) {
    let pool = db.open(|config| config).await;
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    let mut lifecycle = Lifecycle::new();
    lifecycle.database("database", pool, Duration::from_millis(100));
    lifecycle.resource("other", Duration::from_secs(5), async || Ok::<(), Error>(()));
    let report = lifecycle.close().await;
    assert!(!report.is_clean());
    assert!(report.to_string().contains("process.rs:"), "{report}");
    assert_eq!(report.resources[0].1, Outcome::Closed);
    drop(session);
}

async fn a_watcher_that_panics_stops_nothing(db: TestDb) {
    let pool = db.open(|config| config).await;
    let mut lifecycle = Lifecycle::new();
    lifecycle.database("database", pool.clone(), Duration::from_secs(5));
    lifecycle.resource("other", Duration::from_secs(5), async || Ok::<(), Error>(()));
    lifecycle.on_progress(|closing| panic!("{} is watched", closing.name));
    let report = lifecycle.close().await;
    assert!(report.is_clean() && report.resources.len() == 2, "{report}");
    assert!(pool.status().closed);
}

mod alone {
    use super::*;

    mod sqlite {
        use super::*;

        #[test]
        fn the_environment_sets_what_it_names() {
            const TEST: &str = "process::alone::sqlite::the_environment_sets_what_it_names";
            if is_child() {
                match catch_unwind(AssertUnwindSafe(DatabaseConfig::from_env)) {
                    Ok(Ok(config)) => println!("config: {config:?}"),
                    Ok(Err(error)) => println!("error: {error} {error:?}"),
                    Err(_) => println!("panic"),
                }
                return;
            }
            let shown = |variables: &[(&str, &str)]| {
                let output = child(TEST, variables).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                let text = String::from_utf8(output.stdout).unwrap();
                text.lines().find(|line| line.contains("config: ") || line.contains("error: ")).unwrap().to_owned()
            };
            let config = shown(&[]);
            assert!(config.contains("sqlite::memory:") && config.contains("pool_size: 10"), "{config}");
            let config = shown(&[("DATABASE_URL", "postgres://ada:s3cret@db/app"), ("DB_URL", "mysql://other/app")]);
            assert!(config.contains("postgres://ada:***@db/app") && !config.contains("s3cret"), "{config}");
            let config = shown(&[("DB_URL", "mysql://ada@db/app"), ("DB_POOL_SIZE", "3"), ("DB_POOL_TIMEOUT", "1.5")]);
            assert!(config.contains("mysql://ada@db/app") && config.contains("pool_size: 3"), "{config}");
            assert!(config.contains("pool_timeout: 1.5s"), "{config}");
            let parts = [
                ("DB_TYPE", "mariadb"),
                ("DB_HOST", "db"),
                ("DB_PORT", "3307"),
                ("DB_USER", "ada"),
                ("DB_NAME", "app"),
            ];
            let config = shown(&[&parts[..], &[("DB_PASSWORD", "012345")]].concat());
            assert!(config.contains("mysql://ada:***@db:3307/app"), "{config}");
            assert!(!config.contains("012345"), "{config}");
            let error = shown(&[("DB_TYPE", "oracle")]);
            assert!(error.contains("Oracle") && error.contains("not supported"), "{error}");
            let error = shown(&[("DB_POOL_SIZE", "0")]);
            assert!(error.contains("pool_size") && error.contains("1 to 10000"), "{error}");
            let error = shown(&[("DB_MAX_OVERFLOW", "-1")]);
            assert!(error.contains("max_overflow") && error.contains("-1"), "{error}");
        }

        /// What a file says, what the environment says, and what comes of it.
        #[test]
        fn the_environment_is_laid_over_a_file() {
            const TEST: &str = "process::alone::sqlite::the_environment_is_laid_over_a_file";
            const FILE: &str = "SEA_DAO_FAULTS_FILE";
            if let Some(path) = env::var_os(FILE) {
                let read = if path.to_string_lossy().ends_with(".env") {
                    DatabaseConfig::from_env_file(path)
                } else {
                    DatabaseConfig::from_file(path)
                };
                match read {
                    Ok(config) => println!("\nresult: {config:?}"),
                    Err(error) => println!("\nresult: {error}"),
                }
                return;
            }
            let folder = tempfile::TempDir::new().unwrap();
            let url = "url = 'postgres://ada@dev/app'";
            let parts = "type = 'postgres'\nhost = 'dev'\nuser = 'ada'\npassword = 'old'\nname = 'app'";
            for (name, text, variables, expected) in [
                (
                    "a.env",
                    "DATABASE_URL=mysql://dev/app",
                    &[("DB_URL", "mysql://prod/app")][..],
                    "\"mysql://prod/app\"",
                ),
                ("a.env", "DB_URL=mysql://dev/app", &[("DATABASE_URL", "mysql://prod/app")], "\"mysql://prod/app\""),
                ("a.env", "DB_URL=mysql://dev/app", &[("DATABASE_URL", " ")], "\"mysql://dev/app\""),
                ("a.toml", url, &[("DB_TYPE", "mysql"), ("DB_HOST", "prod")], "\"mysql://prod\""),
                ("a.toml", url, &[("DB_PASSWORD", "new")], "\"postgres://ada:***@dev/app\""),
                ("a.toml", "url = 'postgres://ada:old@dev/app'", &[("DB_PASSWORD", "new")], "ada:***@dev/app\""),
                ("a.toml", url, &[("DB_HOST", "prod")], "invalid setting host"),
                ("a.toml", url, &[("DB_USER", "eve"), ("DB_PASSWORD", "new")], "invalid setting user"),
                ("a.toml", parts, &[("DB_HOST", "prod")], "\"postgres://ada:***@prod/app\""),
                ("a.toml", parts, &[("DATABASE_URL", "postgres://eve@prod/app")], "\"postgres://eve@prod/app\""),
                (
                    "a.toml",
                    "password = 'a'",
                    &[("DB_URL", "postgres://eve@prod/app")],
                    "\"postgres://eve:***@prod/app\"",
                ),
                ("a.toml", "", &[("DB_USER", "ada"), ("DB_PORT", "1")], "invalid setting type"),
                ("a.toml", "url = 'sqlite::memory:'", &[("DB_PASSWORD", "new")], "\"sqlite::memory:\""),
            ] {
                let path = folder.path().join(name);
                std::fs::write(&path, text).unwrap();
                let variables = [variables, &[(FILE, path.to_str().unwrap())]].concat();
                let output = child(TEST, &variables).output().unwrap();
                let shown = String::from_utf8_lossy(&output.stdout).into_owned();
                let result = shown.lines().find(|line| line.starts_with("result: ")).unwrap_or(&shown);
                assert!(result.contains(expected), "{text} {variables:?}: {result}");
            }
        }

        #[tokio::test]
        async fn a_process_has_one_database() {
            let memory = || DatabaseConfig::new("sqlite::memory:").pool_size(1);
            assert!(matches!(global::get(), Err(Error::NotInitialized)));
            global::close().await;
            global::reset();
            assert!(global::init(DatabaseConfig::new("nonsense")).await.is_err());
            assert!(matches!(global::get(), Err(Error::NotInitialized)), "a failure leaves nothing");

            let (one, two) = tokio::join!(global::init(memory()), global::init(memory().pool_size(2)));
            let (one, two) = (one.unwrap(), two.unwrap());
            assert_eq!((one.status().pool_size, two.status().pool_size), (1, 1), "the first stays");
            one.execute_unprepared_here("CREATE TABLE here (a INTEGER)").await;
            global::get().unwrap().execute_unprepared_here("INSERT INTO here VALUES (1)").await;
            let third = global::init(DatabaseConfig::new("nonsense")).await.unwrap();
            third.execute_unprepared_here("INSERT INTO here VALUES (2)").await;

            global::close().await;
            global::close().await;
            assert!(matches!(global::get(), Err(Error::NotInitialized)));
            assert!(matches!(nonce(&one, 1).await, Err(Error::PoolClosed)));
            let again = global::init(memory()).await.unwrap();
            assert_eq!(nonce(&again, 1).await.unwrap(), 1);

            global::reset();
            assert!(matches!(global::get(), Err(Error::NotInitialized)));
            assert!(matches!(nonce(&again, 1).await, Err(Error::PoolClosed)));

            // Closed by somebody else, as by a Lifecycle.
            let third = global::init(memory()).await.unwrap();
            third.close().await;
            let fourth = global::init(memory()).await.unwrap();
            assert_eq!(nonce(&fourth, 1).await.unwrap(), 1, "a closed one is replaced");
            global::close().await;

            // Closed while it is opened.
            let (fifth, ()) = tokio::join!(global::init(memory()), global::close());
            assert!(matches!(fifth, Err(Error::PoolClosed)), "{fifth:?}");
            assert!(matches!(global::get(), Err(Error::NotInitialized)));
        }

        #[test]
        fn a_global_database_outlives_its_runtime_by_a_reset() {
            const TEST: &str = "process::alone::sqlite::a_global_database_outlives_its_runtime_by_a_reset";
            if !is_child() {
                let output = child(TEST, &[]).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
                return;
            }
            for number in 0..3 {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    global::reset();
                    let db = global::init(DatabaseConfig::new("sqlite::memory:")).await.unwrap();
                    assert_eq!(nonce(&db, number).await.unwrap(), number);
                });
            }
        }

        #[cfg(unix)]
        #[test]
        fn a_signal_ends_a_program_in_order() {
            use std::io::{BufRead, BufReader, Read};

            const TEST: &str = "process::alone::sqlite::a_signal_ends_a_program_in_order";
            if is_child() {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let db = DatabaseConfig::new("sqlite::memory:").connect().await.unwrap();
                    let mut lifecycle = Lifecycle::new();
                    lifecycle.database("database", db, Duration::from_secs(5));
                    let mut signal = std::pin::pin!(shutdown_signal());
                    // The handlers are there after its first poll.
                    assert!(poll_times(&mut signal, 1).await.is_none());
                    println!("\nready");
                    println!("\nsignal {}", signal.await.unwrap());
                    println!("{}", lifecycle.close().await);
                });
                return;
            }
            for signal in ["TERM", "INT"] {
                let mut process = child(TEST, &[]).spawn().unwrap();
                let mut output = BufReader::new(process.stdout.take().unwrap());
                let mut line = String::new();
                while line.trim() != "ready" {
                    line.clear();
                    assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it was ready");
                }
                crate::server::kill(signal, process.id());
                let mut rest = String::new();
                output.read_to_string(&mut rest).unwrap();
                assert!(rest.contains(&format!("signal SIG{signal}")), "{rest}");
                assert!(rest.contains("database: closed in"), "{rest}");
                assert!(process.wait().unwrap().success());
            }
        }
    }
}

/// Scripts for the test above.
trait Script {
    async fn execute_unprepared_here(&self, sql: &str);
}

impl Script for sea_dao::Database {
    async fn execute_unprepared_here(&self, sql: &str) {
        sea_orm::ConnectionTrait::execute_unprepared(self, sql).await.unwrap();
    }
}
