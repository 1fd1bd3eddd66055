//! A DAO on the pool, on a session, and inside of a transaction.

use std::{ops::Deref, sync::Arc};

use entities::{customer_order, user};
use sea_dao::{BaseDao, Error, Result, Session, SessionProvider, query::Conditions};
use sea_orm::{ActiveValue::Set, ExprTrait, IntoActiveModel, sea_query::Expr};

use crate::support::{TestDb, balances, count_users, new_user, new_user_with, usernames};

for_each_backend!(
    a_transaction_needs_no_second_connection,
    a_transaction_sees_its_writes_and_others_do_not,
    every_call_of_a_rolled_back_transaction_is_undone,
    a_dao_of_an_ended_transaction_refuses,
    a_dao_of_an_outer_transaction_refuses_while_an_inner_one_is_open,
    a_dao_on_a_session_stays_on_it,
    a_dao_on_any_provider,
    a_failed_insert_of_many_leaves_its_transaction_usable,
    builders_outlive_their_dao,
    transfers_at_the_same_time_keep_the_sum,
);

struct UserDao(BaseDao<user::Entity>);

impl UserDao {
    fn new(provider: impl SessionProvider + 'static) -> Self {
        Self(BaseDao::new(provider))
    }

    fn within(&self, tx: &Session) -> Self {
        Self(self.0.within(tx))
    }

    /// Has to run in a transaction.
    async fn transfer(&self, from: i64, to: i64, amount: i64) -> Result<(), Refused> {
        // Always in the order of the keys, so that two transfers do not wait for each other.
        let mut changes = [(from, -amount), (to, amount)];
        changes.sort_unstable();
        for (id, change) in changes {
            let balance = Expr::col(user::Column::Balance).add(change);
            let update = self.update_where().eq(user::Column::Id, id).set_expr(user::Column::Balance, balance);
            if update.exec().await? == 0 {
                return Err(Refused::NoSuchUser);
            }
        }
        match self.find_by_id(from).await? {
            Some(payer) if payer.balance >= 0 => Ok(()),
            _ => Err(Refused::NotEnough),
        }
    }
}

