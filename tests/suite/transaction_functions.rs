//! A transaction function, called in every way: generic and `dyn`, spawned, from a trait's method, three deep, with the
//! caller's own error through `?`, once and again.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use sea_dao::{
    Database, Error, Result, RetryPolicy, Session, SessionProvider, execute_transaction, session::TransactionBuilder,
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};

use crate::support::{TestDb, insert_user, usernames};

for_each_backend!(
    generic_callers_of_every_provider,
    dyn_callers_of_every_provider,
    spawned_callers,
    callers_behind_a_traits_method,
    three_deep_with_errors_of_each_level,
    errors_that_take_anything,
);

#[derive(Debug)]
#[allow(dead_code, reason = "shown when a test fails")]
enum AppError {
    Database(Error),
    Refused(&'static str),
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// What SeaORM's own calls fail with.
impl From<DbErr> for AppError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}

/// Fails once as a collision with another transaction does, where the database knows such a thing.
async fn collide_once(tx: &Session, attempts: &AtomicU32) -> Result<(), AppError> {
    let sql = match tx.backend() {
        DbBackend::Postgres => "DO $$ BEGIN RAISE 'on purpose' USING ERRCODE = '40001'; END $$",
        DbBackend::MySql => "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
        _ => return Ok(()),
    };
    if attempts.fetch_add(1, SeqCst) == 0 {
        tx.execute_unprepared(sql).await?;
    }
    Ok(())
}

/// Three users, each one transaction deeper; the innermost is refused for names that begin with "no ".
async fn register<P: SessionProvider + ?Sized>(provider: &P, name: &str) -> Result<usize, AppError> {
    let mut written = 0;
    execute_transaction(provider, async |first| -> Result<(), AppError> {
        insert_user(first, &format!("{name} 1")).await?;
        written += 1;
        execute_transaction(first, async |second| -> Result<(), AppError> {
            insert_user(second, &format!("{name} 2")).await?;
            written += 1;
            written += execute_transaction(second, async |third| -> Result<usize, AppError> {
                insert_user(third, &format!("{name} 3")).await?;
                if name.starts_with("no ") { Err(AppError::Refused("a name")) } else { Ok(1) }
            })
            .await?;
            Ok(())
        })
        .await
    })
    .await?;
    Ok(written)
}

/// As [`register`], and tried again as a whole after a collision in the innermost.
async fn register_again<P: SessionProvider + ?Sized>(provider: &P, name: &str) -> Result<usize, AppError> {
    let attempts = AtomicU32::new(0);
    TransactionBuilder::new(provider)
        .retry(RetryPolicy::default())
        .run(async |first| -> Result<usize, AppError> {
            insert_user(first, &format!("{name} 1")).await?;
            let below = execute_transaction(first, async |second| -> Result<usize, AppError> {
                insert_user(second, &format!("{name} 2")).await?;
                TransactionBuilder::new(second)
                    .retry(RetryPolicy::default())
                    .run(async |third| -> Result<usize, AppError> {
                        insert_user(third, &format!("{name} 3")).await?;
                        collide_once(third, &attempts).await?;
                        if name.starts_with("no ") { Err(AppError::Refused("a name")) } else { Ok(2) }
                    })
                    .await
            });
            Ok(below.await? + 1)
        })
        .await
}

/// What the six functions below leave.
async fn assert_registered(db: &TestDb, names: &[&str]) {
    let mut expected: Vec<String> =
        names.iter().flat_map(|name| [1, 2, 3].map(|depth| format!("{name} {depth}"))).collect();
    expected.sort_unstable();
    assert_eq!(usernames(db.outside()).await, expected);
}

/// Nothing is known of the provider but that it is one.
async fn both<P: SessionProvider + ?Sized>(provider: &P, name: &str) {
    assert_eq!(register(provider, &format!("{name} once")).await.unwrap(), 3);
    let refused = register(provider, "no one").await;
    assert!(matches!(refused, Err(AppError::Refused("a name"))), "{refused:?}");
    let again = register_again(provider, &format!("{name} again")).await;
    assert_eq!(again.unwrap(), 3);
    let refused = register_again(provider, "no one").await;
    assert!(matches!(refused, Err(AppError::Refused("a name"))), "{refused:?}");
}

async fn generic_callers_of_every_provider(db: TestDb) {
    let database: &Database = &db;
    both(database, "database").await;
    both(&Arc::new(database.clone()), "arc").await;
    let session = db.session();
    both(&session, "session").await;
    assert_registered(
        &db,
        &["arc again", "arc once", "database again", "database once", "session again", "session once"],
    )
    .await;
}

async fn dyn_callers_of_every_provider(db: TestDb) {
    let reference: &dyn SessionProvider = &*db;
    both(reference, "reference").await;
    let boxed: Box<dyn SessionProvider> = Box::new(Database::clone(&db));
    both(&*boxed, "inside of the box").await;
    both(&boxed, "box").await;
    let shared: Arc<dyn SessionProvider> = Arc::new(db.session());
    both(&shared, "arc").await;
    let names = ["arc", "box", "inside of the box", "reference"];
    let names: Vec<String> = names.iter().flat_map(|name| [format!("{name} again"), format!("{name} once")]).collect();
    assert_registered(&db, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

fn spawned<P: SessionProvider + 'static>(provider: P, name: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { both(&provider, name).await })
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

async fn spawned_callers(db: TestDb) {
    // A spawned one owns its provider, or borrows one of the task's.
    spawned(Database::clone(&db), "owned").await.unwrap();
    let shared: Arc<dyn SessionProvider> = Arc::new(Database::clone(&db));
    spawned(shared.clone(), "shared").await.unwrap();
    is_send(register(&*shared, "borrowed once")).await.unwrap();
    is_send(register_again(shared.as_ref(), "borrowed again")).await.unwrap();
    assert_registered(
        &db,
        &["borrowed again", "borrowed once", "owned again", "owned once", "shared again", "shared once"],
    )
    .await;
}

/// What a program hides its database behind.
#[async_trait::async_trait]
trait Registry: Send + Sync {
    async fn register(&self, name: &str) -> Result<usize, AppError>;
}

struct Service<P>(P);

#[async_trait::async_trait]
impl<P: SessionProvider> Registry for Service<P> {
    async fn register(&self, name: &str) -> Result<usize, AppError> {
        let once = register(&self.0, &format!("{name} once")).await?;
        Ok(once + register_again(&self.0, &format!("{name} again")).await?)
    }
}

async fn callers_behind_a_traits_method(db: TestDb) {
    let registry: Arc<dyn Registry> = Arc::new(Service(Database::clone(&db)));
    let task = tokio::spawn(async move { registry.register("a").await });
    assert_eq!(task.await.unwrap().unwrap(), 6);
    // Within a transaction that is under way.
    let registered = db.execute_transaction(async |tx| -> Result<usize, AppError> {
        let refused = Service(tx.session()).register("no").await;
        assert!(matches!(refused, Err(AppError::Refused(_))), "{refused:?}");
        register(tx, "b once").await
    });
    assert_eq!(registered.await.unwrap(), 3);
    assert_registered(&db, &["a again", "a once", "b once"]).await;
}

/// Errors of three levels, each made of the one below it by `?`.
#[derive(Debug)]
struct Low(Error);

#[derive(Debug)]
enum Middle {
    Low(Low),
    Own(Error),
}

#[derive(Debug)]
enum High {
    Middle(Middle),
    Own(Error),
}

impl From<Error> for Low {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<Error> for Middle {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<Low> for Middle {
    fn from(error: Low) -> Self {
        Self::Low(error)
    }
}

impl From<Error> for High {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

impl From<Middle> for High {
    fn from(error: Middle) -> Self {
        Self::Middle(error)
    }
}

async fn fail_at(db: &Database, level: u32) -> Result<(), High> {
    db.execute_transaction(async |first| -> Result<(), High> {
        insert_user(first, if level == 1 { "taken" } else { "first" }).await?;
        execute_transaction(first, async |second| -> Result<(), Middle> {
            insert_user(second, if level == 2 { "taken" } else { "second" }).await?;
            execute_transaction(second, async |third| -> Result<(), Low> {
                insert_user(third, if level == 3 { "taken" } else { "third" }).await?;
                Ok(())
            })
            .await?;
            Ok(())
        })
        .await?;
        Ok(())
    })
    .await
}

async fn three_deep_with_errors_of_each_level(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    for level in 1..=3 {
        let failed = fail_at(&db, level).await.unwrap_err();
        let (found, error) = match &failed {
            High::Own(error) => (1, error),
            High::Middle(Middle::Own(error)) => (2, error),
            High::Middle(Middle::Low(Low(error))) => (3, error),
        };
        assert!(found == level && error.is_unique_violation(), "{failed:?}");
        assert_eq!(usernames(db.outside()).await, ["taken"]);
    }
    fail_at(&db, 0).await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["first", "second", "taken", "third"]);
}

async fn errors_that_take_anything(db: TestDb) {
    type Any = Box<dyn std::error::Error + Send + Sync>;
    let number = "seven";
    let failed = db.execute_transaction(async |tx| -> Result<u32, Any> {
        insert_user(tx, "undone").await?;
        Ok(number.parse::<u32>()?)
    });
    assert!(failed.await.unwrap_err().is::<std::num::ParseIntError>());
    let attempts = AtomicU32::new(0);
    let policy = RetryPolicy::default();
    let failed = db.transaction().retry(policy).run(async |tx| -> Result<u32, Any> {
        attempts.fetch_add(1, SeqCst);
        tx.execute_unprepared("SELECT nothing FROM nowhere").await?;
        Ok(number.parse::<u32>()?)
    });
    assert!(failed.await.unwrap_err().is::<DbErr>());
    assert_eq!((attempts.load(SeqCst), usernames(db.outside()).await.len()), (1, 0));
}
