//! What no text of a caller's may do: change the SQL around it, fail with another error than one that says what is wrong
//! with it, or panic. Everything is made out of the bytes of an input.
//!
//! The tests of the crate run the same on inputs of their own.

#![allow(unreachable_pub, reason = "a crate of its own, and a module of the tests")]

use std::collections::HashSet;

use entities::user::{self, Column};
use sea_dao::{
    BaseDao, Error,
    query::{Conditions, JsonPath, QueryBuilder},
};
use sea_orm::DbBackend;

/// The rows that are asked for; they need not be there.
pub type Users = BaseDao<user::Entity>;

/// Runs all checks on one input. A token that fits is used for a query; nothing else is sent.
///
/// # Panics
///
/// When one fails.
pub async fn check(users: &Users, input: &[u8]) {
    let mut input = Input(input);
    let steps: Vec<Step> = (0..input.below(6)).map(|_| Step::read(&mut input, 3)).collect();
    texts_are_no_sql(users, &steps);
    let sort = input.text();
    sorts_by_what_is_allowed(users, &sort);
    sorts_by_what_is_allowed(users, &input.sort());
    let query = || steps.iter().fold(users.query(), |query, step| step.add_to(query, true));
    refuses_other_tokens(query(), &input.text()).await;
    let Ok(page) = users.query().order_asc(Column::Username).cursor(1, None).await else { return };
    if let Some(token) = page.next {
        let query = users.query().order_asc(Column::Username);
        assert!(query.clone().cursor(1, Some(&token)).await.is_ok(), "the token of this query: {token}");
        let changed = input.changed(&token);
        if changed != token {
            refuses_other_tokens(query, &changed).await;
        }
    }
}

/// The SQL is the same whatever the texts are.
fn texts_are_no_sql(users: &Users, steps: &[Step]) {
    for backend in [DbBackend::Sqlite, DbBackend::Postgres, DbBackend::MySql] {
        let query = |own: bool| steps.iter().fold(users.query(), |query, step| step.add_to(query, own));
        match (query(true).build(backend), query(false).build(backend)) {
            (Ok(given), Ok(plain)) => assert_eq!(given.sql, plain.sql, "{steps:?}"),
            // What this database does not have, it does not have for any text.
            (Err(Error::Unsupported { .. }), Err(Error::Unsupported { .. })) => {}
            (Err(Error::InvalidArgument { .. }), _) => {}
            (given, plain) => panic!("{given:?}, with plain texts {plain:?}: {steps:?}"),
        }
        let update = steps.iter().fold(users.update_where(), |update, step| step.add_to(update, true));
        let plain = steps.iter().fold(users.update_where(), |update, step| step.add_to(update, false));
        let text = steps.first().map_or_else(String::new, |step| format!("{step:?}"));
        let update = update.set(Column::Username, text).all_rows().build(backend);
        let plain = plain.set(Column::Username, "x").all_rows().build(backend);
        if let (Ok(update), Ok(plain)) = (update, plain) {
            assert_eq!(update.sql, plain.sql, "{steps:?}");
        }
    }
}

const SORTABLE: [(&str, Column); 3] =
    [("id", Column::Id), ("username", Column::Username), ("created_at", Column::CreatedAt)];

