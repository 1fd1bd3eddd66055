//! What is done with the rows.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PrimaryKeyToColumn,
    sea_query::{InsertStatement, UpdateStatement},
};

use super::{
    super::BaseDao,
    copy::Copy,
    insert::{insert_statement, insert_with_rows},
    rows::{Group, Row},
    update::{check_all_updated, update_statement},
    version::{check_unchanged, check_versions},
};
use crate::{
    convention::{Moment, has_changes, is_set},
    error::{Error, Result},
    session::Session,
};

/// What is done with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Insert,
    /// And gives the rows back as they were written.
    InsertReturning,
    Update,
}

/// One statement over many rows.
pub(super) enum BulkStatement {
    Insert(InsertStatement),
    Copy(Copy),
    Update(UpdateStatement),
    /// Rows in which nothing changes have only to be there, in the version that the caller knows.
    Nothing,
}

/// What a statement has done.
pub(super) struct Done<E: EntityTrait> {
    /// The first of its rows, which it has taken: only a COPY may leave the last ones to another statement.
    pub(super) taken: usize,
    /// How many rows were written: fewer when a trigger has skipped some.
    pub(super) count: u64,
    /// Those that come back.
    pub(super) models: Vec<E::Model>,
}

impl<E: EntityTrait> Done<E> {
    fn counted(taken: usize, count: u64) -> Self {
        Self { taken, count, models: Vec::new() }
    }
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Insert | Self::InsertReturning => "insert",
            Self::Update => "update",
        }
    }

    pub(super) fn failed<E: EntityTrait>(self, error: Error) -> Error {
        error.during(self.name(), E::default().table_name())
    }

    /// The same without rows back.
    pub(super) fn without_rows_back(self) -> Self {
        if self == Self::InsertReturning { Self::Insert } else { self }
    }

    /// Whether the statement writes `column` of this row.
    pub(super) fn writes<E: EntityTrait>(self, model: &E::ActiveModel, column: E::Column) -> bool {
        match self {
            Self::Insert | Self::InsertReturning => !model.is_not_set(column),
            Self::Update => E::PrimaryKey::from_column(column).is_none() && is_set::<E>(model, column),
        }
    }

    /// The statement for the group, when one is enough and may stand outside of a transaction.
    pub(super) fn only_statement<E: EntityTrait>(
        self,
        session: &Session,
        dao: &BaseDao<E>,
        group: &Group<E>,
    ) -> Option<BulkStatement> {
        let alone = match self {
            Self::Insert => true,
            // The entity is told of them, and may refuse.
            Self::InsertReturning => false,
            // A row that is missing takes back the rest; rows whose versions are looked at stay locked meanwhile.
            Self::Update => group.rows.len() == 1 && !dao.columns.has_version(),
        };
        // One whose failure would abort the transaction needs a savepoint around it; several have one of their own.
        if !alone || (group.rows.len() == 1 && aborts(session)) {
            return None;
        }
        let (count, statement) = self.statement::<E>(session, dao, &group.columns, &group.rows);
        (count == group.rows.len()).then_some(statement)
    }

    /// A statement for the first of the rows, and how many they are.
    pub(super) fn statement<E: EntityTrait>(
        self,
        session: &Session,
        dao: &BaseDao<E>,
        columns: &[E::Column],
        rows: &[Row<E>],
    ) -> (usize, BulkStatement) {
        match self {
            Self::Insert | Self::InsertReturning => {
                let (count, statement) = insert_statement::<E>(session.capabilities(), columns, rows);
                (count, BulkStatement::Insert(statement))
            }
            Self::Update if columns.is_empty() => (rows.len(), BulkStatement::Nothing),
            Self::Update => {
                let (count, statement) = update_statement::<E>(session.capabilities(), dao, columns, rows);
                (count, BulkStatement::Update(statement))
            }
        }
    }

    /// Lets the conventions and the entity fill in what they do, at a time that rows share.
    pub(super) async fn prepare<E>(
        self,
        dao: &BaseDao<E>,
        session: &Session,
        now: Moment,
        mut model: E::ActiveModel,
    ) -> Result<E::ActiveModel>
    where
        E: EntityTrait,
        E::ActiveModel: ActiveModelBehavior + Send,
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        if self != Self::Update {
            dao.columns.stamp_insert_at(now, &mut model)?;
            return Ok(model.before_save(session, true).await?);
        }
        dao.columns.stamp_update_at(now, &mut model)?;
        let mut model = model.before_save(session, false).await?;
        // What the entity changed by itself is a change too.
        dao.columns.stamp_update_at(now, &mut model)?;
        if has_changes::<E>(&model) {
            dao.columns.expect_and_raise(&mut model)?;
        }
        Ok(model)
    }

    /// Runs a statement of these rows; undone as a whole when it fails, unless the transaction ends with it.
    pub(super) async fn run<E>(
        self,
        session: &Session,
        dao: &BaseDao<E>,
        columns: &[E::Column],
        rows: &[Row<E>],
        statement: BulkStatement,
    ) -> Result<Done<E>>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: ActiveModelBehavior + Send + Sync,
    {
        // What gives rows back has savepoints of its own.
        if rows.len() == 1 || !aborts(session) || self == Self::InsertReturning {
            return self.run_on(session, dao, columns, rows, statement).await;
        }
        let savepoint = session.begin().await?;
        match self.run_on(&savepoint, dao, columns, rows, statement).await {
            Ok(written) => savepoint.commit().await.map(|()| written),
            Err(error) => {
                savepoint.rollback_or_report().await;
                Err(error)
            }
        }
    }

    async fn run_on<E>(
        self,
        session: &Session,
        dao: &BaseDao<E>,
        columns: &[E::Column],
        rows: &[Row<E>],
        statement: BulkStatement,
    ) -> Result<Done<E>>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: ActiveModelBehavior + Send + Sync,
    {
        match statement {
            BulkStatement::Insert(statement) if self == Self::InsertReturning => {
                let models = insert_with_rows(session, dao, columns, rows, statement).await?;
                Ok(Done { taken: rows.len(), count: models.len() as u64, models })
            }
            BulkStatement::Insert(statement) => {
                let count = session.execute(&statement).await?.rows_affected();
                Ok(Done::counted(rows.len(), count))
            }
            BulkStatement::Copy(copy) => {
                let (taken, count) = copy.run(session, columns, rows).await?;
                Ok(Done::counted(taken, count))
            }
            BulkStatement::Update(statement) => {
                check_versions(session, dao, rows).await?;
                let updated = session.execute(&statement).await?.rows_affected();
                check_all_updated(session, dao, rows, updated).await?;
                Ok(Done::counted(rows.len(), updated))
            }
            BulkStatement::Nothing => {
                check_unchanged(session, dao, rows).await?;
                Ok(Done::counted(rows.len(), rows.len() as u64))
            }
        }
    }
}

/// Whether a failure aborts a transaction that goes on afterwards.
fn aborts(session: &Session) -> bool {
    session.capabilities().failure_aborts_transaction && session.is_in_transaction()
}
