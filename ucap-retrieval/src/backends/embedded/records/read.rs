//! Reads: what a filter leaves, pages, hits, and what the derived indexes replay.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use ucap_core::{Error, ErrorKind, Result};

use super::predicate::{column, push};
use super::sql::{SqlValue, Statement, failed};
use super::{Records, broken, checked, parse_numbers, parse_rows};
use crate::datastore::{After, Found, Original, PageRequest, PageRow, SortValue};
use crate::filter::{Affects, Predicate};
use crate::query::{SortKey, Withdrawn};
use crate::schema::FieldType;

/// Separates what `group_concat` folds: no id holds control characters.
const UNIT: char = '\u{1f}';

/// A live row and where its passages lie.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct RowPassages {
    pub(in super::super) row: u32,
    pub(in super::super) first: u32,
    pub(in super::super) count: u32,
    pub(in super::super) withdrawn: bool,
}

/// A passage that a derived index has not seen.
#[derive(Debug)]
pub(in super::super) struct ReplayPassage {
    pub(in super::super) passage: u32,
    pub(in super::super) text: String,
    pub(in super::super) keys: String,
    pub(in super::super) vector: Option<Vec<f32>>,
}

impl Records {
    /// The rows that satisfy `predicate`, withdrawn ones too, and the change they were read at.
    pub(in super::super) async fn matching(&self, predicate: &Predicate) -> Result<(RoaringBitmap, u64)> {
        let mut statement = Statement::new(
            "SELECT (SELECT value FROM meta WHERE key = 'change'), group_concat(r.row) FROM record r WHERE ",
        );
        push(&mut statement, &self.layout, predicate);
        let row = statement.query()?.fetch_one(&self.readers).await.map_err(too_large_or_failed)?;
        let change: i64 = row.try_get(0).map_err(failed)?;
        let rows: Option<String> = row.try_get(1).map_err(failed)?;
        Ok((parse_rows(rows.as_deref())?, change.unsigned_abs()))
    }

    /// Whether a record lists the string that could not be parsed.
    pub(in super::super) async fn lists_version(&self, affects: &Affects) -> Result<bool> {
        let mut statement = Statement::new("SELECT EXISTS (SELECT 1 FROM record r WHERE ");
        push(&mut statement, &self.layout, &Predicate::Affects(affects.clone()));
        statement.push(")");
        let row = statement.query()?.fetch_one(&self.readers).await.map_err(failed)?;
        row.try_get(0).map_err(failed)
    }

    /// A page; `among` narrows it to few rows, which saves a scan.
    pub(in super::super) async fn page(
        &self,
        request: &PageRequest,
        among: Option<&RoaringBitmap>,
    ) -> Result<Vec<PageRow>> {
        let keys: Vec<String> = request.sort.iter().map(|key| self.sort_column(key)).collect();
        let mut statement = Statement::new("SELECT r.row, r.id");
        for key in &keys {
            statement.push(", ").push(key);
        }
        statement.push(" FROM record r WHERE ");
        match among {
            Some(rows) => {
                let rows: Vec<u32> = rows.iter().collect();
                statement
                    .push("r.row IN (SELECT value FROM json_each(")
                    .bind(serde_json::Value::from(rows).to_string())
                    .push("))");
            }
            None => push(&mut statement, &self.layout, &request.predicate),
        }
        match request.withdrawn {
            Withdrawn::Include => {}
            Withdrawn::Exclude => drop(statement.push(" AND r.withdrawn = 0")),
            Withdrawn::Only => drop(statement.push(" AND r.withdrawn = 1")),
        }
        push_after(&mut statement, &keys, &request.sort, &request.after)?;
        statement.push(" ORDER BY ");
        for (key, order) in keys.iter().zip(&request.sort) {
            statement.push(&format!("{key} IS NULL, {key}{}, ", if order.descending { " DESC" } else { "" }));
        }
        statement.push("r.id LIMIT ").bind(SqlValue::Integer(i64::try_from(request.limit).unwrap_or(i64::MAX)));
        let rows = statement.query()?.fetch_all(&self.readers).await.map_err(too_large_or_failed)?;
        rows.iter().map(|row| self.page_row(row, &request.sort)).collect()
    }

    fn sort_column(&self, key: &SortKey) -> String {
        match self.layout.field(&key.field) {
            None if key.field != "id" => "NULL".to_owned(),
            _ => column(&self.layout, &key.field),
        }
    }

