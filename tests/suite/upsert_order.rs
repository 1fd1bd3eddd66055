//! The order in which an upsert writes its rows, and what must not depend on it.

use entities::{
    tag, user,
    user::Column::{Phone, Username},
};
use futures_util::future::join_all;
use sea_dao::{BaseDao, Error};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DbBackend,
    prelude::{DateTimeUtc, Uuid},
};

use crate::{
    dao::users,
    support::{Ended, Recorder, TestDb, new_user, new_user_with},
};

for_each_backend!(
    rows_of_other_columns_in_different_orders,
    rows_with_two_unique_values_that_many_insert,
    many_insert_the_same_rows,
    the_first_row_that_fails_is_named,
    a_row_may_refer_to_an_earlier_one,
    a_column_that_keeps_other_values_than_it_is_given,
);

async fn rows_of_other_columns_in_different_orders(db: TestDb) {
    const ROWS: i64 = 40;
    let recorder = Recorder::default();
    let pool = db.open(|config| config.pool_size(8).hook(recorder.clone())).await;
    let users = BaseDao::<user::Entity>::new(pool);
    users.upsert_many((0..ROWS).map(|row| new_user(&format!("user {row}")))).on([Username]).await.unwrap();
    let row = |row: i64, task: i64| {
        let name = format!("user {}", row % ROWS);
        match (row + task) % 3 {
            0 => new_user(&name),
            1 => user::ActiveModel { email: Set(Some(name.clone())), ..new_user_with(&name, task) },
            _ => new_user_with(&name, task),
        }
    };
    let work = (0..16).map(|task: i64| {
        let users = users.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                let step = [1, 3, 7, 39][(task + round) as usize % 4];
                let rows = (0..ROWS / 2).map(|place| row(place * step + task, task));
                assert_eq!(users.upsert_many(rows).on([Username]).await.unwrap(), ROWS as u64 / 2);
            }
        })
    });
    for done in join_all(work).await {
        done.unwrap();
    }
    let failed: Vec<_> = recorder.take().into_iter().filter(|seen| matches!(seen.ended, Ended::Failed(_))).collect();
    assert!(failed.is_empty() || db.backend() == DbBackend::MySql, "{:?}", failed[0]);
}

/// Where the other unique index is looked at first, it is not the target that is in the way.
async fn rows_with_two_unique_values_that_many_insert(db: TestDb) {
    let pool = db.open(|config| config.pool_size(8)).await;
    let users = BaseDao::<user::Entity>::new(pool);
    for round in 0..40 {
        let name = format!("user {round}");
        let work = (0..8).map(|_| {
            let (users, name) = (users.clone(), name.clone());
            tokio::spawn(async move { users.find_or_insert([Phone], new_user(&name)).await })
        });
        let found: Vec<(user::Model, bool)> =
            join_all(work).await.into_iter().map(|done| done.unwrap().unwrap()).collect();
        assert_eq!(found.iter().filter(|(_, inserted)| *inserted).count(), 1, "{name}");
        assert!(found.iter().all(|(user, _)| user.id == found[0].0.id), "{name}");
    }
}

async fn many_insert_the_same_rows(db: TestDb) {
    let pool = db.open(|config| config.pool_size(8)).await;
    for round in 0..20_u128 {
        let work = (0..8_u128).map(|task| {
            let tags = BaseDao::<tag::Entity>::new(pool.clone());
            let row = move |row: u128| tag::ActiveModel {
                id: Set(Uuid::from_u128((round * 8 + task) * 10 + row)),
                name: Set(format!("tag {round} {row}")),
            };
            tokio::spawn(async move { tags.upsert_many((0..10).map(row)).on([tag::Column::Name]).do_nothing().await })
        });
        let written: Vec<u64> = join_all(work).await.into_iter().map(|done| done.unwrap().unwrap()).collect();
        assert_eq!(written.iter().sum::<u64>(), 10, "each row is inserted once: {written:?}");
    }
}