/// A sort string is names of the list and nothing else, or an error.
fn sorts_by_what_is_allowed(users: &Users, sort: &str) {
    let parts: Vec<&str> = sort.split(',').map(str::trim).collect();
    let names: Vec<&str> = parts.iter().map(|part| part.strip_prefix('-').unwrap_or(part)).collect();
    let known = names.iter().all(|name| SORTABLE.iter().any(|(allowed, _)| allowed == name));
    let once = names.iter().collect::<HashSet<_>>().len() == names.len();
    let is_empty = sort.trim().is_empty();
    let accepted = is_empty || known && once;
    match users.query().sort(sort, SORTABLE.map(|(_, column)| column)) {
        Ok(query) => {
            assert!(accepted, "{sort:?}");
            let mut expected = users.query();
            for (part, name) in parts.iter().zip(&names).filter(|_| !is_empty) {
                let Some((_, column)) = SORTABLE.iter().find(|(allowed, _)| allowed == name) else { continue };
                let descending = part.starts_with('-');
                expected = if descending { expected.order_desc(*column) } else { expected.order_asc(*column) };
            }
            let sql = |query: QueryBuilder<user::Entity>| query.build(DbBackend::Postgres).map(|built| built.sql).ok();
            assert_eq!(sql(query), sql(expected), "{sort:?}");
        }
        Err(Error::InvalidArgument { argument: "sort", value, .. }) => {
            assert!(!accepted, "{sort:?}");
            assert!(value.chars().all(|character| !character.is_control()), "{value:?} in a message");
        }
        Err(error) => panic!("{error:?}: {sort:?}"),
    }
}

/// A text that is not a token of the query is told so.
async fn refuses_other_tokens(query: QueryBuilder<user::Entity>, token: &str) {
    let Err(error) = query.cursor(3, Some(token)).await else {
        panic!("{token:?} was taken for a token");
    };
    match error.root() {
        Error::InvalidArgument { argument: "cursor", value, .. } => {
            assert!(value.chars().all(|character| !character.is_control()), "{value:?} in a message");
        }
        // The conditions come first.
        Error::InvalidArgument { .. } | Error::Unsupported { .. } => {}
        other => panic!("{other:?}: {token:?}"),
    }
}

/// A condition with texts in every place that takes one.
#[derive(Debug, Clone)]
enum Step {
    Text(Comparison, Column, String),
    In(Column, Vec<String>),
    NotIn(Column, Vec<String>),
    Between(Column, String, String),
    JsonEq(Vec<String>, String),
    JsonHas(Vec<String>),
    JsonContains(String),
    Or(Vec<Step>),
    And(Vec<Step>),
    Not(Vec<Step>),
    HasOrder(String),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Eq,
    Ne,
    Gt,
    Le,
    Like,
    Contains,
    StartsWith,
    EndsWith,
    EqIgnoreCase,
    ContainsIgnoreCase,
    StartsWithIgnoreCase,
    EndsWithIgnoreCase,
}

impl Comparison {
    const ALL: [Self; 12] = [
        Self::Eq,
        Self::Ne,
        Self::Gt,
        Self::Le,
        Self::Like,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::EqIgnoreCase,
        Self::ContainsIgnoreCase,
        Self::StartsWithIgnoreCase,
        Self::EndsWithIgnoreCase,
    ];
}

