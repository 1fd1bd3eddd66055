//! Settings from files. What comes from the environment is tested in processes of its own, in `process.rs`.

use std::{path::PathBuf, time::Duration};

use sea_dao::{
    DatabaseConfig, Error, PoolConfig,
    config::{PoolOrder, PrePing, ResetOnReturn},
};
use tempfile::TempDir;

struct SettingsFile {
    path: PathBuf,
    _folder: TempDir,
}

impl SettingsFile {
    fn with(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("settings");
        std::fs::write(&path, text).unwrap();
        Self { path, _folder: folder }
    }
}

fn toml(text: &str) -> Result<DatabaseConfig, Error> {
    DatabaseConfig::from_file(&SettingsFile::with(text).path)
}

fn env_file(text: &str) -> Result<DatabaseConfig, Error> {
    DatabaseConfig::from_env_file(&SettingsFile::with(text).path)
}

fn everything() -> PoolConfig {
    PoolConfig::default()
        .pool_size(7)
        .max_overflow(3)
        .pool_timeout(Duration::from_millis(2500))
        .pool_recycle(Duration::from_secs(600))
        .pool_pre_ping(PrePing::IfIdleFor(Duration::from_millis(1500)))
        .pool_order(PoolOrder::Fifo)
        .reset_on_return(ResetOnReturn::Full)
        .idle_timeout(Some(Duration::from_secs(60)))
        .keepalive(Some(Duration::from_secs(30)))
        .min_idle(2)
        .connect_timeout(Duration::from_secs(4))
        .statement_timeout(Some(Duration::from_secs(9)))
        .after_connect("SET a = 1")
        .leak_threshold(Some(Duration::from_secs(20)))
        .leak_count(Some(8))
        .echo(true)
        .echo_pool(true)
}

mod sqlite {
    use super::*;

    #[test]
    fn a_file_sets_everything() {
        let config = toml(
            r#"
            url = "postgres://ada@localhost/app"
            pool_size = 7
            max_overflow = 3
            pool_timeout = 2.5
            pool_recycle = 600
            pool_pre_ping = 1.5
            pool_order = "fifo"
            reset_on_return = "full"
            idle_timeout = 60
            keepalive = 30
            min_idle = 2
            connect_timeout = 4
            statement_timeout = 9
            after_connect = ["SET a = 1"]
            leak_threshold = 20
            leak_count = 8
            echo = true
            echo_pool = true
            slow_threshold = 0.2
            slow_values = "shown"
            "#,
        )
        .unwrap();
        assert_eq!(config.pool_config(), &everything());
        assert_eq!(config.redacted_url(), "postgres://ada@localhost/app");
        let shown = format!("{config:?}");
        assert!(shown.contains("slow_threshold: Some(200ms)") && shown.contains("Shown"), "{shown}");
    }

    #[test]
    fn a_file_of_variables_sets_everything() {
        let config = env_file(
            "# a comment\nDB_URL=postgres://ada@localhost/app\nDB_POOL_SIZE=7\nDB_MAX_OVERFLOW=3\nDB_POOL_TIMEOUT=2.5\n\
             DB_POOL_RECYCLE=600\nDB_POOL_PRE_PING=1.5\nDB_POOL_ORDER=FIFO\nDB_RESET_ON_RETURN=Full\n\
             DB_IDLE_TIMEOUT=60\nDB_KEEPALIVE=30\nDB_MIN_IDLE=2\nDB_CONNECT_TIMEOUT=4\nDB_STATEMENT_TIMEOUT=9\nDB_AFTER_CONNECT='SET a = 1'\n\
             DB_LEAK_THRESHOLD=20\nDB_LEAK_COUNT=8\nDB_ECHO=yes\nDB_ECHO_POOL=on\nDB_SLOW_THRESHOLD=0.2\nDB_SLOW_VALUES=shown\nOTHER=1\n",
        )
        .unwrap();
        assert_eq!(config.pool_config(), &everything());
        assert_eq!(config.redacted_url(), "postgres://ada@localhost/app");
    }

    #[test]
    fn without_settings_it_is_sqlite_in_memory_and_the_defaults() {
        for config in [toml("").unwrap(), env_file("DB_POOL_SIZE=\n").unwrap()] {
            assert_eq!(config.pool_config(), &PoolConfig::default());
            assert_eq!(config.redacted_url(), "sqlite::memory:");
        }
    }

