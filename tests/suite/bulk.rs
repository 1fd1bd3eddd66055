//! Writing and deleting many rows.

use entities::{country, tag, user};
use sea_dao::{BaseDao, Error, Result, hooks::StatementKind, query::Conditions};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, Schema, entity::prelude::*, sea_query::Expr};
use serde_json::json;

use crate::support::{TestDb, count_users, new_user, usernames};

for_each_backend!(
    no_rows_send_nothing,
    one_statement_for_few_rows,
    several_statements_in_one_transaction,
    more_values_than_one_statement_takes,
    rows_that_set_nothing,
    uneven_rows_take_the_defaults,
    a_row_that_fails_takes_all_back,
    many_rows_inside_of_a_transaction,
    json_objects_become_rows,
    json_of_types_of_ones_own,
    json_that_does_not_fit_is_refused,
    an_update_or_deletion_of_all_rows_has_to_be_said,
    an_update_of_no_column_is_refused,
    deleted_rows_are_not_updated,
    rows_affected_are_rows_matched,
    a_deletion_of_many_rows,
);

fn users(db: &TestDb) -> BaseDao<user::Entity> {
    BaseDao::new((**db).clone())
}

fn numbered(count: usize) -> impl Iterator<Item = user::ActiveModel> {
    (0..count).map(|index| new_user(&format!("user {index}")))
}

async fn no_rows_send_nothing(db: TestDb) {
    let users = users(&db);
    assert_eq!(users.insert_many(Vec::<user::ActiveModel>::new()).await.unwrap(), 0);
    assert_eq!(users.insert_json([]).await.unwrap(), 0);
    assert_eq!(db.recorder().begun(), 0);
}

async fn one_statement_for_few_rows(db: TestDb) {
    let users = users(&db);
    assert_eq!(users.insert_many([new_user("ada")]).await.unwrap(), 1);
    let sent = db.recorder().take();
    assert_eq!((sent.len(), sent[0].kind, sent[0].rows), (1, StatementKind::Execute, Some(1)));
    assert_eq!(users.insert_many(numbered(512)).await.unwrap(), 512);
    assert_eq!(db.recorder().take_kinds(), [StatementKind::Execute]);
    let ada = users.query().eq(user::Column::Username, "ada").one().await.unwrap();
    assert_eq!((ada.status, ada.created_at), (1, ada.updated_at));
    let again = users.insert_many([new_user("bob"), new_user("ada")]).await;
    assert!(again.unwrap_err().is_unique_violation());
    assert_eq!(count_users(db.outside()).await, 513);
}

async fn several_statements_in_one_transaction(db: TestDb) {
    let users = users(&db);
    assert_eq!(users.insert_many(numbered(2_500)).await.unwrap(), 2_500);
    let kinds = db.recorder().take_kinds();
    if db.capabilities().copy_in {
        // After a look at the columns.
        assert_eq!(kinds, [StatementKind::Query, StatementKind::Copy]);
    } else {
        // 1 024 + 1 024 + 256 + 128 + 64 + 4
        let mut expected = vec![StatementKind::Execute; 6];
        expected.insert(0, StatementKind::Begin);
        expected.push(StatementKind::Commit);
        assert_eq!(kinds, expected);
    }
    assert_eq!(count_users(db.outside()).await, 2_500);
    assert_eq!(users.count().distinct(user::Column::Username).await.unwrap(), 2_500);
}

/// A table of 70 columns.
macro_rules! wide {
    ($($column:ident)+) => {
        mod wide {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = "wide")]
            pub(crate) struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub(crate) id: i32,
                $(pub(crate) $column: i32,)+
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub(crate) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            pub(crate) fn row(id: i32) -> Model {
                Model { id, $($column: id,)+ }
            }
        }
    };
}

wide!(
    a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4
    d5 d6 d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 g0 g1 g2 g3 g4 g5 g6 g7 g8
);

