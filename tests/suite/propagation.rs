//! What becomes of a transaction where there is one already, and the task's current one.

use entities::user;
use sea_dao::{
    BaseDao, Database, Error, Result, SessionProvider, execute_transaction,
    session::{Current, Propagation, TransactionBuilder},
};
use sea_orm::{ConnectionTrait, IsolationLevel, Statement, StreamTrait};

use crate::support::{TestDb, count_users, insert_user, nonce, usernames};

for_each_backend!(
    outside_of_a_transaction_each_does_what_it_says,
    inside_of_a_transaction_each_does_what_it_says,
    one_that_takes_part_and_fails_takes_all_with_it,
    one_that_takes_part_and_is_dropped_takes_all_with_it,
    a_savepoint_that_fails_takes_nothing_with_it,
    a_new_transaction_is_independent_of_the_outer_one,
    options_are_refused_where_nothing_is_begun,
    a_handle_is_only_given_for_what_can_be_ended,
    deep_code_joins_the_transaction_of_its_caller,
    without_being_asked_nothing_is_joined,
    a_nested_transaction_is_current_while_it_lasts,
    a_new_transaction_is_current_while_it_lasts,
    a_spawned_task_begins_with_none,
    at_the_same_time_in_one_task_the_second_is_refused,
    two_databases_have_their_own,
);

use Propagation::{Mandatory, Nested, Never, NotSupported, Required, RequiresNew, Supports};

const ALL: [Propagation; 7] = [Nested, Required, RequiresNew, Mandatory, Supports, NotSupported, Never];

/// What a callback finds.
#[derive(Debug, PartialEq)]
enum Found {
    /// The outer transaction itself.
    Same,
    /// A savepoint in it.
    Inside,
    /// A transaction of its own.
    Own,
    /// None.
    Plain,
}

async fn outside_of_a_transaction_each_does_what_it_says(db: TestDb) {
    for propagation in ALL {
        db.recorder().forget();
        let found = db.transaction().propagation(propagation).run(async |tx| -> Result<Found> {
            tx.add(crate::support::new_user(&format!("{propagation:?}")));
            Ok(if tx.is_in_transaction() { Found::Own } else { Found::Plain })
        });
        match (propagation, found.await) {
            (Mandatory, found) => {
                assert!(matches!(found, Err(Error::NoTransaction)), "{found:?}");
                assert_eq!(db.recorder().begun(), 0);
            }
            (Supports | NotSupported | Never, found) => assert_eq!(found.unwrap(), Found::Plain),
            (_, found) => assert_eq!(found.unwrap(), Found::Own),
        }
    }
    // What was pending is written at the end, with a transaction and without.
    let expected = ["Nested", "Never", "NotSupported", "Required", "RequiresNew", "Supports"];
    assert_eq!(usernames(db.outside()).await, expected);
    assert_eq!(db.status().checked_out, 0);
}

async fn inside_of_a_transaction_each_does_what_it_says(db: TestDb) {
    let outer = db.begin().await.unwrap();
    for propagation in ALL {
        let name = format!("{propagation:?}");
        // Without a new connection that writes: SQLite has one writer at a time.
        let builder = TransactionBuilder::new(&outer).propagation(propagation);
        let builder = if propagation == RequiresNew { builder.read_only() } else { builder };
        let found = builder.run(async |tx| -> Result<Found> {
            let same_session = tx.id() == outer.id();
            if same_session {
                insert_user(tx, &name).await?;
            } else {
                assert_eq!(count_users(tx).await, 0, "of the outer one it sees nothing");
            }
            let outer_may_act = nonce(&outer, 1).await.is_ok();
            Ok(match (same_session, tx.is_in_transaction()) {
                (true, _) if outer_may_act => Found::Same,
                (true, _) => Found::Inside,
                (false, true) => Found::Own,
                (false, false) => Found::Plain,
            })
        });
        let found = found.await;
        match propagation {
            Never => assert!(matches!(found, Err(Error::InTransaction)), "{found:?}"),
            Nested => assert_eq!(found.unwrap(), Found::Inside),
            Required | Mandatory | Supports => assert_eq!(found.unwrap(), Found::Same),
            RequiresNew => assert_eq!(found.unwrap(), Found::Own),
            NotSupported => assert_eq!(found.unwrap(), Found::Plain),
        }
    }
    outer.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["Mandatory", "Nested", "Required", "Supports"]);
}

