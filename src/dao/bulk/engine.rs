//! What all writes of many rows have in common: parts, one transaction, and the search for the row that fails.

use sea_orm::{ActiveModelBehavior, EntityTrait, IdenStatic, IntoActiveModel};

use super::{
    super::BaseDao,
    copy::{CopyPlan, LEAST_ROWS},
    locate::{is_of_a_row, locate, locate_in_order},
    operation::{BulkStatement, Done, Operation},
    progress::Progress,
    rows::{Group, Groups, Row, by_columns},
};
use crate::{
    backend::is_because_of_a_row,
    convention::now,
    error::{Error, Result},
    session::Session,
};

/// Rows that are held in memory at a time, beside those that the caller holds.
const ROWS_AT_A_TIME: usize = 10_000;

/// What was written.
pub(super) struct Written<E: EntityTrait> {
    pub(super) count: u64,
    /// With their places in the call, when the rows were asked for.
    pub(super) rows: Vec<(usize, E::Model)>,
}

impl<E: EntityTrait> Written<E> {
    pub(super) fn none() -> Self {
        Self { count: 0, rows: Vec::new() }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.count += other.count;
        self.rows.extend(other.rows);
    }
}

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Writes all of the rows or none. What fits in one statement is sent as one, without a transaction of its own, unless
    /// somebody may stop it afterwards.
    pub(super) async fn write_rows<X: From<Error>>(
        &self,
        operation: Operation,
        models: impl Iterator<Item = E::ActiveModel> + Send,
        mut progress: Option<impl FnMut(Progress) -> Result<(), X> + Send>,
    ) -> Result<Written<E>, X> {
        let total = match models.size_hint() {
            (least, Some(most)) if least == most => Some(most as u64),
            _ => None,
        };
        let mut rows = models.enumerate().map(|(index, model)| Row { index, model }).peekable();
        let session = self.session();
        let first: Vec<Row<E>> = rows.by_ref().take(ROWS_AT_A_TIME).collect();
        if first.is_empty() {
            return Ok(Written::none());
        }
        let mut writer = Writer::new(self, operation);
        let is_told = progress.is_some();
        let mut report = |writer: &Writer<'_, E>| match &mut progress {
            Some(progress) => progress(Progress { done: writer.written.count, total }),
            None => Ok(()),
        };
        if rows.peek().is_some() || !self.callbacks.is_empty() {
            let tx = session.begin().await?;
            let written = Box::pin(writer.write_parts(&tx, first, rows, &mut report)).await;
            end(tx, written).await?;
            return Ok(writer.written);
        }
        let groups = writer.prepare(&session, first).await?;
        if let [group] = groups.as_slice()
            && !is_told
        {
            let copy = writer.copy(&session, group, &group.rows).await?;
            // In a transaction a COPY may write the first rows only.
            let whole = copy.is_none() || !session.is_in_transaction();
            if let Some(statement) = copy.or_else(|| operation.only_statement::<E>(&session, self, group))
                && whole
                && writer.write(&session, &group.columns, &group.rows, statement).await? == group.rows.len()
            {
                return Ok(writer.written);
            }
        }
        Box::pin(writer.write_guarded(&session, groups, &mut report)).await?;
        Ok(writer.written)
    }
}

/// Commits after a success, rolls back after a failure.
async fn end<X: From<Error>>(tx: Session, done: Result<(), X>) -> Result<(), X> {
    match done {
        Ok(()) => Ok(tx.commit().await?),
        Err(error) => {
            tx.rollback_or_report().await;
            Err(error)
        }
    }
}

/// Writes rows for which everything is filled in, inside of a transaction unless one statement is enough.
pub(super) async fn write_ready<E>(
    dao: &BaseDao<E>,
    operation: Operation,
    session: &Session,
    rows: Vec<Row<E>>,
) -> Result<Written<E>>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    let groups = by_columns(rows, |model, column| operation.writes::<E>(model, column));
    // Whoever fills the rows in calls the callbacks.
    let quiet = dao.quietly_within(session);
    let mut writer = Writer::new(&quiet, operation);
    writer.write_groups::<Error>(session, &groups, &mut |_| Ok(())).await.map_err(Stopped::into_error)?;
    Ok(writer.written)
}

/// Why the writing has ended before its time.
enum Stopped<X> {
    /// Somebody who was told of the progress has stopped it.
    ByProgress(X),
    Failed(Error),
}

impl<X: From<Error>> Stopped<X> {
    fn into_error(self) -> X {
        match self {
            Self::ByProgress(error) => error,
            Self::Failed(error) => error.into(),
        }
    }
}

impl<X> From<Error> for Stopped<X> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) struct Writer<'d, E: EntityTrait> {
    pub(super) dao: &'d BaseDao<E>,
    pub(super) operation: Operation,
    /// The rows are for the caller, and not only for the callbacks.
    gives_rows: bool,
    /// How rows of these columns are copied, `None` when they are not.
    copies: Vec<(Vec<E::Column>, Option<CopyPlan>)>,
    written: Written<E>,
}

