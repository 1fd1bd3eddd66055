//! What is measured.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use entities::user::Model;

use crate::{
    contender::{Contender, NewUser, Result},
    fixture::{READINGS, USERS},
    graph::NewGraph,
    reading::readings,
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    PointSelect,
    Insert,
    SelectUpdateCommit,
    List100,
    RequestOf3,
    Contended,
    BulkInsert10k,
    BulkInsert100k,
    BulkInsert100kReturning,
    BulkUpdate10k,
    BulkUpdate10kPlain,
    FlushGraph,
    Loader,
    SqlitePointSelect,
    SqliteInsert,
}

impl Scenario {
    pub(crate) const POSTGRES: &[Self] = &[
        Self::PointSelect,
        Self::Insert,
        Self::SelectUpdateCommit,
        Self::List100,
        Self::RequestOf3,
        Self::Contended,
        Self::BulkInsert10k,
        Self::BulkInsert100k,
        Self::BulkInsert100kReturning,
        Self::BulkUpdate10k,
        Self::BulkUpdate10kPlain,
        Self::FlushGraph,
        Self::Loader,
    ];
    pub(crate) const SQLITE: &[Self] = &[Self::SqlitePointSelect, Self::SqliteInsert];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PointSelect => "point_select",
            Self::Insert => "insert",
            Self::SelectUpdateCommit => "select_update_commit",
            Self::List100 => "list_100",
            Self::RequestOf3 => "request_of_3",
            Self::Contended => "contended",
            Self::BulkInsert10k => "bulk_insert_10k",
            Self::BulkInsert100k => "bulk_insert_100k",
            Self::BulkInsert100kReturning => "bulk_insert_100k_returning",
            Self::BulkUpdate10k => "bulk_update_10k",
            Self::BulkUpdate10kPlain => "bulk_update_10k_plain",
            Self::FlushGraph => "flush_graph",
            Self::Loader => "loader",
            Self::SqlitePointSelect => "sqlite_point_select",
            Self::SqliteInsert => "sqlite_insert",
        }
    }

    /// The number of tasks that belongs to the scenario.
    pub(crate) fn fixed_tasks(self) -> Option<usize> {
        match self {
            Self::Contended | Self::Loader => Some(64),
            Self::BulkInsert10k
            | Self::BulkInsert100k
            | Self::BulkInsert100kReturning
            | Self::BulkUpdate10k
            | Self::BulkUpdate10kPlain
            | Self::FlushGraph => Some(1),
            _ => None,
        }
    }

    /// Whether only the contender that the others are compared with takes part, and those that have a way of their own.
    pub(crate) fn is_of_two(self) -> bool {
        matches!(
            self,
            Self::BulkInsert100k
                | Self::BulkInsert100kReturning
                | Self::BulkUpdate10k
                | Self::BulkUpdate10kPlain
                | Self::FlushGraph
                | Self::Loader
        )
    }

    /// What it writes would slow down those that come after.
    pub(crate) fn writes(self) -> bool {
        matches!(
            self,
            Self::Insert
                | Self::SelectUpdateCommit
                | Self::BulkInsert10k
                | Self::BulkInsert100k
                | Self::BulkInsert100kReturning
                | Self::BulkUpdate10k
                | Self::BulkUpdate10kPlain
                | Self::FlushGraph
                | Self::SqliteInsert
        )
    }

    /// Does it once.
    pub(crate) async fn run(self, contender: &dyn Contender, random: &mut fastrand::Rng) -> Result<()> {
        let mut id = || random.i64(1..=USERS);
        match self {
            Self::PointSelect | Self::Contended | Self::SqlitePointSelect => {
                drop(black_box(contender.point_select(id()).await?));
            }
            Self::Insert | Self::SqliteInsert => drop(black_box(contender.insert(new_user()).await?)),
            Self::SelectUpdateCommit => drop(black_box(contender.select_update_commit(id()).await?)),
            Self::List100 => drop(black_box(contender.list_100(id() % (USERS - 100)).await?)),
            Self::RequestOf3 => drop(black_box(contender.request_of_3([id(), id(), id()]).await?)),
            Self::BulkInsert10k => contender.bulk_insert((0..10_000).map(|_| new_user()).collect()).await?,
            Self::BulkInsert100k => contender.import(readings(100_000)).await?,
            Self::BulkInsert100kReturning => drop(black_box(contender.import_returning(readings(100_000)).await?)),
            Self::BulkUpdate10k => {
                contender.bulk_update((1..=USERS).map(|id| (id, random.i64(0..1_000))).collect()).await?
            }
            Self::BulkUpdate10kPlain => contender.revise((1..=READINGS).map(|id| (id, random.f64())).collect()).await?,
            Self::FlushGraph => drop(black_box(contender.flush_graph(NewGraph::of_user(id())).await?)),
            Self::Loader => drop(black_box(contender.load(id()).await?)),
        }
        Ok(())
    }

    /// Makes sure that all contenders give the same answer before any is measured.
    pub(crate) async fn check(self, contenders: &[Arc<dyn Contender>]) -> Result<()> {
        for (index, contender) in contenders.iter().enumerate() {
            let first = &contenders[0];
            let correct = match self {
                Self::PointSelect | Self::Contended | Self::SqlitePointSelect => {
                    let user = contender.point_select(42).await?;
                    user.id == 42 && user.profile.is_some() && user == first.point_select(42).await?
                }
                Self::Insert | Self::SqliteInsert => {
                    let new = new_user();
                    let user = contender.insert(new.clone()).await?;
                    fits(&new, &user) && user == contender.point_select(user.id).await?
                }
                Self::SelectUpdateCommit => {
                    let before = contender.point_select(7).await?;
                    let user = contender.select_update_commit(7).await?;
                    user.balance == before.balance + 1
                        && user.updated_at > before.updated_at
                        && user == first.point_select(7).await?
                }
                Self::List100 => {
                    let users = contender.list_100(500).await?;
                    users.iter().map(|user| user.id).eq(501..=600) && users == first.list_100(500).await?
                }
                Self::RequestOf3 => {
                    let users = contender.request_of_3([1, 2, 3]).await?;
                    users.len() == 3 && users == first.request_of_3([1, 2, 3]).await?
                }
                Self::BulkInsert10k => {
                    let users: Vec<_> = (0..3).map(|_| new_user()).collect();
                    contender.bulk_insert(users.clone()).await?;
                    let after = USERS + 3 * i64::try_from(index)?;
                    let inserted = contender.list_100(after).await?;
                    inserted.len() == 3 && users.iter().zip(&inserted).all(|(new, user)| fits(new, user))
                }
                Self::BulkInsert100k => {
                    contender.import(readings(3)).await?;
                    first.import_returning(readings(1)).await?[0].id == READINGS + 4 * (i64::try_from(index)? + 1)
                }
                Self::BulkInsert100kReturning => {
                    let given = readings(3);
                    let inserted = contender.import_returning(given.clone()).await?;
                    inserted.len() == 3
                        && given.iter().zip(&inserted).all(|(given, row)| given.taken_at.as_ref() == &row.taken_at)
                }
                Self::BulkUpdate10k => {
                    contender.bulk_update(vec![(7, 70), (8, 80)]).await?;
                    let updated = first.list_100(6).await?;
                    (updated[0].balance, updated[1].balance) == (70, 80)
                        && updated[0].updated_at > updated[2].updated_at
                }
                Self::BulkUpdate10kPlain => {
                    let value = i32::try_from(index)?.into();
                    contender.revise(vec![(7, value), (8, value + 0.5)]).await?;
                    first.readings([7, 8]).await? == [value, value + 0.5]
                }
                Self::FlushGraph => {
                    let new = NewGraph::of_user(42);
                    new.fits(&contender.flush_graph(new.clone()).await?)
                }
                Self::Loader => contender.load(42).await? == first.point_select(42).await?,
            };
            if !correct {
                return Err(format!("{} gives a wrong answer to {}", contender.name(), self.name()).into());
            }
        }
        Ok(())
    }
}

fn fits(new: &NewUser, user: &Model) -> bool {
    let NewUser { username, email, phone, status, balance } = new;
    user.username == *username
        && user.email == *email
        && user.phone == *phone
        && user.status == *status
        && user.balance == *balance
        && user.deleted_at.is_none()
}

/// A user that nobody has inserted before.
fn new_user() -> NewUser {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    NewUser {
        username: format!("new-user-{number}"),
        email: Some(format!("new-user-{number}@example.com")),
        phone: format!("+1{number:012}"),
        status: 1,
        balance: 100,
    }
}
