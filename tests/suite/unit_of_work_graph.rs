//! The order and the number of the statements of a flush.

use entities::{country, customer_order, order_item, tag, user, user_tag};
use sea_dao::{Error, FlushMode, Session, hooks::StatementKind, session::Pending};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, prelude::Uuid};

use crate::support::{
    TestDb, create_staff, employee as employee_with, new_user,
    staff::{employee, player, team},
};

for_each_backend!(
    parents_are_written_before_children_whatever_the_order_of_the_calls,
    a_graph_goes_out_in_one_statement_for_each_entity,
    one_statement_needs_no_transaction,
    keys_come_back_to_the_right_handle,
    columns_that_a_row_leaves_out_take_their_default,
    a_row_comes_after_several_others,
    employees_come_after_their_managers,
    employees_go_before_their_managers,
    a_circle_of_tables_is_written_row_by_row,
    a_circle_of_rows_is_refused_and_stays_pending,
    a_circle_that_an_edit_breaks_can_be_deleted,
    deletes_come_last_and_in_reverse,
    an_edit_may_point_to_an_added_row,
    a_value_freed_by_an_edit_may_be_taken_by_an_added_row,
    more_rows_than_a_statement_takes_are_split,
);

fn order(user: i64, number: &str) -> customer_order::ActiveModel {
    customer_order::ActiveModel { user_id: Set(user), number: Set(number.to_owned()), ..Default::default() }
}

fn item(order: i64, sku: &str) -> order_item::ActiveModel {
    order_item::ActiveModel {
        order_id: Set(order),
        sku: Set(sku.to_owned()),
        quantity: Set(1),
        unit_price: Set(100),
        ..Default::default()
    }
}

fn new_tag(number: u128) -> tag::ActiveModel {
    tag::ActiveModel { id: Set(Uuid::from_u128(number)), name: Set(number.to_string()) }
}

/// What was sent: the first word of each statement and the table that it writes.
fn sent(db: &TestDb) -> Vec<String> {
    let statements = db.recorder().take();
    let words = statements.iter().map(|seen| {
        let table =
            ["user_tag", "customer_order", "order_item", "employee", "player", "team", "tag", "user", "country"]
                .into_iter()
                .find(|table| seen.sql.contains(&format!("\"{table}\"")) || seen.sql.contains(&format!("`{table}`")));
        let word = seen.sql.split_whitespace().next().unwrap_or_default();
        table.map_or_else(|| word.to_owned(), |table| format!("{word} {table}"))
    });
    words.collect()
}

async fn parents_are_written_before_children_whatever_the_order_of_the_calls(db: TestDb) {
    let tx = db.begin().await.unwrap();
    tx.set_flush_mode(FlushMode::Manual);
    tx.add(order_item::ActiveModel { id: Set(7), ..item(5, "a") });
    tx.add(customer_order::ActiveModel { id: Set(5), ..order(3, "first") });
    tx.add(user::ActiveModel { id: Set(3), ..new_user("ada") });
    db.recorder().forget();
    assert_eq!(tx.flush().await.unwrap(), 3);
    let inserts: Vec<String> = sent(&db).into_iter().filter(|sent| sent.starts_with("INSERT")).collect();
    assert_eq!(inserts, ["INSERT user", "INSERT customer_order", "INSERT order_item"]);
    tx.commit().await.unwrap();
    assert_eq!(order_item::Entity::find().one(db.outside()).await.unwrap().unwrap().order_id, 5);
}

/// 100 orders with 5 items each and 20 tags.
fn add_graph(session: &Session, user: i64) -> (Vec<Pending<customer_order::Entity>>, Vec<Pending<order_item::Entity>>) {
    session.add_all((0..20).map(new_tag));
    let orders = session.add_all((0..100).map(|number| order(user, &number.to_string())));
    let items = orders.iter().flat_map(|order| {
        (0..5).map(move |number| {
            session.add_after(order, move |order| item(order.id, &format!("{}/{number}", order.number)))
        })
    });
    let items = items.collect();
    (orders, items)
}

async fn a_graph_goes_out_in_one_statement_for_each_entity(db: TestDb) {
    let session = db.session();
    let ada = sea_orm::ActiveModelTrait::insert(new_user("ada"), &session).await.unwrap();
    let (orders, items) = add_graph(&session, ada.id);
    assert_eq!(session.pending(), 620);
    db.recorder().forget();
    assert_eq!(session.flush().await.unwrap(), 620);
    let statements = sent(&db);
    if db.capabilities().insert_returning {
        assert_eq!(statements[1..], ["INSERT tag", "INSERT customer_order", "INSERT order_item", "COMMIT"]);
    }
    assert!(statements[0].starts_with("BEGIN") || statements[0].starts_with("START"), "{statements:?}");
    for (number, item) in items.iter().enumerate() {
        let item = item.get().unwrap();
        let order = orders[number / 5].get().unwrap();
        assert_eq!((item.order_id, &item.sku), (order.id, &format!("{}/{}", order.number, number % 5)));
        let row = order_item::Entity::find_by_id(item.id).one(db.outside()).await.unwrap();
        assert_eq!(row.as_ref(), Some(item), "the handle's row is the database's");
    }
}

