//! Writing many rows.

mod callbacks;
mod copy;
mod delete;
mod engine;
mod insert;
mod json;
mod locate;
mod matching;
mod operation;
mod progress;
mod rows;
mod update;
mod upsert;
mod version;

pub use progress::Progress;
pub use upsert::Upsert;

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use self::{operation::Operation, progress::NOBODY};
use super::BaseDao;
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
    /// Inserts any number of rows, all or none of them, in as few statements as the database allows, and gives the number
    /// of those that it has written: a row that a trigger skips is none. A column that a row does not set takes its default, whatever the other rows set. No rows: nothing is sent.
    ///
    /// Rows that set the same columns are written together, in their order; a row that refers to another one of the same
    /// call has to set the same columns and to stand behind it.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] with the first row that could not be inserted, around the database's failure;
    /// [`Error::Operation`] around every other failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn insert_many<M, I>(&self, models: I) -> impl Future<Output = Result<u64>>
    where
        M: IntoActiveModel<E::ActiveModel>,
        I: IntoIterator<Item = M>,
        I::IntoIter: Send,
    {
        located(async move {
            let models = models.into_iter().map(IntoActiveModel::into_active_model);
            Ok(self.write_rows(Operation::Insert, models, NOBODY).await?.count)
        })
    }

    /// As [`insert_many`](Self::insert_many), and tells `progress` after each statement how far it has come. The rows
    /// are taken from the iterator bit by bit, so that an import needs no more memory than some thousands of them.
    /// An error of `progress` stops the import: nothing stays written, and the error comes back as it was. So that this
    /// holds for the last statement too, even a single one has a transaction around it.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Error, Result, sea_orm::ActiveValue::Set};
    /// # use entities::country;
    /// # async fn example(countries: BaseDao<country::Entity>, lines: Vec<(String, String)>) -> Result<()> {
    /// let rows = lines.into_iter().map(|(code, name)| country::ActiveModel { code: Set(code), name: Set(name) });
    /// countries.insert_many_with(rows, |progress| -> Result<()> {
    ///     println!("{} of {:?}", progress.done, progress.total);
    ///     Ok(())
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `progress`, and those of [`insert_many`](Self::insert_many) through `X: From<Error>`.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn insert_many_with<M, I, X>(
        &self,
        models: I,
        progress: impl FnMut(Progress) -> Result<(), X> + Send,
    ) -> impl Future<Output = Result<u64, X>>
    where
        M: IntoActiveModel<E::ActiveModel>,
        I: IntoIterator<Item = M>,
        I::IntoIter: Send,
        X: From<Error> + Send,
    {
        located(async move {
            let models = models.into_iter().map(IntoActiveModel::into_active_model);
            Ok(self.write_rows(Operation::Insert, models, Some(progress)).await?.count)
        })
    }

    /// As [`insert_many`](Self::insert_many), and gives the rows back as they were written, with what the database filled
    /// in, in the order in which they were given.
    ///
    /// A row that comes back is matched with one that was given by its key, by a unique column, or by all that was given;
    /// the order in which the database gives rows back is not trusted. Where that does not tell, because a trigger changes
    /// what is written, the rows of the statement are inserted one by one.
    ///
    /// # Errors
    ///
    /// As [`insert_many`](Self::insert_many).
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn insert_many_returning<M, I>(&self, models: I) -> impl Future<Output = Result<Vec<E::Model>>>
    where
        M: IntoActiveModel<E::ActiveModel>,
        I: IntoIterator<Item = M>,
        I::IntoIter: Send,
    {
        located(async move {
            let models = models.into_iter().map(IntoActiveModel::into_active_model);
            let mut rows = self.write_rows(Operation::InsertReturning, models, NOBODY).await?.rows;
            // Groups of rows were written one after the other.
            if !rows.is_sorted_by_key(|(index, _)| *index) {
                rows.sort_unstable_by_key(|(index, _)| *index);
            }
            Ok(rows.into_iter().map(|(_, model)| model).collect())
        })
    }
}
