//! Entities with callbacks, without relations, with nothing but defaults, in the unit of work.

use std::panic::AssertUnwindSafe;

use entities::user;
use futures_util::FutureExt;
use sea_dao::FlushMode;
use sea_orm::{ActiveValue::Set, EntityTrait, PaginatorTrait};

use crate::support::{
    TestDb, count_users, create_staff, insert_user, new_user,
    staff::{player, team},
    usernames,
};

for_each_backend!(
    callbacks_that_panic_or_fail_leave_everything_pending,
    without_relations_the_order_is_that_of_the_calls_or_as_asked,
    null_is_a_value_and_no_default,
    rows_that_set_nothing_are_inserted,
);

/// Countries whose entity has something to say about each write.
mod watched {
    #![allow(unreachable_pub, reason = "SeaORM's macros make what belongs to an entity public")]

    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "country")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    fn check(name: &str, moment: &str) -> Result<(), DbErr> {
        if name == format!("panics {moment}") {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        if name == format!("fails {moment}") { Err(DbErr::Custom(moment.to_owned())) } else { Ok(()) }
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(self, _: &C, _: bool) -> Result<Self, DbErr> {
            check(self.name.try_as_ref().map_or("", |name| name), "before")?;
            Ok(self)
        }

        async fn after_save<C: ConnectionTrait>(model: Model, connection: &C, _: bool) -> Result<Model, DbErr> {
            // It may read, and what waits is not flushed again by that.
            Entity::find().count(connection).await?;
            check(&model.name, "after")?;
            Ok(model)
        }
    }
}

async fn callbacks_that_panic_or_fail_leave_everything_pending(db: TestDb) {
    let country =
        |code: &str, name: &str| watched::ActiveModel { code: Set(code.to_owned()), name: Set(name.to_owned()) };
    for in_transaction in [false, true] {
        for (number, name) in ["panics before", "fails before", "panics after", "fails after"].into_iter().enumerate() {
            let what = format!("{name}, in a transaction: {in_transaction}");
            let session = if in_transaction { db.begin().await.unwrap() } else { db.session() };
            session.set_flush_mode(FlushMode::Manual);
            let username = format!("{in_transaction} {number}");
            let user = session.add(new_user(&username));
            let good = session.add(country(&format!("{}{number}", u8::from(in_transaction)), "Norway"));
            let bad = session.add(country(&format!("{}{}", u8::from(in_transaction), number + 4), name));
            let outcome = AssertUnwindSafe(session.flush()).catch_unwind().await;
            assert_eq!(outcome.is_err(), name.starts_with("panics"), "{what}");
            assert!(outcome.is_err() || outcome.unwrap().is_err(), "{what}");
            assert_eq!(session.pending(), 3, "{what}");
            assert!(user.get().is_err() && good.get().is_err(), "{what}");
            assert!(!usernames(&session).await.contains(&username));
            assert_eq!(session.expunge(&bad), 1);
            assert_eq!(session.flush().await.unwrap(), 2, "{what}");
            assert!(user.get().is_ok() && good.get().is_ok(), "{what}");
            if in_transaction {
                session.commit().await.unwrap();
            }
        }
    }
    assert_eq!((count_users(db.outside()).await, watched::Entity::find().count(db.outside()).await.unwrap()), (8, 8));
}

/// Users and orders whose entities do not know of each other.
mod unrelated {
    pub(super) mod user {
        #![allow(unreachable_pub, reason = "SeaORM's macros make what belongs to an entity public")]

        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "user")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub username: String,
            pub phone: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub(super) mod order {
        #![allow(unreachable_pub, reason = "SeaORM's macros make what belongs to an entity public")]

        use sea_orm::entity::prelude::*;

        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "customer_order")]
        pub struct Model {
            #[sea_orm(primary_key)]
            pub id: i64,
            pub user_id: i64,
            pub number: String,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }
}

async fn without_relations_the_order_is_that_of_the_calls_or_as_asked(db: TestDb) {
    let order = |user_id: i64, number: &str| unrelated::order::ActiveModel {
        user_id: Set(user_id),
        number: Set(number.to_owned()),
        ..Default::default()
    };
    let with_key = |id: i64| unrelated::user::ActiveModel {
        id: Set(id),
        username: Set(id.to_string()),
        phone: Set(id.to_string()),
    };
    let session = db.session();
    let early = session.add(order(1_001, "1"));
    session.add(with_key(1_001));
    assert!(session.flush().await.unwrap_err().is_foreign_key_violation());
    assert_eq!(session.pending(), 2);
    session.expunge(&early);
    session.add(order(1_001, "1"));
    assert_eq!(session.flush().await.unwrap(), 2, "the user is the first now");
    session.add(with_key(1_002));
    session.add(order(1_002, "2"));
    assert_eq!(session.flush().await.unwrap(), 2);
    // Said to come after it, it does, whichever entity came first.
    let first = insert_user(db.outside(), "first").await.unwrap();
    session.add(order(first.id, "3"));
    let parent = session.add(with_key(9_003));
    let child = session.add_after(&parent, move |parent| order(parent.id, "4"));
    assert_eq!(session.flush().await.unwrap(), 3);
    assert_eq!(child.get().unwrap().user_id, 9_003);
}

async fn null_is_a_value_and_no_default(db: TestDb) {
    let session = db.session();
    let profile = serde_json::json!({"language": "no"});
    let rows = session.add_all([
        user::ActiveModel { email: Set(None), profile: Set(None), ..new_user("a") },
        user::ActiveModel {
            email: Set(Some("b@example.org".to_owned())),
            profile: Set(Some(profile.clone())),
            ..new_user("b")
        },
        new_user("c"),
    ]);
    assert_eq!(session.flush().await.unwrap(), 3);
    let found = rows.iter().map(|row| row.get().unwrap().email.as_deref()).collect::<Vec<_>>();
    assert_eq!(found, [None, Some("b@example.org"), None]);
    assert_eq!(rows[1].get().unwrap().profile, Some(profile));
    let edited = session.edit(rows[1].get().unwrap().clone());
    edited.change(|row| (row.email, row.profile) = (Set(None), Set(None))).unwrap();
    assert_eq!(session.flush().await.unwrap(), 1);
    let row = user::Entity::find_by_id(edited.get().unwrap().id).one(db.outside()).await.unwrap().unwrap();
    assert_eq!((row.email.as_deref(), row.profile.as_ref()), (None, None));
    assert_eq!(edited.get().unwrap(), row);
}

async fn rows_that_set_nothing_are_inserted(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    let teams = session.add_all((0..3).map(|_| team::ActiveModel::default()));
    let player = session.add(player::ActiveModel::default());
    assert_eq!(session.flush().await.unwrap(), 4);
    let mut ids: Vec<i64> = teams.iter().map(|team| team.get().unwrap().id).collect();
    ids.dedup();
    assert_eq!((ids.len(), player.get().unwrap().team_id), (3, None));
    assert_eq!(team::Entity::find().count(db.outside()).await.unwrap(), 3);
}