    fn page_row(&self, row: &SqliteRow, sort: &[SortKey]) -> Result<PageRow> {
        let number: i64 = row.try_get(0).map_err(failed)?;
        let value = |(i, key): (usize, &SortKey)| {
            let at = i + 2;
            let held = |value: Option<SortValue>| value.unwrap_or(SortValue::Missing);
            let field = match self.layout.field(&key.field) {
                None if key.field != "id" => return Ok(SortValue::Missing),
                None => FieldType::Keyword,
                Some((_, field)) => field.ty,
            };
            Ok(match field {
                FieldType::Integer | FieldType::Boolean => {
                    held(row.try_get::<Option<i64>, _>(at).map_err(failed)?.map(SortValue::Integer))
                }
                FieldType::Float => held(row.try_get::<Option<f64>, _>(at).map_err(failed)?.map(SortValue::Float)),
                FieldType::Version(_) => {
                    held(row.try_get::<Option<Vec<u8>>, _>(at).map_err(failed)?.map(SortValue::Bytes))
                }
                FieldType::Text | FieldType::Keyword | FieldType::Timestamp => {
                    held(row.try_get::<Option<String>, _>(at).map_err(failed)?.map(SortValue::Text))
                }
            })
        };
        Ok(PageRow {
            row: checked(number.unsigned_abs())?,
            id: row.try_get(1).map_err(failed)?,
            sort: sort.iter().enumerate().map(value).collect::<Result<_>>()?,
        })
    }

