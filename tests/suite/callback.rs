//! `execute_transaction`: the callback's result and error come back as they were, whatever the provider is.

use std::{panic::AssertUnwindSafe, sync::Arc};

use entities::{customer_order, user};
use futures_util::FutureExt;
use sea_dao::{Database, Error, FlushMode, Result, Session, SessionProvider, execute_transaction};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, TransactionError, TransactionTrait};
use tokio::task::JoinHandle;

use crate::support::{TestDb, count_users, insert_user, new_user, usernames};

for_each_backend!(
    the_callback_commits_with_ok,
    the_callbacks_own_error_comes_back_unchanged,
    a_panic_rolls_back_and_goes_on_unwinding,
    the_callback_borrows_and_changes_locals,
    callbacks_nest_three_deep,
    every_kind_of_provider_is_accepted,
    a_generic_provider_can_be_spawned,
    the_builder_sets_the_flush_mode_for_the_transaction_only,
    a_callback_that_ends_nothing_leaves_its_shared_handles_useless,
    seaorms_own_transactions_work_on_a_session,
    seaorms_own_transactions_work_on_a_database,
);

#[derive(Debug)]
enum AppError {
    Database(Error),
    Refused(u32),
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

async fn the_callback_commits_with_ok(db: TestDb) {
    let id = db.execute_transaction(async |tx| -> Result<i64> { Ok(insert_user(tx, "a").await?.id) }).await.unwrap();
    let found = user::Entity::find_by_id(id).one(db.outside()).await.unwrap();
    assert_eq!(found.map(|user| user.username).as_deref(), Some("a"));
    assert_eq!(db.status().checked_out, 0);
}

async fn the_callbacks_own_error_comes_back_unchanged(db: TestDb) {
    let refused = db
        .execute_transaction(async |tx| -> Result<(), AppError> {
            insert_user(tx, "undone").await?;
            Err(AppError::Refused(42))
        })
        .await;
    assert!(matches!(refused, Err(AppError::Refused(42))), "{refused:?}");
    assert_eq!(count_users(db.outside()).await, 0);

    insert_user(db.outside(), "taken").await.unwrap();
    let failed = db
        .execute_transaction(async |tx| -> Result<(), AppError> {
            insert_user(tx, "undone").await?;
            insert_user(tx, "taken").await?;
            Ok(())
        })
        .await;
    let Err(AppError::Database(error)) = failed else { panic!("{failed:?}") };
    assert!(error.is_unique_violation(), "{error:?}");
    assert_eq!(usernames(db.outside()).await, ["taken"]);

    // An error of the callback is not replaced by what became of the transaction meanwhile.
    let refused = db
        .execute_transaction(async |tx| -> Result<(), AppError> {
            let _ = insert_user(tx, "taken").await;
            Err(AppError::Refused(43))
        })
        .await;
    assert!(matches!(refused, Err(AppError::Refused(43))), "{refused:?}");
}

async fn a_panic_rolls_back_and_goes_on_unwinding(db: TestDb) {
    let transaction = db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "undone").await?;
        std::panic::resume_unwind(Box::new("on purpose"))
    });
    let panic = AssertUnwindSafe(transaction).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    db.is_quiet().await;
    assert_eq!(count_users(db.outside()).await, 0);

    // Inside a nested transaction that is caught, the outer one goes on.
    db.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, "outer").await?;
        let inner = execute_transaction(tx, async |inner| -> Result<()> {
            insert_user(inner, "inner").await?;
            std::panic::resume_unwind(Box::new("on purpose"))
        });
        assert!(AssertUnwindSafe(inner).catch_unwind().await.is_err());
        insert_user(tx, "later").await?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(usernames(db.outside()).await, ["later", "outer"]);
}

