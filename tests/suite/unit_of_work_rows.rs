//! Edits, deletes, handles and the rows that a session knows.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use entities::{country, customer_order, tag, user};
use sea_dao::{BaseDao, Conventions, Error, FlushMode, Session, session::Pending};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, prelude::Uuid,
};

use crate::support::{TestDb, count_users, insert_user, new_user, nonce, usernames};

for_each_backend!(
    an_edit_writes_what_differs_and_nothing_else,
    an_edit_of_a_row_that_is_gone_writes_nothing,
    an_edit_refuses_what_cannot_be_written,
    edits_to_the_same_values_go_out_together,
    conventions_hold_in_the_unit_of_work,
    a_dao_brings_its_own_conventions,
    a_dao_without_a_session_refuses_pending_writes,
    deletes_are_soft_where_the_entity_has_the_column,
    a_delete_of_a_row_that_is_gone_writes_nothing,
    an_expunged_row_is_not_written_nor_those_after_it,
    a_handle_says_what_became_of_its_row,
    a_row_after_one_that_will_not_be_there_is_refused,
    a_failed_flush_can_be_corrected,
    a_child_is_made_anew_when_a_flush_is_tried_again,
    get_knows_what_was_read_and_written,
    get_forgets_what_was_rolled_back_or_written_past_it,
    get_reads_anew_in_a_transaction,
);

fn norway() -> country::ActiveModel {
    country::ActiveModel { code: Set("NO".to_owned()), name: Set("Norway".to_owned()) }
}

async fn written<E: EntityTrait>(session: &Session, handle: &Pending<E>) -> E::Model {
    session.flush().await.unwrap();
    handle.get().unwrap().clone()
}

async fn stored(db: &TestDb, id: i64) -> user::Model {
    user::Entity::find_by_id(id).one(db.outside()).await.unwrap().unwrap()
}

/// The statements on a table that were sent.
fn updates(db: &TestDb) -> Vec<String> {
    db.recorder().take().into_iter().map(|seen| seen.sql).filter(|sql| sql.starts_with("UPDATE")).collect()
}

async fn an_edit_writes_what_differs_and_nothing_else(db: TestDb) {
    let session = db.session();
    let ada = session.add(norway());
    let ada = session.edit(written(&session, &ada).await);
    let bob = insert_user(db.outside(), "bob").await.unwrap();
    let bob = session.edit(bob);
    db.recorder().forget();
    bob.set(user::Column::Balance, bob.get().unwrap().balance).unwrap();
    ada.set(country::Column::Name, "Noreg").unwrap().set(country::Column::Name, "Norway").unwrap();
    assert_eq!((session.pending(), session.flush().await.unwrap(), db.recorder().begun()), (0, 0, 0));

    bob.set(user::Column::Balance, 5_i64).unwrap();
    assert_eq!((session.pending(), bob.get().unwrap().balance), (1, 5));
    assert_eq!(count_users(&session).await, 1, "an edit goes out before a read");
    let sent = updates(&db);
    assert_eq!(sent.len(), 1);
    let set = sent[0].split("WHERE").next().unwrap();
    assert!(set.contains("balance") && set.contains("updated_at") && !set.contains("username"), "{set}");
    assert_eq!(bob.get().unwrap(), stored(&db, bob.get().unwrap().id).await);

    // It is still tracked.
    bob.change(|bob| bob.status = Set(3)).unwrap().set(user::Column::Balance, 6_i64).unwrap();
    bob.discard();
    assert_eq!(session.pending(), 0);
    bob.set(user::Column::Status, 4_i16).unwrap();
    assert_eq!(session.flush().await.unwrap(), 1);
    let row = stored(&db, bob.get().unwrap().id).await;
    assert_eq!((row.status, row.balance), (4, 5));
    assert_eq!(bob.get().unwrap(), row);
}