async fn more_values_than_one_statement_takes(db: TestDb) {
    let table = Schema::new(db.backend()).create_table_from_entity(wide::Entity);
    db.execute(&table).await.unwrap();
    db.recorder().forget();
    let rows = BaseDao::<wide::Entity>::new((*db).clone());
    assert_eq!(rows.insert_many((0..1_000).map(wide::row)).await.unwrap(), 1_000);
    assert!(db.capabilities().bind_limit / 70 < 1_000, "the test needs a wider table");
    let inserted = |kind: &StatementKind| matches!(kind, StatementKind::Execute | StatementKind::Copy);
    let inserts = db.recorder().take_kinds().iter().filter(|kind| inserted(kind)).count();
    let expected = match db.capabilities() {
        capabilities if capabilities.copy_in => 1,
        // Of 512 rows, or 256, and the powers of two of the rest.
        capabilities if capabilities.bind_limit / 70 >= 512 => 6,
        _ => 3 + 4,
    };
    assert_eq!(inserts, expected);
    assert_eq!(rows.find_by_id(999).await.unwrap(), Some(wide::row(999)));
    assert_eq!(rows.query().sum(wide::Column::G8).await.unwrap(), 499_500);
}

mod counter {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "counter")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        #[sea_orm(default_value = 7)]
        pub(crate) start: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn rows_that_set_nothing(db: TestDb) {
    let table = Schema::new(db.backend()).create_table_from_entity(counter::Entity);
    db.execute(&table).await.unwrap();
    let counters = BaseDao::<counter::Entity>::new((*db).clone());
    let nothing = <counter::ActiveModel as Default>::default;
    assert_eq!(counters.insert(nothing()).await.unwrap().start, 7);
    assert_eq!(counters.insert_many([nothing(), nothing(), nothing()]).await.unwrap(), 3);
    let some = counter::ActiveModel { start: Set(2), ..nothing() };
    assert_eq!(counters.insert_many([nothing(), some, nothing()]).await.unwrap(), 3);
    assert_eq!(counters.query().sum(counter::Column::Start).await.unwrap(), 6 * 7 + 2);
}

async fn uneven_rows_take_the_defaults(db: TestDb) {
    let users = users(&db);
    let rows = [
        new_user("ada"),
        user::ActiveModel { status: Set(5), ..new_user("bob") },
        user::ActiveModel { email: Set(Some("cyd@example.org".to_owned())), ..new_user("cyd") },
        user::ActiveModel { status: Set(6), email: Set(None), ..new_user("dan") },
        new_user("eve"),
        user::ActiveModel { username: Set("fay".to_owned()), phone: Set("fay".to_owned()), ..Default::default() },
    ];
    assert_eq!(users.insert_many(rows).await.unwrap(), 6);
    let found: Vec<(String, i16, Option<String>, i64)> = users
        .query()
        .order_asc(user::Column::Username)
        .columns([user::Column::Username, user::Column::Status, user::Column::Email, user::Column::Balance])
        .await
        .unwrap();
    let row = |name: &str, status, email: Option<&str>| (name.to_owned(), status, email.map(str::to_owned), 0);
    let cyd = row("cyd", 1, Some("cyd@example.org"));
    let (bob, dan) = (row("bob", 5, None), row("dan", 6, None));
    assert_eq!(found, [row("ada", 1, None), bob, cyd, dan, row("eve", 1, None), row("fay", 1, None)]);
}

async fn a_row_that_fails_takes_all_back(db: TestDb) {
    let users = users(&db);
    for clash in [0, 1_500, 2_999] {
        let rows = numbered(3_000).chain([new_user(&format!("user {clash}"))]);
        let error = users.insert_many(rows).await.unwrap_err();
        assert!(error.is_unique_violation() && error.to_string().starts_with("insert user: "), "{error:?}");
        assert_eq!(count_users(db.outside()).await, 0);
    }
    let nameless = user::ActiveModel { phone: Set("x".to_owned()), ..Default::default() };
    let error = users.insert_many(numbered(3_000).chain([nameless])).await.unwrap_err();
    assert!(error.is_not_null_violation(), "{error:?}");
    assert_eq!(count_users(db.outside()).await, 0);
    assert_eq!(users.insert_many(numbered(3_000)).await.unwrap(), 3_000, "the connection is in order");
}

async fn many_rows_inside_of_a_transaction(db: TestDb) {
    let users = users(&db);
    let tx = db.begin().await.unwrap();
    assert_eq!(users.within(&tx).insert_many(numbered(1_200)).await.unwrap(), 1_200);
    assert_eq!(users.within(&tx).count().await.unwrap(), 1_200);
    assert_eq!(count_users(db.outside()).await, 0);
    tx.rollback().await.unwrap();
    assert_eq!(users.count().await.unwrap(), 0);
}