    #[test]
    fn an_unknown_setting_is_an_error_that_names_the_nearest() {
        for (text, nearest) in [
            ("pool_sise = 3", "pool_size"),
            ("overflow = 3", "max_overflow"),
            ("passwort = 's3cret'", "password"),
            ("stmt_timeout = 3", "statement_timeout"),
            ("POOL_SIZE = 3", "pool_size"),
            ("URL = 's3cret'", "url"),
            ("database_url = 's3cret'", "url"),
            ("max_connections = 3", "pool_size"),
        ] {
            let error = toml(text).unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{error:?}");
            let shown = error.to_string();
            let name = text.split(' ').next().unwrap();
            assert!(shown.contains(name) && shown.contains(&format!("the nearest is {nearest}")), "{shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn a_variable_that_is_all_but_a_setting_is_an_error() {
        for (text, nearest) in [
            ("DB_POOL_SIZ=3", "pool_size"),
            ("DB_PASWORD=s3cret", "password"),
            ("DB_USERNAME=ada", "user"),
            ("DB_MAX_CONNECTIONS=3", "pool_size"),
        ] {
            let error = env_file(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            let name = text.split('=').next().unwrap();
            assert!(shown.contains(name) && shown.contains(&format!("the nearest is {nearest}")), "{shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        // Those of other programs.
        let config = env_file("DB_ROOT_PASSWORD=a\nDB_HOST_2=b\nDB_DATA=c\nPOOL_SIZ=3\n").unwrap();
        assert_eq!(config.pool_config(), &PoolConfig::default());
    }

    #[test]
    fn a_pre_ping_is_read_as_it_is_serialized() {
        for text in
            ["pool_pre_ping = { if_idle_for = 1.5 }", "pool_pre_ping = 1.5", "[pool_pre_ping]\nif_idle_for = 1.5"]
        {
            let config = toml(text).unwrap();
            assert_eq!(config.pool_config().pool_pre_ping, PrePing::IfIdleFor(Duration::from_millis(1500)), "{text}");
        }
        let error = toml("pool_pre_ping = { if_idle = 1.5 }").unwrap_err();
        assert!(matches!(error, Error::Config { setting: "pool_pre_ping", .. }), "{error:?}");
    }

    #[test]
    fn a_bad_value_is_named_with_its_range() {
        for (text, setting, value, range) in [
            ("pool_size = 0", "pool_size", "0", "1 to 10000"),
            ("pool_size = -1", "pool_size", "-1", "10000"),
            ("pool_size = 10001", "pool_size", "10001", "1 to 10000"),
            ("pool_size = 'many'", "pool_size", "many", "10000"),
            ("max_overflow = -1", "max_overflow", "-1", "10000"),
            ("max_overflow = 10001", "max_overflow", "10001", "0 to 10000"),
            ("min_idle = 11", "min_idle", "11", "0 to pool_size, which is 10"),
            ("keepalive = 0", "keepalive", "0ns", "more than zero, at most 7 days"),
            ("pool_timeout = 0", "pool_timeout", "0ns", "more than zero, at most 7 days"),
            ("pool_timeout = -3", "pool_timeout", "-3", "a number of seconds"),
            ("pool_timeout = 'soon'", "pool_timeout", "soon", "a number of seconds"),
            ("connect_timeout = nan", "connect_timeout", "NaN", "a number of seconds"),
            ("pool_recycle = 1e9", "pool_recycle", "1000000000s", "at most 7 days"),
            ("pool_pre_ping = 'sometimes'", "pool_pre_ping", "sometimes", "never, always, or the seconds"),
            ("pool_order = 'random'", "pool_order", "random", "lifo, fifo"),
            ("reset_on_return = 'maybe'", "reset_on_return", "maybe", "rollback, full, none"),
            ("slow_values = 'some'", "slow_values", "some", "hidden, shown"),
            ("echo = 'loud'", "echo", "loud", "true or false"),
            ("type = 'postgres'\nport = 70000", "port", "70000", "65535"),
            ("type = 'mongo'", "type", "mongo", "postgres, mysql, mariadb or sqlite"),
            ("host = 'db'", "type", "(not set)", "postgres, mysql, mariadb or sqlite"),
            ("type = 'postgres'\nhost = 'a b'", "host", "a b", "a host name"),
            ("type = 'sqlite'", "name", "(not set)", "file"),
            ("type = 'postgres'\nhost = '127.0.0.1:27223'", "host", "127.0.0.1:27223", "alone"),
            ("type = 'mysql'\nhost = 'db:3307'\nport = 1", "host", "db:3307", "alone"),
            ("user = 'ada'", "type", "(not set)", "to go with user"),
            ("port = 1\npassword = 'a'", "type", "(not set)", "to go with port"),
        ] {
            let error = toml(text).unwrap_err();
            let Error::Config { setting: named, value: shown, expected } = &error else { panic!("{text}: {error:?}") };
            assert_eq!(*named, setting, "{text}: {error}");
            assert!(shown.eq_ignore_ascii_case(value), "{text}: {error}");
            assert!(expected.contains(range), "{text}: {error}");
        }
    }

    #[test]
    fn oracle_is_not_supported() {
        for error in [toml("type = 'oracle'").unwrap_err(), env_file("DB_TYPE=Oracle\n").unwrap_err()] {
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            assert!(error.to_string().contains("Oracle; use PostgreSQL"), "{error}");
        }
    }

    #[test]
    fn a_password_is_in_no_error() {
        for text in [
            "password = 's3cret",
            "password = s3cret",
            "password = \"s3cret\" pool_size = 1",
            "password = ['s3cret']",
            "password = 's3cret'\npassword = 's3cret'",
            "url = 'postgres://ada:s3cret@db/app'\npool_size = 0",
            "url = 's3cret",
            "type = 'postgres'\npassword = 's3cret'\npool_size = 0",
            "type = 'postgres'\nhost = 'postgres://ada:s3cret@db/app'",
            "type = 'postgres'\nhost = 'ada:s3cret@db'",
            "type = 'postgres'\nhost = 'db;password=s3cret'",
            "type = 'postgres'\nhost = 'db;pass=s3cret'",
            "type = 'mysql'\nuser = 'ada;password=s3cret'",
            "type = 'postgres'\nname = 'app;password=s3cret'",
            "type = 'pgsql:host=db;password=s3cret'",
            "type = 'postgres://ada:s3cret@db/app'",
            "type = 'postgres'\nport = 'postgres://ada:s3cret@db/app'",
            "pool_size = 'postgres://ada:s3cret@db/app'",
            "type = 'sqlite'\nname = 'postgres://ada:s3cret@db/app'",
            "password = 's3cret'",
        ] {
            let error = toml(text).unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{text}: {error}");
        }
        let error = env_file("DB_PASSWORD='s3cret\n").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        let config = toml("type = 'postgres'\nuser = 'ada'\npassword = 's3cret'").unwrap();
        assert!(!format!("{config:?} {}", config.redacted_url()).contains("s3cret"), "{config:?}");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_with_its_path() {
        for error in [
            DatabaseConfig::from_file("/nowhere/db.toml").unwrap_err(),
            DatabaseConfig::from_env_file("/nowhere/.env").unwrap_err(),
        ] {
            assert!(matches!(error, Error::Config { setting: "file", .. }), "{error:?}");
            assert!(error.to_string().contains("/nowhere/"), "{error}");
        }
    }

    #[test]
    fn parts_make_a_url() {
        for (text, url) in [
            ("type = 'postgres'", "postgres://localhost"),
            ("type = 'PostgreSQL'\nname = 'app'", "postgres://localhost/app"),
            ("type = 'mariadb'\nhost = 'db'\nport = 3307\nuser = 'ada'\nname = 'app'", "mysql://ada@db:3307/app"),
            ("type = 'postgres'\nhost = '::1'\nname = 'app'", "postgres://[::1]/app"),
            ("type = 'postgres'\nhost = '[::1]'\nport = 5433", "postgres://[::1]:5433"),
            ("type = 'postgres'\nhost = '%2Frun%2Fpg'\nname = 'app'", "postgres://%2Frun%2Fpg/app"),
            ("type = 'sqlite'\nname = ':memory:'", "sqlite::memory:"),
            ("url = 'mysql://db/app'\nhost = 'other'", "mysql://db/app"),
            ("url = 'mysql://ada@db/app'\npassword = 's3cret'", "mysql://ada:***@db/app"),
        ] {
            assert_eq!(toml(text).unwrap().redacted_url(), url, "{text}");
        }
    }

    #[tokio::test]
    async fn sqlite_by_parts_opens_the_file_of_that_name() {
        let folder = TempDir::new().unwrap();
        for name in ["plain.db", "100%41 sure?#.db"] {
            let path = folder.path().join(name);
            let db = toml(&format!("type = 'sqlite'\nname = '{}'", path.display())).unwrap().connect().await.unwrap();
            assert!(path.exists(), "{name}: {:?}", std::fs::read_dir(folder.path()).unwrap().collect::<Vec<_>>());
            db.close().await;
        }
    }

    #[test]
    fn presets_are_what_they_say() {
        let shape = |pool: PoolConfig| (pool.pool_size, pool.max_overflow, pool.pool_recycle.as_secs());
        assert_eq!(shape(PoolConfig::development()), (5, 10, 1800));
        assert_eq!(shape(PoolConfig::testing()), (10, 15, 3600));
        assert_eq!(shape(PoolConfig::production()), (20, 40, 1800));
        assert_eq!(shape(PoolConfig::web()), (15, 20, 1800));
        assert_eq!(shape(PoolConfig::worker()), (5, 10, 3600));
        assert_eq!(PoolConfig::worker().pool_timeout, Duration::from_secs(60));
        assert_eq!(PoolConfig::for_cores(4, 1).max_connections(), 27);
    }
}
