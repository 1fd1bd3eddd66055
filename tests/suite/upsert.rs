//! Inserting rows or updating those that are there.

use entities::{
    country, tag, third_party_account, user,
    user::Column::{Balance, Phone, Status, Username},
    user_tag,
};
use sea_dao::{BaseDao, Error, hooks::StatementKind, query::Conditions};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    IntoActiveModel,
    prelude::Uuid,
};

use crate::{
    dao::{outside, users},
    support::{TestDb, count_users, new_user, new_user_with},
};

for_each_backend!(
    a_row_is_inserted_and_then_updated,
    the_statements_that_are_sent,
    only_the_columns_that_are_named,
    a_row_that_is_there_is_left_as_it_is,
    rows_by_their_primary_key,
    many_rows_come_back_in_order,
    more_rows_than_one_statement_takes,
    rows_that_set_different_columns,
    a_key_of_several_columns,
    nothing_but_a_key,
    no_rows_send_nothing,
    another_unique_column_is_in_the_way,
    in_the_way_of_two_rows,
    a_failure_leaves_the_transaction_as_it_was,
    a_row_that_comes_twice,
    a_row_without_its_target,
    columns_that_make_no_sense,
    texts_that_mean_harm,
    values_that_the_database_compares_otherwise,
    a_row_is_found_or_inserted,
);

fn with_phone(phone: &str, name: &str, balance: i64) -> user::ActiveModel {
    user::ActiveModel { phone: Set(phone.to_owned()), ..new_user_with(name, balance) }
}

async fn a_row_is_inserted_and_then_updated(db: TestDb) {
    let users = users(&db);
    let ada = users.upsert(with_phone("1", "ada", 5)).on([Phone]).await.unwrap();
    assert_eq!((ada.username.as_str(), ada.balance, ada.status), ("ada", 5, 1));
    assert_eq!(outside(&db, ada.id).await.as_ref(), Some(&ada));

    let again =
        users.upsert(user::ActiveModel { status: Set(3), ..with_phone("1", "eve", 7) }).on([Phone]).await.unwrap();
    assert_eq!((again.id, again.username.as_str(), again.balance, again.status), (ada.id, "eve", 7, 3));
    assert_eq!(again.created_at, ada.created_at);
    assert!(again.updated_at >= ada.updated_at);
    assert_eq!(outside(&db, ada.id).await, Some(again));
    assert_eq!(count_users(db.outside()).await, 1);
}

