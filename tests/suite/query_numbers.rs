//! Counts, pages and sums of rows.

use entities::user::Column::{Balance, CreatedAt, Email, Id, Status, Username};
use sea_dao::{
    Error,
    query::{Conditions, MAX_PAGE_SIZE},
};
use sea_orm::{ColumnTrait, ExprTrait, QuerySelect, prelude::DateTimeWithTimeZone};

use crate::{
    query::{NOBODY, Users, filled, names, row},
    support::TestDb,
};

for_each_backend!(
    sums_and_extremes,
    sums_and_extremes_without_rows,
    sums_of_a_part_of_the_rows,
    a_sum_too_large_is_an_error,
    limit_and_offset,
    pages,
    a_page_replaces_limit_and_offset,
    pages_out_of_range_are_refused,
    counts_of_rows_columns_and_values,
    a_count_of_a_shaped_query_counts_its_rows,
);

async fn sums_and_extremes(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(users.query().sum(Balance).await.unwrap(), 1_000);
    assert_eq!(users.query().eq(Status, 2).sum(Balance).await.unwrap(), 500);
    assert_eq!(users.query().sum(Status).await.unwrap(), 8);
    assert_eq!(users.query().avg(Balance).await.unwrap(), Some(250.0));
    assert_eq!(
        users.query().le(Status, 2).avg(Status).await.unwrap().map(|average| (average * 3.0).round()),
        Some(5.0)
    );
    assert_eq!(users.query().min::<i64>(Balance).await.unwrap(), Some(100));
    assert_eq!(users.query().max::<i16>(Status).await.unwrap(), Some(3));
    assert_eq!(users.query().min::<String>(Username).await.unwrap().as_deref(), Some("ada"));
    let newest = users.query().max::<DateTimeWithTimeZone>(CreatedAt).await.unwrap();
    let rows = users.query().all().await.unwrap();
    assert_eq!(newest, rows.iter().map(|user| user.created_at).max());
    assert_eq!(users.query().order_asc(Username).sum(Balance).await.unwrap(), 1_000, "an order does no harm");
}

async fn sums_and_extremes_without_rows(db: TestDb) {
    let users = filled(&db).await;
    let none = || users.query().eq(Status, 9);
    assert_eq!(none().sum(Balance).await.unwrap(), 0);
    assert_eq!(none().avg(Balance).await.unwrap(), None);
    assert_eq!(none().min::<i64>(Balance).await.unwrap(), None);
    assert_eq!(none().max::<DateTimeWithTimeZone>(CreatedAt).await.unwrap(), None);
    assert_eq!(users.query().eq(Username, "bob").max::<String>(Email).await.unwrap(), None, "only NULL");
}

async fn sums_of_a_part_of_the_rows(db: TestDb) {
    let users = filled(&db).await;
    let richest = users.query().order_desc(Balance).limit(2);
    assert_eq!(richest.clone().sum(Balance).await.unwrap(), 700);
    assert_eq!(richest.clone().avg(Balance).await.unwrap(), Some(350.0));
    assert_eq!(richest.min::<i64>(Balance).await.unwrap(), Some(300));
    assert_eq!(users.query().order_asc(Balance).offset(3).sum(Balance).await.unwrap(), 400);
    let statuses = users.query().select(|select| select.select_only().column(Status)).distinct();
    assert_eq!(statuses.sum(Status).await.unwrap(), 6, "each status once");
}

async fn a_sum_too_large_is_an_error(db: TestDb) {
    let users = Users::new((*db).clone());
    users.insert_many([row("a", 1, i64::MAX, None), row("b", 1, i64::MAX, None)]).await.unwrap();
    let sum = users.query().sum(Balance).await;
    assert!(sum.is_err(), "{sum:?}");
    assert_eq!(users.query().eq(Username, "a").sum(Balance).await.unwrap(), i64::MAX);
    assert_eq!(users.count().await.unwrap(), 2, "the connection is in order");
}

