//! Optimistic locking.

use entities::user;
use sea_dao::{BaseDao, Error, query::Conditions};
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    IntoActiveModel,
};

use crate::{
    dao::{outside, users},
    support::{TestDb, new_user},
};

for_each_backend!(
    the_second_of_two_writers_is_told,
    a_conflict_is_not_a_missing_row,
    every_write_raises_the_version,
    many_rows_at_once,
    the_first_of_many_rows_is_named,
    many_rows_in_which_nothing_is_set,
    a_version_that_is_not_known,
    a_version_is_a_column_like_another_unless_asked_for,
    writers_at_the_same_time,
    a_version_column_holds_integers,
);

fn locked(db: &TestDb) -> BaseDao<user::Entity> {
    users(db).optimistic_lock(user::Column::Version)
}

fn with_status(user: &user::Model, status: i16) -> user::ActiveModel {
    user::ActiveModel { status: Set(status), ..user.clone().into_active_model() }
}

#[track_caller]
fn assert_conflict<T: std::fmt::Debug>(result: sea_dao::Result<T>, said: (&str, &str)) {
    let error = result.unwrap_err();
    assert!(error.is_version_conflict() && !error.is_not_found(), "{error:?}");
    let Error::VersionConflict { entity: "user", expected, found, .. } = error.root() else { panic!("{error:?}") };
    assert_eq!((expected.as_str(), found.as_str()), said);
}

