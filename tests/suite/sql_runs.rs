//! Every statement that the tests of SQL expect runs on the server that it is for.

use sea_orm::ConnectionTrait;

use crate::{sql, sql_more, sql_writes, support::TestDb};

for_each_backend!(every_expected_statement_runs);

async fn every_expected_statement_runs(db: TestDb) {
    let backend = db.backend();
    let mut expected = sql::expected(backend);
    expected.extend(sql_more::expected(backend));
    expected.extend(sql_writes::expected(backend));
    assert!(expected.len() > 100, "{}", expected.len());
    for statement in expected {
        let said = statement.to_string();
        let ran = if statement.sql.starts_with("SELECT") {
            db.query_all_raw(statement).await.map(drop)
        } else {
            db.execute_raw(statement).await.map(drop)
        };
        assert!(ran.is_ok(), "{said}: {ran:?}");
    }
}
