//! Random filters, orders, pages and cursors over random rows, against the same computed in plain Rust.
//!
//! `SEA_DAO_SEED=… ` runs one seed again, `SEA_DAO_CASES=…` runs more cases.

mod filter;
mod sample;

use std::cmp::Ordering;

use fastrand::Rng;
use futures_util::TryStreamExt;
use sea_dao::{BaseDao, query::QueryBuilder};
use sea_orm::{DbBackend, Order, sea_query::NullOrdering};

use crate::support::TestDb;
use filter::Filter;
use sample::{Field, Model};

for_each_backend!(queries_agree_with_plain_rust, writes_agree_with_plain_rust);

type Samples = BaseDao<sample::Entity>;

/// One column of an order.
#[derive(Debug, Clone)]
struct Term {
    field: Field,
    descending: bool,
    nulls: Option<NullOrdering>,
}

/// The seed of this run, and how many cases it has.
fn seed_and_cases() -> (u64, usize) {
    let number = |name| std::env::var(name).ok().map(|value: String| value.parse().expect("a number"));
    let cases = number("SEA_DAO_CASES").unwrap_or(60);
    (number("SEA_DAO_SEED").unwrap_or_else(|| fastrand::u64(..)), usize::try_from(cases).expect("a number of cases"))
}

async fn filled(db: &TestDb, rng: &mut Rng) -> (Samples, Vec<Model>) {
    sample::create(db).await;
    let samples = Samples::new((**db).clone());
    let rows: Vec<Model> = sample::rows(rng);
    samples.insert_many(rows.iter().cloned().map(sample::ActiveModel::from)).await.expect("the rows");
    (samples, rows)
}

async fn queries_agree_with_plain_rust(db: TestDb) {
    let (seed, cases) = seed_and_cases();
    let mut rng = Rng::with_seed(seed);
    let (samples, rows) = filled(&db, &mut rng).await;
    for case in 0..cases {
        let filters: Vec<Filter> = (0..rng.usize(0..3)).map(|_| Filter::random(&mut rng, 3)).collect();
        let terms = random_order(&mut rng);
        let size = rng.u64(1..12);
        let what = format!("SEA_DAO_SEED={seed}, case {case}: {filters:?} {terms:?}, {size} a page");
        let expected = expected(&rows, &filters, &terms, db.backend());
        let query = || order(filters.iter().fold(samples.query(), |query, filter| filter.add_to(query)), &terms);
        agrees(query, &expected, size, &what).await;
        walks_agree(query, &expected, size, &mut rng, &what).await;
    }
}

/// Everything but cursors.
async fn agrees(query: impl Fn() -> QueryBuilder<sample::Entity>, expected: &[Model], size: u64, what: &str) {
    // The key makes the order whole, as a cursor does by itself.
    let whole = || query().order_asc(sample::Column::Part).order_asc(sample::Column::Id);
    assert_eq!(sorted(query().all().await.expect(what)), sorted(expected.to_vec()), "{what}");
    assert_eq!(query().count().await.expect(what), expected.len() as u64, "{what}");
    assert_eq!(query().exists().await.expect(what), !expected.is_empty(), "{what}");
    let ordered = whole().all().await.expect(what);
    let pages = expected.len() as u64 / size + 1;
    let mut paged = Vec::new();
    for number in 1..=pages {
        let page = whole().page(number, size).await.expect(what);
        assert_eq!(page.total, expected.len() as u64, "{what}");
        paged.extend(page.items);
    }
    assert_eq!(paged, ordered, "{what}");
    let streamed: Vec<Model> = whole().stream().try_collect().await.expect(what);
    assert_eq!(streamed, ordered, "{what}");
    let small = expected.iter().map(|row| i64::from(row.small)).sum::<i64>();
    assert_eq!(query().sum(sample::Column::Small).await.expect(what), small, "{what}");
    let least = expected.iter().filter_map(|row| row.maybe).min();
    assert_eq!(query().min::<i64>(sample::Column::Maybe).await.expect(what), least, "{what}");
}

async fn walks_agree(
    query: impl Fn() -> QueryBuilder<sample::Entity>,
    expected: &[Model],
    size: u64,
    rng: &mut Rng,
    what: &str,
) {
    let parts: Vec<Vec<Model>> = query().chunks(size).try_collect().await.expect(what);
    assert_eq!(parts.concat(), expected, "chunks, {what}");

    // To the end, now and then a step back and forth, and back to the beginning.
    let mut page = query().cursor(size, None).await.expect(what);
    assert_eq!(page.previous, None, "{what}");
    let mut walked = page.items.clone();
    while let Some(token) = page.next.clone() {
        let next = query().cursor(size, Some(&token)).await.expect(what);
        assert!(!next.items.is_empty(), "{what}");
        if rng.u8(..) < 64 {
            let back = query().cursor(size, next.previous.as_deref()).await.expect(what);
            assert_eq!(back.items, page.items, "a step back, {what}");
        }
        walked.extend(next.items.iter().cloned());
        page = next;
    }
    assert_eq!(walked, expected, "forwards, {what}");
    let mut parts = vec![page.items.clone()];
    while let Some(token) = page.previous.clone() {
        page = query().cursor(size, Some(&token)).await.expect(what);
        parts.push(page.items.clone());
    }
    parts.reverse();
    assert_eq!(parts.concat(), expected, "backwards, {what}");
}