async fn the_statements_that_are_sent(db: TestDb) {
    let users = users(&db);
    db.recorder().forget();
    users.upsert(with_phone("1", "ada", 5)).on([Phone]).await.unwrap();
    let inserted = db.recorder().take();
    users.upsert(with_phone("1", "ada", 6)).on([Phone]).await.unwrap();
    let updated = db.recorder().take();
    if db.capabilities().on_conflict {
        for sent in [inserted, updated] {
            let [statement] = sent.as_slice() else { panic!("{sent:?}") };
            let (_, clause) = statement.sql.split_once(" ON CONFLICT ").expect("a clause");
            let (clause, _) = clause.split_once(" RETURNING ").expect("the row");
            assert_eq!(
                clause,
                r#"("phone") WHERE "deleted_at" IS NULL DO UPDATE SET "username" = "excluded"."username", "balance" = "excluded"."balance", "updated_at" = "excluded"."updated_at" WHERE "user"."deleted_at" IS NULL"#
            );
        }
        db.recorder().forget();
        users.upsert_many([with_phone("1", "ada", 7)]).on([Phone]).update([Balance]).await.unwrap();
        let sent = db.recorder().take();
        assert_eq!(sent.len(), 1);
        assert!(sent[0].sql.ends_with(
            r#"DO UPDATE SET "balance" = "excluded"."balance", "updated_at" = "excluded"."updated_at" WHERE "user"."deleted_at" IS NULL"#
        ));
        db.recorder().forget();
        users.upsert_many([with_phone("1", "ada", 7)]).on([Phone]).do_nothing().await.unwrap();
        assert!(db.recorder().take()[0].sql.ends_with(r#"("phone") WHERE "deleted_at" IS NULL DO NOTHING"#));
    } else {
        use StatementKind::{Begin, Commit, Execute, Query};
        let kinds = |sent: &[crate::support::Seen]| sent.iter().map(|seen| seen.kind).collect::<Vec<_>>();
        let written = &inserted[2..inserted.len() - 1];
        assert_eq!((inserted[0].kind, inserted[1].kind, inserted[inserted.len() - 1].kind), (Begin, Query, Commit));
        assert!(written.iter().any(|seen| seen.sql.starts_with("INSERT")), "{inserted:?}");
        assert_eq!(kinds(&updated), [Begin, Query, Query, Execute, Query, Commit]);
        assert!(updated[2].sql.ends_with(" FOR UPDATE"), "{}", updated[2].sql);
    }
}

async fn only_the_columns_that_are_named(db: TestDb) {
    let users = users(&db);
    let ada = users.upsert(with_phone("1", "ada", 5)).on([Phone]).await.unwrap();
    let again = users.upsert(with_phone("1", "eve", 7)).on([Phone]).update([Balance]).await.unwrap();
    assert_eq!((again.id, again.username.as_str(), again.balance), (ada.id, "ada", 7));
    assert_eq!(outside(&db, ada.id).await, Some(again));
    let new = users.upsert(with_phone("2", "bob", 8)).on([Phone]).update([Balance]).await.unwrap();
    assert_eq!((new.username.as_str(), new.balance), ("bob", 8), "an inserted row has all that was given");
}

async fn a_row_that_is_there_is_left_as_it_is(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(with_phone("1", "ada", 5)).await.unwrap();
    let kept = users.upsert(with_phone("1", "eve", 7)).on([Phone]).do_nothing().await.unwrap();
    assert_eq!(kept, ada);
    let rows = || [with_phone("1", "eve", 7), with_phone("2", "bob", 8), with_phone("3", "cyd", 9)];
    assert_eq!(users.upsert_many(rows()).on([Phone]).do_nothing().await.unwrap(), 2, "those that were inserted");
    let found = users.upsert_many_returning(rows()).on([Phone]).do_nothing().await.unwrap();
    assert_eq!(found.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["ada", "bob", "cyd"]);
    assert_eq!(found[0], ada);
}

async fn rows_by_their_primary_key(db: TestDb) {
    let countries = BaseDao::<country::Entity>::new((*db).clone());
    let row = |code: &str, name: &str| country::Model { code: code.to_owned(), name: name.to_owned() };
    assert_eq!(countries.upsert_many([row("no", "Norway"), row("se", "Svea")]).await.unwrap(), 2);
    assert_eq!(countries.upsert_many([row("se", "Sweden"), row("fi", "Finland")]).await.unwrap(), 2);
    let all = countries.query().order_asc(country::Column::Code).all().await.unwrap();
    assert_eq!(all, [row("fi", "Finland"), row("no", "Norway"), row("se", "Sweden")]);

    // A key that the database makes is in nobody's way.
    let users = users(&db);
    let ada = users.upsert(new_user("ada")).await.unwrap();
    let changed = user::ActiveModel { id: Set(ada.id), ..new_user_with("ada", 4) };
    let rows = users.upsert_many_returning([new_user("bob"), changed, new_user("cyd")]).await.unwrap();
    assert_eq!(rows.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), ["bob", "ada", "cyd"]);
    assert_eq!((rows[1].id, rows[1].balance), (ada.id, 4));
    // The whole row, as it was loaded.
    let loaded = user::Model { balance: 5, ..rows[1].clone() };
    assert_eq!(users.upsert(loaded).await.unwrap().balance, 5);
    assert_eq!(count_users(db.outside()).await, 3);
}

async fn many_rows_come_back_in_order(db: TestDb) {
    let users = users(&db);
    let name = |number: usize| format!("user {number}");
    users.insert_many((0..300).step_by(3).map(|number| with_phone(&name(number), &name(number), 1))).await.unwrap();
    // In another order than that of their keys.
    let order: Vec<usize> = (0..300).map(|place| place * 7 % 300).collect();
    let rows = order.iter().map(|number| with_phone(&name(*number), &name(*number), *number as i64));
    let written = users.upsert_many_returning(rows).on([Phone]).await.unwrap();
    let expected: Vec<(String, i64)> = order.iter().map(|number| (name(*number), *number as i64)).collect();
    assert_eq!(written.iter().map(|user| (user.phone.clone(), user.balance)).collect::<Vec<_>>(), expected);
    for user in written.into_iter().step_by(50) {
        assert_eq!(outside(&db, user.id).await, Some(user));
    }
    assert_eq!(count_users(db.outside()).await, 300);
}

async fn more_rows_than_one_statement_takes(db: TestDb) {
    let users = users(&db);
    let rows = |balance| (0..3_000).map(move |number| new_user_with(&format!("user {number}"), balance));
    assert_eq!(users.upsert_many(rows(1).take(2_000)).on([Username]).await.unwrap(), 2_000);
    assert_eq!(users.upsert_many(rows(2)).on([Username]).update([Balance]).await.unwrap(), 3_000);
    assert_eq!(users.query().sum(Balance).await.unwrap(), 6_000);
    // All or none.
    let clash = user::ActiveModel { phone: Set("user 7".to_owned()), ..new_user("new") };
    let error = users.upsert_many(rows(3).chain([clash])).on([Username]).await.unwrap_err();
    assert!(error.is_unique_violation(), "{error:?}");
    assert_eq!(error.row(), Some(3_000));
    assert!(error.to_string().starts_with("upsert user: row 3000"), "{error}");
    assert_eq!(users.query().sum(Balance).await.unwrap(), 6_000);
}

async fn rows_that_set_different_columns(db: TestDb) {
    let users = users(&db);
    users.insert_many([with_phone("1", "ada", 5), with_phone("2", "bob", 5)]).await.unwrap();
    let rows = [
        user::ActiveModel { status: Set(4), ..new_user("1") },
        user::ActiveModel { balance: NotSet, ..with_phone("2", "bert", 0) },
        user::ActiveModel { status: Set(5), balance: NotSet, ..with_phone("3", "cyd", 0) },
        with_phone("4", "dan", 9),
    ];
    let rows = users.upsert_many_returning(rows).on([Phone]).await.unwrap();
    let found: Vec<_> = rows.iter().map(|user| (user.username.as_str(), user.status, user.balance)).collect();
    assert_eq!(found, [("1", 4, 0), ("bert", 1, 5), ("cyd", 5, 0), ("dan", 1, 9)]);
}

async fn a_key_of_several_columns(db: TestDb) {
    use third_party_account::Column::{OpenId, Platform, UserId};
    let users = users(&db);
    let (ada, bob) = (users.insert(new_user("ada")).await.unwrap(), users.insert(new_user("bob")).await.unwrap());
    let accounts = BaseDao::<third_party_account::Entity>::new((*db).clone());
    let row = |user: &user::Model, platform: &str, open_id: &str| third_party_account::ActiveModel {
        user_id: Set(user.id),
        platform: Set(platform.to_owned()),
        open_id: Set(open_id.to_owned()),
        ..Default::default()
    };
    let first = accounts.upsert(row(&ada, "x", "1")).on([Platform, OpenId]).await.unwrap();
    let rows = [row(&bob, "x", "1"), row(&bob, "x", "2"), row(&bob, "y", "1")];
    let written = accounts.upsert_many_returning(rows).on([OpenId, Platform]).update([UserId]).await.unwrap();
    assert_eq!((written[0].id, written[0].user_id, written[0].created_at), (first.id, bob.id, first.created_at));
    assert_eq!(accounts.count().await.unwrap(), 3);
}

async fn nothing_but_a_key(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(new_user("ada")).await.unwrap();
    let tags = BaseDao::<tag::Entity>::new((*db).clone());
    let red = tags
        .upsert(tag::ActiveModel { name: Set("red".to_owned()), id: NotSet })
        .on([tag::Column::Name])
        .await
        .unwrap();
    let again = tags
        .upsert(tag::ActiveModel { name: Set("red".to_owned()), id: NotSet })
        .on([tag::Column::Name])
        .await
        .unwrap();
    assert_eq!(again, red, "the generated key of the second one is not taken");
    let tagged = BaseDao::<user_tag::Entity>::new((*db).clone());
    let row = || user_tag::ActiveModel { user_id: Set(ada.id), tag_id: Set(red.id), ..Default::default() };
    let first = tagged.upsert(row()).await.unwrap();
    assert_eq!(tagged.upsert(row()).await.unwrap(), first);
    let missing = user_tag::ActiveModel { tag_id: Set(Uuid::nil()), ..row() };
    let error = tagged.upsert_many([row(), missing]).await.unwrap_err();
    assert!(error.is_foreign_key_violation(), "{error:?}");
    assert_eq!((error.row(), tagged.count().await.unwrap()), (Some(1), 1));
}

async fn no_rows_send_nothing(db: TestDb) {
    let users = users(&db);
    db.recorder().forget();
    assert_eq!(users.upsert_many(Vec::<user::ActiveModel>::new()).on([Phone]).await.unwrap(), 0);
    assert_eq!(users.upsert_many_returning(Vec::<user::ActiveModel>::new()).await.unwrap(), []);
    assert_eq!(db.recorder().begun(), 0);
}

async fn another_unique_column_is_in_the_way(db: TestDb) {
    let users = users(&db);
    let ada = users.insert(with_phone("1", "ada", 5)).await.unwrap();
    for error in [
        users.upsert(with_phone("2", "ada", 9)).on([Phone]).await.unwrap_err(),
        users.upsert(with_phone("2", "ada", 9)).on([Phone]).do_nothing().await.unwrap_err(),
        users.upsert(with_phone("2", "ada", 9)).on([Phone]).update([Balance]).await.unwrap_err(),
        users.upsert(with_phone("2", "ada", 9)).await.unwrap_err(),
        users.upsert(user::ActiveModel { id: Set(ada.id + 1), ..with_phone("2", "ada", 9) }).await.unwrap_err(),
        users.find_or_insert([Phone], with_phone("2", "ada", 9)).await.unwrap_err(),
    ] {
        assert!(error.is_unique_violation(), "{error:?}");
        assert_eq!(error.row(), Some(0));
    }
    let rows = [with_phone("3", "cyd", 1), with_phone("4", "ada", 1), with_phone("1", "ada", 1)];
    let error = users.upsert_many(rows).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation(), "{error:?}");
    assert_eq!(error.row(), Some(1));
    assert_eq!(users.query().all().await.unwrap(), [ada], "nothing is written");
}

