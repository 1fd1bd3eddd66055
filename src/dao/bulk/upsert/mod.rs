//! INSERT, or UPDATE of the row that is in the way.

mod builder;
mod callbacks;
mod conflict;
mod lookup;
mod plan;
mod rows;
mod run;
mod split;

pub use builder::Upsert;

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use self::{
    plan::{Change, Plan, failed},
    run::Outcome,
};
use super::super::BaseDao;
use crate::{
    error::{Error, Result},
    session::located,
};

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Inserts a row, or updates the one that has the same primary key, or the same values in the columns that
    /// [`on`](Upsert::on) names. `.await` runs it and gives the row as it is then.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, DatabaseConfig, Result};
    /// # use sea_dao::sea_orm::ActiveValue::Set;
    /// # use entities::user;
    /// # use migration::MigratorTrait;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    /// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
    /// # let users = BaseDao::<user::Entity>::new(db.clone());
    /// use user::Column::{Balance, Phone};
    ///
    /// let ada = |name: &str, balance| user::ActiveModel {
    ///     username: Set(name.into()), phone: Set("1".into()), balance: Set(balance), ..Default::default()
    /// };
    /// let first = users.upsert(ada("ada", 5)).on([Phone]).await?;
    /// let again = users.upsert(ada("lady ada", 7)).on([Phone]).await?;
    /// assert_eq!((again.id, again.username.as_str(), again.balance), (first.id, "lady ada", 7));
    ///
    /// let only_balance = users.upsert(ada("somebody", 9)).on([Phone]).update([Balance]).await?;
    /// assert_eq!((only_balance.username.as_str(), only_balance.balance), ("lady ada", 9));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "an upsert does nothing until it is awaited"]
    pub fn upsert(&self, model: impl IntoActiveModel<E::ActiveModel>) -> Upsert<E, E::Model> {
        Upsert::new(Plan::of(self.clone()), vec![model.into_active_model()], true, only_row)
    }

    /// As [`upsert`](Self::upsert), for any number of rows, all or none of them. `.await` runs it and gives the number of
    /// rows that were inserted or updated; one that is [left as it is](Upsert::do_nothing) does not count.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result};
    /// # use entities::third_party_account::{self, Column::{OpenId, Platform, UserId}};
    /// # async fn example(
    /// #     accounts: BaseDao<third_party_account::Entity>, rows: Vec<third_party_account::ActiveModel>,
    /// # ) -> Result<()> {
    /// let written = accounts.upsert_many(rows).on([Platform, OpenId]).update([UserId]).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "an upsert does nothing until it is awaited"]
    pub fn upsert_many<M>(&self, models: impl IntoIterator<Item = M>) -> Upsert<E, u64>
    where
        M: IntoActiveModel<E::ActiveModel>,
    {
        let models = models.into_iter().map(IntoActiveModel::into_active_model).collect();
        Upsert::new(Plan::of(self.clone()), models, false, |outcome| Ok(outcome.count))
    }

    /// As [`upsert_many`](Self::upsert_many), and gives the rows as they are then, also those that were left as they
    /// were, in the order in which they were given.
    #[must_use = "an upsert does nothing until it is awaited"]
    pub fn upsert_many_returning<M>(&self, models: impl IntoIterator<Item = M>) -> Upsert<E, Vec<E::Model>>
    where
        M: IntoActiveModel<E::ActiveModel>,
    {
        let models = models.into_iter().map(IntoActiveModel::into_active_model).collect();
        Upsert::new(Plan::of(self.clone()), models, true, |outcome| {
            Ok(outcome.rows.into_iter().map(|(_, model)| model).collect())
        })
    }

    /// The row with these values in the columns of a unique key, or the row that was inserted since there was none, and
    /// whether it was inserted. Of many tasks that look for the same row at the same time, one inserts it and all get it.
    ///
    /// The row is looked for before anything is written: one that is there costs one SELECT. With NULL in one of the
    /// columns, or a primary key that the database makes, there is nothing to look for. Else it does what
    /// [`upsert`](Self::upsert) with [`do_nothing`](Upsert::do_nothing) does.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, DatabaseConfig, Result};
    /// # use sea_dao::sea_orm::ActiveValue::Set;
    /// # use entities::tag::{self, Column::Name};
    /// # use migration::MigratorTrait;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    /// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
    /// let tags = BaseDao::<tag::Entity>::new(db.clone());
    /// let red = || tag::ActiveModel { name: Set("red".into()), ..Default::default() };
    /// let (made, true) = tags.find_or_insert([Name], red()).await? else { panic!("it was there") };
    /// assert_eq!(tags.find_or_insert([Name], red()).await?, (made, false));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`upsert`](Upsert#errors).
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn find_or_insert(
        &self,
        target: impl IntoIterator<Item = E::Column>,
        model: impl IntoActiveModel<E::ActiveModel>,
    ) -> impl Future<Output = Result<(E::Model, bool)>> {
        located(self.find_or_insert_row(target.into_iter().collect(), model.into_active_model()))
    }

    async fn find_or_insert_row(&self, target: Vec<E::Column>, model: E::ActiveModel) -> Result<(E::Model, bool)> {
        let session = self.session();
        let plan = Plan { target, change: Change::Nothing, ..Plan::of(self.within(&session)) };
        if let Some(found) = plan.find(&session, &model).await.map_err(failed::<E>)? {
            return Ok((found, false));
        }
        let outcome = plan.run(vec![model], true).await?;
        let inserted = outcome.count > 0;
        only_row(outcome).map(|row| (row, inserted))
    }
}

/// # Errors
///
/// [`Error::NotFound`] without a row, which a trigger may have taken away.
fn only_row<E: EntityTrait>(mut outcome: Outcome<E>) -> Result<E::Model> {
    let entity = E::default().table_name();
    let missing = || Error::NotFound { entity, key: "the values that were given: it is gone again".to_owned() };
    outcome.rows.pop().map(|(_, model)| model).ok_or_else(missing)
}