async fn the_callback_borrows_and_changes_locals(db: TestDb) {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let mut written = Vec::new();
    db.execute_transaction(async |tx| -> Result<()> {
        for name in &names {
            written.push(insert_user(tx, name).await?.username);
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(written, names);
}

async fn callbacks_nest_three_deep(db: TestDb) {
    let mut depth = 0;
    let result = db
        .execute_transaction(async |first| -> Result<&str, AppError> {
            insert_user(first, "1").await?;
            depth += 1;
            let refused = execute_transaction(first, async |second| -> Result<(), AppError> {
                insert_user(second, "2").await?;
                depth += 1;
                execute_transaction(second, async |third| -> Result<(), AppError> {
                    insert_user(third, "3").await?;
                    depth += 1;
                    Ok(())
                })
                .await?;
                assert_eq!(count_users(second).await, 3);
                Err(AppError::Refused(2))
            })
            .await;
            assert!(matches!(refused, Err(AppError::Refused(2))));
            Ok("done")
        })
        .await;
    assert!(matches!(result, Ok("done")), "{result:?}");
    assert_eq!(depth, 3);
    assert_eq!(usernames(db.outside()).await, ["1"]);
}

/// What a service that takes any provider does.
async fn register(provider: &dyn SessionProvider, name: &str) -> Result<()> {
    execute_transaction(provider, async |tx| -> Result<()> { insert_user(tx, name).await.map(drop) }).await
}

async fn every_kind_of_provider_is_accepted(db: TestDb) {
    let database: &Database = &db;
    register(database, "database").await.unwrap();
    register(&Arc::new(database.clone()), "arc").await.unwrap();
    let boxed: Box<dyn SessionProvider> = Box::new(database.clone());
    register(&boxed, "box").await.unwrap();
    let session = db.session();
    register(&session, "session").await.unwrap();
    let tx = session.begin().await.unwrap();
    register(&tx, "transaction").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["arc", "box", "database", "session", "transaction"]);
}

/// Nothing is known here of the provider but that it is one.
fn spawn_registration<P: SessionProvider + 'static>(provider: P, name: String) -> JoinHandle<Result<usize>> {
    tokio::spawn(async move {
        execute_transaction(&provider, async |tx| -> Result<usize> {
            insert_user(tx, &name).await?;
            execute_transaction(tx, async |inner| -> Result<()> {
                insert_user(inner, &format!("{name} again")).await.map(drop)
            })
            .await?;
            Ok(name.len())
        })
        .await
    })
}

async fn a_generic_provider_can_be_spawned(db: TestDb) {
    let shared: Arc<dyn SessionProvider> = Arc::new(Database::clone(&db));
    let first = spawn_registration(Database::clone(&db), "a".to_owned());
    assert_eq!(first.await.unwrap().unwrap(), 1);
    let second = spawn_registration(shared, "bb".to_owned());
    assert_eq!(second.await.unwrap().unwrap(), 2);
    assert_eq!(usernames(db.outside()).await, ["a", "a again", "bb", "bb again"]);
}

async fn the_builder_sets_the_flush_mode_for_the_transaction_only(db: TestDb) {
    let session = db.session();
    sea_dao::session::TransactionBuilder::new(&session)
        .flush_mode(FlushMode::Manual)
        .run(async |tx| -> Result<()> {
            tx.add(new_user("a"));
            assert_eq!(count_users(tx).await, 0, "a read does not flush");
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(session.flush_mode(), FlushMode::Auto);
    assert_eq!(count_users(db.outside()).await, 1, "the commit flushed");
}

async fn a_callback_that_ends_nothing_leaves_its_shared_handles_useless(db: TestDb) {
    let mut kept: Option<Session> = None;
    db.execute_transaction(async |tx| -> Result<()> {
        kept = Some(tx.session());
        insert_user(tx, "a").await.map(drop)
    })
    .await
    .unwrap();
    let late = insert_user(&kept.unwrap(), "b").await;
    assert!(matches!(late, Err(Error::TransactionEnded)), "{late:?}");
}

async fn seaorms_own_transactions_work_on_a_session(db: TestDb) {
    use_seaorms_transactions(&db.session()).await;
    assert_eq!(usernames(db.outside()).await, ["a", "b", "saved"]);
}

async fn seaorms_own_transactions_work_on_a_database(db: TestDb) {
    use_seaorms_transactions(&*db).await;
    assert_eq!(usernames(db.outside()).await, ["a", "b", "saved"]);
}

async fn use_seaorms_transactions<C>(connection: &C)
where
    C: TransactionTrait<Transaction = Session>,
{
    connection
        .transaction::<_, (), Error>(|tx| {
            Box::pin(async move {
                insert_user(tx, "a").await?;
                let refused = TransactionTrait::transaction::<_, (), Error>(tx, |inner| {
                    Box::pin(async move {
                        insert_user(inner, "inner").await?;
                        Err(Error::SessionClosed)
                    })
                })
                .await;
                assert!(matches!(refused, Err(TransactionError::Transaction(Error::SessionClosed))), "{refused:?}");
                Ok(())
            })
        })
        .await
        .unwrap();

    let tx = connection.begin().await.unwrap();
    let user = insert_user(&tx, "b").await.unwrap();
    let order =
        customer_order::ActiveModel { user_id: Set(user.id), number: Set("1".to_owned()), ..Default::default() };
    let order = order.save(&tx).await.unwrap();
    assert_eq!(order.user_id.unwrap(), user.id);
    new_user("saved").save(&tx).await.unwrap();
    sea_orm::TransactionSession::commit(tx).await.unwrap();

    let tx = connection.begin().await.unwrap();
    insert_user(&tx, "undone").await.unwrap();
    sea_orm::TransactionSession::rollback(tx).await.unwrap();
}
