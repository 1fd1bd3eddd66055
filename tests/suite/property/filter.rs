//! Conditions, as the builders take them and as plain Rust computes them: with NULL, a third truth value.

use fastrand::Rng;
use sea_dao::query::Conditions;

use super::sample::{self, Cell, Field, Model};

#[derive(Debug, Clone)]
pub(super) enum Filter {
    Compare(Field, Sign, Cell),
    Between(Field, Cell, Cell),
    In(Field, Vec<Cell>),
    NotIn(Field, Vec<Cell>),
    IsNull(Field),
    IsNotNull(Field),
    Text(Field, Place, String),
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Vec<Filter>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Start,
    Middle,
    End,
}

impl Filter {
    pub(super) fn random(rng: &mut Rng, depth: u8) -> Self {
        let field = Field::random(rng);
        let kinds = if depth == 0 { 7 } else { 10 };
        let list = |rng: &mut Rng| (0..rng.usize(0..4)).map(|_| field.random_cell(rng, true)).collect();
        let group = |rng: &mut Rng| (0..rng.usize(0..4)).map(|_| Self::random(rng, depth - 1)).collect();
        match rng.u8(0..kinds) {
            0 => Self::Between(field, field.random_cell(rng, false), field.random_cell(rng, false)),
            1 => Self::In(field, list(rng)),
            2 => Self::NotIn(field, list(rng)),
            3 => Self::IsNull(field),
            4 => Self::IsNotNull(field),
            5 => {
                let field = if rng.bool() { Field::Word } else { Field::Note };
                let place = *rng.choice(&[Place::Start, Place::Middle, Place::End]).expect("some");
                Self::Text(field, place, sample::word(rng))
            }
            6 => {
                let signs = [Sign::Eq, Sign::Ne, Sign::Lt, Sign::Le, Sign::Gt, Sign::Ge];
                let sign = *rng.choice(&signs).expect("some");
                Self::Compare(field, sign, field.random_cell(rng, matches!(sign, Sign::Eq | Sign::Ne)))
            }
            7 => Self::Or(group(rng)),
            8 => Self::And(group(rng)),
            _ => Self::Not(group(rng)),
        }
    }

    pub(super) fn add_to<B: Conditions<sample::Entity>>(&self, builder: B) -> B {
        let value = |field: &Field, cell: &Cell| field.value(cell);
        let all = |field: &Field, cells: &[Cell]| cells.iter().map(|cell| field.value(cell)).collect::<Vec<_>>();
        match self {
            Self::Compare(field, sign, cell) => {
                let (column, value) = (field.column(), value(field, cell));
                match sign {
                    Sign::Eq => builder.eq(column, value),
                    Sign::Ne => builder.ne(column, value),
                    Sign::Lt => builder.lt(column, value),
                    Sign::Le => builder.le(column, value),
                    Sign::Gt => builder.gt(column, value),
                    Sign::Ge => builder.ge(column, value),
                }
            }
            Self::Between(field, low, high) => builder.between(field.column(), value(field, low), value(field, high)),
            Self::In(field, cells) => builder.in_(field.column(), all(field, cells)),
            Self::NotIn(field, cells) => builder.not_in(field.column(), all(field, cells)),
            Self::IsNull(field) => builder.is_null(field.column()),
            Self::IsNotNull(field) => builder.is_not_null(field.column()),
            Self::Text(field, Place::Start, text) => builder.starts_with(field.column(), text),
            Self::Text(field, Place::Middle, text) => builder.contains(field.column(), text),
            Self::Text(field, Place::End, text) => builder.ends_with(field.column(), text),
            Self::Or(group) => builder.or_(|or| group.iter().fold(or, |or, filter| filter.add_to(or))),
            Self::And(group) => builder.and_(|and| group.iter().fold(and, |and, filter| filter.add_to(and))),
            Self::Not(group) => builder.not_(|not| group.iter().fold(not, |not, filter| filter.add_to(not))),
        }
    }

    /// Whether it asks for anything at all.
    fn is_empty(&self) -> bool {
        match self {
            Self::Or(group) | Self::And(group) | Self::Not(group) => group.iter().all(Self::is_empty),
            Self::NotIn(_, cells) => cells.is_empty(),
            _ => false,
        }
    }

    /// `None` is SQL's NULL: neither this nor its negation holds.
    pub(super) fn holds(&self, row: &Model) -> Option<bool> {
        if self.is_empty() {
            return Some(true);
        }
        let known = |field: &Field| Some(field.of(row)).filter(|cell| !cell.is_null());
        match self {
            Self::Compare(field, Sign::Eq, Cell::Null) => Some(field.of(row).is_null()),
            Self::Compare(field, Sign::Ne, Cell::Null) => Some(!field.of(row).is_null()),
            Self::Compare(field, sign, cell) => known(field).map(|found| match sign {
                Sign::Eq => found == *cell,
                Sign::Ne => found != *cell,
                Sign::Lt => found < *cell,
                Sign::Le => found <= *cell,
                Sign::Gt => found > *cell,
                Sign::Ge => found >= *cell,
            }),
            Self::Between(field, low, high) => known(field).map(|found| *low <= found && found <= *high),
            Self::In(_, cells) if cells.is_empty() => Some(false),
            Self::In(field, cells) => {
                let in_list = known(field).map(|found| cells.contains(&found));
                let has_null = cells.contains(&Cell::Null);
                match (has_null, cells.iter().all(Cell::is_null)) {
                    (_, true) => Some(field.of(row).is_null()),
                    (true, false) => Some(in_list.unwrap_or(true)),
                    (false, false) => in_list,
                }
            }
            Self::NotIn(field, cells) if cells.iter().all(Cell::is_null) => Some(!field.of(row).is_null()),
            Self::NotIn(field, cells) => known(field).map(|found| !cells.contains(&found)),
            Self::IsNull(field) => Some(field.of(row).is_null()),
            Self::IsNotNull(field) => Some(!field.of(row).is_null()),
            Self::Text(field, place, text) => known(field).map(|found| match (found, place) {
                (Cell::Text(found), Place::Start) => found.starts_with(text),
                (Cell::Text(found), Place::Middle) => found.contains(text),
                (Cell::Text(found), Place::End) => found.ends_with(text),
                (found, _) => panic!("{found:?} is no text"),
            }),
            Self::Or(group) => asked(group).map(|filter| filter.holds(row)).fold(Some(false), or),
            Self::And(group) => asked(group).map(|filter| filter.holds(row)).fold(Some(true), and),
            Self::Not(group) => asked(group).map(|filter| filter.holds(row)).fold(Some(true), and).map(|holds| !holds),
        }
    }
}

fn asked(group: &[Filter]) -> impl Iterator<Item = &Filter> {
    group.iter().filter(|filter| !filter.is_empty())
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}
