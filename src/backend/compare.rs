//! Values as they have to be written to be compared with their column as the database sorts it.

use sea_orm::{
    ColumnTrait, DbBackend, Value,
    sea_query::{ColumnType, Expr, ExprTrait, OptionEnum},
};

/// A text of a `CHAR(n)` column as such a text again, where that makes a difference: PostgreSQL gives it with the spaces
/// that fill it up, and these count when it is compared as any other text. `None` for a value that is compared as it is.
pub(crate) fn padded(column: impl ColumnTrait, value: &Value) -> Option<Expr> {
    let length = padded_length(column, [value])?;
    Some(pad(Expr::val(value.clone()), length))
}

/// The value as it is compared with the column.
pub(crate) fn compared(column: impl ColumnTrait, value: &Value) -> Expr {
    padded(column, value).unwrap_or_else(|| column.save_as(Expr::val(value.clone())))
}

/// The length that holds all of these values of a `CHAR(n)` column, when one of them is filled up with spaces.
pub(crate) fn padded_length<'v>(
    column: impl ColumnTrait,
    values: impl IntoIterator<Item = &'v Value>,
) -> Option<usize> {
    let texts = values.into_iter().filter_map(|value| match value {
        Value::String(Some(text)) => Some((text.ends_with(' '), text.chars().count())),
        _ => None,
    });
    let all = texts.reduce(|(one, longest), (other, length)| (one || other, longest.max(length)));
    let (filled, length) = all?;
    (filled && matches!(column.def().get_column_type(), ColumnType::Char(_))).then_some(length)
}

/// A text as one of a `CHAR(n)` column.
pub(crate) fn pad(text: Expr, length: usize) -> Expr {
    text.cast_as(format!("CHAR({length})"))
}

/// The values of an enum that are sorted after this one, or before it; `None` where `>` and `<` say that. MySQL sorts by
/// the place in the type's list and compares the texts.
pub(crate) fn enum_values_beyond(
    backend: DbBackend,
    column: &ColumnType,
    value: &Value,
    after: bool,
) -> Option<Vec<String>> {
    let (DbBackend::MySql, ColumnType::Enum { variants, .. }) = (backend, column) else { return None };
    let text = match value {
        Value::String(Some(text)) => text.as_str(),
        Value::Enum(OptionEnum::Some(value)) => value.value.as_ref(),
        _ => return None,
    };
    let names: Vec<String> = variants.iter().map(ToString::to_string).collect();
    let place = names.iter().position(|name| name == text)?;
    Some(if after { names[place + 1..].to_vec() } else { names[..place].to_vec() })
}
