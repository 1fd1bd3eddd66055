//! Texts that somebody may have chosen to do harm, in every place of a query that takes one.

use entities::user::{
    self,
    Column::{Balance, Email, Id, Profile, Username},
};
use fastrand::Rng;
use sea_dao::{
    BaseDao, Error, Result,
    error::ErrorClass,
    query::{Conditions, JsonPath, QueryBuilder},
};
use sea_orm::ActiveValue::Set;

use crate::{
    fuzz,
    support::{TestDb, count_users},
};

for_each_backend!(
    texts_in_every_condition,
    keys_and_values_in_json,
    texts_in_the_order,
    texts_in_tokens,
    tokens_that_were_changed,
    texts_brought_along,
    texts_never_become_sql,
);

const HOSTILE: [&str; 19] = [
    r#"'; DROP TABLE "user"; --"#,
    "'; DROP TABLE `user`; #",
    "'); DELETE FROM customer_order; --",
    "' OR '1'='1",
    "' UNION SELECT * FROM country --",
    "'",
    "''",
    "\"",
    "`",
    r"\",
    r"\\",
    r"\' OR 1=1 --",
    r"100%_!\",
    "% _",
    "? $1 ?? :name @x {} {{0}}",
    "/* */ -- # \r\n\t",
    "--1",
    "😀 Привет 你好 e\u{301} \u{202e}",
    "nul \0 nul",
];

type Users = BaseDao<user::Entity>;

/// Whether a name meets a condition with a text.
type Holds = fn(&str, &str) -> bool;

fn row(name: &str) -> user::ActiveModel {
    user::ActiveModel {
        username: Set(name.to_owned()),
        phone: Set(format!("{:x}", fastrand::u64(..))),
        email: Set(Some(name.to_owned())),
        ..Default::default()
    }
}

/// Those that the database stores, each in its own row, and one that is none of them.
async fn filled(db: &TestDb) -> (Users, Vec<&'static str>) {
    let users = Users::new((**db).clone());
    let mut stored = vec!["plain"];
    users.insert(row("plain")).await.unwrap();
    for text in HOSTILE {
        match users.insert(row(text)).await {
            Ok(_) => stored.push(text),
            Err(error) => {
                assert!(text.contains('\0') && error.class() == Some(ErrorClass::Other), "{text:?}: {error:?}")
            }
        }
    }
    db.recorder().forget();
    (users, stored)
}

/// All rows of all tables are there.
async fn is_unharmed(db: &TestDb, stored: &[&str]) {
    assert_eq!(count_users(db.outside()).await, stored.len() as u64);
    let orders = BaseDao::<entities::customer_order::Entity>::new((**db).clone());
    assert_eq!(orders.count().await.unwrap(), 0);
    assert_eq!(db.status().checked_out, 0);
}

/// The names that are found; `None` when the database refuses the text.
async fn found(text: &str, query: QueryBuilder<user::Entity>) -> Option<Vec<String>> {
    match query.order_asc(Id).column::<String>(Username).await {
        Ok(names) => Some(names),
        Err(error) => {
            let refused =
                error.class() == Some(ErrorClass::Other) || matches!(error.root(), Error::InvalidArgument { .. });
            let known = text.contains(['\0', '"', '\\']) || text.starts_with('-');
            assert!(refused && known, "{text:?}: {error:?}");
            None
        }
    }
}