async fn one_that_takes_part_and_fails_takes_all_with_it(db: TestDb) {
    let result = db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "outer").await?;
        let part = TransactionBuilder::new(tx).propagation(Required).run(async |tx| -> Result<()> {
            insert_user(tx, "half").await?;
            Err(Error::SessionClosed)
        });
        assert!(matches!(part.await, Err(Error::SessionClosed)), "its own error");
        let next = nonce(tx, 1).await;
        assert!(matches!(next, Err(Error::TransactionAborted { .. })), "{next:?}");
        Ok(())
    });
    let result = result.await;
    assert!(matches!(result, Err(Error::TransactionAborted { .. })), "{result:?}");
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn one_that_takes_part_and_is_dropped_takes_all_with_it(db: TestDb) {
    let tx = db.begin().await.unwrap();
    let part = TransactionBuilder::new(&tx).propagation(Required).run(async |tx| -> Result<()> {
        insert_user(tx, "half").await?;
        std::future::pending().await
    });
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), part).await.is_err());
    let committed = tx.commit().await;
    assert!(matches!(committed, Err(Error::TransactionAborted { .. })), "{committed:?}");
    assert_eq!(count_users(db.outside()).await, 0);
}

async fn a_savepoint_that_fails_takes_nothing_with_it(db: TestDb) {
    db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "outer").await?;
        let part = TransactionBuilder::new(tx).propagation(Nested).run(async |tx| -> Result<()> {
            insert_user(tx, "half").await?;
            Err(Error::SessionClosed)
        });
        assert!(part.await.is_err());
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(usernames(db.outside()).await, ["outer"]);
}

async fn a_new_transaction_is_independent_of_the_outer_one(db: TestDb) {
    // A deferred one on SQLite, which leaves the write lock to the inner one.
    let outer = db.transaction().read_only().begin().await.unwrap();
    assert_eq!(count_users(&outer).await, 0);
    let builder = TransactionBuilder::new(&outer).propagation(RequiresNew);
    builder.run(async |tx| -> Result<()> { insert_user(tx, "kept").await.map(drop) }).await.unwrap();
    let handle = TransactionBuilder::new(&outer).propagation(RequiresNew).begin().await.unwrap();
    insert_user(&handle, "by hand").await.unwrap();
    handle.commit().await.unwrap();
    outer.rollback().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["by hand", "kept"]);
}

