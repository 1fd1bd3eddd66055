//! On whose behalf rows are written.

use std::fmt;

use sea_orm::{Value, prelude::Uuid};

tokio::task_local! {
    static ACTOR: ActorId;
}

/// Who writes: an integer of any type, a UUID or a text, as the actor's own key is.
///
/// An integer fits every column of integers that is wide enough for it; a UUID and a text fit columns of their type.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorId(Value);

impl ActorId {
    pub(super) fn value(&self) -> &Value {
        &self.0
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! from {
    ($($id:ty),+) => {$(
        impl From<$id> for ActorId {
            fn from(id: $id) -> Self {
                Self(id.into())
            }
        }
    )+};
}

from!(i8, i16, i32, i64, u8, u16, u32, u64, Uuid, String, &str);

/// Runs `work` on behalf of `actor`: rows that are written meanwhile, on every path, get it as their `creator_id` and
/// `updater_id`. Outside of it neither is set.
///
/// It holds for the task that runs `work`, not for tasks that are spawned in it; those get it with
/// [`current_actor`]. Inside of another `with_actor`, the inner one counts.
///
/// ```
/// # use sea_dao::{BaseDao, DatabaseConfig, Result, with_actor};
/// # use sea_dao::sea_orm::ActiveValue::Set;
/// # use entities::user;
/// # use migration::MigratorTrait;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
/// let users = BaseDao::<user::Entity>::new(db.clone());
/// let ada = user::ActiveModel { username: Set("ada".into()), phone: Set("1".into()), ..Default::default() };
///
/// let ada = with_actor(42, users.insert(ada)).await?;
/// assert_eq!((ada.creator_id, ada.updater_id), (Some(42), Some(42)));
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// That of `work`.
pub async fn with_actor<F: IntoFuture>(actor: impl Into<ActorId>, work: F) -> F::Output {
    ACTOR.scope(actor.into(), work.into_future()).await
}

/// Calls `work` on behalf of an actor who asked for it earlier; without one, on behalf of the current one.
pub(crate) fn on_behalf_of<T>(actor: Option<&ActorId>, work: impl FnOnce() -> T) -> T {
    match actor {
        Some(actor) => ACTOR.sync_scope(actor.clone(), work),
        None => work(),
    }
}

/// On whose behalf this task writes; `None` outside of [`with_actor`].
#[must_use]
pub fn current_actor() -> Option<ActorId> {
    ACTOR.try_with(Clone::clone).ok()
}
