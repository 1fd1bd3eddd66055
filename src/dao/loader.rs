//! Lookups by key that are made at the same moment, as one query.

use std::{
    collections::HashMap,
    fmt, mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::FutureExt;
use sea_orm::{DbErr, EntityTrait};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, yield_now},
};

use super::{
    BaseDao,
    among::among,
    base::KeyOf,
    key::{Key, keys_per_statement},
};
use crate::{
    error::{Error, ErrorClass, Result},
    query::Conditions,
};

/// More keys in one query are not faster, and those who asked first would wait for those who asked last.
const MOST_KEYS: usize = 1_000;

/// Joins lookups by key that different tasks make at the same moment into one query: what GraphQL servers call a
/// [data loader](https://github.com/graphql/dataloader). [`BaseDao::loader`] makes one; clones share it.
///
/// The first lookup starts a task, which lets every task that is ready have its turn and then asks the database for all
/// keys at once. Keys that come while a query runs are joined into the next one, so the busier the database, the larger
/// the queries. A key that several ask for is sent once. Nothing is kept: who asks later gets what is there then.
///
/// One query at a time is under way, of at most 1 000 keys. Without lookups there is no task; with the last handle of the
/// loader the task ends.
///
/// ```
/// # use sea_dao::{BaseDao, Database, Result};
/// # use entities::user;
/// # async fn example(db: Database) -> Result<()> {
/// let loader = BaseDao::<user::Entity>::new(db).loader();
/// // Each of them a task of its own, as a rule.
/// let (ada, bob) = tokio::join!(loader.load(1), loader.load(2));
/// # drop((ada?, bob?));
/// # Ok(())
/// # }
/// ```
pub struct Loader<E: EntityTrait>(Arc<Handle<E>>);

impl<E: EntityTrait> Clone for Loader<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: EntityTrait> fmt::Debug for Loader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("dao", &self.0.0.dao).field("waiting", &self.0.0.lock().waiting.len()).finish()
    }
}

impl<E: EntityTrait> BaseDao<E> {
    /// A loader that joins lookups of different tasks. It is for a DAO on a [`Database`](crate::Database): a session runs
    /// one statement at a time, and in a transaction [`load`](Loader::load) is refused.
    #[must_use]
    pub fn loader(&self) -> Loader<E> {
        let shared = Shared {
            in_transaction: self.session().is_in_transaction(),
            dao: self.clone(),
            state: Mutex::new(State { waiting: HashMap::new(), task: None }),
        };
        Loader(Arc::new(Handle(Arc::new(shared))))
    }
}

impl<E: EntityTrait> Loader<E> {
    /// The row with this primary key, unless it is deleted; as [`BaseDao::find_by_id`].
    ///
    /// # Errors
    ///
    /// Those of a statement: everybody whose key was part of it gets the same. [`Error::Unsupported`] in a transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future concerns nobody else. A key that nobody waits for any more is not sent.
    pub async fn load(&self, key: impl Into<KeyOf<E>>) -> Result<Option<E::Model>> {
        let answer = self.ask(Key::of(key.into()))?;
        answer.await.unwrap_or_else(|_| Err(unanswered().during("select", E::default().table_name())))
    }

    fn ask(&self, key: Key<E>) -> Result<oneshot::Receiver<Answer<E>>> {
        let shared = &self.0.0;
        if shared.in_transaction {
            return Err(Error::unsupported("a loader in a transaction, which is one task's; use find_by_ids"));
        }
        let (waiter, answer) = oneshot::channel();
        let mut state = shared.lock();
        state.waiting.entry(key.identity()).or_insert_with(|| Lookup { key, waiters: Vec::new() }).waiters.push(waiter);
        // A task is over too when its runtime is.
        if state.task.as_ref().is_none_or(JoinHandle::is_finished) {
            state.task = Some(tokio::spawn(answer_all(shared.clone())));
        }
        Ok(answer)
    }
}

type Answer<E> = Result<Option<<E as EntityTrait>::Model>>;

/// Ends the task with the last handle.
struct Handle<E: EntityTrait>(Arc<Shared<E>>);

impl<E: EntityTrait> Drop for Handle<E> {
    fn drop(&mut self) {
        if let Some(task) = self.0.lock().task.take() {
            task.abort();
        }
    }
}

struct Shared<E: EntityTrait> {
    dao: BaseDao<E>,
    in_transaction: bool,
    state: Mutex<State<E>>,
}

struct State<E: EntityTrait> {
    waiting: HashMap<String, Lookup<E>>,
    /// `None` when nothing is asked for.
    task: Option<JoinHandle<()>>,
}

/// A key and who waits for its row.
struct Lookup<E: EntityTrait> {
    key: Key<E>,
    waiters: Vec<oneshot::Sender<Answer<E>>>,
}

impl<E: EntityTrait> Lookup<E> {
    fn answer(self, answer: &Answer<E>) {
        for waiter in self.waiters {
            // Who does not wait any more has no use for it.
            let _ = waiter.send(answer.clone());
        }
    }
}

impl<E: EntityTrait> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be asked for next; ends the task's turn when that is nothing.
    fn next(&self, most: usize) -> Option<HashMap<String, Lookup<E>>> {
        let mut state = self.lock();
        state.waiting.retain(|_, lookup| lookup.waiters.iter().any(|waiter| !waiter.is_closed()));
        if state.waiting.is_empty() {
            state.task = None;
            return None;
        }
        if state.waiting.len() <= most {
            return Some(mem::take(&mut state.waiting));
        }
        let chosen: Vec<String> = state.waiting.keys().take(most).cloned().collect();
        Some(chosen.into_iter().filter_map(|name| state.waiting.remove_entry(&name)).collect())
    }
}

async fn answer_all<E: EntityTrait>(shared: Arc<Shared<E>>) {
    let most = keys_per_statement::<E>(shared.dao.capabilities()).min(MOST_KEYS);
    loop {
        // Everybody who is about to ask does so first.
        yield_now().await;
        let Some(lookups) = shared.next(most) else { return };
        // A panic while rows are read leaves these without an answer; the others still wait for theirs.
        let _ = AssertUnwindSafe(answer(&shared.dao, lookups)).catch_unwind().await;
    }
}

async fn answer<E: EntityTrait>(dao: &BaseDao<E>, mut lookups: HashMap<String, Lookup<E>>) {
    let keys: Vec<Key<E>> = lookups.values().map(|lookup| lookup.key.clone()).collect();
    match dao.query().filter(among(&keys, dao.session().backend())).all().await {
        Err(error) => lookups.into_values().for_each(|lookup| lookup.answer(&Err(error.clone()))),
        Ok(models) => {
            for model in models {
                if let Some(lookup) = lookups.remove(&Key::<E>::of_model(&model).identity()) {
                    lookup.answer(&Ok(Some(model)));
                }
            }
            for lookup in lookups.into_values() {
                // What differs here may be the same to the database: a text in upper case, a number with more digits.
                let answer = match lookup.key.is_exact() {
                    true => Ok(None),
                    false => dao.query().filter(lookup.key.condition()).first().await,
                };
                lookup.answer(&answer);
            }
        }
    }
}

fn unanswered() -> Error {
    let source = DbErr::Custom("the task that asks for the rows has ended, or panicked, without an answer".to_owned());
    Error::Database { class: ErrorClass::Other, source }
}