async fn limit_and_offset(db: TestDb) {
    let users = filled(&db).await;
    let ordered = || users.query().order_asc(Username);
    assert_eq!(names(ordered().limit(2).all().await.unwrap()), ["ada", "bob"]);
    assert_eq!(names(ordered().limit(2).offset(1).all().await.unwrap()), ["bob", "cyd"]);
    assert_eq!(names(ordered().offset(2).all().await.unwrap()), ["cyd", "dan"]);
    assert_eq!(names(ordered().offset(9).all().await.unwrap()), NOBODY);
    assert_eq!(names(ordered().order_by(Id, sea_orm::Order::Desc).limit(9).all().await.unwrap()).len(), 4);
}

async fn pages(db: TestDb) {
    let users = filled(&db).await;
    let query = users.query().order_asc(Username);
    let page = query.clone().page(1, 3).await.unwrap();
    assert_eq!((page.total, page.page, page.per_page, page.pages(), page.has_next()), (4, 1, 3, 2, true));
    assert_eq!(names(page.items), ["ada", "bob", "cyd"]);
    let page = query.clone().page(2, 3).await.unwrap();
    assert!(!page.has_next());
    assert_eq!(page.map(|user| user.username).items, ["dan"]);
    let page = query.clone().page(9, 3).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.has_next()), (0, 4, false));
    let page = query.clone().page(1, MAX_PAGE_SIZE).await.unwrap();
    assert_eq!((page.items.len(), page.pages()), (4, 1));
    let page = query.eq(Status, 9).page(1, 3).await.unwrap();
    assert_eq!((page.items.len(), page.total, page.pages()), (0, 0, 0));
    assert_eq!(users.query().with_deleted().page(1, 1).await.unwrap().total, 5);
}

async fn a_page_replaces_limit_and_offset(db: TestDb) {
    let users = filled(&db).await;
    let page = users.query().order_asc(Username).limit(1).offset(2).page(1, 3).await.unwrap();
    assert_eq!(page.total, 4);
    assert_eq!(names(page.items), ["ada", "bob", "cyd"]);
}

async fn pages_out_of_range_are_refused(db: TestDb) {
    let users = filled(&db).await;
    for (page, per_page, argument) in [
        (0, 10, "page"),
        (1, 0, "per_page"),
        (1, MAX_PAGE_SIZE + 1, "per_page"),
        (1, u64::MAX, "per_page"),
        (u64::MAX, MAX_PAGE_SIZE, "page"),
        (u64::MAX / 2, 2, "page"),
    ] {
        let refused = users.query().page(page, per_page).await;
        assert!(
            matches!(&refused, Err(Error::InvalidArgument { argument: name, .. }) if *name == argument),
            "{page}, {per_page}: {refused:?}"
        );
    }
    assert_eq!(db.recorder().begun(), 0);
    assert_eq!(users.query().page(i64::MAX as u64, 1).await.unwrap().items, []);
}

async fn counts_of_rows_columns_and_values(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(users.count().await.unwrap(), 4);
    assert_eq!(users.count().eq(Status, 2).await.unwrap(), 2);
    assert_eq!(users.count().column(Email).await.unwrap(), 3, "NULL is not counted");
    assert_eq!(users.count().distinct(Status).await.unwrap(), 3);
    assert_eq!(users.count().distinct(Email).eq(Status, 2).await.unwrap(), 1);
    let count = users.count().gt(Balance, 100);
    assert_eq!((count.clone().await.unwrap(), count.await.unwrap()), (3, 3));
}

async fn a_count_of_a_shaped_query_counts_its_rows(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(users.query().limit(3).count().await.unwrap(), 3);
    assert_eq!(users.query().offset(3).count().await.unwrap(), 1);
    let statuses = users.query().select(|select| select.select_only().column(Status)).distinct();
    assert_eq!(statuses.count().await.unwrap(), 3);
    let groups = users.query().select(|select| select.select_only().column(Status)).group_by(Status);
    assert_eq!(groups.having(Id.count().gt(1)).count().await.unwrap(), 1);
}
