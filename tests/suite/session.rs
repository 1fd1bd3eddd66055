//! Sessions: their connection, SeaORM's calls on them, and one statement at a time.

use entities::{customer_order, user};
use futures_util::TryStreamExt;
use sea_dao::{Error, SessionProvider, hooks::StatementKind};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, LoaderTrait, PaginatorTrait,
    QueryFilter, QueryOrder, StreamTrait,
};

use crate::support::{TestDb, count_users, eventually, insert_user, new_user, nonce};

for_each_backend!(
    the_connection_is_taken_at_the_first_statement_and_given_back_at_the_end,
    a_session_keeps_its_connection_between_statements,
    a_session_can_give_its_connection_back_after_each_statement,
    seaorm_works_on_a_session,
    seaorm_works_on_a_database,
    a_session_provides_itself,
    a_statement_while_a_stream_is_open_is_refused_at_once,
    two_tasks_on_one_session_never_mix_answers,
    a_stream_dropped_half_way_leaves_the_session_usable,
    a_stream_dropped_half_way_leaves_the_transaction_usable,
    a_stream_of_the_database_gives_its_connection_back,
    a_failed_statement_leaves_the_session_usable,
    a_handle_outlives_its_session_without_harm,
);

async fn the_connection_is_taken_at_the_first_statement_and_given_back_at_the_end(db: TestDb) {
    let session = db.session();
    assert_eq!(db.status().checked_out, 0);
    nonce(&session, 1).await.unwrap();
    assert_eq!(db.status().checked_out, 1);
    drop(session);
    assert_eq!((db.status().checked_out, db.status().idle), (0, 1));
}

async fn a_session_keeps_its_connection_between_statements(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).max_overflow(0)).await;
    let session = pool.session();
    for number in 0..3 {
        assert_eq!(nonce(&session, number).await.unwrap(), number);
        assert_eq!(pool.status().checked_out, 1);
    }
}

async fn a_session_can_give_its_connection_back_after_each_statement(db: TestDb) {
    let session = db.session();
    session.release_after_statement(true);
    nonce(&session, 1).await.unwrap();
    assert_eq!(db.status().checked_out, 0);

    let tx = session.begin().await.unwrap();
    insert_user(&tx, "kept").await.unwrap();
    assert_eq!(db.status().checked_out, 1, "a transaction keeps its connection");
    tx.commit().await.unwrap();
    nonce(&session, 2).await.unwrap();
    assert_eq!(db.status().checked_out, 0);

    session.release_after_statement(false);
    nonce(&session, 3).await.unwrap();
    assert_eq!(db.status().checked_out, 1);
    session.release_after_statement(true);
    assert_eq!(db.status().checked_out, 0, "what it holds already goes back too");
    assert_eq!(count_users(db.outside()).await, 1);
}

async fn seaorm_works_on_a_session(db: TestDb) {
    use_seaorm(&db.session()).await;
    assert_eq!(count_users(db.outside()).await, 5);
}

async fn seaorm_works_on_a_database(db: TestDb) {
    use_seaorm(&*db).await;
    assert_eq!(count_users(db.outside()).await, 5);
}

/// Calls of SeaORM of every shape: insert, find, count, update, delete, pages, streams, relations, loaders.
async fn use_seaorm(connection: &(impl ConnectionTrait + StreamTrait)) {
    let mut users = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        users.push(insert_user(connection, name).await.unwrap());
    }
    let order = |user: &user::Model, number: &str| customer_order::ActiveModel {
        user_id: Set(user.id),
        number: Set(number.to_owned()),
        ..Default::default()
    };
    customer_order::Entity::insert_many([order(&users[0], "1"), order(&users[0], "2"), order(&users[1], "3")])
        .exec(connection)
        .await
        .unwrap();

    let found = user::Entity::find_by_id(users[2].id).one(connection).await.unwrap();
    assert_eq!(found.as_ref(), Some(&users[2]));
    let mut changed: user::ActiveModel = users[2].clone().into();
    changed.balance = Set(7);
    assert_eq!(changed.update(connection).await.unwrap().balance, 7);
    let deleted = user::Entity::delete_by_id(users[5].id).exec(connection).await.unwrap();
    assert_eq!(deleted.rows_affected, 1);

    let pages = user::Entity::find().order_by_asc(user::Column::Id).paginate(connection, 2);
    assert_eq!(pages.num_items().await.unwrap(), 5);
    let page = pages.fetch_page(1).await.unwrap();
    assert_eq!(page.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["c", "d"]);

    let streamed: Vec<user::Model> = user::Entity::find()
        .filter(user::Column::Balance.eq(0))
        .order_by_asc(user::Column::Id)
        .stream(connection)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(streamed.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["a", "b", "d", "e"]);

    let with_orders = user::Entity::find()
        .find_with_related(customer_order::Entity)
        .order_by_asc(user::Column::Id)
        .all(connection)
        .await
        .unwrap();
    assert_eq!(with_orders.iter().map(|(_, orders)| orders.len()).collect::<Vec<_>>(), [2, 1, 0, 0, 0]);
    let loaded = users[..2].to_vec().load_many(customer_order::Entity, connection).await.unwrap();
    assert_eq!(loaded.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

async fn a_session_provides_itself(db: TestDb) {
    let session = db.session();
    nonce(&session, 1).await.unwrap();
    let provided = SessionProvider::session(&session);
    assert_eq!(provided.id(), session.id());
    nonce(&provided, 2).await.unwrap();
    assert_eq!(db.status().checked_out, 1, "no second connection");
    drop(provided);
    assert_eq!(db.status().checked_out, 1, "the session has not ended");

    let tx = session.begin().await.unwrap();
    insert_user(&tx.session(), "in the transaction").await.unwrap();
    assert_eq!(db.status().checked_out, 1);
    tx.rollback().await.unwrap();
    assert_eq!(count_users(&session).await, 0);
}

async fn a_statement_while_a_stream_is_open_is_refused_at_once(db: TestDb) {
    for name in ["a", "b", "c"] {
        insert_user(&*db, name).await.unwrap();
    }
    let session = db.session();
    let mut stream = user::Entity::find().stream(&session).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());

    let refused = nonce(&session, 1).await;
    assert!(matches!(refused, Err(Error::SessionBusy { activity: "a stream" })), "{refused:?}");
    let refused = user::Entity::find().one(&session).await.map_err(Error::from);
    assert!(matches!(refused, Err(Error::SessionBusy { .. })), "{refused:?}");
    let refused = session.begin().await;
    assert!(matches!(refused, Err(Error::SessionBusy { .. })), "{refused:?}");

    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().len(), 2);
    assert_eq!(nonce(&session, 2).await.unwrap(), 2);
}