    /// Fields and passages of these rows.
    pub(in super::super) async fn read(&self, rows: &[(u32, Option<u32>)]) -> Result<Vec<Option<Found>>> {
        let numbers: Vec<u32> = rows.iter().map(|(row, _)| *row).collect();
        let passages: Vec<u32> = rows.iter().filter_map(|(_, passage)| *passage).collect();
        // One statement, one state: a hit is live when its text leaves.
        let text = "SELECT r.row, r.id, c.fields, NULL FROM record r JOIN content c ON c.row = r.row WHERE r.row IN (SELECT value FROM json_each(?1)) UNION ALL SELECT p.row, NULL, p.passage, p.text FROM passage p WHERE p.passage IN (SELECT value FROM json_each(?2))";
        let found = sqlx::query(text)
            .bind(serde_json::Value::from(numbers).to_string())
            .bind(serde_json::Value::from(passages).to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        let mut records: HashMap<u32, (String, Box<RawValue>)> = HashMap::with_capacity(rows.len());
        let mut texts: HashMap<u32, String> = HashMap::with_capacity(rows.len());
        for row in &found {
            let number: i64 = row.try_get(0).map_err(failed)?;
            match row.try_get::<Option<String>, _>(1).map_err(failed)? {
                Some(id) => {
                    let fields: String = row.try_get(2).map_err(failed)?;
                    records.insert(checked(number.unsigned_abs())?, (id, raw(fields)?));
                }
                None => {
                    let passage: i64 = row.try_get(2).map_err(failed)?;
                    texts.insert(checked(passage.unsigned_abs())?, row.try_get(3).map_err(failed)?);
                }
            }
        }
        let answer = |(row, passage): &(u32, Option<u32>)| {
            let (id, fields) = records.remove(row)?;
            Some(Found { id, fields, passage: passage.and_then(|passage| texts.remove(&passage)) })
        };
        Ok(rows.iter().map(answer).collect())
    }

    /// The ids in these rows.
    pub(in super::super) async fn ids(&self, rows: &[u32]) -> Result<HashMap<u32, String>> {
        let numbers = serde_json::Value::from(rows.to_vec()).to_string();
        let text = "SELECT group_concat(r.row || char(31) || r.id, char(30)) FROM record r WHERE r.row IN (SELECT value FROM json_each(?1))";
        let folded: Option<String> =
            sqlx::query_scalar(text).bind(numbers).fetch_one(&self.readers).await.map_err(failed)?;
        let pairs = folded.as_deref().into_iter().flat_map(|folded| folded.split('\u{1e}'));
        pairs
            .map(|pair| {
                let (row, id) = pair.split_once(UNIT).ok_or_else(broken)?;
                Ok((row.parse().map_err(|_| broken())?, id.to_owned()))
            })
            .collect()
    }

    /// The record of an id, as it was ingested.
    pub(in super::super) async fn original(&self, id: &str) -> Result<Option<Original>> {
        let text = "SELECT c.fields, c.original FROM record r JOIN content c ON c.row = r.row WHERE r.id = ?1";
        let row = sqlx::query(text).bind(id.to_owned()).fetch_optional(&self.readers).await.map_err(failed)?;
        let read = |row: SqliteRow| {
            Ok(Original { fields: raw(row.try_get(0).map_err(failed)?)?, body: raw(row.try_get(1).map_err(failed)?)? })
        };
        row.map(read).transpose()
    }

    /// The records that were ingested longest ago: id and Unix seconds.
    pub(in super::super) async fn oldest(&self, limit: usize) -> Result<Vec<(String, i64)>> {
        let text = "SELECT r.id, a.at FROM arrival a JOIN record r ON r.row = a.row ORDER BY a.at, r.id LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(text).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))).collect()
    }

    /// Bytes of the stored originals.
    pub(in super::super) async fn bytes(&self) -> Result<u64> {
        let bytes: Option<i64> =
            sqlx::query_scalar("SELECT sum(bytes) FROM record").fetch_one(&self.readers).await.map_err(failed)?;
        Ok(bytes.unwrap_or(0).unsigned_abs())
    }

    /// The passages of these ids, with their vectors.
    pub(in super::super) async fn vectors_of(&self, ids: &[String]) -> Result<Vec<(String, Vec<f32>)>> {
        let ids = serde_json::Value::from(ids.to_vec()).to_string();
        let text = "SELECT p.text, p.vector FROM record r JOIN passage p ON p.passage >= r.first_passage AND p.passage < r.first_passage + r.passages WHERE r.id IN (SELECT value FROM json_each(?1)) AND p.vector IS NOT NULL";
        let rows = sqlx::query(text).bind(ids).fetch_all(&self.readers).await.map_err(failed)?;
        let read = |row: &SqliteRow| {
            let vector: Vec<u8> = row.try_get(1).map_err(failed)?;
            Ok((row.try_get(0).map_err(failed)?, vector_of(&vector)))
        };
        rows.iter().map(read).collect()
    }

    /// Every live row, ascending.
    pub(in super::super) async fn rows(&self) -> Result<Vec<RowPassages>> {
        let text = "SELECT group_concat(r.row || ',' || r.first_passage || ',' || r.passages || ',' || r.withdrawn) FROM (SELECT * FROM record ORDER BY row) r";
        let folded: Option<String> = sqlx::query_scalar(text).fetch_one(&self.readers).await.map_err(failed)?;
        let Some(folded) = folded else { return Ok(Vec::new()) };
        let numbers = parse_numbers(&folded)?;
        let mut rows: Vec<RowPassages> = numbers
            .chunks_exact(4)
            .map(|n| RowPassages { row: n[0], first: n[1], count: n[2], withdrawn: n[3] != 0 })
            .collect();
        rows.sort_unstable_by_key(|row| row.row);
        Ok(rows)
    }

    /// The passages from number `from` on, at most `limit`, ascending.
    pub(in super::super) async fn passages_from(&self, from: u32, limit: u32) -> Result<Vec<ReplayPassage>> {
        let text = "SELECT passage, text, vector, keys FROM passage WHERE passage >= ?1 ORDER BY passage LIMIT ?2";
        let rows = sqlx::query(text)
            .bind(i64::from(from))
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(failed)?;
        let read = |row: &SqliteRow| {
            let passage: i64 = row.try_get(0).map_err(failed)?;
            let vector: Option<Vec<u8>> = row.try_get(2).map_err(failed)?;
            Ok(ReplayPassage {
                passage: checked(passage.unsigned_abs())?,
                text: row.try_get(1).map_err(failed)?,
                keys: row.try_get(3).map_err(failed)?,
                vector: vector.as_deref().map(vector_of),
            })
        };
        rows.iter().map(read).collect()
    }
}

/// The rows behind a place: sort values as a tuple, a missing value after all others. The place may lie in a datasource
/// whose field has another type: the `+` keeps SQLite from converting one into the other before it compares.
fn push_after(statement: &mut Statement, keys: &[String], sort: &[SortKey], after: &After) -> Result<()> {
    let (values, id, also_equal) = match after {
        After::Start => return Ok(()),
        After::Record(values, id) => (values, Some(id), false),
        After::From(values) => (values, None, true),
        After::Behind(values) => (values, None, false),
    };
    if values.len() != keys.len() {
        return Err(Error::new(ErrorKind::InvalidCursor, "the cursor belongs to another request").with_param("cursor"));
    }
    statement.push(" AND (");
    let mut equal: Vec<(&str, &SortValue)> = Vec::new();
    for ((key, order), value) in keys.iter().zip(sort).zip(values) {
        if *value != SortValue::Missing {
            push_equal(statement, &equal);
            let sign = if order.descending { "<" } else { ">" };
            statement.push(&format!("({key} IS NULL OR +{key} {sign} ")).bind(sql_of(value)).push(")) OR ");
        }
        equal.push((key, value));
    }
    push_equal(statement, &equal);
    match id {
        Some(id) => statement.push("r.id > ").bind(id.as_str()).push("))"),
        None => statement.push(if also_equal { "1))" } else { "0))" }),
    };
    Ok(())
}

fn push_equal(statement: &mut Statement, equal: &[(&str, &SortValue)]) {
    statement.push("(");
    for (key, value) in equal {
        match value {
            SortValue::Missing => drop(statement.push(&format!("{key} IS NULL AND "))),
            value => drop(statement.push(&format!("+{key} = ")).bind(sql_of(value)).push(" AND ")),
        }
    }
}

fn sql_of(value: &SortValue) -> SqlValue {
    match value {
        SortValue::Missing => SqlValue::Null,
        SortValue::Integer(integer) => SqlValue::Integer(*integer),
        SortValue::Float(float) => SqlValue::Real(*float),
        SortValue::Text(text) => text.as_str().into(),
        SortValue::Bytes(bytes) => SqlValue::Blob(bytes.clone()),
    }
}

/// A statement with more values than the database takes is the filter's fault.
fn too_large_or_failed(cause: sqlx::Error) -> Error {
    let says = |what: &str| cause.as_database_error().is_some_and(|error| error.message().contains(what));
    if ["too many", "too big", "too large", "too long"].into_iter().any(says) {
        return Error::invalid("filter", "filter holds too many values; make it smaller");
    }
    failed(cause)
}

fn raw(json: String) -> Result<Box<RawValue>> {
    RawValue::from_string(json)
        .map_err(|cause| Error::internal("a datasource's database holds broken JSON").with_source(cause))
}

fn vector_of(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
