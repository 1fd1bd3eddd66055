//! A session and its model, which do the same things.

use std::fmt::Debug;

use sea_dao::{Error, FlushMode, Result, Session, session::Pending};
use sea_orm::ActiveValue::Set;

use super::{
    model::{Ask, Fate, Model},
    tables::{Part, Rows, mark, mark_id, part},
};
use crate::support::{TestDb, poll_times};

/// Something that may be cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Flush,
    Query,
    Get(usize),
    Begin,
    Commit,
    Rollback,
}

/// What a step gave.
enum Gave {
    Nothing,
    Rows(Rows),
    Part(Option<part::Model>),
    Transaction(Session),
}

pub(super) struct World<'d> {
    db: &'d TestDb,
    random: fastrand::Rng,
    /// The session, and the handles of its open transactions.
    sessions: Vec<Session>,
    model: Model,
    parts: Vec<Pending<part::Entity>>,
    marks: Vec<Pending<mark::Entity>>,
    is_auto: bool,
    /// From now on a connection may turn out to be dead.
    killed: bool,
    log: Vec<String>,
}

impl<'d> World<'d> {
    pub(super) fn new(db: &'d TestDb, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let session = db.session();
        let is_auto = random.bool();
        session.set_flush_mode(if is_auto { FlushMode::Auto } else { FlushMode::Manual });
        let sessions = vec![session];
        let (model, parts, marks, log) = (Model::new(), Vec::new(), Vec::new(), vec![format!("autoflush {is_auto}")]);
        Self { db, random, sessions, model, parts, marks, is_auto, killed: false, log }
    }

    pub(super) fn log(&self) -> String {
        self.log.join("\n")
    }

    fn note(&mut self, what: impl Debug) {
        self.log.push(format!("{what:?}"));
    }

    fn session(&self) -> &Session {
        self.sessions.last().expect("a session")
    }

    pub(super) async fn run(&mut self) {
        for _ in 0..self.random.usize(4..14) {
            match self.random.u32(0..100) {
                0..=49 => self.ask().await,
                50..=94 => {
                    let step = self.choose_step();
                    let cut = (self.random.u32(0..8) == 0).then(|| self.random.usize(0..12));
                    self.take(step, cut).await;
                }
                _ if self.db.capabilities().server => {
                    self.note("kill");
                    self.db.end_server_sessions().await;
                    self.killed = true;
                }
                _ => {}
            }
            self.check_handles();
            self.check_rows().await;
        }
        self.note("end");
        while self.sessions.len() > 1 {
            self.sessions.pop();
        }
        self.sessions.pop();
        let rows = Rows::read(self.db.outside()).await.expect("the rows");
        assert_eq!(rows, self.model.layers[0].rows, "what is left in the database");
        self.model.end(0, Fate::Undone);
    }

    /// Asks for a write.
    async fn ask(&mut self) {
        let slot = |random: &mut fastrand::Rng| Some(random.i32(0..6)).filter(|slot| *slot > 0);
        let written = |fates: &[Fate]| -> Vec<usize> {
            (0..fates.len()).filter(|&number| matches!(fates[number], Fate::Written(_))).collect()
        };
        let depth = self.model.depth();
        let session = self.sessions.last().expect("a session");
        let ask = match self.random.u32(0..10) {
            0..=3 => {
                let (number, slot) = (self.parts.len(), slot(&mut self.random));
                let parent = Some(self.random.usize(0..number + 2)).filter(|parent| *parent < number);
                let row = move |parent_id| part::ActiveModel {
                    number: Set(number as i32),
                    slot: Set(slot),
                    parent_id: Set(parent_id),
                    ..Default::default()
                };
                self.parts.push(match parent {
                    None => session.add(row(None)),
                    Some(parent) => session.add_after(&self.parts[parent], move |parent| row(Some(parent.id))),
                });
                self.model.parts.push(Fate::Pending(depth));
                Ask::AddPart { number, slot, parent }
            }
            4..=5 if !self.parts.is_empty() => {
                let (number, part) = (self.marks.len(), self.random.usize(0..self.parts.len()));
                let row = move |part: &part::Model| mark::ActiveModel {
                    id: Set(mark_id(number)),
                    part_id: Set(part.id),
                    value: Set(0),
                };
                self.marks.push(session.add_after(&self.parts[part], row));
                self.model.marks.push(Fate::Pending(depth));
                Ask::AddMark { number, part }
            }
            6 => {
                let Some(number) = self.random.choice(written(&self.model.parts)) else { return };
                let slot = slot(&mut self.random);
                return self.edit_part(number, slot).await;
            }
            7 => {
                let Some(number) = self.random.choice(written(&self.model.marks)) else { return };
                let value = self.random.i32(1..100);
                let row = self.marks[number].get().expect("a written mark").clone();
                let row = session.edit(row);
                row.set(mark::Column::Value, value).expect("an edit");
                Ask::EditMark { number, value }
            }
            8 => {
                let Some(number) = self.random.choice(written(&self.model.parts)) else { return };
                session.delete(self.parts[number].get().expect("a written part"));
                Ask::DeletePart { number }
            }
            9 => {
                let Some(number) = self.random.choice(written(&self.model.marks)) else { return };
                session.delete(self.marks[number].get().expect("a written mark"));
                Ask::DeleteMark { number }
            }
            _ => return,
        };
        self.note(&ask);
        self.model.top().queue.push(ask);
    }

