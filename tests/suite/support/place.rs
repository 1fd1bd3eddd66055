//! Where a test's database is made, and how it is removed.

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;

use super::outside::connect_one;

/// Where a test's database is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    SqliteFile,
    SqliteMemory,
    Postgres,
    MariaDb,
}

/// A database that was made for one test.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) place: Place,
    /// Its name on the server.
    pub(crate) name: String,
    /// A connection to the server that is not in the database.
    pub(crate) admin: Option<DatabaseConnection>,
    /// Holds the file.
    _folder: Option<TempDir>,
}

impl Site {
    pub(crate) async fn make(place: Place) -> Self {
        let name = unique_name();
        match place {
            Place::SqliteMemory => Self { url: "sqlite::memory:".to_owned(), place, name, admin: None, _folder: None },
            Place::SqliteFile => {
                let folder = TempDir::new().expect("a temporary folder");
                let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
                Self { url, place, name, admin: None, _folder: Some(folder) }
            }
            Place::Postgres | Place::MariaDb => {
                let mut url = url::Url::parse(&server_url(place)).expect("the server's URL");
                let admin = connect_one(url.as_str()).await;
                admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("CREATE DATABASE");
                url.set_path(&name);
                Self { url: url.into(), place, name, admin: Some(admin), _folder: None }
            }
        }
    }

    pub(crate) async fn remove(&self) {
        if let Some(admin) = &self.admin {
            let force = if self.place == Place::Postgres { " WITH (FORCE)" } else { "" };
            let dropped = admin.execute_unprepared(&format!("DROP DATABASE {}{force}", self.name)).await;
            if let Err(error) = dropped {
                eprintln!("database {} is left behind: {error}", self.name);
            }
        }
    }
}

/// The server that the environment names.
pub(crate) fn server_url(place: Place) -> String {
    let variable = if place == Place::Postgres { "TEST_POSTGRES_URL" } else { "TEST_MYSQL_URL" };
    match env::var(variable) {
        Ok(url) => url,
        Err(_) => panic!("{variable} is not set: use tests/run, which starts the servers"),
    }
}

/// A name that no other test uses, be it of this process or of another one.
pub(crate) fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("sea_dao_suite_{}_{}_{}", process::id(), now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed))
}
