//! What a column's name brings with it: times in every type, and on whose behalf a row is written.

use entities::{customer_order, user};
use sea_dao::{
    BaseDao, Conventions, Error,
    convention::current_actor,
    query::{Conditions, UpdateBuilder},
    with_actor,
};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DbBackend, IntoActiveModel,
    entity::prelude::*,
    prelude::{ChronoDateTimeLocal, ChronoUtc},
    sea_query::{ColumnDef, Table},
};

use crate::{
    dao::{outside, users},
    support::{TestDb, new_user},
};

for_each_backend!(
    times_in_the_columns_own_type,
    a_column_that_takes_no_null_does_not_say_deleted,
    an_actor_is_set_on_every_path,
    without_an_actor_nothing_is_set,
    the_inner_actor_counts,
    an_actor_belongs_to_its_task,
    an_actor_in_the_columns_own_type,
    an_actor_that_does_not_fit,
);

mod stamped {
    use super::*;

    /// A row with a time in every type, and an actor in every type.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "stamped")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) zoned: Option<DateTimeWithTimeZone>,
        pub(crate) utc: Option<DateTimeUtc>,
        pub(crate) local: Option<ChronoDateTimeLocal>,
        pub(crate) naive: Option<DateTime>,
        /// Without fractions of a second.
        pub(crate) seconds: Option<DateTime>,
        pub(crate) offset: Option<TimeDateTimeWithTimeZone>,
        pub(crate) plain: Option<TimeDateTime>,
        pub(crate) small: Option<i16>,
        pub(crate) text: Option<String>,
        pub(crate) uuid: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    pub(crate) async fn create(db: &TestDb) {
        let instant = |column: Column| {
            let mut definition = ColumnDef::new(column);
            match db.backend() {
                DbBackend::MySql => definition.custom("timestamp(6)"),
                _ => definition.timestamp_with_time_zone(),
            };
            definition.null().to_owned()
        };
        let naive = |column: Column, fractions: bool| {
            let mut definition = ColumnDef::new(column);
            match db.backend() {
                DbBackend::MySql => definition.custom(if fractions { "datetime(6)" } else { "datetime" }),
                DbBackend::Postgres => definition.custom(if fractions { "timestamp" } else { "timestamp(0)" }),
                _ => definition.date_time(),
            };
            definition.null().to_owned()
        };
        let table = Table::create()
            .table(Entity)
            .col(ColumnDef::new(Column::Id).big_integer().not_null().auto_increment().primary_key())
            .col(instant(Column::Zoned))
            .col(instant(Column::Utc))
            .col(instant(Column::Local))
            .col(naive(Column::Naive, true))
            .col(naive(Column::Seconds, false))
            .col(instant(Column::Offset))
            .col(naive(Column::Plain, true))
            .col(ColumnDef::new(Column::Small).small_integer().null())
            .col(ColumnDef::new(Column::Text).string_len(64).null())
            .col(ColumnDef::new(Column::Uuid).uuid().null())
            .to_owned();
        db.execute(&table).await.expect("the table");
        db.recorder().forget();
    }
}

const NONE: Conventions = Conventions::NONE;

async fn times_in_the_columns_own_type(db: TestDb) {
    stamped::create(&db).await;
    // Whole seconds, in which every column is exact.
    let before = ChronoUtc::now().timestamp();
    for name in ["zoned", "utc", "local", "naive", "seconds", "offset", "plain"] {
        let by = |conventions| BaseDao::<stamped::Entity>::with_conventions((*db).clone(), conventions);
        let dao = by(Conventions { created_at: Some(name), ..NONE });
        let row = dao.insert(stamped::ActiveModel { ..Default::default() }).await.unwrap();
        let kept = stamped::Entity::find_by_id(row.id).one(db.outside()).await.unwrap().unwrap();
        assert_eq!(row, kept, "{name}: in memory as in the database");
        let times = [
            row.zoned.map(|time| time.timestamp()),
            row.utc.map(|time| time.timestamp()),
            row.local.map(|time| time.timestamp()),
            row.naive.map(|time| time.and_utc().timestamp()),
            row.seconds.map(|time| time.and_utc().timestamp()),
            row.offset.map(|time| time.unix_timestamp()),
            row.plain.map(|time| time.assume_utc().unix_timestamp()),
        ];
        let set: Vec<i64> = times.into_iter().flatten().collect();
        let now = ChronoUtc::now().timestamp() + 1;
        assert!(set.len() == 1 && (before..=now).contains(&set[0]), "{name}: {row:?}");

        // The same column as `updated_at`, and as `deleted_at`.
        let dao = by(Conventions { updated_at: Some(name), ..NONE });
        let changed = stamped::ActiveModel { text: Set(Some("x".to_owned())), ..row.clone().into_active_model() };
        let updated = dao.update(changed).await.unwrap();
        let kept = stamped::Entity::find_by_id(row.id).one(db.outside()).await.unwrap().unwrap();
        assert_eq!(updated, kept, "{name}");
        let dao = by(Conventions { deleted_at: Some(name), ..NONE });
        assert_eq!(dao.count().await.unwrap(), 0, "{name}");
        assert_eq!(dao.delete_where().all_rows().with_deleted().hard().exec().await.unwrap(), 1);
    }
}

