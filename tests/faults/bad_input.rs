//! Mistakes in what the pool is given: each a typed error that says what to change, and never shows a password.

use std::time::Duration;

use sea_dao::{DatabaseConfig, Error, PoolConfig};
use tokio::net::TcpListener;

use crate::{common::in_time, support::TestDb};

for_each_server!(an_unknown_database_is_named, nobody_listens, a_host_that_does_not_exist, somebody_else_answers);

async fn refused(config: DatabaseConfig) -> Error {
    let error = in_time("the refusal", config.connect()).await.expect_err("it must be refused");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    error
}

fn short(url: &url::Url) -> DatabaseConfig {
    let settings = PoolConfig::default().connect_timeout(Duration::from_secs(3));
    DatabaseConfig::new(url.as_str()).pool(settings.pool_timeout(Duration::from_secs(5)))
}

fn url_of(db: &TestDb) -> url::Url {
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_password(Some("s3cret")).unwrap();
    url
}

async fn an_unknown_database_is_named(db: TestDb) {
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_path("no_such_database");
    let error = refused(short(&url)).await;
    assert!(matches!(error, Error::Connect { .. }) && error.to_string().contains("no_such_database"), "{error:?}");
}

async fn nobody_listens(db: TestDb) {
    let mut url = url_of(&db);
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    url.set_port(Some(port)).unwrap();
    let error = refused(short(&url)).await;
    assert!(matches!(error, Error::Connect { .. }) && error.to_string().contains("refused"), "{error:?}");
}

async fn a_host_that_does_not_exist(db: TestDb) {
    let mut url = url_of(&db);
    url.set_host(Some("no-such-host.invalid")).unwrap();
    let error = refused(short(&url)).await;
    assert!(error.is_disconnect() || error.is_timeout(), "{error:?}");
    assert!(error.to_string().contains("no-such-host.invalid") || error.is_timeout(), "{error}");
}

/// Something that listens there, but is no database.
async fn somebody_else_answers(db: TestDb) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut url = url_of(&db);
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let web = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = refused(short(&url)).await;
    assert!(error.is_disconnect() || error.is_timeout(), "{error:?}");
    web.abort();
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn a_url_that_lacks_a_part_shows_no_password() {
        for url in [
            "ada:s3cret@127.0.0.1:1/app",
            "postgres:ada:s3cret@127.0.0.1:1/app",
            "postgres:/ada:s3cret@127.0.0.1:1/app",
            "postgres//ada:s3cret@127.0.0.1:1/app",
            "postgres://ada:1#s3cret@127.0.0.1:1/app",
            "postgres://ada:1?s3cret@127.0.0.1:1/app",
            "postgres://ada:1/s3cret@127.0.0.1:1/app",
            "127.0.0.1:1/app?password=s3cret",
            "mongodb://ada:s3cret@127.0.0.1:1/app",
            "jdbc:postgresql://ada:s3cret@127.0.0.1:1/app",
            "postgres://127.0.0.1:1/app?PASSWORD=s3cret",
            "pgsql:host=127.0.0.1;port=1;dbname=app;user=ada;password=s3cret",
            "mysql:host=127.0.0.1;dbname=app;user=ada;password=s3cret",
            "jdbc:sqlserver://127.0.0.1;user=ada;password=s3cret",
            "jdbc:oracle:thin:ada/s3cret//127.0.0.1:1/x",
            "postgres://ada@127.0.0.1:1/app?passwort=s3cret",
        ] {
            let config = DatabaseConfig::new(url).pool_timeout(Duration::from_millis(500));
            assert!(!format!("{config:?} {}", config.redacted_url()).contains("s3cret"), "{url}: {config:?}");
            // Some of them can be read as a database that is not there.
            if let Err(error) = in_time("the refusal", config.connect()).await {
                assert!(!format!("{error} {error:?}").contains("s3cret"), "{url}: {error:?}");
            }
        }
    }

    /// The server would be asked for a user or a database of that name, and show it in its answer.
    #[tokio::test]
    async fn parameters_that_would_be_taken_for_a_name_are_refused() {
        for url in [
            "postgres://127.0.0.1:1/app;password=s3cret",
            "mysql://127.0.0.1:1/app%3Bpass%3Ds3cret",
            "postgres://127.0.0.1;password=s3cret/app",
            "postgres://ada%3Bpassword%3Ds3cret@127.0.0.1:1/app",
            "postgres://127.0.0.1:1/app?user=ada;password=s3cret",
            "postgres://ada@127.0.0.1:1/app?pass=s3cret",
            "mysql://ada@127.0.0.1:1/app?secret=s3cret",
        ] {
            let error = refused(DatabaseConfig::new(url)).await;
            assert!(matches!(error, Error::Config { setting: "url", .. }), "{url}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{url}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_scheme_that_is_unknown_is_an_error_with_those_that_are() {
        for url in ["mongodb://db/app", "jdbc:postgresql://db/app", "http://db"] {
            let error = refused(DatabaseConfig::new(url)).await;
            assert!(matches!(error, Error::Config { setting: "url", .. }), "{error:?}");
            assert!(error.to_string().contains("postgres, mysql, mariadb or sqlite"), "{error}");
        }
    }

    #[tokio::test]
    async fn settings_out_of_range_are_errors() {
        let zero = Duration::ZERO;
        let pool = PoolConfig::default;
        for (settings, setting) in [
            (pool().pool_size(0), "pool_size"),
            (pool().pool_size(10_001), "pool_size"),
            (pool().max_overflow(10_001), "max_overflow"),
            (pool().pool_timeout(zero), "pool_timeout"),
            (pool().connect_timeout(zero), "connect_timeout"),
            (pool().pool_recycle(zero), "pool_recycle"),
            (pool().statement_timeout(Some(zero)), "statement_timeout"),
            (pool().idle_timeout(Some(zero)), "idle_timeout"),
            (pool().leak_threshold(Some(Duration::MAX)), "leak_threshold"),
        ] {
            let error = refused(DatabaseConfig::new("sqlite::memory:").pool(settings)).await;
            let Error::Config { setting: named, expected, .. } = &error else { panic!("{error:?}") };
            assert_eq!(*named, setting);
            assert!(expected.contains(" to ") || expected.contains("more than zero"), "{error}");
        }
    }
}