async fn in_the_way_of_two_rows(db: TestDb) {
    let users = users(&db);
    users.insert_many([with_phone("1", "ada", 5), with_phone("2", "bob", 5)]).await.unwrap();
    // The one has the phone, the other the name.
    let error = users.upsert(with_phone("1", "bob", 9)).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation(), "{error:?}");
    let error =
        users.upsert_many([with_phone("3", "cyd", 9), with_phone("1", "bob", 9)]).on([Phone]).await.unwrap_err();
    assert!(error.is_unique_violation() && error.row() == Some(1), "{error:?}");
    assert_eq!(users.query().ne(Balance, 5).count().await.unwrap(), 0);
    // What is not updated is in nobody's way.
    let ada = users.upsert(with_phone("1", "bob", 9)).on([Phone]).update([Balance]).await.unwrap();
    assert_eq!((ada.username.as_str(), ada.balance), ("ada", 9));
}

async fn a_failure_leaves_the_transaction_as_it_was(db: TestDb) {
    let all = users(&db);
    all.insert(with_phone("1", "ada", 5)).await.unwrap();
    db.execute_transaction(async |tx| -> sea_dao::Result<()> {
        let users = all.within(tx);
        users.upsert(with_phone("2", "bob", 1)).on([Phone]).await?;
        let error = users.upsert(with_phone("3", "ada", 9)).on([Phone]).await.unwrap_err();
        assert!(error.is_unique_violation(), "{error:?}");
        let rows = [with_phone("1", "ada", 8), with_phone("4", "bob", 9)];
        let error = users.upsert_many(rows).on([Phone]).await.unwrap_err();
        assert!(error.is_unique_violation() && error.row() == Some(1), "{error:?}");
        let error = users.find_or_insert([Phone], with_phone("3", "ada", 9)).await.unwrap_err();
        assert!(error.is_unique_violation(), "{error:?}");
        users.upsert(with_phone("2", "bob", 2)).on([Phone]).await?;
        Ok(())
    })
    .await
    .unwrap();
    let found: Vec<(String, i64)> = all.query().order_asc(Username).columns([Username, Balance]).await.unwrap();
    assert_eq!(found, [("ada".to_owned(), 5), ("bob".to_owned(), 2)]);
    // What was rolled back is gone.
    let tx = db.begin().await.unwrap();
    all.within(&tx).upsert_many([with_phone("1", "ada", 7), with_phone("9", "new", 7)]).on([Phone]).await.unwrap();
    assert_eq!(all.within(&tx).query().eq(Balance, 7).count().await.unwrap(), 2);
    tx.rollback().await.unwrap();
    assert_eq!(all.query().eq(Balance, 7).count().await.unwrap(), 0);
}