impl Step {
    fn read(input: &mut Input<'_>, depth: usize) -> Self {
        let column = [Column::Username, Column::Phone, Column::Email][input.below(3)];
        let texts = |input: &mut Input<'_>| (0..input.below(4)).map(|_| input.text()).collect::<Vec<_>>();
        let steps = |input: &mut Input<'_>| {
            let count = if depth == 0 { 0 } else { input.below(4) };
            (0..count).map(|_| Self::read(input, depth - 1)).collect::<Vec<_>>()
        };
        match input.below(16) {
            0 => Self::In(column, texts(input)),
            1 => Self::NotIn(column, texts(input)),
            2 => Self::Between(column, input.text(), input.text()),
            3 => Self::JsonEq(texts(input), input.text()),
            4 => Self::JsonHas(texts(input)),
            5 => Self::JsonContains(input.text()),
            6 => Self::Or(steps(input)),
            7 => Self::And(steps(input)),
            8 => Self::Not(steps(input)),
            9 => Self::HasOrder(input.text()),
            _ => Self::Text(Comparison::ALL[input.below(12)], column, input.text()),
        }
    }

    /// With its own texts, or with plain ones in their places.
    fn add_to<B: Conditions<user::Entity>>(&self, builder: B, own: bool) -> B {
        let text = |text: &String| if own { text.clone() } else { "x".to_owned() };
        let texts = |all: &[String]| all.iter().map(text).collect::<Vec<_>>();
        let path = |keys: &[String]| {
            let mut keys = keys.iter().map(text);
            let first = JsonPath::from(keys.next().unwrap_or_default());
            keys.fold(first, JsonPath::key)
        };
        let all = |steps: &[Self], group| steps.iter().fold(group, |group, step| step.add_to(group, own));
        match self {
            Self::Text(comparison, column, given) => {
                let (column, text) = (*column, text(given));
                match comparison {
                    Comparison::Eq => builder.eq(column, text),
                    Comparison::Ne => builder.ne(column, text),
                    Comparison::Gt => builder.gt(column, text),
                    Comparison::Le => builder.le(column, text),
                    Comparison::Like => builder.like(column, text),
                    Comparison::Contains => builder.contains(column, text),
                    Comparison::StartsWith => builder.starts_with(column, text),
                    Comparison::EndsWith => builder.ends_with(column, text),
                    Comparison::EqIgnoreCase => builder.eq_ignore_case(column, text),
                    Comparison::ContainsIgnoreCase => builder.contains_ignore_case(column, text),
                    Comparison::StartsWithIgnoreCase => builder.starts_with_ignore_case(column, text),
                    Comparison::EndsWithIgnoreCase => builder.ends_with_ignore_case(column, text),
                }
            }
            Self::In(column, values) => builder.in_(*column, texts(values)),
            Self::NotIn(column, values) => builder.not_in(*column, texts(values)),
            Self::Between(column, low, high) => builder.between(*column, text(low), text(high)),
            Self::JsonEq(keys, value) => builder.json_eq(Column::Profile, path(keys), text(value)),
            Self::JsonHas(keys) => builder.json_has(Column::Profile, path(keys)),
            Self::JsonContains(value) => builder.json_contains(Column::Profile, serde_json::json!([text(value)])),
            Self::Or(steps) => builder.or_(|or| steps.iter().fold(or, |or, step| step.add_to(or, own))),
            Self::And(steps) => builder.and_(|and| all(steps, and)),
            Self::Not(steps) => builder.not_(|not| all(steps, not)),
            Self::HasOrder(number) => builder.has_related::<entities::customer_order::Entity>(|orders| {
                orders.contains(entities::customer_order::Column::Number, text(number))
            }),
        }
    }
}

/// Bytes that become numbers and texts; zeros when they are used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// Any bytes, or one of the texts that have done harm before.
    fn text(&mut self) -> String {
        const FAMILIAR: [&str; 12] = [
            "'; DROP TABLE \"user\"; --",
            "' OR '1'='1",
            "\\",
            "\\'",
            "\"",
            "`",
            "\0",
            "%_!\\",
            "? $1 ?? :x {}",
            "/* -- */ #",
            "😀\u{202e}",
            "$.a[0]\"]",
        ];
        match self.byte() {
            kind @ 0..=127 => {
                let length = usize::from(kind % 40).min(self.0.len());
                let (text, rest) = self.0.split_at(length);
                self.0 = rest;
                String::from_utf8_lossy(text).into_owned()
            }
            kind => FAMILIAR[usize::from(kind) % FAMILIAR.len()].to_owned(),
        }
    }

    /// Made of what sort strings are made of.
    fn sort(&mut self) -> String {
        const PARTS: [&str; 10] = ["id", "username", "created_at", "-", ",", " ", "phone", "ID", "id desc", "(id)"];
        (0..self.below(7)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }

    /// The text with some of it changed, left out, or put in.
    fn changed(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = ((usize::from(self.byte()) << 8) | usize::from(self.byte())) % (bytes.len() + 1);
            match self.below(3) {
                0 if at < bytes.len() => bytes[at] = self.byte(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, self.byte()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