impl<'d, E> Writer<'d, E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    fn new(dao: &'d BaseDao<E>, operation: Operation) -> Self {
        let told = operation == Operation::Insert && !dao.callbacks.is_empty();
        let operation = if told { Operation::InsertReturning } else { operation };
        Self { dao, operation, gives_rows: !told, copies: Vec::new(), written: Written::none() }
    }

    async fn write_parts<X: From<Error>>(
        &mut self,
        tx: &Session,
        first: Vec<Row<E>>,
        mut rest: impl Iterator<Item = Row<E>> + Send,
        report: &mut (impl FnMut(&Self) -> Result<(), X> + Send),
    ) -> Result<(), X> {
        let mut part = first;
        while !part.is_empty() {
            let groups = self.prepare(tx, part).await?;
            if groups.len() > 1 {
                Box::pin(self.write_guarded(tx, groups, report)).await?;
            } else {
                self.write_groups(tx, &groups, report).await.map_err(Stopped::into_error)?;
            }
            part = rest.by_ref().take(ROWS_AT_A_TIME).collect();
        }
        Ok(())
    }

    /// Lets the conventions and the entity fill in what they do, and sorts the rows by the columns that are written.
    async fn prepare(&self, session: &Session, rows: Vec<Row<E>>) -> Result<Vec<Group<E>>> {
        let rows = self.call_before(session, rows).await.map_err(|error| self.operation.failed::<E>(error))?;
        let mut groups = Groups::with_capacity(rows.len());
        let now = now();
        for Row { index, model } in rows {
            let prepared = self.operation.prepare(self.dao, session, now, model).await;
            let model =
                prepared.map_err(|error| Error::Row { row: index, key: String::new(), source: Box::new(error) });
            let row = Row { index, model: model.map_err(|error| self.operation.failed::<E>(error))? };
            groups.push(row, |model, column| self.operation.writes::<E>(model, column));
        }
        Ok(groups.into_vec())
    }

    /// Writes all of a part or nothing, in a transaction or behind a savepoint. Groups are written one after the other: for
    /// the first row that fails, all of them have to be undone.
    async fn write_guarded<X: From<Error>>(
        &mut self,
        session: &Session,
        groups: Vec<Group<E>>,
        report: &mut (impl FnMut(&Self) -> Result<(), X> + Send),
    ) -> Result<(), X> {
        let tx = session.begin().await?;
        let written = self.write_groups(&tx, &groups, report).await;
        if written.is_ok() {
            return Ok(tx.commit().await?);
        }
        tx.rollback_or_report().await;
        match written {
            Err(Stopped::Failed(error)) if groups.len() > 1 && is_of_a_row(&error) => {
                let located = Box::pin(locate_in_order(self.operation, session, self.dao, groups)).await;
                Err(located.map_or(error, |located| self.operation.failed::<E>(located)).into())
            }
            written => written.map_err(Stopped::into_error),
        }
    }

    async fn write_groups<X>(
        &mut self,
        tx: &Session,
        groups: &[Group<E>],
        report: &mut (impl FnMut(&Self) -> Result<(), X> + Send),
    ) -> Result<(), Stopped<X>> {
        for group in groups {
            let mut left = group.rows.as_slice();
            while !left.is_empty() {
                let (count, statement) = match self.copy(tx, group, left).await? {
                    Some(copy) => (left.len(), copy),
                    None => self.operation.statement::<E>(tx, self.dao, &group.columns, left),
                };
                let written = self.write(tx, &group.columns, &left[..count], statement).await?;
                report(self).map_err(Stopped::ByProgress)?;
                left = &left[written..];
            }
        }
        Ok(())
    }

    /// The COPY for these rows, which are the group's last.
    async fn copy(&mut self, session: &Session, group: &Group<E>, rows: &[Row<E>]) -> Result<Option<BulkStatement>> {
        if self.operation != Operation::Insert || rows.len() < LEAST_ROWS || !session.capabilities().copy_in {
            return Ok(None);
        }
        let known = match self.known_copy(&group.columns) {
            Some(known) => known,
            None => {
                let plan = CopyPlan::make(session, &group.columns, &rows[0]).await;
                let plan = plan.map_err(|error| self.operation.failed::<E>(error))?;
                self.copies.push((group.columns.clone(), plan));
                self.copies.len() - 1
            }
        };
        let plan = self.copies[known].1.as_ref();
        Ok(plan.and_then(|plan| plan.statement(&group.columns, rows)).map(BulkStatement::Copy))
    }

    fn known_copy(&self, columns: &[E::Column]) -> Option<usize> {
        let same =
            |known: &[E::Column]| known.iter().map(IdenStatic::as_str).eq(columns.iter().map(IdenStatic::as_str));
        self.copies.iter().position(|(known, _)| same(known))
    }

    /// Sends one statement, and gives the number of the rows that it has taken: fewer when it is a COPY that cannot take
    /// all of them. When it fails because of a row, the error says which.
    async fn write(
        &mut self,
        session: &Session,
        columns: &[E::Column],
        rows: &[Row<E>],
        statement: BulkStatement,
    ) -> Result<usize> {
        let written = self.operation.run(session, self.dao, columns, rows, statement).await;
        let written = match written {
            Err(error) if is_because_of_a_row(&error) => {
                Err(Box::pin(locate(self.operation, session, self.dao, columns, rows, error)).await)
            }
            written => written,
        };
        let Done { taken, count, models } = written.map_err(|error| self.operation.failed::<E>(error))?;
        if taken < rows.len()
            && let Some(known) = self.known_copy(columns)
        {
            self.copies[known].1 = None;
        }
        if !columns.is_empty() || self.operation != Operation::Update {
            let called = self.call_after(session, rows, &models).await;
            called.map_err(|error| self.operation.failed::<E>(error))?;
        }
        self.written.count += count;
        if self.gives_rows {
            self.written.rows.extend(rows.iter().map(|row| row.index).zip(models));
        }
        Ok(taken)
    }
}
