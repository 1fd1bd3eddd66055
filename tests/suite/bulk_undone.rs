//! All rows of a call or none, however few they are and whoever stops it; and how many they were.

use std::panic::AssertUnwindSafe;

use entities::user;
use futures_util::FutureExt;
use sea_dao::{BaseDao, Error, Result, query::Conditions};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, IntoActiveModel, Schema};

use crate::{
    dao::users,
    support::{TestDb, count_users, new_user},
};

for_each_backend!(
    progress_stops_what_one_statement_writes,
    a_panic_of_progress_leaves_nothing,
    the_entity_refuses_a_row_that_was_written,
    one_row_that_fails_leaves_the_transaction_as_it_was,
    rows_that_a_trigger_skips_are_not_counted,
    updates_that_a_trigger_skips_are_not_counted,
    the_first_row_that_fails_is_named_whatever_columns_the_rows_set,
    the_first_row_that_cannot_be_updated_is_named_whatever_columns_the_rows_set,
);

fn numbered(count: usize) -> impl Iterator<Item = user::ActiveModel> {
    (0..count).map(|index| new_user(&format!("user {index}")))
}

/// What fits one statement, of each of its kinds.
const FEW_AND_MANY: [usize; 3] = [1, 8, 4_096];

async fn progress_stops_what_one_statement_writes(db: TestDb) {
    let users = users(&db);
    let stop = |_| -> Result<()> { Err(Error::refused("enough")) };
    for count in FEW_AND_MANY {
        let stopped = users.insert_many_with(numbered(count), stop).await.unwrap_err();
        assert!(stopped.to_string().contains("enough"), "{stopped:?}");
        assert_eq!(count_users(db.outside()).await, 0, "of {count}");
        let tx = db.begin().await.unwrap();
        assert!(users.within(&tx).insert_many_with(numbered(count), stop).await.is_err());
        users.within(&tx).insert(new_user("kept")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(users.delete_where().all_rows().hard().exec().await.unwrap(), 1, "of {count}");
    }
}

async fn a_panic_of_progress_leaves_nothing(db: TestDb) {
    let users = users(&db);
    let panics = async |users: &BaseDao<user::Entity>, count| {
        let writing = users.insert_many_with(numbered(count), |_| -> Result<()> { panic!("told to") });
        assert!(AssertUnwindSafe(writing).catch_unwind().await.is_err());
    };
    for count in FEW_AND_MANY {
        panics(&users, count).await;
        db.is_quiet().await;
        assert_eq!(count_users(db.outside()).await, 0, "of {count}");
        let tx = db.begin().await.unwrap();
        panics(&users.within(&tx), count).await;
        users.within(&tx).insert(new_user("kept")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(users.delete_where().all_rows().hard().exec().await.unwrap(), 1, "of {count}");
    }
}

/// An entity that refuses some rows after they were written.
mod entry {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "entry")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        #[sea_orm(unique)]
        pub(crate) name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn after_save<C: ConnectionTrait>(model: Model, _: &C, _: bool) -> Result<Model, DbErr> {
            if model.name == "refused" { Err(DbErr::Custom("a refused entry".to_owned())) } else { Ok(model) }
        }
    }

    pub(crate) fn row(name: &str) -> ActiveModel {
        ActiveModel { name: sea_orm::ActiveValue::Set(name.to_owned()), ..Default::default() }
    }
}