async fn json_objects_become_rows(db: TestDb) {
    let users = users(&db);
    let rows = [
        json!({"username": "ada", "phone": "1", "status": 3, "profile": {"a": [1]}, "email": "ada@example.org"}),
        json!({"username": "bob", "phone": "2", "email": null}),
        json!({"username": "cyd", "phone": "3", "created_at": "2024-02-29T12:30:00Z", "id": 4711}),
    ];
    assert_eq!(users.insert_json(rows).await.unwrap(), 3);
    let rows = users.query().order_asc(user::Column::Username).all().await.unwrap();
    let (ada, bob, cyd) = (&rows[0], &rows[1], &rows[2]);
    assert_eq!((ada.status, &ada.profile), (3, &Some(json!({"a": [1]}))));
    assert_eq!((bob.status, bob.balance, &bob.email, &bob.profile), (1, 0, &None, &None), "defaults");
    assert_eq!((cyd.id, cyd.created_at.to_rfc3339()), (4711, "2024-02-29T12:30:00+00:00".to_owned()));
    assert!(bob.created_at == bob.updated_at && cyd.updated_at > cyd.created_at, "times are stamped");

    let countries = BaseDao::<country::Entity>::new((*db).clone());
    assert_eq!(countries.insert_json([json!({"code": "de", "name": "Germany"})]).await.unwrap(), 1);
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(tags.insert_json([json!({"id": id, "name": "red"})]).await.unwrap(), 1);
    assert!(tags.exists(id.parse::<Uuid>().unwrap()).await.unwrap());
}

mod parcel {
    use sea_orm::entity::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(1))")]
    #[serde(rename_all = "lowercase")]
    pub(crate) enum Size {
        #[default]
        #[sea_orm(string_value = "S")]
        Small,
        #[sea_orm(string_value = "L")]
        Large,
    }

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "parcel")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        #[sea_orm(default_value = "L")]
        #[serde(default)]
        pub(crate) size: Size,
        #[sea_orm(default_value = "2000-01-01")]
        pub(crate) day: Date,
        #[sea_orm(default_value = "none")]
        #[serde(skip_serializing)]
        pub(crate) secret: String,
        #[sea_orm(nullable)]
        pub(crate) seal: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn json_of_types_of_ones_own(db: TestDb) {
    let table = Schema::new(db.backend()).create_table_from_entity(parcel::Entity);
    db.execute(&table).await.unwrap();
    let parcels = BaseDao::<parcel::Entity>::new((*db).clone());
    let rows = [
        json!({"size": "small", "day": "2024-02-29"}),
        json!({"secret": "a", "seal": [1, 255]}),
        json!({"size": "large"}),
    ];
    assert_eq!(parcels.insert_json(rows).await.unwrap(), 3);
    let columns = [parcel::Column::Size, parcel::Column::Day, parcel::Column::Secret];
    let mut found: Vec<(parcel::Size, Date, String)> = parcels.query().columns(columns).await.unwrap();
    found.sort_by_key(|(_, day, secret)| (*day, secret.clone()));
    let row = |size, day: &str, secret: &str| (size, day.parse::<Date>().unwrap(), secret.to_owned());
    assert_eq!(
        found,
        [
            row(parcel::Size::Large, "2000-01-01", "a"),
            row(parcel::Size::Large, "2000-01-01", "none"),
            row(parcel::Size::Small, "2024-02-29", "none"),
        ]
    );
    let refused = parcels.insert_json([json!({"size": "L"})]).await.unwrap_err();
    assert!(
        matches!(&refused, Error::InvalidArgument { value, .. } if value.starts_with("row 0: size: ")),
        "{refused:?}"
    );
}

