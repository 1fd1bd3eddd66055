//! Failures to connect are typed, say what is wrong, and never show a password.

use std::time::Duration;

use sea_dao::{Database, DatabaseConfig, Error};
use tokio::net::TcpListener;

use crate::support::TestDb;

for_each_backend!(
    settings_that_make_no_sense_are_refused,
    an_unreachable_or_missing_database_is_an_error_with_its_cause,
    a_password_is_never_shown,
);

async fn refused(config: DatabaseConfig) -> Error {
    config.connect().await.expect_err("it must be refused")
}

async fn settings_that_make_no_sense_are_refused(db: TestDb) {
    let error = refused(db.config().pool_size(0)).await;
    assert_eq!(error.to_string(), r#"invalid setting pool_size = "0": expected 1 to 10000"#);
    let error = refused(db.config().max_overflow(10_001)).await;
    assert!(matches!(error, Error::Config { setting: "max_overflow", .. }), "{error:?}");
    let error = refused(db.config().pool_timeout(Duration::ZERO)).await;
    assert_eq!(error.to_string(), r#"invalid setting pool_timeout = "0ns": expected more than zero, at most 7 days"#);
}

async fn an_unreachable_or_missing_database_is_an_error_with_its_cause(db: TestDb) {
    let mut url = url::Url::parse(db.url()).unwrap();
    if !db.capabilities().server {
        let error = refused(DatabaseConfig::new("sqlite:///nowhere/at/all/test.db")).await;
        assert!(matches!(error, Error::Connect { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("sqlite:///nowhere/at/all/test.db") && text.contains("unable to open"), "{text}");
        assert!(text.contains("is made with ?mode=rwc"), "{text}");
        return;
    }
    url.set_path("no_such_database");
    let error = refused(DatabaseConfig::new(url.as_str())).await;
    assert!(matches!(error, Error::Connect { .. }) && error.is_disconnect(), "{error:?}");
    assert!(error.to_string().contains("no_such_database"), "{error}");

    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    url.set_port(Some(port)).unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let error = refused(DatabaseConfig::new(url.as_str()).pool_timeout(Duration::from_secs(5))).await;
    let text = error.to_string();
    assert!(text.contains(&port.to_string()) && text.to_lowercase().contains("refused"), "{text}");
    assert!(!text.contains("s3cret") && !format!("{error:?}").contains("s3cret"), "{error:?}");

    // Somebody who takes the call but never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_port(Some(silent.local_addr().unwrap().port())).unwrap();
    let error = refused(DatabaseConfig::new(url.as_str()).pool_timeout(Duration::from_millis(300))).await;
    assert!(error.is_timeout(), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
}

async fn a_password_is_never_shown(db: TestDb) {
    let mut url = url::Url::parse(db.url()).unwrap();
    if db.capabilities().server {
        url.set_username("nobody_of_this_name").unwrap();
        url.set_password(Some("s3cret")).unwrap();
        url.set_path("no_such_database");
    } else {
        url.set_query(Some("mode=ro&password=s3cret"));
    }
    let config = DatabaseConfig::new(url.as_str());
    assert!(!format!("{config:?} {}", config.redacted_url()).contains("s3cret"), "{config:?}");
    let error = refused(config).await;
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        shown.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(!format!("{:?}", Database::clone(&db)).is_empty());
}

#[tokio::test]
async fn urls_that_nobody_can_read_are_refused_on_sqlite() {
    for (url, expected) in [
        ("", "postgres://…, mysql://… or sqlite:…"),
        ("nonsense", "postgres://…, mysql://… or sqlite:…"),
        ("mongodb://db/app", "a scheme of postgres, mysql, mariadb or sqlite"),
        ("postgres://ada:s3cret@[broken/app", "a complete database URL"),
        ("mysql://ada:s3cret@db:port/app", "a complete database URL"),
    ] {
        let error = refused(DatabaseConfig::new(url)).await;
        assert!(matches!(error, Error::Config { setting: "url", .. }), "{url}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(expected), "{url}: {text}");
        assert!(!format!("{text} {error:?}").contains("s3cret"), "{text}");
    }
    let error = refused(DatabaseConfig::new("oracle://db/app")).await;
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("Oracle"), "{error}");
}

#[tokio::test]
async fn parameters_that_the_driver_would_pass_over_are_refused_on_servers() {
    for (url, expected) in [
        ("postgres://ada@127.0.0.1:1/app?ssl_mode=REQUIRED", "sslmode in place of ssl_mode"),
        ("postgres://ada@127.0.0.1:1/app?sslMode=verify-full", "sslmode in place of sslMode"),
        ("postgres://ada@127.0.0.1:1/app?Password=s3cret", "password in place of Password"),
        ("postgres://ada@127.0.0.1:1/app?passwd=s3cret", "no parameter passwd"),
        ("postgres://ada@127.0.0.1:1/app?pwd=s3cret", "no parameter pwd"),
        ("postgres://ada@127.0.0.1:1/app?sslpassword=s3cret", "no parameter sslpassword"),
        ("mysql://127.0.0.1:1/app?ssl_mode=REQUIRED", "ssl-mode in place of ssl_mode"),
        ("mysql://127.0.0.1:1/app?sslMode=VERIFY_CA", "ssl-mode in place of sslMode"),
        ("mysql://127.0.0.1:1/app?user=ada", "no parameter user"),
        ("mysql://127.0.0.1:1/app?password=s3cret", "no parameter password"),
    ] {
        let error = refused(DatabaseConfig::new(url)).await;
        // A build without the driver refuses it for that.
        if matches!(error, Error::Unsupported { .. }) {
            continue;
        }
        assert!(matches!(error, Error::Config { setting: "url", .. }), "{url}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(expected), "{url}: {text}");
        assert!(!format!("{text} {error:?}").contains("s3cret"), "{text}");
    }
    // Those that other programs know are left out.
    let error = refused(DatabaseConfig::new("postgres://ada@127.0.0.1:1/app?schema=public&sslmode=disable")).await;
    assert!(!matches!(error, Error::Config { .. }), "{error:?}");
}