async fn the_second_of_two_writers_is_told(db: TestDb) {
    let users = locked(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert_eq!(ada.version, 0);
    let first = users.update(with_status(&ada, 2)).await.unwrap();
    assert_eq!((first.version, first.status), (1, 2));
    assert_conflict(users.update(with_status(&ada, 3)).await, ("0", "1"));
    assert_eq!(outside(&db, ada.id).await, Some(first.clone()), "nothing is written");
    assert_conflict(users.delete(&ada).await, ("0", "1"));
    assert_conflict(users.update(ada.clone().into_active_model()).await, ("0", "1"));
    assert_conflict(users.save(with_status(&ada, 3)).await, ("0", "1"));

    // What a client sends back of the version it has seen.
    let sent = user::ActiveModel { id: Set(ada.id), version: Set(1), status: Set(4), ..Default::default() };
    let second = users.update(sent.clone()).await.unwrap();
    assert_eq!((second.version, second.status), (2, 4));
    assert_conflict(users.update(sent).await, ("1", "2"));

    // Inside of a transaction, which goes on.
    db.execute_transaction(async |tx| -> sea_dao::Result<()> {
        let users = users.within(tx);
        assert_conflict(users.update(with_status(&first, 5)).await, ("1", "2"));
        users.update(with_status(&second, 5)).await?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(outside(&db, ada.id).await.map(|user| (user.version, user.status)), Some((3, 5)));
}

async fn a_conflict_is_not_a_missing_row(db: TestDb) {
    let users = locked(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.delete(&ada).await.unwrap();
    for result in [users.update(with_status(&ada, 2)).await.map(drop), users.delete(&ada).await] {
        let error = result.unwrap_err();
        assert!(error.is_not_found() && !error.is_version_conflict(), "{error:?}");
    }
    let never = user::ActiveModel { id: Unchanged(77), ..with_status(&ada, 2) };
    assert!(users.update(never).await.unwrap_err().is_not_found());
}

async fn every_write_raises_the_version(db: TestDb) {
    let users = locked(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let version = async || outside(&db, ada.id).await.unwrap().version;
    users.insert_many([new_user("bob")]).await.unwrap();
    users.update_where().eq(user::Column::Id, ada.id).set(user::Column::Status, 2).exec().await.unwrap();
    assert_eq!(version().await, 1);
    users.update_where().all_rows().set(user::Column::Status, 3).set(user::Column::Version, 7).exec().await.unwrap();
    assert_eq!(version().await, 7, "unless the caller sets it");
    users.delete_by_id(ada.id).await.unwrap();
    assert_eq!(version().await, 8);
}

async fn a_version_that_is_not_known(db: TestDb) {
    let users = locked(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    db.recorder().forget();
    let unknown = user::ActiveModel { version: NotSet, ..with_status(&ada, 2) };
    let error = users.update(unknown).await.unwrap_err();
    assert!(matches!(error.root(), Error::InvalidArgument { argument: "version", .. }), "{error:?}");
    let last = user::ActiveModel { version: Unchanged(i32::MAX), ..with_status(&ada, 2) };
    let error = users.update(last).await.unwrap_err();
    assert!(error.to_string().contains("can be raised by one"), "{error}");
    let error = users.delete(&user::Model { version: i32::MAX, ..ada }).await.unwrap_err();
    assert!(error.to_string().contains("can be raised by one"), "{error}");
    assert_eq!(db.recorder().begun(), 0);
}

async fn a_version_is_a_column_like_another_unless_asked_for(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    users.update(with_status(&ada, 2)).await.unwrap();
    let updated = users.update(with_status(&ada, 3)).await.unwrap();
    assert_eq!((updated.version, updated.status), (0, 3));
}

async fn writers_at_the_same_time(db: TestDb) {
    let users = locked(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let work = (0..8).map(|_| {
        let users = users.clone();
        tokio::spawn(async move {
            let mut conflicts = 0;
            loop {
                let read = users.find_by_id(ada.id).await.unwrap().unwrap();
                let raised = user::ActiveModel { balance: Set(read.balance + 1), ..read.into_active_model() };
                match users.update(raised).await {
                    Ok(_) => break conflicts,
                    Err(error) if error.is_version_conflict() => conflicts += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    for done in futures_util::future::join_all(work).await {
        done.unwrap();
    }
    let row = outside(&db, ada.id).await.unwrap();
    assert_eq!((row.balance, row.version), (8, 8), "no increment is lost");
}

async fn a_version_column_holds_integers(db: TestDb) {
    let users = users(&db).optimistic_lock(user::Column::Username);
    let wrong = [
        users.insert(new_user("ada")).await.map(drop),
        users.update_where().all_rows().set(user::Column::Status, 2).exec().await.map(drop),
    ];
    for result in wrong {
        let error = result.unwrap_err();
        assert!(matches!(error.root(), Error::InvalidArgument { argument: "version column", .. }), "{error:?}");
    }
    assert_eq!(db.recorder().begun(), 0);
}

async fn many_rows_at_once(db: TestDb) {
    let users = locked(&db);
    let rows = users.insert_many_returning((0..300).map(|index| new_user(&index.to_string()))).await.unwrap();
    assert_eq!(users.update_many(rows.iter().map(|user| with_status(user, 2))).await.unwrap(), 300);
    let raised = users.query().order_asc(user::Column::Id).all().await.unwrap();
    assert!(raised.iter().all(|user| (user.version, user.status) == (1, 2)));

    // Somebody else has made the very version that this update would make.
    users.update(with_status(&raised[200], 3)).await.unwrap();
    let error = users.update_many(raised.iter().map(|user| with_status(user, 4))).await.unwrap_err();
    assert!(error.is_version_conflict(), "{error:?}");
    assert_eq!(error.row(), Some(200));
    assert!(error.to_string().contains("not at version 1 any more, but at 2"), "{error}");
    let kept = users.query().order_asc(user::Column::Id).all().await.unwrap();
    assert!(kept.iter().all(|user| user.status != 4), "all or none");

    let one = users.update_many([with_status(&kept[0], 5)]).await.unwrap();
    assert_eq!((one, outside(&db, kept[0].id).await.unwrap().version), (1, 2));
    assert_conflict(users.update_many([with_status(&kept[0], 6)]).await, ("1", "2"));
    let gone = user::ActiveModel { id: Unchanged(i64::MAX), ..with_status(&kept[1], 6) };
    assert!(users.update_many([gone]).await.unwrap_err().is_not_found());
}

async fn the_first_of_many_rows_is_named(db: TestDb) {
    let users = locked(&db);
    let rows = users.insert_many_returning(["ada", "bob"].map(new_user)).await.unwrap();
    users.update(with_status(&rows[0], 2)).await.unwrap();
    let gone = user::ActiveModel { id: Unchanged(i64::MAX), ..with_status(&rows[1], 3) };
    let missing = users.update_many([with_status(&rows[1], 3), gone.clone(), with_status(&rows[0], 3)]).await;
    let missing = missing.unwrap_err();
    assert!(missing.is_not_found() && missing.row() == Some(1), "{missing:?}");
    let stale = users.update_many([with_status(&rows[1], 3), with_status(&rows[0], 3), gone]).await.unwrap_err();
    assert!(stale.is_version_conflict() && stale.row() == Some(1), "{stale:?}");
}

async fn many_rows_in_which_nothing_is_set(db: TestDb) {
    let users = locked(&db);
    let rows = users.insert_many_returning(["ada", "bob"].map(new_user)).await.unwrap();
    let same = || rows.iter().map(|user| user.clone().into_active_model());
    assert_eq!(users.update_many(same()).await.unwrap(), 2);
    users.update(with_status(&rows[1], 2)).await.unwrap();
    let error = users.update_many(same()).await.unwrap_err();
    assert_eq!(error.row(), Some(1), "{error}");
    assert_conflict(Err::<(), _>(error), ("0", "1"));
    let unknown = user::ActiveModel { id: Set(rows[1].id), ..Default::default() };
    assert_eq!(users.update_many([unknown]).await.unwrap(), 1, "without a version there is nothing to compare");
}