async fn texts_in_every_condition(db: TestDb) {
    let (users, stored) = filled(&db).await;
    for text in HOSTILE {
        let expected = |holds: Holds| -> Vec<String> {
            stored.iter().filter(|name| holds(name, text)).map(|name| (*name).to_owned()).collect()
        };
        let same = expected(|name, text| name == text);
        let others = expected(|name, text| name != text);
        for column in [Username, Email] {
            let query = || users.query();
            let exact = [
                query().eq(column, text),
                query().in_(column, [text, "none"]),
                query().in_(column, [Some(text), None]),
                query().between(column, text, text),
                query().ge(column, text).le(column, text),
                query().eq_ignore_case(column, text),
                query().or_(|or| or.eq(column, text).eq(column, "none")),
                query().not_(|not| not.ne(column, text)),
                query().starts_with(column, text).ends_with(column, text).eq(column, text),
            ];
            for (number, query) in exact.into_iter().enumerate() {
                if let Some(names) = found(text, query).await {
                    assert_eq!(names, same, "{number}, {column:?} {text:?}");
                }
            }
            for query in [query().ne(column, text), query().not_in(column, [text, "none"])] {
                if let Some(names) = found(text, query).await {
                    assert_eq!(names, others, "{column:?} {text:?}");
                }
            }
            let parts: [(QueryBuilder<user::Entity>, Holds); 6] = [
                (query().contains(column, text), |name, text| name.contains(text)),
                (query().starts_with(column, text), |name, text| name.starts_with(text)),
                (query().ends_with(column, text), |name, text| name.ends_with(text)),
                (query().contains_ignore_case(column, text), |name, text| name.contains(text)),
                (query().starts_with_ignore_case(column, text), |name, text| name.starts_with(text)),
                (query().ends_with_ignore_case(column, text), |name, text| name.ends_with(text)),
            ];
            for (number, (query, holds)) in parts.into_iter().enumerate() {
                if let Some(names) = found(text, query).await {
                    assert_eq!(names, expected(holds), "{number}, {column:?} {text:?}");
                }
            }
            // A pattern may match more or fail, but nothing else.
            let like: Result<Vec<String>> = query().like(column, text).column(Username).await;
            if let Err(error) = like {
                let refused = matches!(error.root(), Error::InvalidArgument { argument: "pattern", .. });
                assert!(refused || error.class() == Some(ErrorClass::Other), "{text:?}: {error:?}");
            }
        }
        let nothing = [
            users.update_where().eq(Username, text).eq(Username, "none").set(Email, text).exec().await,
            users.delete_where().contains(Username, text).eq(Username, "none").hard().exec().await,
        ];
        for result in nothing {
            assert!(result.as_ref().is_ok_and(|rows| *rows == 0) || text.contains('\0'), "{text:?}: {result:?}");
        }
    }
    is_unharmed(&db, &stored).await;
}

async fn keys_and_values_in_json(db: TestDb) {
    let users = Users::new((*db).clone());
    let mut stored = vec!["plain"];
    users.insert(row("plain")).await.unwrap();
    for text in HOSTILE.into_iter().filter(|text| !text.contains('\0')) {
        let profile = serde_json::json!({text: text, "nested": {text: [text]}, "value": text});
        users.insert(user::ActiveModel { profile: Set(Some(profile)), ..row(text) }).await.unwrap();
        stored.push(text);
    }
    for text in HOSTILE {
        let same: Vec<String> = stored.iter().filter(|name| **name == text).map(|name| (*name).to_owned()).collect();
        let nested = || JsonPath::from(["nested", text]).index(0);
        let queries = [
            users.query().json_eq(Profile, "value", text),
            users.query().json_eq(Profile, text, text),
            users.query().json_eq(Profile, nested(), text),
            users.query().json_has(Profile, text),
            users.query().json_has(Profile, nested()),
        ];
        for (number, query) in queries.into_iter().enumerate() {
            if let Some(names) = found(text, query).await {
                assert_eq!(names, same, "{number}: {text:?}");
            }
        }
        match users.query().json_contains(Profile, serde_json::json!({"value": text})).column::<String>(Username).await
        {
            Ok(names) => assert_eq!(names, same, "{text:?}"),
            Err(error) => {
                let known = matches!(error.root(), Error::Unsupported { .. }) || text.contains('\0');
                assert!(known, "{text:?}: {error:?}");
            }
        }
    }
    is_unharmed(&db, &stored).await;
}

async fn texts_in_the_order(db: TestDb) {
    let (users, stored) = filled(&db).await;
    let allowed = [Username, Balance];
    let long = "a,".repeat(50_000);
    let tricks = [
        "password",
        "Username",
        "USERNAME",
        "username desc",
        "username;",
        "(username)",
        "1",
        "--username",
        ",",
        "username,",
        "username,username",
        "balance, -balance",
        "\"username\"",
        "user.username",
        "username\0",
        "*",
        &long,
    ];
    for text in HOSTILE.into_iter().chain(tricks) {
        let Err(error) = users.query().sort(text, allowed) else { panic!("{text:?} was taken") };
        assert!(matches!(error, Error::InvalidArgument { argument: "sort", .. }), "{text:?}: {error:?}");
        let message = error.to_string();
        assert!(message.len() < 400 && !message.contains(char::is_control), "{message:?}");
        assert!(users.query().sort(&format!("username,{text}"), allowed).is_err(), "{text:?}");
        assert!(users.query().sort(&format!("-{text}"), allowed).is_err(), "{text:?}");
    }
    for text in ["", "  ", "username", " -balance , username "] {
        assert_eq!(users.query().sort(text, allowed).unwrap().all().await.unwrap().len(), stored.len());
    }
    assert_eq!(db.recorder().take_queries(), 4, "nothing else is sent");
    is_unharmed(&db, &stored).await;
}

fn is_refused<T>(result: Result<T>, token: &str) {
    let Err(error) = result else { panic!("{token:?} was taken for a token") };
    assert!(matches!(error.root(), Error::InvalidArgument { argument: "cursor", .. }), "{token:?}: {error:?}");
    let message = error.to_string();
    assert!(message.len() < 400 && !message.contains(char::is_control), "{message:?}");
}

