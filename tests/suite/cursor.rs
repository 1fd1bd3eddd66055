//! Pages by place: tokens, ends, and rows that come and go.

use entities::user::{
    self,
    Column::{Balance, CreatedAt, Email, Id, Status, Username},
};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use sea_dao::{
    Error,
    query::{Conditions, CursorPage, MAX_PAGE_SIZE},
};
use sea_orm::{ColumnTrait, ExprTrait, Order, QueryOrder, sea_query::Expr};

use crate::{
    query::{NOBODY, Users, filled, names, row},
    support::TestDb,
};

for_each_backend!(
    a_walk_there_and_back,
    an_empty_page_leads_back,
    rows_that_come_and_go,
    a_token_survives_other_values,
    a_token_of_another_query_is_refused,
    a_damaged_token_is_refused,
    sizes_out_of_range_are_refused,
    orders_without_a_place_are_refused,
    every_type_of_column_has_a_place,
    limits_give_way,
    parts_of_the_rows,
    parts_while_they_change,
);

fn who(page: &CursorPage<user::Model>) -> Vec<&str> {
    page.items.iter().map(|user| user.username.as_str()).collect()
}

async fn a_walk_there_and_back(db: TestDb) {
    let users = filled(&db).await;
    let query = || users.query().order_desc(Status);
    let first = query().cursor(3, None).await.unwrap();
    assert_eq!(who(&first), ["dan", "cyd", "bob"]);
    assert_eq!(first.previous, None);
    let second = query().cursor(3, first.next.as_deref()).await.unwrap();
    assert_eq!((who(&second), &second.next), (vec!["ada"], &None));
    let back = query().cursor(3, second.previous.as_deref()).await.unwrap();
    assert_eq!((who(&back), &back.previous), (who(&first), &None));
    assert_eq!(query().cursor(3, back.next.as_deref()).await.unwrap().items, second.items);
    assert_eq!(query().cursor(4, None).await.unwrap().next, None, "the page is full, but there is no more");
    let none = users.query().eq(Status, 9).cursor(3, None).await.unwrap();
    assert_eq!((none.items.len(), none.next, none.previous), (0, None, None));
    let json = serde_json::to_value(first.map(|user| user.username)).unwrap();
    assert_eq!(json["items"], serde_json::json!(["dan", "cyd", "bob"]));
}

async fn an_empty_page_leads_back(db: TestDb) {
    let users = filled(&db).await;
    let query = || users.query().order_asc(Username);
    let first = query().cursor(3, None).await.unwrap();
    assert_eq!(users.delete_where().eq(Username, "dan").exec().await.unwrap(), 1);
    let empty = query().cursor(3, first.next.as_deref()).await.unwrap();
    assert_eq!((who(&empty), &empty.next), (Vec::new(), &None));
    // With the row that the token named.
    let back = query().cursor(3, empty.previous.as_deref()).await.unwrap();
    assert_eq!(who(&back), ["ada", "bob", "cyd"]);
    assert_eq!(back.previous, None);
    // The same at the other end.
    let second = query().cursor(1, query().cursor(1, None).await.unwrap().next.as_deref()).await.unwrap();
    assert_eq!(who(&second), ["bob"]);
    assert_eq!(users.delete_where().eq(Username, "ada").exec().await.unwrap(), 1);
    let empty = query().cursor(1, second.previous.as_deref()).await.unwrap();
    assert_eq!((who(&empty), &empty.previous), (Vec::new(), &None));
    assert_eq!(who(&query().cursor(1, empty.next.as_deref()).await.unwrap()), ["bob"]);
}

async fn rows_that_come_and_go(db: TestDb) {
    let users = filled(&db).await;
    let query = || users.query().order_asc(Username);
    let first = query().cursor(2, None).await.unwrap();
    // Before the place, at it, and behind it.
    users.insert_many([row("aaa", 1, 0, None), row("bzz", 1, 0, None)]).await.unwrap();
    users.delete_where().eq(Username, "bob").exec().await.unwrap();
    let second = query().cursor(2, first.next.as_deref()).await.unwrap();
    assert_eq!(who(&second), ["bzz", "cyd"]);
    let before = query().cursor(9, second.previous.as_deref()).await.unwrap();
    assert_eq!(who(&before), ["aaa", "ada"]);
}

async fn a_token_survives_other_values(db: TestDb) {
    let users = filled(&db).await;
    let query = |least: i64| users.query().ge(Balance, least).order_asc(Balance);
    let first = query(100).cursor(2, None).await.unwrap();
    assert_eq!(who(&query(150).cursor(9, first.next.as_deref()).await.unwrap()), ["cyd", "dan"]);
}

async fn a_token_of_another_query_is_refused(db: TestDb) {
    let users = filled(&db).await;
    let token = users.query().order_asc(Username).cursor(2, None).await.unwrap().next.unwrap();
    db.recorder().forget();
    for other in [
        users.query(),
        users.query().order_desc(Username),
        users.query().order_asc(Balance),
        users.query().order_asc(Username).order_asc(Balance),
        users.query().order_asc(Username).with_deleted(),
        users.query().order_asc(Username).eq(Status, 2),
        users.query().order_by_with_nulls(Username, Order::Asc, sea_orm::sea_query::NullOrdering::First),
    ] {
        let refused = other.cursor(2, Some(&token)).await.unwrap_err();
        let Error::InvalidArgument { argument: "cursor", expected, .. } = &refused else { panic!("{refused:?}") };
        assert!(expected.contains("this query"), "{expected}");
    }
    let tags = sea_dao::BaseDao::<entities::country::Entity>::new((*db).clone());
    assert!(tags.query().cursor(2, Some(&token)).await.is_err());
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}

