//! COPY from this side, where the database has it; nowhere does one leave a connection out of step.

use std::time::Duration;

use futures_util::stream;
use sea_dao::{Error, PoolConfig, Session, hooks::StatementKind};
use sea_orm::{ConnectionTrait, Statement};

use crate::support::{Recorder, TestDb, insert_user, nonce, poll_times};

for_each_backend!(
    rows_are_copied,
    a_copy_is_part_of_its_transaction,
    a_source_that_fails_writes_nothing,
    a_copy_dropped_at_any_point_never_reaches_the_next_borrower,
    data_that_does_not_fit_is_an_error_of_the_database,
    a_copy_as_a_plain_statement_is_refused,
    a_source_may_take_its_time,
);

const COPY: &str = "COPY note (id, text) FROM STDIN";

/// Whether there is something to test: a table to copy into, on a database that can.
async fn prepared(db: &TestDb) -> bool {
    let sql = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)";
    db.outside().execute_unprepared(sql).await.unwrap();
    if db.capabilities().copy_in {
        return true;
    }
    let refused = db.session().copy_in(COPY, lines(0..1)).await;
    assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    false
}

/// Lines in pieces that do not end where the lines do.
fn lines(numbers: std::ops::Range<i64>) -> impl futures_util::Stream<Item = Result<Vec<u8>, Error>> + Send {
    let all: String = numbers.map(|number| format!("{number}\tnote {number}\n")).collect();
    let pieces: Vec<_> = all.as_bytes().chunks(1000).map(|piece| Ok(piece.to_vec())).collect();
    stream::iter(pieces)
}

async fn count(connection: &impl ConnectionTrait) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), "SELECT COUNT(*) FROM note");
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

async fn still_in_step(session: &Session) {
    for number in 0..3 {
        assert_eq!(nonce(session, number).await.unwrap(), number);
    }
}

async fn rows_are_copied(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let recorder = Recorder::default();
    let pool = db.open(|config| config.pool_size(1).hook(recorder.clone())).await;
    recorder.forget();
    let session = pool.session();
    let copied = tokio::spawn(async move {
        let rows = session.copy_in(COPY, lines(0..5000)).await;
        (session, rows)
    });
    let (session, rows) = copied.await.unwrap();
    assert_eq!(rows.unwrap(), 5000);
    assert_eq!(recorder.take_kinds(), [StatementKind::Copy]);
    assert_eq!(session.copy_in(COPY, lines(0..0)).await.unwrap(), 0);
    still_in_step(&session).await;
    drop(session);
    assert_eq!(count(&pool).await, 5000);
    assert_eq!(pool.counters().opened, 1, "the connection is kept");
}

async fn a_copy_is_part_of_its_transaction(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    assert_eq!(tx.copy_in(COPY, lines(0..10)).await.unwrap(), 10);
    assert_eq!((count(&tx).await, count(db.outside()).await), (10, 0));
    tx.rollback().await.unwrap();
    assert_eq!(count(db.outside()).await, 0);
    let tx = db.begin().await.unwrap();
    tx.copy_in(COPY, lines(0..10)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(db.outside()).await, 10);
}

#[derive(Debug)]
enum Failure {
    Source(u8),
    Database,
}

impl From<Error> for Failure {
    fn from(_: Error) -> Self {
        Self::Database
    }
}

async fn a_source_that_fails_writes_nothing(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let source = || stream::iter([Ok(b"1\tone\n".to_vec()), Err(Failure::Source(7)), Ok(b"2\ttwo\n".to_vec())]);
    let session = db.session();
    let failed = session.copy_in(COPY, source()).await;
    assert!(matches!(failed, Err(Failure::Source(7))), "{failed:?}");
    still_in_step(&session).await;
    assert_eq!(count(&session).await, 0);
    drop(session);
    assert_eq!((db.counters().opened, db.counters().invalidations), (1, 0));

    let tx = db.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    let failed = tx.copy_in(COPY, source()).await;
    assert!(matches!(failed, Err(Failure::Source(7))), "{failed:?}");
    let refused = nonce(&tx, 1).await.unwrap_err();
    assert!(matches!(refused, Error::TransactionAborted { .. }) && refused.to_string().contains("COPY"), "{refused}");
    assert!(matches!(tx.commit().await, Err(Error::TransactionAborted { .. })));
    assert_eq!(crate::support::count_users(db.outside()).await, 0);

    // A savepoint keeps what was before it.
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "b").await.unwrap();
    let inner = tx.begin().await.unwrap();
    assert!(inner.copy_in(COPY, source()).await.is_err());
    inner.rollback().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(crate::support::usernames(db.outside()).await, ["b"]);
}