async fn json_that_does_not_fit_is_refused(db: TestDb) {
    let users = users(&db);
    let good = || json!({"username": "ada", "phone": "1"});
    for (bad, said) in [
        (json!({"username": "bob", "phone": "2", "pone": "3"}), "\"pone\""),
        (json!({"username": "bob", "phone": "2", "status": "high"}), "status"),
        (json!({"username": "bob", "phone": "2", "status": 70_000}), "70000"),
        (json!({"username": null, "phone": "2"}), "null"),
        (json!({"username": "bob", "phone": "2", "created_at": "yesterday"}), ""),
        (json!(["bob", "2"]), "bob"),
        (json!("bob"), "bob"),
        (json!(null), "null"),
    ] {
        let refused = users.insert_json([good(), bad.clone(), good()]).await.unwrap_err();
        let Error::InvalidArgument { argument: "rows", value, .. } = &refused else { panic!("{bad}: {refused:?}") };
        assert!(value.starts_with("row 1: ") && value.contains(said), "{bad}: {value}");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    let missing = users.insert_json([good(), json!({"phone": "2"})]).await.unwrap_err();
    assert!(missing.is_not_null_violation(), "a column without a default: {missing:?}");
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn an_update_or_deletion_of_all_rows_has_to_be_said(db: TestDb) {
    let users = users(&db);
    users.insert_many(numbered(3)).await.unwrap();
    db.recorder().forget();
    let update = || users.update_where().set(user::Column::Status, 9);
    let refusals = [
        update().exec().await,
        update().with_deleted().exec().await,
        update().filter(sea_orm::Condition::all()).exec().await,
        users.delete_where().exec().await,
        users.delete_where().hard().exec().await,
        users.delete_where().or_(|or| or).exec().await,
        users.delete_where().not_in(user::Column::Id, Vec::<i64>::new()).exec().await,
    ];
    for refused in refusals {
        assert!(matches!(&refused, Err(Error::MissingCondition { entity: "user", .. })), "{refused:?}");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    assert_eq!(update().all_rows().exec().await.unwrap(), 3);
    assert_eq!(users.delete_where().all_rows().exec().await.unwrap(), 3);
    assert_eq!(users.delete_where().all_rows().hard().with_deleted().exec().await.unwrap(), 3);
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn an_update_of_no_column_is_refused(db: TestDb) {
    let users = users(&db);
    for builder in [users.update_where(), users.update_where().all_rows(), users.update_where().eq(user::Column::Id, 1)]
    {
        let refused = builder.exec().await;
        assert!(matches!(&refused, Err(Error::InvalidArgument { argument: "update", .. })), "{refused:?}");
    }
    assert_eq!(db.recorder().begun(), 0);
}

async fn deleted_rows_are_not_updated(db: TestDb) {
    let users = users(&db);
    users.insert_many(numbered(3)).await.unwrap();
    users.delete_where().eq(user::Column::Username, "user 1").exec().await.unwrap();
    let update = || users.update_where().starts_with(user::Column::Username, "user ").set(user::Column::Status, 9);
    assert_eq!(update().exec().await.unwrap(), 2);
    assert_eq!(update().only_deleted().exec().await.unwrap(), 1);
    assert_eq!(update().with_deleted().exec().await.unwrap(), 3);
    // A row can be brought back.
    let restore = users.update_where().all_rows().only_deleted();
    assert_eq!(restore.set(user::Column::DeletedAt, None::<DateTimeWithTimeZone>).exec().await.unwrap(), 1);
    assert_eq!(users.count().await.unwrap(), 3);
}

async fn rows_affected_are_rows_matched(db: TestDb) {
    let users = users(&db);
    users.insert_many(numbered(3)).await.unwrap();
    let now = users.query().first().await.unwrap().unwrap().updated_at;
    // Nothing changes in any of the rows.
    let same = users.update_where().eq(user::Column::Status, 1).set(user::Column::Status, 1);
    let same = same.set_expr(user::Column::UpdatedAt, Expr::col(user::Column::UpdatedAt));
    assert_eq!((same.clone().exec().await.unwrap(), same.exec().await.unwrap()), (3, 3));
    let none = users.update_where().eq(user::Column::Status, 9).set(user::Column::UpdatedAt, now);
    assert_eq!(none.exec().await.unwrap(), 0);
}

async fn a_deletion_of_many_rows(db: TestDb) {
    let users = users(&db);
    users.insert_many(numbered(5)).await.unwrap();
    let delete = |names: [&'static str; 2]| users.delete_where().in_(user::Column::Username, names);
    assert_eq!(delete(["user 0", "user 1"]).exec().await.unwrap(), 2);
    assert_eq!(delete(["user 1", "user 2"]).exec().await.unwrap(), 1, "deleted once");
    assert_eq!(users.count().await.unwrap(), 2);
    assert_eq!(delete(["user 3", "user 0"]).hard().exec().await.unwrap(), 1);
    assert_eq!(usernames(db.outside()).await, ["user 0", "user 1", "user 2", "user 4"]);
    assert_eq!(delete(["user 0", "user 1"]).hard().with_deleted().exec().await.unwrap(), 2);
    let undone: Result<u64> = db
        .execute_transaction(async |tx| {
            users.within(tx).delete_where().all_rows().hard().exec().await?;
            Err(Error::TransactionEnded)
        })
        .await;
    assert!(undone.is_err());
    assert_eq!(user::Entity::find().count(db.outside()).await.unwrap(), 2);
}