impl Deref for UserDao {
    type Target = BaseDao<user::Entity>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[derive(Debug)]
enum Refused {
    NotEnough,
    NoSuchUser,
    Database(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// Calls every method of a DAO once.
async fn use_all(users: &BaseDao<user::Entity>) -> Result<()> {
    let ada = users.insert(new_user("ada")).await?;
    assert_eq!(users.insert_many([new_user("bob"), new_user("cyd")]).await?, 2);
    // More than one statement.
    assert_eq!(users.insert_many((0..1_001).map(|index| new_user(&format!("many {index}")))).await?, 1_001);
    let changed = user::ActiveModel { status: Set(2), ..ada.clone().into_active_model() };
    let ada = users.update(changed).await?;
    users.update(ada.clone().into_active_model()).await?;
    users.save(user::ActiveModel { id: Set(ada.id + 1_000_000), ..new_user("dan") }).await?;
    assert_eq!(users.find_by_id(ada.id).await?.as_ref(), Some(&ada));
    assert_eq!(users.find_by_ids([ada.id]).await?, std::slice::from_ref(&ada));
    assert!(users.exists(ada.id).await?);
    assert_eq!(users.count().await?, 1_005);
    assert_eq!(users.query().eq(user::Column::Status, 2).all().await?.len(), 1);
    assert_eq!(users.query().order_asc(user::Column::Id).page(1, 3).await?.total, 1_005);
    assert_eq!(users.query().sum(user::Column::Status).await?, 1_006);
    let many = users.update_where().starts_with(user::Column::Username, "many ");
    assert_eq!(many.set(user::Column::Status, 3).exec().await?, 1_001);
    assert_eq!(users.delete_where().eq(user::Column::Status, 3).hard().exec().await?, 1_001);
    users.delete(&ada).await?;
    assert!(users.delete_by_id(ada.id + 1_000_000).await?);
    assert_eq!(users.count().await?, 2);
    Ok(())
}

async fn a_transaction_needs_no_second_connection(db: TestDb) {
    let small = db.open(|config| config.pool_size(1).max_overflow(0)).await;
    let users = UserDao::new(small.clone());
    let tx = small.begin().await.unwrap();
    use_all(&users.within(&tx)).await.unwrap();
    // Clones, and DAOs of DAOs, are in it as well.
    assert_eq!(users.within(&tx).within(&tx).clone().count().await.unwrap(), 2);
    assert_eq!(users.within(&tx).session().begin().await.unwrap().rollback().await.map_err(|e| e.to_string()), Ok(()));
    tx.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["ada", "bob", "cyd", "dan"], "two of them are marked as deleted");
}

async fn a_transaction_sees_its_writes_and_others_do_not(db: TestDb) {
    let users = UserDao::new((*db).clone());
    let tx = db.begin().await.unwrap();
    let inside = users.within(&tx);
    let ada = inside.insert(new_user("ada")).await.unwrap();
    assert_eq!(inside.find_by_id(ada.id).await.unwrap().as_ref(), Some(&ada));
    assert_eq!((inside.count().await.unwrap(), users.count().await.unwrap()), (1, 0));
    assert_eq!(users.find_by_id(ada.id).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(users.find_by_id(ada.id).await.unwrap(), Some(ada));
}

async fn every_call_of_a_rolled_back_transaction_is_undone(db: TestDb) {
    let users = UserDao::new((*db).clone());
    let undone = db
        .execute_transaction(async |tx| -> Result<(), Refused> {
            use_all(&users.within(tx)).await?;
            Err(Refused::NotEnough)
        })
        .await;
    assert!(matches!(undone, Err(Refused::NotEnough)), "{undone:?}");
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_dao_of_an_ended_transaction_refuses(db: TestDb) {
    let users = UserDao::new((*db).clone());
    let ada = users.insert(new_user("ada")).await.unwrap();
    for commit in [true, false] {
        let tx = db.begin().await.unwrap();
        let inside = users.within(&tx);
        assert_eq!(inside.count().await.unwrap(), 1);
        let (query, update) = (inside.query(), inside.update_where().all_rows().set(user::Column::Status, 2));
        if commit {
            tx.commit().await.unwrap()
        } else {
            tx.rollback().await.unwrap()
        }
        let unchanged = ada.clone().into_active_model();
        let changed = user::ActiveModel { status: Set(2), ..unchanged.clone() };
        let refusals = [
            inside.insert(new_user("bob")).await.map(drop),
            inside.insert_many([new_user("bob")]).await.map(drop),
            inside.insert_many((0..1_001).map(|index| new_user(&index.to_string()))).await.map(drop),
            inside.update(changed.clone()).await.map(drop),
            inside.update(unchanged).await.map(drop),
            inside.save(changed).await.map(drop),
            inside.delete(&ada).await,
            inside.delete_by_id(ada.id).await.map(drop),
            inside.find_by_id(ada.id).await.map(drop),
            inside.find_by_ids([ada.id]).await.map(drop),
            inside.exists(ada.id).await.map(drop),
            inside.count().await.map(drop),
            query.first().await.map(drop),
            update.exec().await.map(drop),
        ];
        for (index, refused) in refusals.into_iter().enumerate() {
            let error = refused.unwrap_err();
            assert!(matches!(error.root(), Error::TransactionEnded | Error::SessionClosed), "{index}: {error:?}");
        }
    }
    assert_eq!(users.query().one().await.unwrap(), ada);
}

async fn a_dao_of_an_outer_transaction_refuses_while_an_inner_one_is_open(db: TestDb) {
    let users = UserDao::new((*db).clone());
    let outer = db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    let refused = users.within(&outer).insert(new_user("wrong scope")).await.unwrap_err();
    assert!(matches!(refused.root(), Error::NestedTransactionOpen), "{refused:?}");
    users.within(&inner).insert(new_user("inner")).await.unwrap();
    inner.rollback().await.unwrap();
    users.within(&outer).insert(new_user("outer")).await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["outer"]);
}

async fn a_dao_on_a_session_stays_on_it(db: TestDb) {
    let session = db.session();
    let users = BaseDao::<user::Entity>::new(session.session());
    use_all(&users).await.unwrap();
    let sessions: Vec<_> = db.recorder().take().into_iter().filter_map(|sent| sent.session).collect();
    assert!(sessions.len() > 10 && sessions.iter().all(|id| *id == sessions[0]), "{sessions:?}");
    assert_eq!(db.status().checked_out, 1);
    let orders = BaseDao::<customer_order::Entity>::new(session.session());
    assert_eq!(orders.count().await.unwrap(), 0);
    assert_eq!(db.status().checked_out, 1);
    drop(session);
    let ended = users.count().await.unwrap_err();
    assert!(matches!(ended.root(), Error::SessionClosed), "{ended:?}");
}

async fn a_dao_on_any_provider(db: TestDb) {
    let provider: Arc<dyn SessionProvider> = Arc::new((*db).clone());
    let users = UserDao::new(provider.clone());
    users.insert(new_user("ada")).await.unwrap();
    let boxed: Box<dyn SessionProvider> = Box::new(provider);
    let users = UserDao::new(boxed);
    assert_eq!(users.count().await.unwrap(), 1);
    let within: Result<u64> = sea_dao::execute_transaction(&*db, async |tx| users.within(tx).count().await).await;
    assert_eq!(within.unwrap(), 1);
    assert_eq!(db.status().checked_out, 0, "a session for each call");
}

async fn a_failed_insert_of_many_leaves_its_transaction_usable(db: TestDb) {
    let users = UserDao::new((*db).clone());
    let tx = db.begin().await.unwrap();
    let inside = users.within(&tx);
    inside.insert(new_user("before")).await.unwrap();
    let many = (0..2_500).map(|index| new_user(&if index == 2_400 { "before".to_owned() } else { index.to_string() }));
    assert!(inside.insert_many(many).await.unwrap_err().is_unique_violation());
    assert_eq!(inside.count().await.unwrap(), 1, "several statements are undone together");
    inside.insert(new_user("later")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["before", "later"]);
}

async fn builders_outlive_their_dao(db: TestDb) {
    let users = UserDao::new((*db).clone());
    let (query, count) = (users.query(), users.count());
    users.insert(new_user("ada")).await.unwrap();
    drop(users);
    assert_eq!((query.all().await.unwrap().len(), count.await.unwrap()), (1, 1));
}

async fn transfers_at_the_same_time_keep_the_sum(db: TestDb) {
    const TASKS: usize = 32;
    let users = Arc::new(UserDao::new((*db).clone()));
    users.insert_many((0..8).map(|index| new_user_with(&index.to_string(), 100))).await.unwrap();
    let ids: Vec<(i64,)> = users.query().order_asc(user::Column::Id).columns([user::Column::Id]).await.unwrap();

    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (db, users, ids) = (db.clone(), users.clone(), ids.clone());
        tasks.push(tokio::spawn(async move {
            let (mut done, mut refused) = (0, 0);
            for round in 0..8 {
                let (from, to) = (ids[(task + round) % 8].0, ids[(task * 3 + round * 5 + 1) % 8].0);
                if from == to {
                    continue;
                }
                // More than there is, or something.
                let amount = if task % 4 == 0 { 1_000 } else { 10 + i64::try_from(task).unwrap() };
                // A deadlock takes back the whole transaction, which is then run again.
                loop {
                    let transfer =
                        db.execute_transaction(async |tx| users.within(tx).transfer(from, to, amount).await).await;
                    match transfer {
                        Ok(()) => done += 1,
                        Err(Refused::NotEnough) => refused += 1,
                        Err(Refused::Database(error)) if error.is_retryable() => continue,
                        Err(other) => panic!("{other:?}"),
                    }
                    break;
                }
            }
            (done, refused)
        }));
    }
    let (mut done, mut refused) = (0, 0);
    for task in tasks {
        let (more_done, more_refused) = task.await.unwrap();
        done += more_done;
        refused += more_refused;
    }
    assert!(done > 0 && refused > 0, "{done} done, {refused} refused");
    let balances = balances(db.outside()).await;
    assert_eq!(balances.iter().sum::<i64>(), 800);
    assert!(balances.iter().all(|balance| *balance >= 0), "{balances:?}");
}
