//! What comes back: types of one's own, streams, locks, plans, primaries.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use entities::user::{
    self,
    Column::{Balance, Email, Id, Status, Username},
};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use sea_dao::{BaseDao, Database, Error, Session, SessionProvider, error::ErrorClass, query::Conditions};
use sea_orm::{ColumnTrait, FromQueryResult, QuerySelect, prelude::Decimal};

use crate::{
    query::{NOBODY, Users, filled, names},
    support::TestDb,
};

for_each_backend!(
    one_column,
    a_type_of_ones_own_everywhere,
    sums_as_other_types,
    a_number_of_no_rows_through_select,
    a_page_replaces_the_limit_of_a_select,
    the_limit_of_a_select_holds,
    the_first_of_each,
    a_stream_is_lazy_and_ends,
    a_stream_that_fails,
    a_stream_that_is_left,
    locks_hold,
    a_lock_needs_a_transaction,
    reads_go_where_they_are_sent,
    a_sort_of_the_callers,
    plans,
    clones_do_the_same,
);

async fn one_column(db: TestDb) {
    let users = filled(&db).await;
    let emails: Vec<Option<String>> = users.query().le(Balance, 200).order_asc(Username).column(Email).await.unwrap();
    assert_eq!(emails, [Some("ada@example.org".to_owned()), None]);
    let wrong = users.query().column::<i64>(Username).await.unwrap_err();
    assert_eq!(wrong.class(), Some(ErrorClass::Decode), "{wrong:?}");
    let none: Vec<i64> = users.query().in_(Id, Vec::<i64>::new()).column(Id).await.unwrap();
    assert!(none.is_empty());
}

#[derive(Debug, Clone, PartialEq, FromQueryResult)]
struct Name {
    username: String,
}

async fn a_type_of_ones_own_everywhere(db: TestDb) {
    let users = filled(&db).await;
    let query = || users.query().order_asc(Username).into_model::<Name>();
    let name = |name: &str| Name { username: name.to_owned() };
    assert_eq!(query().all().await.unwrap().len(), 4);
    assert_eq!(query().first().await.unwrap(), Some(name("ada")));
    assert_eq!(query().eq(Username, "bob").one().await.unwrap(), name("bob"), "conditions go on");
    let page = query().page(2, 3).await.unwrap();
    assert_eq!((page.items, page.total), (vec![name("dan")], 4));
    let streamed: Vec<Name> = query().limit(2).stream().try_collect().await.unwrap();
    assert_eq!(streamed, [name("ada"), name("bob")]);
    assert_eq!(query().count().await.unwrap(), 4);
}

#[derive(Debug, Clone, PartialEq, FromQueryResult)]
struct Number {
    number: i64,
}

async fn a_number_of_no_rows_through_select(db: TestDb) {
    let users = filled(&db).await;
    for ids in [Vec::new(), vec![-1]] {
        let number = users.query().in_(Id, ids).select(|select| select.select_only().column_as(Id.count(), "number"));
        let number = number.into_model::<Number>();
        assert_eq!(number.clone().one().await.unwrap(), Number { number: 0 });
        assert_eq!(number.clone().first().await.unwrap(), Some(Number { number: 0 }));
        let streamed: Vec<Number> = number.stream().try_collect().await.unwrap();
        assert_eq!(streamed, [Number { number: 0 }]);
    }
}

async fn sums_as_other_types(db: TestDb) {
    let users = filled(&db).await;
    assert_eq!(users.query().sum_as::<Decimal>(Balance).await.unwrap(), Some(1_000.into()));
    assert_eq!(users.query().sum_as::<i64>(Status).await.unwrap(), Some(8));
    assert_eq!(users.query().sum_as::<f64>(Status).await.unwrap(), Some(8.0));
    assert_eq!(users.query().avg_as::<f64>(Balance).await.unwrap(), Some(250.0));
    assert_eq!(users.query().avg_as::<Decimal>(Status).await.unwrap(), Some(2.into()));
    assert_eq!(users.query().eq(Status, 9).sum_as::<Decimal>(Balance).await.unwrap(), None);
    let top = users.query().order_desc(Balance).limit(2);
    assert_eq!(top.sum_as::<Decimal>(Balance).await.unwrap(), Some(700.into()));
}

async fn the_limit_of_a_select_holds(db: TestDb) {
    let users = filled(&db).await;
    let limited = |rows| users.query().order_asc(Username).select(move |select| select.limit(rows));
    assert_eq!(names(limited(0).all().await.unwrap()), NOBODY);
    assert_eq!(limited(0).first().await.unwrap(), None);
    assert!(limited(0).one().await.unwrap_err().is_not_found());
    assert!(!limited(0).exists().await.unwrap());
    assert_eq!(limited(0).count().await.unwrap(), 0);
    assert_eq!(limited(0).stream().count().await, 0);
    assert_eq!(limited(1).one().await.unwrap().username, "ada");
    assert!(limited(1).exists().await.unwrap());
    assert!(limited(2).one().await.is_err_and(|error| matches!(error.root(), Error::NotUnique { .. })));
    assert_eq!(names(limited(0).limit(1).all().await.unwrap()), ["ada"], "what is said last");
}

