//! Rows of few values, so that there are ties, with types that compare alike on every database.

use fastrand::Rng;
use sea_orm::{
    ConnectionTrait, DbBackend, Value,
    entity::prelude::*,
    sea_query::{ColumnDef, Index, Table},
};

use crate::support::TestDb;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sample")]
pub(super) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) part: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) id: i64,
    pub(super) small: i32,
    pub(super) maybe: Option<i64>,
    pub(super) word: String,
    pub(super) note: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Part,
    Id,
    Small,
    Maybe,
    Word,
    Note,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    Null,
    Number(i64),
    Text(String),
}

impl Cell {
    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

const WORDS: [&str; 12] = ["", "a", "Z", "b", "ab", "a%", "%", "_", "a_b", "!", "\\", "é"];

impl Field {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let fields = [Self::Part, Self::Id, Self::Small, Self::Maybe, Self::Word, Self::Note];
        *rng.choice(&fields).expect("some")
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Word | Self::Note)
    }

    pub(super) fn column(self) -> Column {
        match self {
            Self::Part => Column::Part,
            Self::Id => Column::Id,
            Self::Small => Column::Small,
            Self::Maybe => Column::Maybe,
            Self::Word => Column::Word,
            Self::Note => Column::Note,
        }
    }

    pub(super) fn of(self, row: &Model) -> Cell {
        match self {
            Self::Part => Cell::Number(row.part.into()),
            Self::Id => Cell::Number(row.id),
            Self::Small => Cell::Number(row.small.into()),
            Self::Maybe => row.maybe.map_or(Cell::Null, Cell::Number),
            Self::Word => Cell::Text(row.word.clone()),
            Self::Note => row.note.clone().map_or(Cell::Null, Cell::Text),
        }
    }

    /// Something to compare the column with; NULL only when asked for.
    pub(super) fn random_cell(self, rng: &mut Rng, nulls: bool) -> Cell {
        if nulls && rng.u8(..) < 40 {
            Cell::Null
        } else if self.is_text() {
            Cell::Text(word(rng))
        } else {
            Cell::Number(rng.i64(-3..8))
        }
    }

    /// A value of the column's own type.
    pub(super) fn value(self, cell: &Cell) -> Value {
        let number = match cell {
            Cell::Number(number) => Some(*number),
            _ => None,
        };
        match (self, cell) {
            (Self::Part | Self::Small, _) => number.map(|number| i32::try_from(number).expect("small")).into(),
            (Self::Id | Self::Maybe, _) => number.into(),
            (_, Cell::Text(text)) => text.clone().into(),
            _ => None::<String>.into(),
        }
    }
}

pub(super) fn word(rng: &mut Rng) -> String {
    (*rng.choice(&WORDS).expect("some")).to_owned()
}

pub(super) fn rows(rng: &mut Rng) -> Vec<Model> {
    let count = rng.i64(20..50);
    let row = |number: i64| Model {
        part: i32::try_from(number % 3).expect("small"),
        id: number / 3,
        small: rng.i32(-3..4),
        maybe: (rng.u8(..) < 150).then(|| rng.i64(-2..3)),
        word: word(rng),
        note: (rng.u8(..) < 150).then(|| word(rng)),
    };
    let mut rows: Vec<Model> = (0..count).map(row).collect();
    rng.shuffle(&mut rows);
    rows
}

pub(super) async fn create(db: &TestDb) {
    // Text compares by its bytes.
    let text = match db.backend() {
        DbBackend::Postgres => "text COLLATE \"C\"",
        DbBackend::MySql => "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        _ => "text",
    };
    let table = Table::create()
        .table(Entity)
        .col(ColumnDef::new(Column::Part).integer().not_null())
        .col(ColumnDef::new(Column::Id).big_integer().not_null())
        .col(ColumnDef::new(Column::Small).integer().not_null())
        .col(ColumnDef::new(Column::Maybe).big_integer().null())
        .col(ColumnDef::new(Column::Word).custom(text).not_null())
        .col(ColumnDef::new(Column::Note).custom(text).null())
        .primary_key(Index::create().col(Column::Part).col(Column::Id))
        .to_owned();
    db.execute(&table).await.expect("the table of samples");
}