async fn an_edit_of_a_row_that_is_gone_writes_nothing(db: TestDb) {
    let session = db.session();
    let (ada, bob) = (session.add(new_user("ada")), session.add(new_user("bob")));
    let ada = written(&session, &ada).await;
    let bob = bob.get().unwrap().clone();
    sea_orm::ModelTrait::delete(bob.clone(), db.outside()).await.unwrap();
    let (edited, gone) = (session.edit(ada.clone()), session.edit(bob.clone()));
    for row in [&edited, &gone] {
        row.set(user::Column::Balance, 9_i64).unwrap();
    }
    let failed = session.flush().await.unwrap_err();
    assert!(failed.is_not_found(), "{failed}");
    assert_eq!(failed.to_string(), format!("no user with id = {}", bob.id));
    assert_eq!(session.pending(), 2);
    assert_eq!(stored(&db, ada.id).await, ada, "the other one is not written either");
    gone.discard();
    assert_eq!(session.flush().await.unwrap(), 1);
    assert_eq!(edited.get().unwrap(), stored(&db, ada.id).await);
}

async fn an_edit_refuses_what_cannot_be_written(db: TestDb) {
    let session = db.session();
    let ada = session.edit(insert_user(db.outside(), "ada").await.unwrap());
    assert!(matches!(ada.set(user::Column::Balance, "much"), Err(Error::InvalidArgument { argument: "balance", .. })));
    assert!(matches!(ada.set(user::Column::Id, 99_i64), Err(Error::InvalidArgument { argument: "id", .. })));
    assert_eq!(session.pending(), 0);
    drop(session);
    assert!(matches!(ada.set(user::Column::Balance, 1_i64), Err(Error::SessionClosed)));
}

async fn edits_to_the_same_values_go_out_together(db: TestDb) {
    let session = db.session();
    let tags = session
        .add_all((0..20_u128).map(|id| tag::ActiveModel { id: Set(Uuid::from_u128(id)), name: Set(id.to_string()) }));
    session.flush().await.unwrap();
    let users = session.add_all(["a", "b", "c"].map(new_user));
    session.flush().await.unwrap();
    let edited: Vec<_> = users.iter().map(|user| session.edit(user.get().unwrap().clone())).collect();
    for row in &edited {
        row.change(|row| {
            (row.status, row.updated_at) = (Set(9), Set(sea_orm::prelude::ChronoUtc::now().fixed_offset()))
        })
        .unwrap();
    }
    let moment = edited[0].get().unwrap().updated_at;
    for row in &edited {
        row.set(user::Column::UpdatedAt, moment).unwrap();
    }
    db.recorder().forget();
    assert_eq!(session.flush().await.unwrap(), 3);
    assert_eq!(updates(&db).len(), 1);
    for row in &edited {
        let row = row.get().unwrap();
        assert_eq!(row, stored(&db, row.id).await);
        assert_eq!(row.status, 9);
    }
    // Different values are different statements, each with its own row.
    for (number, tag) in tags.iter().enumerate() {
        session.edit(tag.get().unwrap().clone()).set(tag::Column::Name, format!("no. {number}")).unwrap();
    }
    assert_eq!(session.flush().await.unwrap(), 20);
    let last = tag::Entity::find_by_id(Uuid::from_u128(19)).one(db.outside()).await.unwrap().unwrap();
    assert_eq!(last.name, "no. 19");
}

async fn conventions_hold_in_the_unit_of_work(db: TestDb) {
    let session = db.session();
    let ada = session.add(new_user("ada"));
    let ada = written(&session, &ada).await;
    assert_eq!(ada, stored(&db, ada.id).await);
    let now = sea_orm::prelude::ChronoUtc::now();
    assert!((now - ada.created_at.to_utc()).num_seconds() < 60, "set here, in UTC");
    assert_eq!(ada.created_at, ada.updated_at);
    let edited = session.edit(ada.clone());
    edited.set(user::Column::Balance, 1_i64).unwrap();
    session.flush().await.unwrap();
    let after = edited.get().unwrap();
    assert_eq!(after.created_at, ada.created_at);
    assert!(after.updated_at > ada.updated_at);
}

