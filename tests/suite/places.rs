//! Places in an order whose values come back from the database in another form than they are kept in.

use entities::{
    customer_order,
    user::{
        self,
        Column::{CreatedAt, Id, Username},
    },
};
use futures_util::TryStreamExt;
use sea_dao::{BaseDao, Error, query::Conditions};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, JoinType, RelationTrait, Statement, query::Order};

use crate::{
    compared::walk,
    query::{filled, names},
    support::{TestDb, new_user},
};

for_each_backend!(
    floating_point_numbers,
    values_as_somebody_else_wrote_them,
    the_default_of_a_time_is_written_as_by_the_driver,
    a_join_that_repeats_rows,
);

mod reading {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "reading")]
    pub(super) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(super) id: i64,
        pub(super) exact: f64,
        pub(super) rough: Option<f32>,
        pub(super) at: Option<DateTimeUtc>,
        pub(super) price: Option<Decimal>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub(super) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

async fn readings(db: &TestDb) -> BaseDao<reading::Entity> {
    let (double, float, time) = match db.backend() {
        DbBackend::Postgres => ("DOUBLE PRECISION", "REAL", "TIMESTAMPTZ"),
        DbBackend::MySql => ("DOUBLE", "FLOAT", "DATETIME(6)"),
        _ => ("DOUBLE", "FLOAT", "timestamp_with_timezone_text"),
    };
    let sql = format!(
        "CREATE TABLE reading (id BIGINT PRIMARY KEY, exact {double} NOT NULL, rough {float}, at {time}, \
         price DECIMAL(20, 10))"
    );
    db.execute_unprepared(&sql).await.unwrap();
    BaseDao::new((**db).clone())
}

async fn floating_point_numbers(db: TestDb) {
    let readings = readings(&db).await;
    let reading = |id: i64| {
        // Digits enough that many of them are not read back from JSON as they were.
        let exact = 110.00000000000001 + (id * 7_919 % 50) as f64 / 3.0;
        let rough = (id % 4 > 0).then_some(exact as f32);
        reading::ActiveModel { id: Set(id), exact: Set(exact), rough: Set(rough), ..Default::default() }
    };
    readings.insert_many((0..40).map(reading)).await.unwrap();
    for order in [Order::Asc, Order::Desc] {
        walk(&readings, reading::Column::Exact, order.clone(), reading::Column::Id).await;
        walk(&readings, reading::Column::Rough, order, reading::Column::Id).await;
    }
}

async fn values_as_somebody_else_wrote_them(db: TestDb) {
    let readings = readings(&db).await;
    // SQLite keeps them as they are, and compares them so.
    let times = [
        "2024-05-01 10:00:05.000",
        "2024-05-01 10:00:05",
        "2024-05-01 10:00:05.5",
        "2024-05-01 10:00:05.500000",
        "2024-05-01 10:00:06.000",
    ];
    for id in 0..15_usize {
        let at = times[id % times.len()];
        let at = if db.capabilities().server || id % 2 == 0 { at.to_owned() } else { at.replace(' ', "T") + "+00:00" };
        let sql = format!("INSERT INTO reading VALUES ({id}, 0, 0.1 + {id} % 3, '{at}', 0.1234567890 + {id} % 3)");
        db.execute_unprepared(&sql).await.unwrap();
    }
    db.execute_unprepared("INSERT INTO reading VALUES (15, 0, NULL, NULL, NULL)").await.unwrap();
    use reading::Column::{At, Price, Rough};
    for order in [Order::Asc, Order::Desc] {
        for column in [At, Rough, Price] {
            walk(&readings, column, order.clone(), reading::Column::Id).await;
        }
    }
    let parts: Vec<Vec<reading::Model>> = readings.query().order_asc(At).chunks(2).try_collect().await.unwrap();
    assert_eq!(parts.concat(), readings.query().order_asc(At).order_asc(reading::Column::Id).all().await.unwrap());
}

async fn the_default_of_a_time_is_written_as_by_the_driver(db: TestDb) {
    if db.backend() != DbBackend::Sqlite {
        return;
    }
    let users = BaseDao::<user::Entity>::new((*db).clone());
    let text = async |sql: String| -> String {
        let row = db.query_one_raw(Statement::from_string(db.backend(), sql)).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    };
    let sql = "SELECT dflt_value FROM pragma_table_info('user') WHERE name = 'created_at'";
    let default = text(sql.to_owned()).await;
    for moment in ["2024-05-01T10:00:05", "2024-05-01T10:00:05.120", "2024-05-01T10:00:00.001"] {
        let written = text(format!("SELECT {}", default.replace("'now'", &format!("'{moment}'")))).await;
        let created_at = format!("{moment}+00:00").parse().unwrap();
        let user = user::ActiveModel { created_at: Set(created_at), ..new_user(moment) };
        let user = users.insert(user).await.unwrap();
        assert_eq!(written, text(format!("SELECT created_at FROM user WHERE id = {}", user.id)).await);
        assert_eq!(users.count().eq(CreatedAt, user.created_at).await.unwrap(), 1);
    }
}

async fn a_join_that_repeats_rows(db: TestDb) {
    let users = filled(&db).await;
    let ids: Vec<i64> = users.query().order_asc(Username).column(Id).await.unwrap();
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone());
    let order = |(number, owner): (usize, usize)| customer_order::ActiveModel {
        user_id: Set(ids[owner]),
        number: Set(number.to_string()),
        ..Default::default()
    };
    orders.insert_many([0, 0, 0, 1, 1, 2, 3].into_iter().enumerate().map(order)).await.unwrap();
    let joined = || users.query().join(JoinType::InnerJoin, user::Relation::CustomerOrder.def()).order_asc(Username);
    let whole = names(joined().all().await.unwrap());
    assert_eq!(whole, ["ada", "ada", "ada", "bob", "bob", "cyd", "dan"]);
    let parts = async |size: u64| {
        let parts: Result<Vec<_>, Error> = joined().chunks(size).try_collect().await;
        parts.map(|parts| names(parts.concat()))
    };
    let page = async |size: u64| joined().cursor(size, None).await;
    // Each part ends where the rows of one user do.
    for size in [7, 9] {
        assert_eq!(parts(size).await.unwrap(), whole);
        assert_eq!(names(page(size).await.unwrap().items), whole);
    }
    let first = page(5).await.unwrap();
    assert_eq!(names(first.items), whole[..5]);
    let second = joined().cursor(1, first.next.as_deref()).await.unwrap();
    assert_eq!(names(second.items), ["cyd"]);
    // The page before would begin with one of several.
    for refused in [
        parts(2).await.map(drop),
        parts(4).await.map(drop),
        page(2).await.map(drop),
        page(4).await.map(drop),
        joined().cursor(1, second.previous.as_deref()).await.map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error.root(), Error::Unsupported { .. }) && error.to_string().contains("join"), "{error:?}");
    }
    let each: Vec<Vec<user::Model>> = joined().distinct().chunks(1).try_collect().await.unwrap();
    assert_eq!(names(each.concat()), ["ada", "bob", "cyd", "dan"]);
    let limited: Vec<Vec<user::Model>> = joined().limit(2).chunks(2).try_collect().await.unwrap();
    assert_eq!(names(limited.concat()), ["ada", "ada"], "no more were asked for");
}