async fn a_page_replaces_the_limit_of_a_select(db: TestDb) {
    let users = filled(&db).await;
    let query = users.query().order_asc(Username).select(|select| select.limit(1).offset(2));
    assert_eq!(names(query.clone().all().await.unwrap()), ["cyd"]);
    let page = query.page(1, 3).await.unwrap();
    assert_eq!((page.total, names(page.items)), (4, vec!["ada".to_owned(), "bob".to_owned(), "cyd".to_owned()]));
}

async fn the_first_of_each(db: TestDb) {
    let users = filled(&db).await;
    let richest = users.query().distinct_on([Status]).order_asc(Status).order_desc(Balance);
    match richest.clone().all().await {
        Ok(rows) => {
            assert_eq!(names(rows), ["ada", "cyd", "dan"]);
            assert_eq!(richest.count().await.unwrap(), 3);
        }
        Err(error) => assert!(matches!(error.root(), Error::Unsupported { .. }), "{error:?}"),
    }
}

async fn a_stream_is_lazy_and_ends(db: TestDb) {
    let users = filled(&db).await;
    let rows = users.query().order_asc(Username).stream();
    assert_eq!(db.recorder().begun(), 0, "nothing is sent yet");
    let rows: Vec<user::Model> = rows.try_collect().await.unwrap();
    assert_eq!(names(rows), ["ada", "bob", "cyd", "dan"]);
    db.recorder().forget();
    assert_eq!(users.query().in_(Id, Vec::<i64>::new()).stream().count().await, 0);
    assert_eq!(db.recorder().begun(), 0);

    let session = db.session();
    let inside: Users = users.within(&session);
    let rows = inside.query().order_asc(Username).stream();
    pin_mut!(rows);
    rows.next().await.unwrap().unwrap();
    let busy = inside.count().await.unwrap_err();
    assert!(matches!(busy.root(), Error::SessionBusy { .. }), "{busy:?}");
    assert_eq!(rows.count().await, 3);
    assert_eq!(inside.count().await.unwrap(), 4);
}

async fn a_stream_that_fails(db: TestDb) {
    let users = filled(&db).await;
    #[derive(Debug, FromQueryResult)]
    struct Wrong {
        #[allow(dead_code)]
        username: i64,
    }
    let rows = users.query().into_model::<Wrong>().stream();
    pin_mut!(rows);
    let wrong = rows.next().await.unwrap().unwrap_err();
    assert_eq!(wrong.class(), Some(ErrorClass::Decode), "{wrong:?}");
    assert!(rows.next().await.is_none());
    let locked = users.query().for_update().stream();
    pin_mut!(locked);
    assert!(matches!(locked.next().await.unwrap().unwrap_err().root(), Error::NoTransaction));
    assert_eq!(users.count().await.unwrap(), 4);
}

async fn a_stream_that_is_left(db: TestDb) {
    let users = filled(&db).await;
    for taken in 0..4 {
        let rows = users.query().order_asc(Username).stream();
        let rows: Vec<_> = rows.take(taken).try_collect().await.unwrap();
        assert_eq!(rows.len(), taken);
    }
    db.is_quiet().await;
    assert_eq!(users.count().await.unwrap(), 4);
}

async fn locks_hold(db: TestDb) {
    let users = filled(&db).await;
    if !db.capabilities().concurrent_writers {
        // One writer at a time: there is nobody to lock rows against.
        let tx = db.begin().await.unwrap();
        let inside: Users = users.within(&tx);
        assert_eq!(inside.query().for_update().skip_locked().all().await.unwrap().len(), 4);
        tx.rollback().await.unwrap();
        return;
    }
    let (first, second) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let (here, there): (Users, Users) = (users.within(&first), users.within(&second));
    let taken = here.query().order_asc(Id).eq(Username, "ada").for_update().first().await.unwrap();
    assert_eq!(taken.unwrap().username, "ada");
    let refused = there.query().eq(Username, "ada").for_update().nowait().all().await.unwrap_err();
    assert_eq!(refused.class(), Some(ErrorClass::LockTimeout), "{refused:?}");
    second.rollback().await.unwrap();
    let second = db.begin().await.unwrap();
    let there: Users = users.within(&second);
    // By the key, so that no database locks more than these rows.
    let ids: Vec<i64> = users.query().column(Id).await.unwrap();
    let left = there.query().in_(Id, ids).order_asc(Username).for_update().skip_locked().all().await.unwrap();
    assert_eq!(names(left), ["bob", "cyd", "dan"]);
    assert_eq!(there.query().count().await.unwrap(), 4, "reading needs no lock");
    first.rollback().await.unwrap();
    second.rollback().await.unwrap();

    let (first, second) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    let (here, there): (Users, Users) = (users.within(&first), users.within(&second));
    assert_eq!(here.query().eq(Username, "ada").for_share().all().await.unwrap().len(), 1);
    assert_eq!(there.query().eq(Username, "ada").for_share().nowait().all().await.unwrap().len(), 1);
    first.rollback().await.unwrap();
    second.rollback().await.unwrap();
}

