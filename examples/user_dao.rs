//! A domain DAO at work: migrate, import, page, update, delete softly, transfer money.
//!
//! ```sh
//! cargo run --example user_dao                          # SQLite in memory, examples/data/users.csv
//! cargo run --example user_dao -- my-users.csv
//! DATABASE_URL=postgres://… cargo run --features postgres --example user_dao
//! ```

use std::{collections::HashMap, error::Error, fmt, ops::Deref, path::Path, process::ExitCode, time::Duration};

use entities::user;
use migration::{Migrator, MigratorTrait};
use sea_dao::{
    BaseDao, Database, DatabaseConfig, Session,
    hooks::{Completion, SqlHook, StatementInfo, StatementOutcome},
    prelude::*,
    sea_orm::{ActiveValue::Set, IntoActiveModel, sea_query::Expr, sea_query::ExprTrait},
};
use serde::Deserialize;

/// What is special about users; the rest comes from [`BaseDao`].
struct UserDao(BaseDao<user::Entity>);

impl UserDao {
    fn new(provider: impl SessionProvider + 'static) -> Self {
        Self(BaseDao::new(provider))
    }

    /// The same DAO inside of a transaction.
    fn within(&self, tx: &Session) -> Self {
        Self(self.0.within(tx))
    }

    async fn find_by_phone(&self, phone: &str) -> sea_dao::Result<Option<user::Model>> {
        self.query().eq(user::Column::Phone, phone).first().await
    }

    async fn find_by_username(&self, username: &str) -> sea_dao::Result<Option<user::Model>> {
        self.query().eq(user::Column::Username, username).first().await
    }

    async fn phone_exists(&self, phone: &str) -> sea_dao::Result<bool> {
        self.query().eq(user::Column::Phone, phone).exists().await
    }

    /// Moves `cents` from one user to another; has to run in a transaction.
    async fn transfer(&self, from: i64, to: i64, cents: i64) -> Result<(), AppError> {
        let moved = [(from, -cents), (to, cents)];
        for (id, change) in moved {
            let changed = self
                .update_where()
                .eq(user::Column::Id, id)
                .set_expr(user::Column::Balance, Expr::col(user::Column::Balance).add(change))
                .exec()
                .await?;
            if changed == 0 {
                return Err(AppError::NoUser(id));
            }
        }
        // Read what the transaction has written: a balance below zero takes everything back.
        match self.find_by_id(from).await? {
            Some(payer) if payer.balance < 0 => Err(AppError::NotEnough { username: payer.username }),
            _ => Ok(()),
        }
    }
}

impl Deref for UserDao {
    type Target = BaseDao<user::Entity>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The application's own error goes through a transaction unchanged.
#[derive(Debug)]
enum AppError {
    Database(sea_dao::Error),
    NoUser(i64),
    NotEnough { username: String },
    Csv { line: usize, reason: String },
    File { path: String, reason: String },
}

impl From<sea_dao::Error> for AppError {
    fn from(error: sea_dao::Error) -> Self {
        Self::Database(error)
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::NoUser(id) => write!(f, "there is no user {id}"),
            Self::NotEnough { username } => write!(f, "{username} does not have enough"),
            Self::Csv { line, reason } => write!(f, "line {line}: {reason}"),
            Self::File { path, reason } => write!(f, "{path}: {reason}"),
        }
    }
}

impl Error for AppError {}

/// One line of the CSV file.
#[derive(Deserialize)]
struct Line {
    username: String,
    email: Option<String>,
    phone: String,
    status: i16,
    balance: i64,
}

impl Line {
    fn check(self) -> Result<user::ActiveModel, String> {
        let texts = [
            ("username", Some(&self.username), 64),
            ("email", self.email.as_ref(), 255),
            ("phone", Some(&self.phone), 32),
        ];
        for (name, text, most) in texts.into_iter().filter_map(|(name, text, most)| Some((name, text?, most))) {
            if text.is_empty() || text.chars().count() > most || text.contains('\0') {
                return Err(format!("{name} must have 1 to {most} characters, none of them NUL"));
            }
        }
        if self.balance < 0 {
            return Err(format!("balance {} is below zero", self.balance));
        }
        let Self { username, email, phone, status, balance } = self;
        Ok(user::ActiveModel {
            username: Set(username),
            email: Set(email),
            phone: Set(phone),
            status: Set(status),
            balance: Set(balance),
            ..Default::default()
        })
    }
}

/// Imports all users of the file or, when a line is malformed or clashes, none.
async fn import(users: &UserDao, db: &Database, path: &Path) -> Result<u64, AppError> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| AppError::File { path: name, reason: error.to_string() })?;
    db.execute_transaction(async |tx| -> Result<u64, AppError> {
        let users = users.within(tx);
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let headers = reader.headers().map_err(|error| malformed(&text, &error))?.clone();
        let (mut imported, mut batch, mut seen) = (0, Vec::new(), HashMap::new());
        for record in reader.records() {
            let record = record.map_err(|error| malformed(&text, &error))?;
            let position = record.position().cloned();
            let parsed: Line = record.deserialize(Some(&headers)).map_err(|error| malformed(&text, &error))?;
            for unique in [("username", parsed.username.clone()), ("phone", parsed.phone.clone())] {
                if let Some(earlier) = seen.insert(unique.clone(), position.clone()) {
                    let ((column, value), earlier) = (unique, line_of(&text, earlier.as_ref()));
                    let reason = format!("{column} {value} is on line {earlier} too");
                    return Err(AppError::Csv { line: line_of(&text, position.as_ref()), reason });
                }
            }
            let refused = |reason| AppError::Csv { line: line_of(&text, position.as_ref()), reason };
            batch.push(parsed.check().map_err(refused)?);
            if batch.len() == 1_000 {
                imported += users.insert_many(batch.drain(..)).await?;
            }
        }
        Ok(imported + users.insert_many(batch).await?)
    })
    .await
}