async fn a_column_that_takes_no_null_does_not_say_deleted(db: TestDb) {
    let names = Conventions { deleted_at: Some("created_at"), ..Conventions::default() };
    let users = BaseDao::<user::Entity>::with_conventions((*db).clone(), names);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert_eq!(users.count().await.unwrap(), 1);
    users.delete(&ada).await.unwrap();
    assert_eq!(outside(&db, ada.id).await, None);
}

async fn an_actor_is_set_on_every_path(db: TestDb) {
    let users = users(&db);
    let by = |user: &user::Model| (user.creator_id, user.updater_id);

    let ada = with_actor(1, users.insert(new_user("ada"))).await.unwrap();
    assert_eq!(by(&ada), (Some(1), Some(1)));
    let changed = user::ActiveModel { status: Set(2), ..ada.clone().into_active_model() };
    let changed = with_actor(2_u8, users.update(changed)).await.unwrap();
    assert_eq!((by(&changed), outside(&db, ada.id).await.as_ref()), ((Some(1), Some(2)), Some(&changed)));
    let saved = user::ActiveModel { id: Set(ada.id), status: Set(3), ..Default::default() };
    assert_eq!(by(&with_actor(3, users.save(saved)).await.unwrap()), (Some(1), Some(3)));

    with_actor(4, users.insert_many((0..3).map(|index| new_user(&index.to_string())))).await.unwrap();
    let many = users.query().ne(user::Column::Id, ada.id).all().await.unwrap();
    assert!(many.len() == 3 && many.iter().all(|user| by(user) == (Some(4), Some(4))), "{many:?}");

    let changed: Vec<_> =
        many.iter().map(|user| user::ActiveModel { status: Set(9), ..user.clone().into_active_model() }).collect();
    with_actor(44, users.update_many(changed)).await.unwrap();
    let many = users.query().ne(user::Column::Id, ada.id).all().await.unwrap();
    assert!(many.iter().all(|user| by(user) == (Some(4), Some(44))), "{many:?}");
    let more = with_actor(45, users.insert_many_returning([new_user("more"), new_user("and more")])).await.unwrap();
    assert!(more.iter().all(|user| by(user) == (Some(45), Some(45))), "{more:?}");
    for user in more {
        assert_eq!(outside(&db, user.id).await, Some(user));
    }

    let set = || users.update_where().eq(user::Column::Id, ada.id).set(user::Column::Status, 5);
    with_actor(5, set().exec()).await.unwrap();
    assert_eq!(by(&outside(&db, ada.id).await.unwrap()), (Some(1), Some(5)));
    with_actor(6, async { set().set(user::Column::UpdaterId, 66).exec().await }).await.unwrap();
    assert_eq!(by(&outside(&db, ada.id).await.unwrap()), (Some(1), Some(66)), "what the caller sets stays");

    with_actor(7, users.delete(&ada)).await.unwrap();
    let deleted = outside(&db, ada.id).await.unwrap();
    assert_eq!((by(&deleted), deleted.deleted_at), ((Some(1), Some(7)), Some(deleted.updated_at)));

    let own = user::ActiveModel { creator_id: Set(Some(8)), updater_id: Set(None), ..new_user("own") };
    assert_eq!(by(&with_actor(9, users.insert(own)).await.unwrap()), (Some(8), None));
    // An entity without the columns.
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone());
    let order = customer_order::ActiveModel { user_id: Set(ada.id), number: Set("1".to_owned()), ..Default::default() };
    with_actor(10, orders.insert(order)).await.unwrap();
}