async fn writes_agree_with_plain_rust(db: TestDb) {
    let (seed, cases) = seed_and_cases();
    let mut rng = Rng::with_seed(seed);
    let (samples, mut rows) = filled(&db, &mut rng).await;
    for case in 0..cases {
        let filter = Filter::random(&mut rng, 3);
        let what = format!("SEA_DAO_SEED={seed}, case {case}: {filter:?}");
        let matching = rows.iter().filter(|row| filter.holds(row) == Some(true)).count();
        let value = rng.i32(-3..4);
        if rng.u8(..) < 32 && matching * 4 < rows.len() {
            let deleted = filter.add_to(samples.delete_where().all_rows()).exec().await.expect(&what);
            assert_eq!(deleted, matching as u64, "{what}");
            rows.retain(|row| filter.holds(row) != Some(true));
        } else {
            let update = filter.add_to(samples.update_where().all_rows()).set(sample::Column::Small, value);
            assert_eq!(update.exec().await.expect(&what), matching as u64, "{what}");
            for row in &mut rows {
                if filter.holds(row) == Some(true) {
                    row.small = value;
                }
            }
        }
        assert_eq!(filter.add_to(samples.count()).await.expect(&what) as usize, {
            rows.iter().filter(|row| filter.holds(row) == Some(true)).count()
        });
        assert_eq!(sorted(samples.query().all().await.expect(&what)), sorted(rows.clone()), "{what}");
    }
}

fn random_order(rng: &mut Rng) -> Vec<Term> {
    let count = rng.usize(0..4);
    let nulls = [None, None, Some(NullOrdering::First), Some(NullOrdering::Last)];
    let term = |rng: &mut Rng| Term {
        field: Field::random(rng),
        descending: rng.bool(),
        nulls: *rng.choice(&nulls).expect("some"),
    };
    (0..count).map(|_| term(rng)).collect()
}

fn order(query: QueryBuilder<sample::Entity>, terms: &[Term]) -> QueryBuilder<sample::Entity> {
    terms.iter().fold(query, |query, Term { field, descending, nulls }| {
        let order = if *descending { Order::Desc } else { Order::Asc };
        match nulls {
            None => query.order_by(field.column(), order),
            Some(nulls) => query.order_by_with_nulls(field.column(), order, *nulls),
        }
    })
}

/// The rows that match, in the order that a cursor makes of the terms.
fn expected(rows: &[Model], filters: &[Filter], terms: &[Term], backend: DbBackend) -> Vec<Model> {
    let matches = |row: &&Model| filters.iter().all(|filter| filter.holds(row) == Some(true));
    let mut found: Vec<Model> = rows.iter().filter(matches).cloned().collect();
    // A column that comes again says nothing new.
    let first = |(at, term): (usize, &Term)| terms[..at].iter().all(|earlier| earlier.field != term.field);
    let mut terms: Vec<Term> =
        terms.iter().enumerate().filter(|&term| first(term)).map(|(_, term)| term.clone()).collect();
    let descending = terms.last().is_some_and(|term| term.descending);
    terms.extend([Field::Part, Field::Id].map(|field| Term { field, descending, nulls: None }));
    found.sort_by(|left, right| {
        let by_term = terms.iter().map(|term| term.compare(left, right, backend));
        by_term.fold(Ordering::Equal, Ordering::then)
    });
    found
}

impl Term {
    fn compare(&self, left: &Model, right: &Model, backend: DbBackend) -> Ordering {
        let (left, right) = (self.field.of(left), self.field.of(right));
        // What the documentation of `order_by` says of each database.
        let largest = backend == DbBackend::Postgres;
        let null_is_last = match self.nulls {
            Some(NullOrdering::Last) => true,
            Some(NullOrdering::First) => false,
            None => largest != self.descending,
        };
        match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if null_is_last {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, true) => {
                if null_is_last {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, false) if self.descending => right.cmp(&left),
            (false, false) => left.cmp(&right),
        }
    }
}

fn sorted(mut rows: Vec<Model>) -> Vec<Model> {
    rows.sort_by_key(|row| (row.part, row.id));
    rows
}