async fn two_tasks_on_one_session_never_mix_answers(db: TestDb) {
    let session = std::sync::Arc::new(db.session());
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let session = session.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                for round in 0..100 {
                    let number = task * 1000 + round;
                    match nonce(&*session, number).await {
                        Ok(answer) => {
                            assert_eq!(answer, number);
                            answered += 1;
                        }
                        Err(Error::SessionBusy { .. }) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                }
                answered
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += task.await.unwrap();
    }
    assert!(answered > 0);
    assert!(db.status().size <= 1, "one session, one connection");
}

/// So many rows that they do not fit in the buffers between the two sides.
async fn fill(db: &TestDb) {
    let long = "x".repeat(200);
    for chunk in 0..10 {
        let users = (0..200).map(|row| {
            let mut user = new_user(&format!("{chunk}-{row}"));
            user.email = Set(Some(long.clone()));
            user
        });
        user::Entity::insert_many(users).exec(db.outside()).await.unwrap();
    }
}

async fn a_stream_dropped_half_way_leaves_the_session_usable(db: TestDb) {
    fill(&db).await;
    let session = db.session();
    for number in 0..5 {
        let mut stream = user::Entity::find().stream(&session).await.unwrap();
        for _ in 0..=number {
            assert!(stream.try_next().await.unwrap().is_some());
        }
        drop(stream);
        assert_eq!(nonce(&session, number).await.unwrap(), number);
    }
}

async fn a_stream_dropped_half_way_leaves_the_transaction_usable(db: TestDb) {
    fill(&db).await;
    let tx = db.begin().await.unwrap();
    insert_user(&tx, "before").await.unwrap();
    let mut stream = user::Entity::find().stream(&tx).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    insert_user(&tx, "after").await.unwrap();

    // Also when commit is what comes next.
    let mut stream = user::Entity::find().stream(&tx).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    tx.commit().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 2002);
}

async fn a_stream_of_the_database_gives_its_connection_back(db: TestDb) {
    fill(&db).await;
    let mut stream = user::Entity::find().stream(&*db).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    assert_eq!(db.status().checked_out, 1);
    drop(stream);
    eventually("the rest is read and the connection comes back", async || db.status().checked_out == 0).await;
    assert_eq!(nonce(&*db, 5).await.unwrap(), 5);

    let streamed: Vec<user::Model> = user::Entity::find().stream(&*db).await.unwrap().try_collect().await.unwrap();
    assert_eq!(streamed.len(), 2000);
    assert_eq!(db.status().checked_out, 0, "a stream that was read to its end gives back at once");
}

async fn a_failed_statement_leaves_the_session_usable(db: TestDb) {
    let session = db.session();
    assert!(session.execute_unprepared("SELECT nothing FROM nowhere").await.is_err());
    assert_eq!(nonce(&session, 1).await.unwrap(), 1);
    assert!(session.query_all_raw(sea_orm::Statement::from_string(db.backend(), "SELECT x FROM y")).await.is_err());
    assert_eq!(nonce(&session, 2).await.unwrap(), 2);
    db.recorder().forget();
    drop(session);
    assert_eq!(nonce(&*db, 3).await.unwrap(), 3);
    assert_eq!(db.recorder().take_kinds(), [StatementKind::Query]);
}

async fn a_handle_outlives_its_session_without_harm(db: TestDb) {
    let session = db.session();
    let shared = session.session();
    nonce(&shared, 1).await.unwrap();
    drop(session);
    assert_eq!(db.status().checked_out, 0);
    let refused = nonce(&shared, 2).await;
    assert!(matches!(refused, Err(Error::SessionClosed)), "{refused:?}");

    let tx = db.begin().await.unwrap();
    let shared = tx.session();
    tx.commit().await.unwrap();
    let refused = nonce(&shared, 3).await;
    assert!(matches!(refused, Err(Error::TransactionEnded)), "{refused:?}");
}