async fn a_copy_dropped_at_any_point_never_reaches_the_next_borrower(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let pool = db.open(|config| config.pool_size(1)).await;
    for polls in 0..10_000 {
        let session = pool.session();
        nonce(&session, -1).await.unwrap();
        let data = format!("{polls}\tone\n").into_bytes();
        let source = stream::unfold(0, async |piece| {
            tokio::task::yield_now().await;
            (piece < 3).then(|| (Ok::<_, Error>(if piece == 0 { data.clone() } else { Vec::new() }), piece + 1))
        });
        let done = poll_times(session.copy_in(COPY, source), polls).await;
        still_in_step(&session).await;
        drop(session);
        for number in 0..3 {
            assert_eq!(nonce(&pool, number).await.unwrap(), number);
        }
        if let Some(rows) = done {
            assert_eq!(rows.unwrap(), 1);
            db.is_quiet().await;
            assert!(polls > 4, "it was dropped at many points: {polls}");
            // Dropped while the last answer was awaited, it may have been written.
            assert!((1..=3).contains(&count(db.outside()).await), "{}", count(db.outside()).await);
            return;
        }
    }
    panic!("it never ends");
}

async fn data_that_does_not_fit_is_an_error_of_the_database(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let session = db.session();
    for bad in ["x\tnot a number\n", "1\ttoo\tmany\n", "1\ta\n1\ttwice\n"] {
        let error = session.copy_in(COPY, stream::iter([Ok::<_, Error>(bad.as_bytes().to_vec())])).await.unwrap_err();
        assert!(matches!(error, Error::Database { .. }) && !error.is_disconnect(), "{error:?}");
        still_in_step(&session).await;
    }
    // The server fails first, and the source later.
    let source = stream::iter([Ok(b"x\tbad\n".repeat(100_000)), Err(Failure::Source(1))]);
    assert!(session.copy_in(COPY, source).await.is_err());
    still_in_step(&session).await;
    let error = session.copy_in("COPY nowhere FROM STDIN", lines(0..1)).await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    still_in_step(&session).await;
    assert_eq!(count(&session).await, 0);
}

async fn a_copy_as_a_plain_statement_is_refused(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let session = db.session();
    for sql in [COPY, "COPY note TO STDOUT", "SELECT 1; COPY note FROM STDIN", "/* x */ copy note from stdin csv"] {
        let refused = session.execute_unprepared(sql).await.map(drop).map_err(Error::from);
        assert!(matches!(&refused, Err(Error::InvalidArgument { .. })), "{sql}: {refused:?}");
        let statement = Statement::from_string(db.backend(), sql);
        let refused = session.query_all_raw(statement).await.map(drop).map_err(Error::from);
        let told = refused.as_ref().is_err_and(|error| error.to_string().contains("Session::copy_in"));
        assert!(told || sql.starts_with("SELECT"), "{sql}: {refused:?}");
        still_in_step(&session).await;
    }
    // Hidden from the check, it ends the connection and reaches nobody.
    let hidden = "DO $$ BEGIN EXECUTE 'COPY note FROM STDIN'; END $$";
    assert!(session.execute_unprepared(hidden).await.is_err());
    for sql in ["SELECT 1", "COPY note TO STDOUT; SELECT 1", "COPY note FROM STDIN; COMMIT", ""] {
        let refused = session.copy_in(sql, lines(0..1)).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{sql}: {refused:?}");
    }
    drop(session);
    for number in 0..3 {
        assert_eq!(nonce(&*db, number).await.unwrap(), number);
    }
}

/// The limit of a statement is one for the server.
async fn a_source_may_take_its_time(db: TestDb) {
    if !prepared(&db).await {
        return;
    }
    let settings = PoolConfig::default().pool_size(1).max_overflow(0);
    let settings = settings.statement_timeout(Some(Duration::from_millis(400)));
    let pool = db.open(|config| config.pool(settings)).await;
    let session = pool.session();
    let source = stream::unfold(0, async |number| {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        (number < 2).then(|| (Ok::<_, Error>(format!("{number}\tlate\n").into_bytes()), number + 1))
    });
    assert_eq!(session.copy_in(COPY, source).await.unwrap(), 2);
    still_in_step(&session).await;
}