async fn a_dao_brings_its_own_conventions(db: TestDb) {
    let session = db.session();
    let plain =
        BaseDao::<user::Entity>::with_conventions(sea_dao::SessionProvider::session(&session), Conventions::NONE);
    let moment = sea_orm::prelude::ChronoDateTimeUtc::from_timestamp_millis(1_000_000_000_000).unwrap().fixed_offset();
    let ada = plain.add(user::ActiveModel { updated_at: Set(moment), ..new_user("ada") }).unwrap();
    let ada = written(&session, &ada).await;
    let edited = plain.edit(ada.clone()).unwrap();
    edited.set(user::Column::Balance, 2_i64).unwrap();
    session.flush().await.unwrap();
    assert_eq!(edited.get().unwrap().updated_at, ada.updated_at, "no convention, no change");
    plain.remove(&ada).unwrap();
    session.flush().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0, "without `deleted_at` a row is removed");
}

async fn a_dao_without_a_session_refuses_pending_writes(db: TestDb) {
    let dao = BaseDao::<user::Entity>::new((*db).clone());
    let refused = dao.add(new_user("lost")).unwrap_err();
    assert!(matches!(refused, Error::NoUnitOfWork { operation: "add", entity: "user" }), "{refused:?}");
    let session = db.session();
    let within = dao.within(&session);
    let order = within.add(new_user("kept")).unwrap();
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone()).within(&session);
    orders
        .add_after(&order, |user| customer_order::ActiveModel {
            user_id: Set(user.id),
            number: Set("1".to_owned()),
            ..Default::default()
        })
        .unwrap();
    assert_eq!(within.count().await.unwrap(), 1);
    assert_eq!(customer_order::Entity::find().count(db.outside()).await.unwrap(), 1);
}

