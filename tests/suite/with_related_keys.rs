//! The keys by which rows belong together: NULL, several columns, other types, text, and more than one statement takes.

use sea_dao::{BaseDao, hooks::StatementKind, query::Conditions};
use sea_orm::{ActiveValue::Set, Linked, RelationDef, RelationTrait};

use crate::support::{
    TestDb, create_staff,
    depots::{create_depots, depot, language, parcel, word},
    employee,
    staff::employee::Column::Id,
};

for_each_backend!(
    a_table_that_refers_to_itself,
    keys_of_several_columns_and_types,
    keys_that_are_text,
    more_keys_than_a_statement_takes,
    the_number_of_keys_makes_few_statements,
);

struct Manager;

impl Linked for Manager {
    type FromEntity = employee::Entity;
    type ToEntity = employee::Entity;

    fn link(&self) -> Vec<RelationDef> {
        vec![employee::Relation::Manager.def()]
    }
}

struct Staff;

impl Linked for Staff {
    type FromEntity = employee::Entity;
    type ToEntity = employee::Entity;

    fn link(&self) -> Vec<RelationDef> {
        vec![employee::Relation::Manager.def().rev()]
    }
}

/// The managers of the managers.
struct Above;

impl Linked for Above {
    type FromEntity = employee::Entity;
    type ToEntity = employee::Entity;

    fn link(&self) -> Vec<RelationDef> {
        vec![employee::Relation::Manager.def(), employee::Relation::Manager.def()]
    }
}

async fn a_table_that_refers_to_itself(db: TestDb) {
    create_staff(&*db).await;
    let staff = BaseDao::<employee::Entity>::new((*db).clone());
    let rows = [employee(1, None), employee(2, Some(1)), employee(3, Some(1)), employee(4, Some(3))];
    staff.insert_many(rows).await.unwrap();
    db.recorder().forget();
    let rows = staff
        .query()
        .order_asc(Id)
        .with_one_linked(Manager, employee::Entity)
        .with_many_linked(Staff, staff.query().order_desc(Id))
        .with_one_linked(Above, employee::Entity)
        .all()
        .await
        .unwrap();
    assert_eq!(db.recorder().take_queries(), 4);
    let found: Vec<_> = rows
        .iter()
        .map(|(row, manager, staff, above)| {
            let id = |row: &Option<employee::Model>| row.as_ref().map(|row| row.id);
            (row.id, id(manager), staff.iter().map(|row| row.id).collect::<Vec<_>>(), id(above))
        })
        .collect();
    let expected = [
        (1, None, vec![3, 2], None),
        (2, Some(1), vec![], None),
        (3, Some(1), vec![4], None),
        (4, Some(3), vec![], Some(1)),
    ];
    assert_eq!(found, expected);
}

async fn keys_of_several_columns_and_types(db: TestDb) {
    create_depots(&*db).await;
    let depots = BaseDao::<depot::Entity>::new((*db).clone());
    let parcels = BaseDao::<parcel::Entity>::new((*db).clone());
    let places: Vec<(i32, i64)> = (0..300).map(|number| (number % 3, i64::from(number))).collect();
    depots
        .insert_many(
            places.iter().map(|(region, number)| depot::ActiveModel { region: Set(*region), number: Set(*number) }),
        )
        .await
        .unwrap();
    let new = crate::support::depots::parcel;
    let rows = [new(1, Some(0), Some(0)), new(2, Some(1), Some(0)), new(3, None, Some(0)), new(4, Some(2), Some(299))];
    parcels.insert_many(rows.into_iter().chain([new(5, Some(0), None), new(6, Some(0), Some(0))])).await.unwrap();
    db.recorder().forget();

    let found = parcels.query().order_asc(parcel::Column::Id).with_one(depot::Entity).all().await.unwrap();
    let found: Vec<_> = found.into_iter().map(|(_, depot)| depot.map(|depot| (depot.region, depot.number))).collect();
    let (first, last) = (Some((0, 0)), Some((2, 299)));
    assert_eq!(found, [first, None, None, last, None, first], "each part counts, and NULL belongs to nothing");

    let found = depots.query().order_asc(depot::Column::Number).with_many(parcel::Entity).all().await.unwrap();
    let ids: Vec<(i64, Vec<i64>)> = found
        .into_iter()
        .map(|(depot, parcels)| (depot.number, parcels.into_iter().map(|parcel| parcel.id).collect::<Vec<_>>()))
        .filter(|(_, parcels)| !parcels.is_empty())
        .collect();
    assert_eq!(ids, [(0, vec![1, 6]), (299, vec![4])]);
    assert_eq!(db.recorder().take_queries(), 2 + 1 + 3, "300 keys of two columns take three statements");
}