async fn the_entity_refuses_a_row_that_was_written(db: TestDb) {
    use entry::{Column::Name, row};

    let table = Schema::new(db.backend()).create_table_from_entity(entry::Entity);
    db.execute(&table).await.unwrap();
    let entries = BaseDao::<entry::Entity>::new((*db).clone());
    let refused = |error: Error| assert!(error.to_string().contains("a refused entry"), "{error:?}");
    refused(entries.insert_many_returning([row("refused")]).await.unwrap_err());
    refused(entries.insert_many_returning([row("fine"), row("refused")]).await.unwrap_err());
    refused(entries.upsert_many_returning([row("fine"), row("refused")]).on([Name]).await.unwrap_err());
    assert_eq!(entries.count().await.unwrap(), 0);

    let tx = db.begin().await.unwrap();
    let within = entries.within(&tx);
    refused(within.insert_many_returning([row("refused")]).await.unwrap_err());
    refused(within.upsert(row("refused")).on([Name]).await.unwrap_err());
    refused(within.upsert(row("refused")).await.unwrap_err());
    refused(within.upsert_many_returning([row("refused")]).on([Name]).await.unwrap_err());
    assert_eq!(within.insert_many_returning([row("fine")]).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    assert_eq!(entries.query().one().await.unwrap().name, "fine");
}

async fn one_row_that_fails_leaves_the_transaction_as_it_was(db: TestDb) {
    let users = users(&db);
    let bob = users.insert(new_user("bob")).await.unwrap();
    let tx = db.begin().await.unwrap();
    let within = users.within(&tx);
    within.insert(new_user("ada")).await.unwrap();
    let renamed = user::ActiveModel { id: Set(bob.id), username: Set("ada".to_owned()), ..Default::default() };
    for error in [
        within.insert_many([new_user("ada")]).await.unwrap_err(),
        within.insert_many_returning([new_user("ada")]).await.unwrap_err(),
        within.update_many([renamed]).await.unwrap_err(),
    ] {
        assert!(error.is_unique_violation() && error.row() == Some(0), "{error:?}");
    }
    assert_eq!(within.insert_many([new_user("cyd")]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 3);
}

async fn rows_that_a_trigger_skips_are_not_counted(db: TestDb) {
    let skip = match db.backend() {
        DbBackend::Postgres => {
            "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
             CREATE TRIGGER skip BEFORE INSERT ON \"user\" FOR EACH ROW WHEN (NEW.username = 'user 1') \
             EXECUTE FUNCTION skip()"
        }
        // It has no way to skip a row.
        DbBackend::MySql => return,
        _ => {
            "CREATE TRIGGER skip BEFORE INSERT ON user WHEN NEW.username = 'user 1' \
             BEGIN SELECT RAISE(IGNORE); END"
        }
    };
    db.sea_orm_connection().await.unwrap().execute_unprepared(skip).await.unwrap();
    let users = users(&db);
    for count in [2_usize, 8, 4_096] {
        let written = count as u64 - 1;
        assert_eq!(users.insert_many(numbered(count)).await.unwrap(), written);
        assert_eq!(users.delete_where().all_rows().hard().exec().await.unwrap(), written);
        let mut done = 0;
        let told = users.insert_many_with(numbered(count), |progress| -> Result<()> {
            done = progress.done;
            Ok(())
        });
        assert_eq!(told.await.unwrap(), written);
        assert_eq!(done, written);
        assert_eq!(users.delete_where().all_rows().hard().exec().await.unwrap(), written);
    }
}

async fn updates_that_a_trigger_skips_are_not_counted(db: TestDb) {
    let skip = match db.backend() {
        DbBackend::Postgres => {
            "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
             CREATE TRIGGER skip BEFORE UPDATE ON \"user\" FOR EACH ROW WHEN (NEW.username = 'user 1') \
             EXECUTE FUNCTION skip()"
        }
        // It has no way to skip a row.
        DbBackend::MySql => return,
        _ => {
            "CREATE TRIGGER skip BEFORE UPDATE ON user WHEN NEW.username = 'user 1' \
             BEGIN SELECT RAISE(IGNORE); END"
        }
    };
    db.sea_orm_connection().await.unwrap().execute_unprepared(skip).await.unwrap();
    for users in [users(&db), users(&db).optimistic_lock(user::Column::Version)] {
        let rows = users.insert_many_returning(numbered(3)).await.unwrap();
        let update = |row: &user::Model| with_status(row.clone().into_active_model(), 5);
        assert_eq!(users.update_many(rows.iter().map(update)).await.unwrap(), 2);
        assert_eq!(users.update_many([update(&rows[1])]).await.unwrap(), 0);
        assert_eq!(users.count().eq(user::Column::Status, 5).await.unwrap(), 2);
        users.delete_where().all_rows().hard().exec().await.unwrap();
    }
}

fn with_status(row: user::ActiveModel, status: i16) -> user::ActiveModel {
    user::ActiveModel { status: Set(status), ..row }
}

async fn the_first_row_that_fails_is_named_whatever_columns_the_rows_set(db: TestDb) {
    let users = users(&db);
    let nameless = user::ActiveModel { phone: Set("x".to_owned()), ..Default::default() };
    let twice = || [new_user("a"), with_status(new_user("b"), 2), new_user("b"), new_user("c")];
    let missing = || [new_user("a"), nameless.clone(), new_user("a")];
    let within = async |users: &BaseDao<user::Entity>| {
        for error in
            [users.insert_many(twice()).await.unwrap_err(), users.insert_many_returning(twice()).await.unwrap_err()]
        {
            assert!(error.is_unique_violation() && error.row() == Some(2), "{error:?}");
            assert!(error.to_string().starts_with("insert user: row 2: "), "{error}");
        }
        for error in
            [users.insert_many(missing()).await.unwrap_err(), users.insert_many_returning(missing()).await.unwrap_err()]
        {
            assert!(error.is_not_null_violation() && error.row() == Some(1), "{error:?}");
        }
        // In a part that is not the first.
        let error = users.insert_many(numbered(10_100).chain(twice())).await.unwrap_err();
        assert!(error.is_unique_violation() && error.row() == Some(10_102), "{error:?}");
        assert_eq!(users.count().await.unwrap(), 0);
    };
    within(&users).await;
    let tx = db.begin().await.unwrap();
    within(&users.within(&tx)).await;
    assert_eq!(users.within(&tx).insert_many([new_user("a"), with_status(new_user("b"), 2)]).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 2);
}

async fn the_first_row_that_cannot_be_updated_is_named_whatever_columns_the_rows_set(db: TestDb) {
    let users = users(&db).optimistic_lock(user::Column::Version);
    let rows = users.insert_many_returning(["a", "b", "c"].map(new_user)).await.unwrap();
    let row = |id: i64, name: &str| user::ActiveModel {
        id: Set(id),
        username: Set(name.to_owned()),
        version: Set(0),
        ..Default::default()
    };
    let ids = [rows[0].id, rows[1].id, rows[2].id];
    let twice = [row(ids[0], "x"), with_status(row(ids[1], "y"), 2), row(ids[2], "y")];
    let error = users.update_many(twice).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(2), "{error:?}");
    let missing = [row(ids[0], "x"), with_status(row(-1, "y"), 2), row(-2, "z")];
    let error = users.update_many(missing).await.unwrap_err();
    assert!(error.is_not_found() && error.row() == Some(1), "{error:?}");
    let stale = |row| user::ActiveModel { version: Set(7), ..row };
    let stale = [row(ids[0], "x"), stale(with_status(row(ids[1], "y"), 2)), stale(row(ids[2], "z"))];
    let error = users.update_many(stale).await.unwrap_err();
    assert!(error.is_version_conflict() && error.row() == Some(1), "{error:?}");
    let kept = users.query().order_asc(user::Column::Id).all().await.unwrap();
    assert_eq!(kept, rows);
}
