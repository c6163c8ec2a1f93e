//! The tables of `records.db`, and which column holds which field.
//!
//! `record` is narrow and hot: a filter scans it or one of its indexes. Texts lie in tables of their own: folded ones for
//! `contains`, the rest for answers.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Row as _};
use ucap_core::Result;

use super::sql::{SqlValue, failed, insert};
use crate::schema::{Field, FieldType, Schema};

/// Raised when a table changes; another one refuses to open.
pub(super) const LAYOUT_REVISION: i64 = 2;

const TABLES: [&str; 15] = [
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS field (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS record (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, withdrawn INTEGER NOT NULL, first_passage INTEGER NOT NULL, passages INTEGER NOT NULL, bytes INTEGER NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS content (row INTEGER PRIMARY KEY, fields TEXT NOT NULL, original TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS folded (row INTEGER PRIMARY KEY, c0 TEXT)",
    "CREATE TABLE IF NOT EXISTS passage (passage INTEGER PRIMARY KEY, row INTEGER NOT NULL, text TEXT NOT NULL, keys TEXT NOT NULL, vector BLOB)",
    "CREATE TABLE IF NOT EXISTS element (field INTEGER NOT NULL, value TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (field, value, row)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS affected (package TEXT NOT NULL, ecosystem TEXT NOT NULL, suffix TEXT NOT NULL, low BLOB NOT NULL, high BLOB, row INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS affected_literal (package TEXT NOT NULL, ecosystem TEXT NOT NULL, suffix TEXT NOT NULL, version TEXT NOT NULL, row INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS arrival (row INTEGER PRIMARY KEY, at INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS queue (place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS arrival_at ON arrival (at, row)",
    "CREATE INDEX IF NOT EXISTS queue_bytes ON queue (bytes)",
    "CREATE INDEX IF NOT EXISTS affected_package ON affected (package, ecosystem, low, high, row)",
    "CREATE INDEX IF NOT EXISTS affected_literal_package ON affected_literal (package, ecosystem, version, row)",
];

/// By row, for deletes.
const ROW_INDEXES: [&str; 3] = [
    "CREATE INDEX IF NOT EXISTS element_row ON element (row)",
    "CREATE INDEX IF NOT EXISTS affected_row ON affected (row)",
    "CREATE INDEX IF NOT EXISTS affected_literal_row ON affected_literal (row)",
];

/// Tables whose rows belong to one record, by their column `row`.
pub(super) const OF_A_RECORD: [&str; 8] =
    ["record", "content", "folded", "passage", "element", "affected", "affected_literal", "arrival"];

/// Where the fields of a datasource are.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The number and type of each field. `id` is number 0 and has a column of its own.
    fields: BTreeMap<String, (usize, Field)>,
}

impl Layout {
    /// Makes the tables, and columns for the fields that have none yet.
    pub(super) async fn prepare(connection: &mut SqliteConnection, schema: &Schema) -> Result<Self> {
        for statement in TABLES.into_iter().chain(ROW_INDEXES) {
            sqlx::query(statement).execute(&mut *connection).await.map_err(failed)?;
        }
        let held = sqlx::query("SELECT number, name FROM field").fetch_all(&mut *connection).await.map_err(failed)?;
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        for row in held {
            let number: i64 = row.try_get(0).map_err(failed)?;
            numbers.insert(row.try_get(1).map_err(failed)?, usize::try_from(number).unwrap_or_default());
        }
        let mut fields = BTreeMap::new();
        for (name, field) in schema.fields.iter().filter(|(name, _)| *name != "id") {
            let number = match numbers.get(name) {
                Some(number) => *number,
                None => {
                    let number = numbers.values().max().map_or(1, |last| last + 1);
                    add_columns(connection, number, *field).await?;
                    let row = vec![SqlValue::Integer(number as i64), name.as_str().into()];
                    insert(connection, "field", 2, vec![row]).await?;
                    numbers.insert(name.clone(), number);
                    number
                }
            };
            fields.insert(name.clone(), (number, *field));
        }
        Ok(Self { fields })
    }

    /// The number and type of a field; `None` for `id` and for fields that are not there.
    pub(super) fn field(&self, name: &str) -> Option<(usize, Field)> {
        self.fields.get(name).copied()
    }

    /// The fields with a column `f<number>` in `record`, by number.
    pub(super) fn scalars(&self) -> Vec<(usize, &str, Field)> {
        self.ordered(|field| !field.list && field.ty != FieldType::Text)
    }

    /// The fields with a column `c<number>` in `folded`, by number.
    pub(super) fn textual(&self) -> Vec<(usize, &str, Field)> {
        self.ordered(|field| !field.list && field.ty.is_textual())
    }

    /// The list fields, by number.
    pub(super) fn lists(&self) -> Vec<(usize, &str, Field)> {
        self.ordered(|field| field.list)
    }

    fn ordered(&self, keep: impl Fn(Field) -> bool) -> Vec<(usize, &str, Field)> {
        let mut kept: Vec<_> = self
            .fields
            .iter()
            .filter(|(_, (_, field))| keep(*field))
            .map(|(name, (number, field))| (*number, name.as_str(), *field))
            .collect();
        kept.sort_by_key(|(number, ..)| *number);
        kept
    }
}

/// Columns are added in the order of their numbers, so that an INSERT without column names fills them in that order.
async fn add_columns(connection: &mut SqliteConnection, number: usize, field: Field) -> Result<()> {
    if field.list {
        return Ok(());
    }
    let mut statements = Vec::new();
    if field.ty != FieldType::Text {
        let affinity = match field.ty {
            FieldType::Integer | FieldType::Boolean => "INTEGER",
            FieldType::Float => "REAL",
            FieldType::Version(_) => "BLOB",
            FieldType::Text | FieldType::Keyword | FieldType::Timestamp => "TEXT",
        };
        statements.push(format!("ALTER TABLE record ADD COLUMN f{number} {affinity}"));
        statements.push(format!("CREATE INDEX IF NOT EXISTS record_f{number} ON record (f{number})"));
    }
    if field.ty.is_textual() {
        statements.push(format!("ALTER TABLE folded ADD COLUMN c{number} TEXT"));
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}