async fn keys_that_are_text(db: TestDb) {
    create_depots(&*db).await;
    let languages = BaseDao::<language::Entity>::new((*db).clone());
    let words = BaseDao::<word::Entity>::new((*db).clone());
    let codes = ["de", "'; DROP TABLE word; --".get(..8).unwrap(), "%_\\"];
    languages.insert_many(codes.map(|code| language::ActiveModel { code: Set(code.to_owned()) })).await.unwrap();
    let new = crate::support::depots::word;
    words
        .insert_many([new(1, Some("de")), new(2, Some("DE")), new(3, None), new(4, Some(codes[1])), new(5, Some("xx"))])
        .await
        .unwrap();
    // Whether they are the same is up to the database, and to nobody else.
    let alike = words.count().eq(word::Column::Language, "de").await.unwrap() == 2;
    let found = languages.query().order_asc(language::Column::Code).with_many(word::Entity).all().await.unwrap();
    let ids = |code: &str| {
        let (_, words) = found.iter().find(|(language, _)| language.code == code).unwrap();
        words.iter().map(|word| word.id).collect::<Vec<_>>()
    };
    assert_eq!(ids("de"), if alike { vec![1, 2] } else { vec![1] });
    assert_eq!((ids(codes[1]), ids(codes[2])), (vec![4], vec![]));
    let found = words.query().order_asc(word::Column::Id).with_one(language::Entity).all().await.unwrap();
    let found: Vec<_> = found.into_iter().map(|(_, language)| language.map(|language| language.code)).collect();
    let de = Some("de".to_owned());
    assert_eq!(found, [de.clone(), if alike { de } else { None }, None, Some(codes[1].to_owned()), None]);
}

async fn more_keys_than_a_statement_takes(db: TestDb) {
    create_staff(&*db).await;
    create_depots(&*db).await;
    let staff = BaseDao::<employee::Entity>::new((*db).clone());
    staff.insert_many([employee(1, None), employee(2, Some(1))]).await.unwrap();
    let rows =
        |count: i64| (1..=count).map(|id| employee::Model { id, name: String::new(), manager_id: Some(id) }).collect();
    db.recorder().forget();
    let loaded = staff.query().with_many_linked(Staff, employee::Entity).load_for(rows(70_000)).await.unwrap();
    assert_eq!((loaded.len(), loaded[0].1[0].id, loaded[69_999].1.len()), (70_000, 2, 0));
    let loaded = staff.query().with_one_linked(Manager, employee::Entity).load_for(rows(70_000)).await.unwrap();
    let found: Vec<i64> = loaded.into_iter().filter_map(|(_, manager)| manager).map(|manager| manager.id).collect();
    assert_eq!(found, [1, 2]);
    assert_eq!(db.recorder().take_queries(), 2, "numbers go as one value");
    // Text and numbers over several tables.
    let loaded = staff.query().with_many_linked(Above, employee::Entity).load_for(rows(70_000)).await.unwrap();
    assert_eq!(loaded[1].1.iter().map(|above| above.id).collect::<Vec<_>>(), [1]);
    let languages = BaseDao::<language::Entity>::new((*db).clone());
    let codes = (0..70_000).map(|number| language::Model { code: number.to_string() }).collect();
    let loaded = languages.query().with_many(word::Entity).load_for(codes).await.unwrap();
    assert!(loaded.len() == 70_000 && loaded.iter().all(|(_, words)| words.is_empty()));
}

async fn the_number_of_keys_makes_few_statements(db: TestDb) {
    create_staff(&*db).await;
    let staff = BaseDao::<employee::Entity>::new((*db).clone());
    let rows =
        |count: i64| (1..=count).map(|id| employee::Model { id, name: String::new(), manager_id: Some(id) }).collect();
    db.recorder().forget();
    for count in 1..=64 {
        staff.query().with_one_linked(Manager, employee::Entity).load_for(rows(count)).await.unwrap();
    }
    let seen = db.recorder().take().into_iter().filter(|seen| seen.kind == StatementKind::Query);
    let mut sql: Vec<String> = seen.map(|seen| seen.sql).collect();
    sql.sort_unstable();
    sql.dedup();
    assert!(sql.len() <= 7, "{} statements to prepare", sql.len());
}