fn malformed(text: &[u8], error: &csv::Error) -> AppError {
    let reason = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} fields where {expected_len} belong"),
        _ => error.to_string(),
    };
    AppError::Csv { line: line_of(text, error.position()), reason }
}

/// The line on which a record begins. The reader's own count stops before blank lines, which it skips.
fn line_of(text: &[u8], position: Option<&csv::Position>) -> usize {
    let byte = position.map_or(0, |position| usize::try_from(position.byte()).unwrap_or(usize::MAX)).min(text.len());
    let blank = text[byte..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text[..byte + blank].iter().filter(|byte| **byte == b'\n').count()
}

/// Prints each statement with the time it took.
struct PrintSql;

impl SqlHook for PrintSql {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let mark = match outcome.completion {
            Completion::Succeeded => ' ',
            Completion::Failed(_) => '!',
            Completion::Cancelled => '~',
        };
        let sql: String = statement.sql.chars().take(100).collect();
        let cut = if sql.len() < statement.sql.len() { "…" } else { "" };
        println!("    {mark}{:>7.2} ms  {sql}{cut}", outcome.execute.as_secs_f64() * 1e3);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let path = std::env::args().nth(1).unwrap_or_else(|| "examples/data/users.csv".to_owned());
    match run(Path::new(&path)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(path: &Path) -> Result<(), Box<dyn Error>> {
    let config = DatabaseConfig::from_env()?;
    println!("database  {}", config.redacted_url());
    let db =
        config.pool_size(5).max_overflow(5).slow_threshold(Duration::from_millis(100)).hook(PrintSql).connect().await?;

    // Migrations want SeaORM's own connection type.
    Migrator::up(&db.sea_orm_connection().await?, None).await?;

    let users = UserDao::new(db.clone());

    println!("\nimport {}", path.display());
    match import(&users, &db, path).await {
        Ok(imported) => println!("  {imported} users, {} in all", users.count().await?),
        Err(AppError::Database(error)) if error.is_unique_violation() => {
            println!("  nothing imported, some of them are there already: {error}");
        }
        Err(error) => return Err(error.into()),
    }

    println!("\nfirst page of active users, richest first");
    let page = users
        .query()
        .ge(user::Column::Status, 1)
        .order_desc(user::Column::Balance)
        .order_asc(user::Column::Id)
        .page(1, 3)
        .await?;
    for user in &page.items {
        println!("  {:<10} {:>10.2}", user.username, user.balance as f64 / 100.0);
    }
    println!("  page {} of {}, {} users", page.page, page.pages(), page.total);

    let [first, second, ..] = page.items.as_slice() else {
        println!("\nfewer than two active users: nothing more to show");
        db.close().await;
        return Ok(());
    };

    println!("\nlook up {} by phone and by name", first.username);
    let by_phone = users.find_by_phone(&first.phone).await?;
    let by_name = users.find_by_username(&first.username).await?;
    println!("  the same row: {}", by_phone == by_name && by_phone.is_some());
    println!("  phone +0 exists: {}", users.phone_exists("+0").await?);

    println!("\nupdate {}'s email", second.username);
    let mut changed = second.clone().into_active_model();
    changed.email = Set(Some("new@example.org".to_owned()));
    let updated = users.update(changed).await?;
    println!("  {:?}, updated {}", updated.email, updated.updated_at);

    let share = first.balance / 10;
    println!("\ntransfer {:.2} from {} to {}", share as f64 / 100.0, first.username, second.username);
    db.execute_transaction(async |tx| users.within(tx).transfer(first.id, second.id, share).await).await?;
    print_balances(&users, [first.id, second.id]).await?;

    println!("\ntransfer more than there is: rolled back");
    let refused =
        db.execute_transaction(async |tx| users.within(tx).transfer(second.id, first.id, i64::MAX / 4).await).await;
    if let Err(error) = refused {
        println!("  refused: {error}");
    }
    print_balances(&users, [first.id, second.id]).await?;

    println!("\ndelete {} softly", second.username);
    users.delete(second).await?;
    println!("  found: {}", users.find_by_id(second.id).await?.is_some());
    println!("  rows left {}, with deleted {}", users.count().await?, users.count().with_deleted().await?);

    println!("\npool      {}", db.status());
    db.close().await;
    println!("closed    {}", db.status());
    Ok(())
}

async fn print_balances(users: &UserDao, ids: [i64; 2]) -> sea_dao::Result<()> {
    for user in users.query().in_(user::Column::Id, ids).order_asc(user::Column::Id).all().await? {
        println!("  {:<10} {:>10.2}", user.username, user.balance as f64 / 100.0);
    }
    Ok(())
}