async fn a_lock_needs_a_transaction(db: TestDb) {
    let users = filled(&db).await;
    let refused = users.query().for_update().all().await.unwrap_err();
    assert!(matches!(refused.root(), Error::NoTransaction), "{refused:?}");
    assert!(users.query().for_share().columns::<(i64,)>([Id]).await.is_err());
    assert_eq!(db.recorder().begun(), 0, "nothing is sent");
    assert_eq!(users.query().for_update().count().await.unwrap(), 4, "a count locks nothing");
    assert!(users.query().for_update().exists().await.unwrap());
    assert_eq!(users.query().for_update().sum(Balance).await.unwrap(), 1_000);
}

/// Counts who asks for what.
#[derive(Clone)]
struct Routed {
    db: Database,
    writes: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

impl SessionProvider for Routed {
    fn session(&self) -> Session {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.db.session()
    }

    fn read_session(&self) -> Session {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.db.session()
    }
}

async fn reads_go_where_they_are_sent(db: TestDb) {
    filled(&db).await;
    let routed = Routed { db: (*db).clone(), writes: Arc::default(), reads: Arc::default() };
    let users = BaseDao::<user::Entity>::new(routed.clone());
    users.query().all().await.unwrap();
    users.query().page(1, 2).await.unwrap();
    users.query().cursor(2, None).await.unwrap();
    users.query().sum(Balance).await.unwrap();
    users.count().await.unwrap();
    assert_eq!(routed.writes.load(Ordering::Relaxed), 0);
    let reads = routed.reads.swap(0, Ordering::Relaxed);
    assert!(reads >= 6, "{reads}");
    users.query().on_primary().all().await.unwrap();
    users.query().on_primary().page(1, 2).await.unwrap();
    users.query().on_primary().cursor(2, None).await.unwrap();
    users.query().on_primary().sum_as::<Decimal>(Balance).await.unwrap();
    users.query().on_primary().stream().count().await;
    users.count().on_primary().await.unwrap();
    users.update_where().eq(Status, 9).set(Status, 8).exec().await.unwrap();
    assert_eq!(routed.reads.load(Ordering::Relaxed), 0);
    assert!(routed.writes.load(Ordering::Relaxed) >= 7);
    // A lock is a write.
    routed.writes.store(0, Ordering::Relaxed);
    assert!(users.query().for_update().all().await.is_err());
    assert_eq!((routed.writes.load(Ordering::Relaxed), routed.reads.load(Ordering::Relaxed)), (1, 0));
}

async fn a_sort_of_the_callers(db: TestDb) {
    let users = filled(&db).await;
    let sorted = |request: &str| users.query().sort(request, [Status, Balance]).unwrap().all();
    assert_eq!(names(sorted("-balance").await.unwrap()), ["dan", "cyd", "bob", "ada"]);
    assert_eq!(names(sorted("status,-balance").await.unwrap()), ["ada", "cyd", "bob", "dan"]);
    let page = users.query().sort("-status", [Status]).unwrap().cursor(2, None).await.unwrap();
    assert_eq!(names(page.items), ["dan", "cyd"]);
}

async fn plans(db: TestDb) {
    let users = filled(&db).await;
    let plan = users.query().ne(Username, "'; DROP TABLE user; --").order_asc(Id).explain().await.unwrap();
    assert!(plan.contains("user"), "{plan}");
    assert!(users.query().for_update().explain().await.is_ok());
    assert_eq!(users.count().await.unwrap(), 4);
}

async fn clones_do_the_same(db: TestDb) {
    let users = filled(&db).await;
    let query = users
        .query()
        .in_(Id, 0..10_000)
        .has_related::<entities::customer_order::Entity>(|orders| orders)
        .or_(|or| or.contains_ignore_case(Username, "A").json_has(user::Column::Profile, "a"));
    assert_eq!(names(query.clone().all().await.unwrap()), NOBODY);
    let sent = |seen: Vec<_>| seen.into_iter().map(|seen: crate::support::Seen| seen.sql).collect::<Vec<_>>();
    let first = sent(db.recorder().take());
    assert_eq!(names(query.clone().all().await.unwrap()), NOBODY);
    assert_eq!(sent(db.recorder().take()), first);
    assert_eq!(query.build(db.backend()).unwrap(), query.clone().build(db.backend()).unwrap());
}