async fn a_row_that_comes_twice(db: TestDb) {
    let users = users(&db);
    db.recorder().forget();
    let rows = || [with_phone("1", "ada", 5), with_phone("2", "bob", 5), with_phone("1", "eve", 6)];
    for error in [
        users.upsert_many(rows()).on([Phone]).await.unwrap_err(),
        users.upsert_many(rows()).on([Phone]).do_nothing().await.unwrap_err(),
        users.upsert_many_returning(rows()).on([Phone]).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.row(), Some(2));
        let Error::InvalidArgument { value, .. } = error.root() else { panic!("{error:?}") };
        assert_eq!(value, "the same phone as in row 0");
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}

async fn a_row_without_its_target(db: TestDb) {
    let users = users(&db);
    db.recorder().forget();
    let row = user::ActiveModel { phone: NotSet, ..new_user("ada") };
    let error = users.upsert_many([new_user("bob"), row]).on([Phone]).await.unwrap_err();
    assert_eq!(error.row(), Some(1));
    assert!(error.to_string().contains("phone (not set)"), "{error}");
    let error = users.upsert(new_user("ada")).on([Phone]).update([Status]).await.unwrap_err();
    assert!(error.to_string().contains("status (not set)"), "{error}");
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}

async fn columns_that_make_no_sense(db: TestDb) {
    let users = users(&db);
    db.recorder().forget();
    for (error, argument) in [
        (users.upsert(new_user("ada")).on([]).await.unwrap_err(), "conflict target"),
        (users.find_or_insert([], new_user("ada")).await.unwrap_err(), "conflict target"),
        (users.upsert(new_user("ada")).update([]).await.unwrap_err(), "update"),
        (users.upsert(new_user("ada")).on([Phone]).update([user::Column::Id]).await.unwrap_err(), "update"),
    ] {
        let Error::InvalidArgument { argument: named, .. } = error.root() else { panic!("{error:?}") };
        assert_eq!(*named, argument);
    }
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
}