async fn deletes_are_soft_where_the_entity_has_the_column(db: TestDb) {
    let session = db.session();
    let (ada, bob) = (session.add(new_user("ada")), session.add(new_user("bob")));
    let ada = written(&session, &ada).await;
    session.delete(&ada);
    session.hard_delete(bob.get().unwrap());
    assert_eq!(session.pending(), 2);
    assert_eq!(session.flush().await.unwrap(), 2);
    let row = stored(&db, ada.id).await;
    assert!(row.deleted_at.is_some() && row.updated_at > ada.updated_at);
    assert_eq!(count_users(db.outside()).await, 1);
    assert_eq!(session.get::<user::Entity>(ada.id).await.unwrap(), None);
    // What is marked can still be removed.
    session.hard_delete(&ada);
    session.flush().await.unwrap();
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_delete_of_a_row_that_is_gone_writes_nothing(db: TestDb) {
    let session = db.session();
    let (ada, bob) = (session.add(new_user("ada")), session.add(new_user("bob")));
    let ada = written(&session, &ada).await;
    let bob = bob.get().unwrap().clone();
    sea_orm::ModelTrait::delete(bob.clone(), db.outside()).await.unwrap();
    session.hard_delete(&ada);
    session.hard_delete(&bob);
    let failed = session.flush().await.unwrap_err();
    assert!(failed.is_not_found(), "{failed}");
    assert_eq!((session.pending(), count_users(db.outside()).await), (2, 1));
}

async fn an_expunged_row_is_not_written_nor_those_after_it(db: TestDb) {
    let session = db.session();
    let ada = session.add(new_user("ada"));
    let order =
        session.add_after(&ada, |ada| customer_order::ActiveModel { user_id: Set(ada.id), ..Default::default() });
    let bob = session.add(new_user("bob"));
    assert_eq!((session.expunge(&ada), session.pending()), (2, 1));
    assert_eq!(session.expunge(&ada), 0);
    session.flush().await.unwrap();
    for error in [ada.get().unwrap_err(), order.get().unwrap_err()] {
        assert!(matches!(error, Error::WriteUndone { .. }), "{error:?}");
    }
    assert_eq!(usernames(db.outside()).await, ["bob"]);
    // One that is written takes nothing with it.
    session.add_after(&bob, |bob| customer_order::ActiveModel {
        user_id: Set(bob.id),
        number: Set("1".to_owned()),
        ..Default::default()
    });
    assert_eq!((session.expunge(&bob), session.pending()), (0, 1));
}

async fn a_handle_says_what_became_of_its_row(db: TestDb) {
    let tx = db.begin().await.unwrap();
    let outer = tx.add(new_user("outer"));
    tx.flush().await.unwrap();
    let inner = tx.begin().await.unwrap();
    let undone = inner.add(new_user("undone"));
    inner.flush().await.unwrap();
    assert!(undone.get().is_ok());
    inner.rollback().await.unwrap();
    let inner = tx.begin().await.unwrap();
    let kept = inner.add(new_user("kept"));
    let unflushed = inner.add(new_user("unflushed"));
    inner.expunge(&unflushed);
    inner.commit().await.unwrap();
    let edited = tx.edit(outer.get().unwrap().clone());
    edited.set(user::Column::Balance, 7_i64).unwrap();
    tx.flush().await.unwrap();
    assert!(matches!(undone.get(), Err(Error::WriteUndone { reason: "its transaction was rolled back", .. })));
    assert!(kept.get().is_ok() && outer.get().is_ok());
    drop(tx);
    for error in [outer.get().unwrap_err(), kept.get().unwrap_err(), edited.get().unwrap_err()] {
        assert!(matches!(error, Error::WriteUndone { reason: "its transaction was rolled back", .. }), "{error:?}");
    }
    let session = db.session();
    let never = session.add(new_user("never"));
    drop(session);
    assert!(matches!(
        never.get(),
        Err(Error::WriteUndone { reason: "its session or transaction ended without a flush", .. })
    ));
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_row_after_one_that_will_not_be_there_is_refused(db: TestDb) {
    let other = db.session();
    let foreign = other.add(new_user("foreign"));
    let session = db.session();
    let order = |user: &user::Model| customer_order::ActiveModel {
        user_id: Set(user.id),
        number: Set("1".to_owned()),
        ..Default::default()
    };
    session.add_after(&foreign, order);
    let refused = session.flush().await.unwrap_err();
    assert!(matches!(refused.root(), Error::NotFlushed { entity: "user" }), "{refused:?}");
    other.expunge(&foreign);
    let refused = session.flush().await.unwrap_err();
    assert!(matches!(refused.root(), Error::WriteUndone { entity: "user", .. }), "{refused:?}");
    assert_eq!(session.pending(), 1);
}

async fn a_failed_flush_can_be_corrected(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    for in_transaction in [false, true] {
        let session = if in_transaction { db.begin().await.unwrap() } else { db.session() };
        session.set_flush_mode(FlushMode::Manual);
        let first = session.add(user::ActiveModel { status: Set(5), ..new_user(&format!("first {in_transaction}")) });
        let second = session.add(new_user("taken"));
        let order = session.add_after(&first, move |first| customer_order::ActiveModel {
            user_id: Set(first.id),
            number: Set(in_transaction.to_string()),
            ..Default::default()
        });
        assert!(session.flush().await.unwrap_err().is_unique_violation());
        assert!(first.get().is_err() && order.get().is_err());
        session.expunge(&second);
        assert_eq!(session.flush().await.unwrap(), 2);
        assert_eq!(order.get().unwrap().user_id, first.get().unwrap().id);
        assert_eq!(
            first.get().unwrap(),
            &user::Entity::find_by_id(first.get().unwrap().id).one(&session).await.unwrap().unwrap()
        );
        if in_transaction {
            session.commit().await.unwrap();
        }
    }
    assert_eq!(count_users(db.outside()).await, 3);
}

async fn a_child_is_made_anew_when_a_flush_is_tried_again(db: TestDb) {
    insert_user(db.outside(), "taken").await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let session = db.session();
    let ada = session.add(new_user("ada"));
    let counted = calls.clone();
    let child = session.add_after(&ada, move |ada| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        let name = if call == 0 { "taken".to_owned() } else { format!("child of {}", ada.username) };
        new_user(&name)
    });
    assert!(session.flush().await.unwrap_err().is_unique_violation());
    assert_eq!(session.flush().await.unwrap(), 2);
    assert_eq!((calls.load(Ordering::SeqCst), child.get().unwrap().username.as_str()), (2, "child of ada"));
}

async fn get_knows_what_was_read_and_written(db: TestDb) {
    let bob = insert_user(db.outside(), "bob").await.unwrap();
    let session = db.session();
    let ada = session.add(new_user("ada"));
    let ada = written(&session, &ada).await;
    assert_eq!(session.get::<user::Entity>(bob.id).await.unwrap().as_ref(), Some(&bob));
    db.recorder().forget();
    assert_eq!(session.get::<user::Entity>(ada.id).await.unwrap().as_ref(), Some(&ada));
    assert_eq!(session.get::<user::Entity>(bob.id).await.unwrap().as_ref(), Some(&bob));
    assert_eq!(db.recorder().begun(), 0);
    // A read changes nothing of that; an edit is known at once.
    assert_eq!(count_users(&session).await, 2);
    let edited = session.edit(ada.clone());
    edited.set(user::Column::Balance, 3_i64).unwrap();
    assert_eq!(session.get::<user::Entity>(ada.id).await.unwrap().unwrap().balance, 3, "flushed before");
    db.recorder().forget();
    assert_eq!(session.get::<user::Entity>(ada.id).await.unwrap(), Some(edited.get().unwrap()));
    assert_eq!(session.get::<user::Entity>(bob.id).await.unwrap(), Some(bob));
    assert_eq!(db.recorder().begun(), 0);
    assert_eq!(session.get::<user::Entity>(0).await.unwrap(), None);
}

async fn get_forgets_what_was_rolled_back_or_written_past_it(db: TestDb) {
    let bob = insert_user(db.outside(), "bob").await.unwrap();
    let session = db.session();
    let asks = async |session: &Session| {
        let before = db.recorder().begun();
        let found = session.get::<user::Entity>(bob.id).await.unwrap().unwrap();
        (db.recorder().begun() - before, found.balance)
    };
    assert_eq!(asks(&session).await, (1, 0));
    user::ActiveModel { balance: Set(1), ..bob.clone().into_active_model() }.update(&session).await.unwrap();
    assert_eq!(asks(&session).await, (1, 1));
    session.execute_unprepared("UPDATE country SET name = name").await.unwrap();
    assert_eq!(asks(&session).await, (1, 1));
    nonce(&session, 1).await.unwrap();
    assert_eq!(asks(&session).await, (0, 1), "a read forgets nothing");

    let tx = session.begin().await.unwrap();
    assert_eq!(asks(&tx).await, (1, 1));
    let nested = tx.begin().await.unwrap();
    let edited = nested.edit(nested.get::<user::Entity>(bob.id).await.unwrap().unwrap());
    edited.set(user::Column::Balance, 5_i64).unwrap();
    nested.flush().await.unwrap();
    assert_eq!(asks(&nested).await, (0, 5));
    nested.rollback().await.unwrap();
    assert_eq!(asks(&tx).await, (1, 1), "a savepoint was rolled back");
    tx.rollback().await.unwrap();
    assert_eq!(asks(&session).await, (1, 1));
}

async fn get_reads_anew_in_a_transaction(db: TestDb) {
    let bob = insert_user(db.outside(), "bob").await.unwrap();
    let session = db.session();
    assert!(session.get::<user::Entity>(bob.id).await.unwrap().is_some());
    user::ActiveModel { balance: Set(8), ..bob.clone().into_active_model() }.update(db.outside()).await.unwrap();
    assert_eq!(session.get::<user::Entity>(bob.id).await.unwrap().unwrap().balance, 0, "what the session knows");
    let tx = session.begin().await.unwrap();
    assert_eq!(tx.get::<user::Entity>(bob.id).await.unwrap().unwrap().balance, 8);
}