    /// Gets a part and edits it.
    async fn edit_part(&mut self, number: usize, slot: Option<i32>) {
        let Some(Gave::Part(Some(row))) = self.take(Step::Get(number), None).await else { return };
        if row.slot == slot {
            return;
        }
        self.session().edit(row).set(part::Column::Slot, slot).expect("an edit");
        let ask = Ask::EditPart { number, slot };
        self.note(&ask);
        self.model.top().queue.push(ask);
    }

    fn choose_step(&mut self) -> Step {
        let inside = self.model.depth() > 0;
        match self.random.u32(0..10) {
            0..=2 => Step::Flush,
            3 => Step::Query,
            4 => {
                let written: Vec<usize> = (0..self.parts.len())
                    .filter(|&number| matches!(self.model.parts[number], Fate::Written(_)))
                    .collect();
                self.random.choice(written).map_or(Step::Query, Step::Get)
            }
            5..=6 if self.model.depth() < 3 => Step::Begin,
            7..=8 if inside => Step::Commit,
            9 if inside => Step::Rollback,
            _ => Step::Flush,
        }
    }

    /// Takes a step, or begins to and drops it after so many polls.
    async fn take(&mut self, step: Step, cut: Option<usize>) -> Option<Gave> {
        self.note((step, cut));
        let polls = cut.unwrap_or(usize::MAX);
        let expected = self.model.flushed();
        let before = self.session().pending();
        assert_eq!(before, self.model.pending(), "pending");
        let done = match step {
            Step::Flush => poll_times(self.session().flush(), polls).await.map(|done| done.map(|_| Gave::Nothing)),
            Step::Query => poll_times(Rows::read(self.session()), polls).await.map(|done| done.map(Gave::Rows)),
            Step::Get(number) => {
                let id = self.parts[number].get().expect("a written part").id;
                let found = poll_times(self.session().get::<part::Entity>(id), polls).await;
                found.map(|found| found.map(Gave::Part))
            }
            Step::Begin => poll_times(self.session().begin(), polls).await.map(|begun| begun.map(Gave::Transaction)),
            Step::Commit => {
                let tx = self.sessions.pop().expect("a transaction");
                poll_times(tx.commit(), polls).await.map(|done| done.map(|()| Gave::Nothing))
            }
            Step::Rollback => {
                let tx = self.sessions.pop().expect("a transaction");
                poll_times(tx.rollback(), polls).await.map(|done| done.map(|()| Gave::Nothing))
            }
        };
        let flushes = match step {
            Step::Flush | Step::Commit => true,
            Step::Rollback => false,
            Step::Query | Step::Get(_) | Step::Begin => self.is_auto,
        };
        match done {
            Some(Ok(gave)) => {
                if flushes {
                    assert!(expected.is_some(), "{step:?} succeeded, its flush should have failed");
                    self.model.flush();
                }
                self.succeeded(step, gave)
            }
            Some(Err(error)) => {
                self.note(error.to_string());
                let lost = self.killed && is_loss(&error);
                assert!(lost || flushes && expected.is_none(), "{step:?} failed: {error:?}");
                self.failed(step, &error, expected, lost).await;
                None
            }
            None => {
                self.cut(step, expected, before).await;
                None
            }
        }
    }

    fn succeeded(&mut self, step: Step, gave: Gave) -> Option<Gave> {
        match (step, gave) {
            (Step::Commit, _) => self.model.commit(),
            (Step::Rollback, _) => self.model.end(self.model.depth(), Fate::Undone),
            (_, Gave::Rows(rows)) => assert_eq!(&rows, self.model.rows(), "the rows read"),
            (Step::Get(number), Gave::Part(found)) => {
                let slot = found.as_ref().map(|part| part.slot);
                assert_eq!(slot, self.model.rows().parts.get(&number).map(|Part { slot, .. }| *slot), "the part got");
                return Some(Gave::Part(found));
            }
            (_, Gave::Transaction(tx)) => {
                self.sessions.push(tx);
                self.model.begin();
            }
            _ => {}
        }
        None
    }