async fn the_first_row_that_fails_is_named(db: TestDb) {
    let users = users(&db);
    users.insert_many([new_user("eve"), new_user("mel")]).await.unwrap();
    // Their names are taken, whatever their phones.
    let with_phone = |name: &str, phone: &str| user::ActiveModel { phone: Set(phone.to_owned()), ..new_user(name) };
    let rows = || [with_phone("bob", "5"), with_phone("eve", "9"), with_phone("dan", "7"), with_phone("mel", "1")];
    let error = users.upsert_many(rows()).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(1), "{error:?}");
    let error = users.upsert_many_returning(rows()).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(1), "{error:?}");
    // Two that are in the way of each other.
    let rows = [with_phone("zoe", "9"), with_phone("yan", "8"), with_phone("zoe", "1")];
    let error = users.upsert_many(rows).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(2), "{error:?}");
    // Deleted ones are in the way.
    let [ada, bob] = users
        .insert_many_returning([with_phone("ada", "x"), with_phone("bea", "w")])
        .await
        .unwrap()
        .try_into()
        .unwrap();
    users.delete_many([ada.id, bob.id]).await.unwrap();
    let rows = [with_phone("new", "z"), with_phone("old", "x"), with_phone("eld", "w")];
    let error = users.upsert_many(rows).on([Phone]).await.unwrap_err();
    assert!(matches!(error.root(), Error::HeldByDeleted { .. }) && error.row() == Some(1), "{error:?}");
    assert_eq!(users.count().await.unwrap(), 2);
}

mod step {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "step")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: i64,
        pub(super) after: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {
        #[sea_orm(belongs_to = "Entity", from = "Column::After", to = "Column::Id")]
        After,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

async fn a_row_may_refer_to_an_earlier_one(db: TestDb) {
    let table =
        "CREATE TABLE step (id BIGINT NOT NULL PRIMARY KEY, after BIGINT, FOREIGN KEY (after) REFERENCES step (id))";
    let table = if db.backend() == DbBackend::MySql { table.replace("after", "`after`") } else { table.to_owned() };
    db.outside().execute_unprepared(&table).await.unwrap();
    let steps = BaseDao::<step::Entity>::new((*db).clone());
    let rows = [(3, None), (2, Some(3)), (1, Some(2))].map(|(id, after)| step::Model { id, after });
    assert_eq!(steps.upsert_many(rows.clone()).await.unwrap(), 3);
    assert_eq!(steps.upsert_many_returning(rows.clone()).await.unwrap(), rows);
}

mod moment {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "moment")]
    pub(super) struct Model {
        #[sea_orm(primary_key)]
        pub(super) id: i64,
        #[sea_orm(unique)]
        pub(super) at: DateTimeUtc,
        pub(super) note: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn a_column_that_keeps_other_values_than_it_is_given(db: TestDb) {
    if db.backend() != DbBackend::Postgres {
        return;
    }
    let table = "CREATE TABLE moment (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, \
                 at TIMESTAMPTZ(0) NOT NULL UNIQUE, note INT NOT NULL)";
    db.outside().execute_unprepared(table).await.unwrap();
    let moments = BaseDao::<moment::Entity>::new((*db).clone());
    let moment = |milliseconds, note| moment::ActiveModel {
        at: Set(DateTimeUtc::from_timestamp_millis(milliseconds).unwrap()),
        note: Set(note),
        ..Default::default()
    };
    let first = moments.upsert(moment(1_700, 1)).on([moment::Column::At]).await.unwrap();
    assert_eq!((first.at.timestamp_millis(), first.note), (2_000, 1));
    let again = moments.upsert(moment(1_900, 2)).on([moment::Column::At]).await.unwrap();
    assert_eq!((again.id, again.note), (first.id, 2), "sent once");
    let (found, inserted) = moments.find_or_insert([moment::Column::At], moment(9_700, 3)).await.unwrap();
    assert!(inserted && found.note == 3);
    // Which of them is which cannot be told.
    let rows = [moment(20_700, 4), moment(30_700, 5)];
    let error = moments.upsert_many_returning(rows.clone()).on([moment::Column::At]).await.unwrap_err();
    assert!(matches!(error.root(), Error::Unsupported { .. }), "{error:?}");
    assert_eq!(moments.count().await.unwrap(), 2, "nothing stays");
    assert_eq!(moments.upsert_many(rows).on([moment::Column::At]).await.unwrap(), 2);
}