async fn one_statement_needs_no_transaction(db: TestDb) {
    let session = db.session();
    let rows = session.add_all((0..3).map(new_tag));
    session.flush().await.unwrap();
    if db.capabilities().insert_returning {
        assert_eq!(sent(&db), ["INSERT tag"]);
    }
    db.recorder().forget();
    session.delete(rows[0].get().unwrap());
    session.flush().await.unwrap();
    assert_eq!(sent(&db), ["DELETE tag"]);
    if db.capabilities().returning {
        let edited = session.edit(rows[1].get().unwrap().clone());
        edited.set(tag::Column::Name, "other").unwrap();
        session.flush().await.unwrap();
        assert_eq!(sent(&db), ["UPDATE tag"]);
    }
    session.flush().await.unwrap();
    assert_eq!(sent(&db), [""; 0], "nothing is pending");
}

async fn keys_come_back_to_the_right_handle(db: TestDb) {
    let session = db.session();
    let handles: Vec<_> = (0..50).map(|number| (number, session.add(new_user(&number.to_string())))).collect();
    session.flush().await.unwrap();
    for (number, handle) in handles {
        let written = handle.get().unwrap();
        assert_eq!(written.username, number.to_string());
        assert_eq!(user::Entity::find_by_id(written.id).one(db.outside()).await.unwrap().as_ref(), Some(written));
    }
}

async fn columns_that_a_row_leaves_out_take_their_default(db: TestDb) {
    let session = db.session();
    session.add(user::ActiveModel { status: Set(7), ..new_user("a") });
    session.add(new_user("b"));
    session.add(user::ActiveModel { status: Set(8), ..new_user("c") });
    session.flush().await.unwrap();
    let users = user::Entity::find().order_by_asc(user::Column::Username).all(db.outside()).await.unwrap();
    let default = users[1].status;
    assert_eq!(users.iter().map(|user| user.status).collect::<Vec<_>>(), [7, default, 8]);
    assert_ne!(default, 7);
}

async fn a_row_comes_after_several_others(db: TestDb) {
    let session = db.session();
    let ada = session.add(new_user("ada"));
    let red = session.add(new_tag(1));
    let both = session.add_after((&ada, &red), |(user, tag)| user_tag::ActiveModel {
        user_id: Set(user.id),
        tag_id: Set(tag.id),
        ..Default::default()
    });
    assert_eq!(session.flush().await.unwrap(), 3);
    let written = both.get().unwrap();
    assert_eq!((written.user_id, written.tag_id), (ada.get().unwrap().id, red.get().unwrap().id));
    // Written rows are parents too.
    session.add_after(&ada, |user| order(user.id, "1"));
    assert_eq!(session.flush().await.unwrap(), 1);
}

async fn employees_come_after_their_managers(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    for (id, manager) in [(104, Some(103)), (102, Some(101)), (103, Some(102)), (101, None), (105, Some(105))] {
        session.add(employee_with(id, manager));
    }
    let boss = session.add(employee::ActiveModel { name: Set("boss".to_owned()), ..Default::default() });
    let worker = session.add_after(&boss, |boss| employee::ActiveModel {
        name: Set("worker".to_owned()),
        manager_id: Set(Some(boss.id)),
        ..Default::default()
    });
    assert_eq!(session.flush().await.unwrap(), 7);
    assert_eq!(worker.get().unwrap().manager_id, Some(boss.get().unwrap().id));
    assert_eq!(employee::Entity::find().count(db.outside()).await.unwrap(), 7);
}

async fn employees_go_before_their_managers(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    let rows = session
        .add_all([(1, None), (2, Some(1)), (3, Some(2)), (4, Some(1))].map(|(id, manager)| employee_with(id, manager)));
    session.flush().await.unwrap();
    for row in &rows {
        session.delete(row.get().unwrap());
    }
    session.delete(rows[0].get().unwrap());
    assert_eq!(session.flush().await.unwrap(), 4, "asking twice is asking once");
    assert_eq!(employee::Entity::find().count(db.outside()).await.unwrap(), 0);
}

async fn a_circle_of_tables_is_written_row_by_row(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    // The team of the second player has the first one as its captain.
    session.add(player::ActiveModel { id: Set(2), team_id: Set(Some(9)) });
    session.add(team::ActiveModel { id: Set(9), captain_id: Set(Some(1)) });
    session.add(player::ActiveModel { id: Set(1), team_id: Set(None) });
    assert_eq!(session.flush().await.unwrap(), 3);
    let team = session.get::<team::Entity>(9).await.unwrap().unwrap();
    let players = player::Entity::find().all(&session).await.unwrap();
    // The first player joins, then all of it goes.
    let first = session.edit(players[0].clone());
    first.set(player::Column::TeamId, 9_i64).unwrap();
    session.flush().await.unwrap();
    let captain = session.edit(team);
    captain.set(team::Column::CaptainId, None::<i64>).unwrap();
    session.flush().await.unwrap();
    session.delete(&captain.get().unwrap());
    session.delete(&first.get().unwrap());
    session.delete(&players[1]);
    assert_eq!(session.flush().await.unwrap(), 3);
    assert_eq!(team::Entity::find().count(db.outside()).await.unwrap(), 0);
}

