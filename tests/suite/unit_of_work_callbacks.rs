//! What a DAO's callbacks, and an entity's own, do in the flush that calls them.

use std::{
    mem,
    sync::{Arc, Mutex},
};

use entities::{country, tag, user};
use sea_dao::{BaseDao, Error, FlushMode, Result, Session, SessionProvider, dao::Callbacks};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    EntityTrait, PaginatorTrait,
    prelude::Uuid,
};

use crate::support::{TestDb, add_to_balance, insert_user, new_user, usernames};

for_each_backend!(
    what_a_callback_has_read_goes_with_a_flush_that_fails,
    what_an_entity_writes_before_a_save_goes_with_the_flush,
    what_callbacks_ask_for_is_written_too,
    callbacks_without_an_end_are_refused,
    a_change_that_a_callback_takes_back_is_none,
    rows_of_a_flush_come_at_once,
    a_row_whose_parent_goes_meanwhile_is_not_lost,
);

type Users = BaseDao<user::Entity>;

fn new_country(code: &str, name: &str) -> country::ActiveModel {
    country::ActiveModel { code: Set(code.to_owned()), name: Set(name.to_owned()) }
}

async fn count<E: EntityTrait>(db: &TestDb) -> u64
where
    E::Model: Sync,
{
    E::find().count(db.outside()).await.unwrap()
}

/// Changes the first user, looks at it, and refuses.
struct ReadAndRefuse(i64);

impl Callbacks<user::Entity> for ReadAndRefuse {
    async fn after_insert(&self, session: &Session, _: &[user::Model]) -> Result<()> {
        add_to_balance(session, "ada", 7).await?;
        assert_eq!(session.get::<user::Entity>(self.0).await?.unwrap().balance, 7);
        Err(Error::refused("no"))
    }
}

async fn what_a_callback_has_read_goes_with_a_flush_that_fails(db: TestDb) {
    let ada = insert_user(db.outside(), "ada").await.unwrap();
    for in_transaction in [false, true] {
        let session = if in_transaction { db.begin().await.unwrap() } else { db.session() };
        session.set_flush_mode(FlushMode::Manual);
        let users = Users::new(session.session()).callbacks(ReadAndRefuse(ada.id));
        users.add(new_user("bob")).unwrap();
        assert!(session.flush().await.is_err());
        let known = session.get::<user::Entity>(ada.id).await.unwrap();
        assert_eq!(known.as_ref(), Some(&ada), "in a transaction: {in_transaction}");
    }
}

/// Tags whose entity writes a country for each row that is saved.
mod talkative {
    #![allow(unreachable_pub, reason = "SeaORM's macros make what belongs to an entity public")]

    use entities::country;
    use sea_orm::{ActiveValue::Set, entity::prelude::*};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tag")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(self, connection: &C, _: bool) -> Result<Self, DbErr> {
            let name = self.name.try_as_ref().cloned().unwrap_or_default();
            country::ActiveModel { code: Set(name.clone()), name: Set(name) }.insert(connection).await?;
            Ok(self)
        }
    }
}

async fn what_an_entity_writes_before_a_save_goes_with_the_flush(db: TestDb) {
    let row = |number: u128, name: &str| talkative::ActiveModel {
        id: Set(Uuid::from_u128(number)),
        name: Set(name.to_owned()),
    };
    let session = db.session();
    session.set_flush_mode(FlushMode::Manual);
    let first = session.add(row(1, "a"));
    session.flush().await.unwrap();
    assert_eq!(count::<country::Entity>(&db).await, 1);
    // Two statements, of which the second fails.
    session.edit(first.get().unwrap().clone()).set(talkative::Column::Name, "b").unwrap();
    session.add(row(1, "c"));
    assert!(session.flush().await.unwrap_err().is_unique_violation());
    assert_eq!((count::<country::Entity>(&db).await, session.pending()), (1, 2));
}

/// Asks for another row for each that is inserted, in the unit of work.
struct Audit;

impl Callbacks<user::Entity> for Audit {
    async fn after_insert(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        for row in rows {
            session.add(new_country(&row.username, &row.username));
        }
        Ok(())
    }
}

async fn what_callbacks_ask_for_is_written_too(db: TestDb) {
    let users = Users::new((*db).clone()).callbacks(Audit);
    let session = db.session();
    users.within(&session).add(new_user("a")).unwrap();
    session.flush().await.unwrap();
    assert_eq!(count::<country::Entity>(&db).await, 1);

    let tx = session.begin().await.unwrap();
    users.within(&tx).add(new_user("b")).unwrap();
    tx.flush().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count::<country::Entity>(&db).await, 2);

    let flushed_by_commit =
        db.execute_transaction(async |tx| -> Result<()> { users.within(tx).add(new_user("c")).map(drop) });
    flushed_by_commit.await.unwrap();
    assert_eq!(count::<country::Entity>(&db).await, 3);
}

/// Asks for another user for each that is inserted.
struct Endless(Users);

impl Callbacks<user::Entity> for Endless {
    async fn after_insert(&self, session: &Session, rows: &[user::Model]) -> Result<()> {
        let users = self.0.within(session).callbacks(Self(self.0.clone()));
        for row in rows {
            let next = row.balance + 1;
            users.add(user::ActiveModel { balance: Set(next), ..new_user(&next.to_string()) })?;
        }
        Ok(())
    }
}