async fn options_are_refused_where_nothing_is_begun(db: TestDb) {
    let tx = db.begin().await.unwrap();
    for propagation in [Required, Mandatory, Supports, Nested, NotSupported] {
        let builder = TransactionBuilder::new(&tx).propagation(propagation).isolation(IsolationLevel::Serializable);
        let refused = builder.run(async |_| -> Result<()> { panic!("not run") }).await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
    insert_user(&tx, "the outer one goes on").await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_handle_is_only_given_for_what_can_be_ended(db: TestDb) {
    for propagation in [Required, Mandatory, Supports, NotSupported, Never] {
        let refused = db.transaction().propagation(propagation).begin().await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
}

type Users = BaseDao<user::Entity>;

async fn deep_code_joins_the_transaction_of_its_caller(db: TestDb) {
    let current = Current::new(Database::clone(&db));
    let users = Users::new(current.clone());
    let failed = execute_transaction(&current, async |tx| -> Result<()> {
        users.insert(crate::support::new_user("deep")).await?;
        assert_eq!(users.count().await?, 1);
        assert_eq!(count_users(tx).await, 1);
        assert_eq!(db.status().checked_out, 1, "one connection for all");
        // Deeper code that asks for a transaction takes part, or gets a savepoint.
        for propagation in [Required, Nested] {
            let builder = TransactionBuilder::new(&current).propagation(propagation);
            builder
                .run(async |_| -> Result<()> {
                    assert_eq!(users.count().await?, 1);
                    Ok(())
                })
                .await?;
        }
        Err(Error::SessionClosed)
    });
    assert!(failed.await.is_err());
    assert_eq!(count_users(db.outside()).await, 0, "all of it is undone");
    users.insert(crate::support::new_user("later")).await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["later"], "outside, each is for itself");
}

async fn without_being_asked_nothing_is_joined(db: TestDb) {
    let plain: &Database = &db;
    let current = Current::new(plain.clone());
    plain
        .transaction()
        .read_only()
        .run(async |tx| -> Result<()> {
            assert_eq!(count_users(tx).await, 0);
            assert_ne!(current.session().id(), tx.id(), "begun without the Current");
            Ok(())
        })
        .await
        .unwrap();
    execute_transaction(&current, async |tx| -> Result<()> {
        assert_ne!(plain.session().id(), tx.id(), "the database itself knows nothing of it");
        assert_eq!(current.session().id(), tx.id());
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_nested_transaction_is_current_while_it_lasts(db: TestDb) {
    let current = Current::new(Database::clone(&db));
    execute_transaction(&current, async |tx| -> Result<()> {
        insert_user(&current.session(), "outer").await?;
        // Begun on the handle, not on the `Current`: it comes from one all the same.
        let failed = execute_transaction(tx, async |_| -> Result<()> {
            insert_user(&current.session(), "inner").await?;
            Err(Error::SessionClosed)
        });
        assert!(failed.await.is_err());
        insert_user(&current.session(), "later").await?;
        let by_hand = tx.begin().await?;
        let refused = nonce(&current.session(), 1).await;
        assert!(matches!(refused, Err(Error::NestedTransactionOpen)), "{refused:?}");
        by_hand.commit().await
    })
    .await
    .unwrap();
    assert_eq!(usernames(db.outside()).await, ["later", "outer"]);
}

async fn a_new_transaction_is_current_while_it_lasts(db: TestDb) {
    let current = Current::new(Database::clone(&db));
    let outer = TransactionBuilder::new(&current).read_only();
    outer
        .run(async |outer| -> Result<()> {
            let new = TransactionBuilder::new(&current).propagation(RequiresNew);
            new.run(async |inner| -> Result<()> {
                assert_ne!(inner.id(), outer.id());
                assert_eq!(current.session().id(), inner.id());
                insert_user(&current.session(), "kept").await.map(drop)
            })
            .await?;
            assert_eq!(current.session().id(), outer.id());
            let none = TransactionBuilder::new(&current).propagation(NotSupported);
            none.run(async |plain| -> Result<()> {
                assert_eq!(current.session().id(), plain.id());
                assert!(!current.session().is_in_transaction());
                Ok(())
            })
            .await?;
            Err(Error::SessionClosed)
        })
        .await
        .unwrap_err();
    assert_eq!(usernames(db.outside()).await, ["kept"]);
}

async fn a_spawned_task_begins_with_none(db: TestDb) {
    let current = Current::new(Database::clone(&db));
    execute_transaction(&current, async |tx| -> Result<()> {
        let inner = current.clone();
        let spawned = tokio::spawn(async move { (inner.session().id(), inner.session().is_in_transaction()) });
        let (id, in_transaction) = spawned.await.unwrap();
        assert!(id != tx.id() && !in_transaction);
        Ok(())
    })
    .await
    .unwrap();
}

async fn at_the_same_time_in_one_task_the_second_is_refused(db: TestDb) {
    let current = Current::new(Database::clone(&db));
    let result = execute_transaction(&current, async |_| -> Result<()> {
        let (first, second) = (current.session(), current.session());
        let rows = first.stream_raw(Statement::from_string(first.backend(), "SELECT 1")).await?;
        let refused = nonce(&second, 2).await;
        assert!(matches!(refused, Err(Error::SessionBusy { .. })), "{refused:?}");
        drop(rows);
        assert_eq!(nonce(&second, 2).await?, 2);
        Ok(())
    });
    result.await.unwrap();
}

async fn two_databases_have_their_own(db: TestDb) {
    let other = db.open(|config| config).await;
    let (first, second) = (Current::new(Database::clone(&db)), Current::new(other));
    TransactionBuilder::new(&first)
        .read_only()
        .run(async |outer| -> Result<()> {
            assert!(!second.session().is_in_transaction());
            let inner = TransactionBuilder::new(&second).read_only();
            inner
                .run(async |inner| -> Result<()> {
                    assert_eq!(first.session().id(), outer.id());
                    assert_eq!(second.session().id(), inner.id());
                    first.session().execute_unprepared("SELECT 1").await?;
                    second.session().execute_unprepared("SELECT 1").await?;
                    Ok(())
                })
                .await
        })
        .await
        .unwrap();
}