async fn a_circle_of_rows_is_refused_and_stays_pending(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    let team = session.add(team::ActiveModel { id: Set(1), captain_id: Set(Some(1)) });
    session.add(player::ActiveModel { id: Set(1), team_id: Set(Some(1)) });
    let refused = session.flush().await.unwrap_err();
    let Error::UnorderedWrites { operation: "insert", entities } = refused.root() else { panic!("{refused:?}") };
    assert_eq!(entities, "team, player");
    assert_eq!((session.pending(), team::Entity::find().count(db.outside()).await.unwrap()), (2, 0));
    assert_eq!(session.expunge(&team), 1);
    session.add(team::ActiveModel { id: Set(1), captain_id: Set(None) });
    assert_eq!(session.flush().await.unwrap(), 2);
}

async fn a_circle_that_an_edit_breaks_can_be_deleted(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    let boss = session.add(employee_with(1, None));
    let worker = session.add(employee_with(2, Some(1)));
    session.flush().await.unwrap();
    let boss = session.edit(boss.get().unwrap().clone());
    boss.set(employee::Column::ManagerId, 2_i64).unwrap();
    session.flush().await.unwrap();
    // As they are in the database, each refers to the other.
    session.delete(&boss.get().unwrap());
    session.delete(worker.get().unwrap());
    boss.set(employee::Column::ManagerId, None::<i64>).unwrap();
    assert_eq!(session.flush().await.unwrap(), 3);
    assert_eq!(employee::Entity::find().count(db.outside()).await.unwrap(), 0);
}

async fn deletes_come_last_and_in_reverse(db: TestDb) {
    let session = db.session();
    let ada = session.add(new_user("ada"));
    let first = session.add_after(&ada, |ada| order(ada.id, "1"));
    let line = session.add_after(&first, |order| item(order.id, "a"));
    session.flush().await.unwrap();
    db.recorder().forget();
    session.hard_delete(ada.get().unwrap());
    session.hard_delete(first.get().unwrap());
    session.delete(line.get().unwrap());
    session.add(country::ActiveModel { code: Set("NO".to_owned()), name: Set("Norway".to_owned()) });
    session.flush().await.unwrap();
    let statements = sent(&db);
    let end = ["INSERT country", "DELETE order_item", "DELETE customer_order", "DELETE user", "COMMIT"];
    assert_eq!(statements[1..], end);
}

async fn an_edit_may_point_to_an_added_row(db: TestDb) {
    create_staff(db.outside()).await;
    let session = db.session();
    let worker = session.add(employee_with(1, None));
    session.flush().await.unwrap();
    let worker = session.edit(worker.get().unwrap().clone());
    worker.set(employee::Column::ManagerId, 2_i64).unwrap();
    session.add(employee_with(2, None));
    assert_eq!(session.flush().await.unwrap(), 2);
    // What was re-pointed by an edit does not hold back the row that it pointed to.
    worker.set(employee::Column::ManagerId, None::<i64>).unwrap();
    let manager = session.get::<employee::Entity>(2).await.unwrap().unwrap();
    session.delete(&manager);
    worker.set(employee::Column::Name, "free").unwrap();
    session.flush().await.unwrap();
    assert_eq!(employee::Entity::find().count(db.outside()).await.unwrap(), 1);
}

async fn a_value_freed_by_an_edit_may_be_taken_by_an_added_row(db: TestDb) {
    let session = db.session();
    let ada = session.add(new_user("ada"));
    session.flush().await.unwrap();
    session.add(new_user("ada"));
    let ada = session.edit(ada.get().unwrap().clone());
    ada.change(|ada| (ada.username, ada.phone) = (Set("old".to_owned()), Set("old".to_owned()))).unwrap();
    assert_eq!(session.flush().await.unwrap(), 2);
    // One freed by a delete is not: deletes come last.
    let old = ada.get().unwrap();
    session.hard_delete(&old);
    session.add(user::ActiveModel { username: Set("old".to_owned()), ..new_user("new") });
    assert!(session.flush().await.unwrap_err().is_unique_violation());
    assert_eq!(session.pending(), 2);
}

async fn more_rows_than_a_statement_takes_are_split(db: TestDb) {
    let session = db.session();
    let tags = session.add_all((0..2_500).map(new_tag));
    assert_eq!(session.flush().await.unwrap(), 2_500);
    for (number, tag) in tags.iter().enumerate() {
        assert_eq!(tag.get().unwrap().name, number.to_string());
    }
    for tag in &tags {
        session.delete(tag.get().unwrap());
    }
    db.recorder().forget();
    session.flush().await.unwrap();
    let kinds = db.recorder().take_kinds();
    assert_eq!(kinds, [StatementKind::Begin, StatementKind::Execute, StatementKind::Commit]);
    let left = tag::Entity::find().filter(tag::Column::Name.is_not_null()).count(db.outside()).await.unwrap();
    assert_eq!(left, 0);
}