async fn callbacks_without_an_end_are_refused(db: TestDb) {
    let plain = Users::new((*db).clone());
    let users = plain.clone().callbacks(Endless(plain));
    for in_transaction in [false, true] {
        let refused = if in_transaction {
            db.execute_transaction(async |tx| -> Result<()> { users.within(tx).add(new_user("0")).map(drop) }).await
        } else {
            let session = db.session();
            users.within(&session).add(new_user("0")).unwrap();
            session.flush().await.map(drop)
        };
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
        assert_eq!(usernames(db.outside()).await, Vec::<String>::new());
    }
}

/// Takes every change back.
struct Veto;

impl Callbacks<country::Entity> for Veto {
    async fn before_update(&self, _: &Session, rows: &mut [country::ActiveModel]) -> Result<()> {
        for row in rows {
            row.name = NotSet;
        }
        Ok(())
    }

    async fn after_update(&self, _: &Session, _: &[country::Model]) -> Result<()> {
        Err(Error::refused("nothing was updated"))
    }
}

async fn a_change_that_a_callback_takes_back_is_none(db: TestDb) {
    country::Entity::insert(new_country("NO", "Norway")).exec(db.outside()).await.unwrap();
    let norway = country::Model { code: "NO".to_owned(), name: "Norway".to_owned() };
    let session = db.session();
    let countries = BaseDao::<country::Entity>::new(session.session()).callbacks(Veto);
    let edited = countries.edit(norway.clone()).unwrap();
    edited.set(country::Column::Name, "Norge").unwrap();
    session.flush().await.unwrap();
    assert_eq!((session.pending(), edited.get().unwrap()), (0, norway));
}

/// How many rows each call was given.
#[derive(Clone, Default)]
struct Sizes(Arc<Mutex<Vec<(&'static str, usize)>>>);

impl Sizes {
    fn note(&self, call: &'static str, rows: usize) -> Result<()> {
        self.0.lock().unwrap().push((call, rows));
        Ok(())
    }
}

impl Callbacks<user::Entity> for Sizes {
    async fn before_insert(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        rows.iter_mut().for_each(|row| row.status = Set(3));
        self.note("before_insert", rows.len())
    }

    async fn after_insert(&self, _: &Session, rows: &[user::Model]) -> Result<()> {
        self.note("after_insert", rows.len())
    }

    async fn before_update(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
        self.note("before_update", rows.len())
    }

    async fn after_update(&self, _: &Session, rows: &[user::Model]) -> Result<()> {
        self.note("after_update", rows.len())
    }

    async fn before_delete(&self, _: &Session, rows: &[user::Model]) -> Result<()> {
        self.note("before_delete", rows.len())
    }

    async fn after_delete(&self, _: &Session, rows: &[user::Model]) -> Result<()> {
        self.note("after_delete", rows.len())
    }
}

async fn rows_of_a_flush_come_at_once(db: TestDb) {
    let sizes = Sizes::default();
    let taken = || mem::take(&mut *sizes.0.lock().unwrap());
    let session = db.session();
    let users = Users::new(session.session()).callbacks(sizes.clone());
    let added = users.add_all(["a", "b", "c"].map(new_user)).unwrap();
    // One that has no callbacks is not among them.
    let other = session.add(new_user("d"));
    session.flush().await.unwrap();
    assert_eq!(taken(), [("before_insert", 3), ("after_insert", 3)]);
    for (handle, name) in added.iter().zip(["a", "b", "c"]) {
        let row = handle.get().unwrap();
        assert_eq!((row.username.as_str(), row.status), (name, 3));
    }
    assert_eq!(other.get().unwrap().status, 1);

    let rows: Vec<_> = added.iter().map(|handle| handle.get().unwrap().clone()).collect();
    for row in &rows {
        users.edit(row.clone()).unwrap().set(user::Column::Balance, row.id).unwrap();
    }
    users.remove(&rows[0]).unwrap();
    users.remove(&rows[1]).unwrap();
    session.flush().await.unwrap();
    let expected = [("before_update", 3), ("before_delete", 2), ("after_update", 3), ("after_delete", 2)];
    assert_eq!(taken(), expected);
}

/// Drops another session's transaction when a row is to be inserted.
struct DropOther(Mutex<Option<Session>>);

impl Callbacks<country::Entity> for DropOther {
    async fn before_insert(&self, _: &Session, _: &mut [country::ActiveModel]) -> Result<()> {
        drop(self.0.lock().unwrap().take());
        Ok(())
    }
}

async fn a_row_whose_parent_goes_meanwhile_is_not_lost(db: TestDb) {
    if !db.capabilities().concurrent_writers {
        return;
    }
    let other = db.begin().await.unwrap();
    let parent = other.add(new_user("parent"));
    other.flush().await.unwrap();
    let session = db.session();
    let countries = BaseDao::<country::Entity>::new(session.session()).callbacks(DropOther(Mutex::new(Some(other))));
    countries.add(new_country("NO", "Norway")).unwrap();
    let child = session.add_after(&parent, |parent| tag::ActiveModel {
        id: Set(Uuid::from_u128(1)),
        name: Set(parent.username.clone()),
    });
    let failed = session.flush().await.unwrap_err();
    assert!(matches!(failed.root(), Error::WriteUndone { .. }), "{failed:?}");
    assert_eq!((session.pending(), count::<country::Entity>(&db).await), (2, 0));
    session.expunge(&child);
    assert_eq!(session.flush().await.unwrap(), 1);
}