async fn without_an_actor_nothing_is_set(db: TestDb) {
    let users = users(&db);
    assert_eq!(current_actor(), None);
    let ada = users.insert(new_user("ada")).await.unwrap();
    assert_eq!((ada.creator_id, ada.updater_id), (None, None));
    let known = with_actor(1, users.insert(new_user("bob"))).await.unwrap();
    db.recorder().forget();
    let changed = user::ActiveModel { status: Set(2), ..known.into_active_model() };
    let changed = users.update(changed).await.unwrap();
    assert_eq!((changed.creator_id, changed.updater_id), (Some(1), Some(1)), "the last one that is known");
    users.update_where().all_rows().set(user::Column::Status, 3).exec().await.unwrap();
    for sent in db.recorder().take() {
        assert!(!sent.sql.split("WHERE").next().unwrap().contains("updater_id\" =") || !sent.sql.starts_with("UPDATE"));
    }
    let off = Conventions { creator_id: None, updater_id: None, ..Conventions::default() };
    let off = BaseDao::<user::Entity>::with_conventions((*db).clone(), off);
    let cyd = with_actor(4, off.insert(new_user("cyd"))).await.unwrap();
    assert_eq!((cyd.creator_id, cyd.updater_id), (None, None), "switched off");
}

async fn the_inner_actor_counts(db: TestDb) {
    let users = users(&db);
    with_actor(1, async {
        let inner = with_actor(2, users.insert(new_user("inner"))).await.unwrap();
        let outer = users.insert(new_user("outer")).await.unwrap();
        assert_eq!((inner.creator_id, outer.creator_id), (Some(2), Some(1)));
        // Inside of a transaction too, which runs on the same task.
        let users = users.clone();
        let made =
            db.execute_transaction(async |tx| users.within(tx).insert(new_user("transaction")).await).await.unwrap();
        assert_eq!(made.creator_id, Some(1));
    })
    .await;
}

async fn an_actor_belongs_to_its_task(db: TestDb) {
    let users = users(&db);
    let (spawned, carried) = with_actor(1, async {
        let actor = current_actor().unwrap();
        let (one, other) = (users.clone(), users.clone());
        let spawned = tokio::spawn(async move { one.insert(new_user("spawned")).await });
        let carried = tokio::spawn(with_actor(actor, async move { other.insert(new_user("carried")).await }));
        (spawned.await.unwrap().unwrap(), carried.await.unwrap().unwrap())
    })
    .await;
    assert_eq!((spawned.creator_id, carried.creator_id), (None, Some(1)));

    // Many at once, each with its own.
    let work = (0..20).map(|number: i64| {
        let users = users.clone();
        with_actor(number, async move { users.insert(new_user(&format!("user {number}"))).await.unwrap() })
    });
    for (number, user) in futures_util::future::join_all(work).await.into_iter().enumerate() {
        assert_eq!(user.creator_id, i64::try_from(number).ok());
    }
}

async fn an_actor_in_the_columns_own_type(db: TestDb) {
    stamped::create(&db).await;
    let dao = |name| {
        let names = Conventions { creator_id: Some(name), ..NONE };
        BaseDao::<stamped::Entity>::with_conventions((*db).clone(), names)
    };
    let row = || stamped::ActiveModel { ..Default::default() };
    let key = Uuid::from_u128(7);
    assert_eq!(with_actor(-5_i64, dao("small").insert(row())).await.unwrap().small, Some(-5));
    assert_eq!(with_actor(5_u64, dao("small").insert(row())).await.unwrap().small, Some(5));
    assert_eq!(with_actor("ada", dao("text").insert(row())).await.unwrap().text.as_deref(), Some("ada"));
    assert_eq!(with_actor(key, dao("uuid").insert(row())).await.unwrap().uuid, Some(key));
}

async fn an_actor_that_does_not_fit(db: TestDb) {
    stamped::create(&db).await;
    let names = Conventions { creator_id: Some("small"), updater_id: Some("small"), ..NONE };
    let dao = BaseDao::<stamped::Entity>::with_conventions((*db).clone(), names);
    let kept = dao.insert(stamped::ActiveModel { ..Default::default() }).await.unwrap();
    db.recorder().forget();
    let row = || stamped::ActiveModel { ..Default::default() };
    let refused = [
        with_actor(40_000, dao.insert(row())).await.map(|_| 0),
        with_actor("ada", dao.insert_many([row()])).await,
        with_actor(Uuid::nil(), {
            let set: UpdateBuilder<_> = dao.update_where().all_rows().set(stamped::Column::Text, "x");
            set.exec()
        })
        .await,
        with_actor(u64::MAX, dao.update(stamped::ActiveModel { text: Set(None), ..kept.into_active_model() }))
            .await
            .map(|_| 0),
    ];
    for result in refused {
        let error = result.unwrap_err();
        assert!(matches!(error.root(), Error::InvalidArgument { argument: "actor", .. }), "{error:?}");
        assert!(error.to_string().contains("stamped.small, SmallInt"), "{error}");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}