async fn a_damaged_token_is_refused(db: TestDb) {
    let users = filled(&db).await;
    let query = || users.query().order_asc(Email);
    let token = query().cursor(2, None).await.unwrap().next.unwrap();
    db.recorder().forget();
    let mut damaged: Vec<String> = vec![String::new(), "x".to_owned(), "=".to_owned(), format!("{token}A")];
    for at in 0..token.len() {
        damaged.push(token[..at].to_owned());
        let other = if &token[at..=at] == "A" { "B" } else { "A" };
        damaged.push(format!("{}{other}{}", &token[..at], &token[at + 1..]));
    }
    for token in damaged {
        let refused = query().cursor(2, Some(&token)).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { argument: "cursor", .. })), "{token}: {refused:?}");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    assert_eq!(query().cursor(2, Some(&token)).await.unwrap().items.len(), 2);
}

async fn sizes_out_of_range_are_refused(db: TestDb) {
    let users = filled(&db).await;
    for size in [0, MAX_PAGE_SIZE + 1, u64::MAX] {
        let refused = users.query().cursor(size, None).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { argument: "per_page", .. })), "{refused:?}");
        let parts = users.query().chunks(size);
        pin_mut!(parts);
        assert!(matches!(parts.next().await, Some(Err(Error::InvalidArgument { argument: "per_page", .. }))));
    }
    assert_eq!(users.query().cursor(MAX_PAGE_SIZE, None).await.unwrap().items.len(), 4);
}

async fn orders_without_a_place_are_refused(db: TestDb) {
    let users = filled(&db).await;
    for query in [
        users.query().order_asc(Expr::col(Balance).add(1)),
        users.query().order_asc(entities::customer_order::Column::Id),
        users.query().order_by(Status, Order::Field(sea_orm::Values(vec![1.into(), 2.into()]))),
        users.query().group_by(Status),
        users.query().distinct_on([Status]),
        users.query().select(|select| select.order_by_asc(Username)),
    ] {
        let refused = query.cursor(2, None).await;
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    assert_eq!(users.query().order_asc(Balance.into_expr()).cursor(2, None).await.unwrap().items.len(), 2);
}

async fn every_type_of_column_has_a_place(db: TestDb) {
    let users = filled(&db).await;
    for column in [Id, Username, Email, Status, Balance, CreatedAt] {
        for order in [Order::Asc, Order::Desc] {
            let query = || users.query().with_deleted().order_by(column, order.clone()).order_asc(Username);
            let whole = names(query().all().await.unwrap());
            let (mut walked, mut token) = (Vec::new(), None);
            loop {
                let page = query().cursor(1, token.as_deref()).await.unwrap();
                walked.extend(names(page.items));
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(walked, whole, "{column:?} {order:?}");
        }
    }
}

async fn limits_give_way(db: TestDb) {
    let users = filled(&db).await;
    let page = users.query().order_asc(Username).limit(1).offset(3).cursor(2, None).await.unwrap();
    assert_eq!(who(&page), ["ada", "bob"]);
    let locked = users.query().for_update().cursor(2, None).await.unwrap_err();
    assert!(matches!(locked.root(), Error::NoTransaction), "{locked:?}");
}

async fn parts_of_the_rows(db: TestDb) {
    let users = filled(&db).await;
    let parts: Vec<Vec<user::Model>> = users.query().order_desc(Username).chunks(3).try_collect().await.unwrap();
    let parts: Vec<_> = parts.into_iter().map(names).collect();
    assert_eq!(parts, [vec!["dan", "cyd", "bob"], vec!["ada"]]);
    let parts = users.query().order_asc(Username).offset(1).limit(2).chunks(1);
    let parts: Vec<Vec<user::Model>> = parts.try_collect().await.unwrap();
    assert_eq!(parts.into_iter().map(names).collect::<Vec<_>>(), [["bob"], ["cyd"]]);
    assert_eq!(users.query().limit(0).chunks(1).count().await, 0);
    assert_eq!(users.query().in_(Id, Vec::<i64>::new()).chunks(1).count().await, 0);
}

/// In one transaction, on its only connection.
async fn parts_while_they_change(db: TestDb) {
    let users = filled(&db).await;
    let tx = db.begin().await.unwrap();
    let inside: Users = users.within(&tx);
    let parts = inside.query().chunks(1);
    pin_mut!(parts);
    let mut seen = Vec::new();
    while let Some(part) = parts.try_next().await.unwrap() {
        for user in part {
            inside.delete(&user).await.unwrap();
            seen.push(user.username);
        }
    }
    assert_eq!(seen, ["ada", "bob", "cyd", "dan"]);
    assert_eq!(names(inside.query().all().await.unwrap()), NOBODY);
    tx.rollback().await.unwrap();
}
