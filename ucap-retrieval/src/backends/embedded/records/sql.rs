//! Bound values and multi-row inserts: every statement is text of ours, every value is bound.

use sqlx::Arguments as _;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};
use ucap_core::{Error, ErrorKind, Result};

/// Rows of one INSERT: a round trip to the database's thread for so many rows instead of one each.
const ROWS_AT_ONCE: usize = 32;

/// A value to bind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SqlValue {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<u32> for SqlValue {
    fn from(value: u32) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<String> for SqlValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for SqlValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A statement that is built up together with its values.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) values: Vec<SqlValue>,
}

impl Statement {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: impl Into<SqlValue>) -> &mut Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// Ready to run. Its text holds nothing but our own words and `?`.
    pub(super) fn query(self) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>> {
        let arguments = arguments(self.values)?;
        Ok(sqlx::query_with(AssertSqlSafe(self.text), arguments))
    }
}

fn arguments(values: impl IntoIterator<Item = SqlValue>) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            SqlValue::Null => arguments.add(Option::<i64>::None),
            SqlValue::Integer(value) => arguments.add(value),
            SqlValue::Real(value) => arguments.add(value),
            SqlValue::Text(value) => arguments.add(value),
            SqlValue::Blob(value) => arguments.add(value),
        }
        .map_err(|cause| Error::internal("a value cannot be bound to a statement").with_source(cause))?;
    }
    Ok(arguments)
}

/// Inserts rows of `columns` values each.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    table: &str,
    columns: usize,
    rows: Vec<Vec<SqlValue>>,
) -> Result<()> {
    let one = format!("({})", vec!["?"; columns].join(","));
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let part: Vec<Vec<SqlValue>> = rows.by_ref().take(ROWS_AT_ONCE).collect();
        // Two texts a table, so that both stay prepared: full ones, and single rows for the rest.
        let groups: Vec<Vec<SqlValue>> =
            if part.len() == ROWS_AT_ONCE { vec![part.into_iter().flatten().collect()] } else { part };
        for values in groups {
            let count = values.len() / columns;
            let text = format!("INSERT INTO {table} VALUES {}", vec![one.as_str(); count].join(","));
            sqlx::query_with(AssertSqlSafe(text), arguments(values)?)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}

/// The database does not answer as it should.
pub(super) fn failed(cause: sqlx::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "a datasource's database does not answer; see the log").with_source(cause)
}