async fn texts_that_mean_harm(db: TestDb) {
    let texts = [
        r#"'; DROP TABLE "user"; --"#,
        "' OR '1'='1",
        "\"",
        "`",
        r"\",
        r"100%_!\",
        "? $1 :name",
        "/* */ -- #",
        "😀 Привет",
        " leading and trailing ",
    ];
    let users = users(&db);
    let rows = |balance| texts.iter().map(move |text| new_user_with(text, balance)).collect::<Vec<_>>();
    for (balance, on) in [(1, Phone), (2, Username), (3, Phone)] {
        let written = users.upsert_many_returning(rows(balance)).on([on]).await.unwrap();
        let found: Vec<_> =
            written.iter().map(|user| (user.username.as_str(), user.phone.as_str(), user.balance)).collect();
        assert_eq!(found, texts.map(|text| (text, text, balance)));
    }
    for text in texts {
        let (user, inserted) = users.find_or_insert([Username], new_user(text)).await.unwrap();
        assert_eq!((user.username.as_str(), inserted), (text, false));
        assert_eq!(users.upsert(new_user_with(text, 4)).on([Phone]).await.unwrap().phone, text);
    }
    assert_eq!(count_users(db.outside()).await, 10);
    let refused = users.upsert(new_user("nul \0 byte")).on([Phone]).await;
    assert!(refused.is_err() || refused.unwrap().phone == "nul \0 byte");
}