async fn texts_in_tokens(db: TestDb) {
    let (users, stored) = filled(&db).await;
    let long = "A".repeat(1 << 20);
    for text in HOSTILE.into_iter().chain(["", "AAAA", "====", "e30", "bnVsbA", &long]) {
        is_refused(users.query().order_asc(Username).cursor(2, Some(text)).await, text);
    }
    assert_eq!(db.recorder().take_queries(), 0, "nothing is sent");
    // The values in a token are bound like any others.
    for text in &stored {
        let one = users.query().eq(Username, *text).order_asc(Email);
        assert_eq!(one.clone().cursor(1, None).await.unwrap().items.len(), 1);
        let page = users.query().order_asc(Email).cursor(1, None).await.unwrap();
        assert!(page.next.is_some());
    }
    let mut seen = Vec::new();
    let mut token = None;
    loop {
        let page = users.query().order_asc(Email).cursor(1, token.as_deref()).await.unwrap();
        seen.extend(page.items.into_iter().map(|user| user.username));
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    seen.sort_unstable();
    let mut all: Vec<String> = stored.iter().map(|text| (*text).to_owned()).collect();
    all.sort_unstable();
    assert_eq!(seen, all, "each row once");
    is_unharmed(&db, &stored).await;
}

async fn tokens_that_were_changed(db: TestDb) {
    let (users, stored) = filled(&db).await;
    let query = || users.query().order_desc(Email).order_asc(Balance);
    let token = query().cursor(2, None).await.unwrap().next.unwrap();
    db.recorder().forget();
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes) {
                is_refused(query().cursor(2, Some(&changed)).await, &changed);
            }
        }
        is_refused(query().cursor(2, Some(&token[..at])).await, &token[..at]);
        is_refused(query().cursor(2, Some(&token[at + 1..])).await, &token[at + 1..]);
    }
    let mut rng = Rng::with_seed(7);
    for _ in 0..2_000 {
        let mut bytes = token.clone().into_bytes();
        for _ in 0..rng.usize(1..6) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..3) {
                0 => bytes[at] = rng.u8(..128),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, rng.u8(..128)),
            }
        }
        let changed = String::from_utf8(bytes).unwrap();
        if changed != token {
            is_refused(query().cursor(2, Some(&changed)).await, &changed);
        }
    }
    for other in [users.query().order_asc(Email), users.query(), query().eq(Balance, 0)] {
        is_refused(other.cursor(2, Some(&token)).await, &token);
    }
    assert_eq!(db.recorder().take_queries(), 0, "nothing is sent");
    assert_eq!(query().cursor(2, Some(&token)).await.unwrap().items.len(), 2);
    is_unharmed(&db, &stored).await;
}

async fn texts_brought_along(db: TestDb) {
    use entities::customer_order::{self, Column::Number};
    let (users, stored) = filled(&db).await;
    let orders = BaseDao::<customer_order::Entity>::new((*db).clone());
    for text in &stored {
        let user = users.query().eq(Username, *text).one().await.unwrap();
        let number = text.chars().take(20).collect::<String>();
        let order =
            customer_order::ActiveModel { user_id: Set(user.id), number: Set(number.clone()), ..Default::default() };
        orders.insert(order).await.unwrap();
        let theirs = orders.query().eq(Number, number.as_str());
        // Where a NUL byte can be stored, no pattern has one.
        let theirs = if text.contains('\0') { theirs } else { theirs.contains(Number, &number) };
        let rows = users.query().eq(Username, *text).with_many(theirs.clone().limit(3)).all().await.unwrap();
        assert_eq!((rows.len(), rows[0].1.len()), (1, 1), "{text:?}");
        let has = users.query().has_related::<customer_order::Entity>(|orders| orders.eq(Number, number.as_str()));
        assert_eq!(found(text, has).await.unwrap(), [*text]);
        assert_eq!(
            found(text, users.query().in_subquery(Id, theirs, customer_order::Column::UserId)).await.unwrap(),
            [*text]
        );
    }
    assert_eq!(orders.delete_where().all_rows().hard().exec().await.unwrap(), stored.len() as u64);
    is_unharmed(&db, &stored).await;
}

/// What the fuzz target does, on inputs of random bytes. `SEA_DAO_SEED=…` runs one seed again.
async fn texts_never_become_sql(db: TestDb) {
    let (users, stored) = filled(&db).await;
    let seed = std::env::var("SEA_DAO_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SEA_DAO_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for _ in 0..200 {
        let input: Vec<u8> = (0..rng.usize(..400)).map(|_| rng.u8(..)).collect();
        fuzz::check(&users, &input).await;
    }
    is_unharmed(&db, &stored).await;
}