    async fn failed(&mut self, step: Step, error: &Error, expected: Option<Rows>, lost: bool) {
        let depth = self.model.depth();
        match step {
            Step::Commit if depth == 1 && lost => self.commit_in_doubt(expected).await,
            Step::Commit | Step::Rollback if depth > 0 && !lost => self.model.end(depth, Fate::Undone),
            _ if lost && depth > 0 => self.lose_transactions().await,
            _ if lost && matches!(error.root(), Error::FlushUnknown { .. }) => self.flush_in_doubt(expected).await,
            // The writes are still pending, and nothing is written.
            _ => {}
        }
    }

    /// A step was dropped.
    async fn cut(&mut self, step: Step, expected: Option<Rows>, before: usize) {
        let depth = self.model.depth();
        match step {
            Step::Commit if depth == 1 => return self.commit_in_doubt(expected).await,
            Step::Commit | Step::Rollback => self.model.end(depth, Fate::Undone),
            _ => {}
        }
        if self.model.depth() > 0 {
            let found = self.session().no_autoflush(async |quiet| Rows::read(quiet).await).await;
            if let Err(error) = found {
                let aborted = matches!(error.root(), Error::TransactionAborted { .. });
                assert!(aborted || self.killed && is_loss(&error), "{error:?}");
                return self.lose_transactions().await;
            }
        }
        if matches!(step, Step::Commit | Step::Rollback) || before == 0 {
            return;
        }
        match self.session().pending() {
            0 => match self.session().flush().await {
                Ok(0) => self.model.flush(),
                Err(error) => {
                    assert!(matches!(error, Error::FlushUnknown { .. }) && self.model.depth() == 0, "{error:?}");
                    self.flush_in_doubt(expected).await;
                }
                Ok(flushed) => panic!("flushed {flushed}"),
            },
            now => assert_eq!(now, before, "what was pending"),
        }
    }

    /// The outermost transaction may have been committed.
    async fn commit_in_doubt(&mut self, expected: Option<Rows>) {
        let before = self.model.layers[0].rows.clone();
        self.model.end(1, Fate::Unknown);
        self.resolve(before, expected).await;
    }

    /// A flush outside of a transaction may have taken effect.
    async fn flush_in_doubt(&mut self, expected: Option<Rows>) {
        let before = self.model.rows().clone();
        self.model.doubt();
        self.resolve(before, expected).await;
    }

    /// Looks which of two things has happened.
    async fn resolve(&mut self, before: Rows, after: Option<Rows>) {
        self.sessions[0].release_after_statement(true);
        self.db.is_quiet().await;
        self.sessions[0].release_after_statement(false);
        let rows = Rows::read(self.db.outside()).await.expect("the rows");
        self.note(("in doubt", &rows));
        assert!(rows == before || Some(&rows) == after.as_ref(), "half-written: {rows:?} of {before:?} → {after:?}");
        self.model.top().rows = rows;
    }

    async fn lose_transactions(&mut self) {
        self.note("the transaction is lost");
        while self.sessions.len() > 1 {
            self.sessions.pop();
        }
        self.model.end(1, Fate::Undone);
    }

    fn check_handles(&self) {
        let check = |fate: Fate, got: Result<(), Error>| match (fate, got) {
            (Fate::Unknown, Err(Error::WriteUnknown { .. }))
            // The future of a COMMIT that was dropped may not have sent it.
            | (Fate::Unknown, Err(Error::WriteUndone { .. }))
            | (Fate::Written(_), Ok(()))
            | (Fate::Pending(_), Err(Error::NotFlushed { .. }))
            | (Fate::Undone, Err(Error::WriteUndone { .. })) => {}
            (fate, got) => panic!("a handle that is {fate:?} gives {got:?}"),
        };
        for (fate, handle) in self.model.parts.iter().zip(&self.parts) {
            check(*fate, handle.get().map(drop));
        }
        for (fate, handle) in self.model.marks.iter().zip(&self.marks) {
            check(*fate, handle.get().map(drop));
        }
    }

    /// Compares what the innermost transaction sees.
    async fn check_rows(&mut self) {
        let found = self.session().no_autoflush(async |quiet| Rows::read(quiet).await).await;
        match found {
            Ok(rows) => assert_eq!(&rows, self.model.rows(), "what the session sees"),
            Err(error) => {
                assert!(self.killed && is_loss(&error), "{error:?}");
                if self.model.depth() > 0 {
                    self.lose_transactions().await;
                }
            }
        }
    }
}

/// Whether the error is what a killed connection leads to.
fn is_loss(error: &Error) -> bool {
    error.is_disconnect() || matches!(error.root(), Error::TransactionAborted { .. } | Error::FlushUnknown { .. })
}