/// Whether upper case is another text is up to the column.
async fn values_that_the_database_compares_otherwise(db: TestDb) {
    let users = users(&db);
    users.insert(with_phone("a", "ada", 1)).await.unwrap();
    let same = users.query().eq(Phone, "A").exists().await.unwrap();
    let rows = || [with_phone("A", "eve", 2), with_phone("b", "bob", 2), with_phone("c", "cyd", 2)];
    let written = users.upsert_many_returning(rows()).on([Phone]).update([Balance]).await.unwrap();
    let expected = if same { ["ada", "bob", "cyd"] } else { ["eve", "bob", "cyd"] };
    assert_eq!(written.iter().map(|user| user.username.as_str()).collect::<Vec<_>>(), expected);
    assert!(written.iter().all(|user| user.balance == 2));
    let found = users.upsert_many_returning(rows()).on([Phone]).do_nothing().await.unwrap();
    assert_eq!(found, written);
    // Two rows that are one to the database.
    let twice = users.upsert_many([with_phone("b", "bob", 3), with_phone("B", "eva", 3)]).on([Phone]).await;
    if same {
        let error = twice.unwrap_err();
        assert!(matches!(error.root(), Error::InvalidArgument { .. }) && error.row() == Some(1), "{error:?}");
        assert_eq!(users.query().eq(Balance, 3).count().await.unwrap(), 0);
    } else {
        assert_eq!(twice.unwrap(), 2);
    }
}

async fn a_row_is_found_or_inserted(db: TestDb) {
    let users = users(&db);
    let (ada, inserted) = users.find_or_insert([Phone], with_phone("1", "ada", 5)).await.unwrap();
    assert!(inserted);
    assert_eq!(outside(&db, ada.id).await.as_ref(), Some(&ada));
    db.recorder().forget();
    assert_eq!(users.find_or_insert([Phone], with_phone("1", "eve", 6)).await.unwrap(), (ada.clone(), false));
    assert_eq!(db.recorder().take_kinds(), [StatementKind::Query]);
    assert_eq!(users.find_or_insert([user::Column::Id], ada.clone().into_active_model()).await.unwrap(), (ada, false));
    let (bob, inserted) = users.find_or_insert([user::Column::Id], new_user("bob")).await.unwrap();
    assert_eq!((bob.username.as_str(), inserted), ("bob", true));
}
