//! One write: one transaction, synced before it answers.

use std::collections::{BTreeMap, HashMap};

use sqlx::{AssertSqlSafe, Connection as _, Row as _, SqliteConnection};
use ucap_core::{Error, Result};

use super::layout::{Layout, OF_A_RECORD};
use super::predicate::element_text;
use super::queue::{unqueue, waiting};
use super::sql::{SqlValue, Statement, failed, insert};
use super::{Counters, Records, broken, checked, counters};
use crate::content::Demand;
use crate::datastore::{NewPassage, Write, Written};
use crate::filter::Operand;
use crate::fold::fold;
use crate::record::Record;
use crate::value::Value;
use crate::writing::{Effect, Turn};

/// What a write did, for the indexes that follow.
#[derive(Debug)]
pub(in super::super) struct Applied {
    /// Step by step.
    pub(in super::super) written: Vec<Written>,
    /// Rows that are gone.
    pub(in super::super) removed: Vec<u32>,
    /// Rows that are new, in ascending order.
    pub(in super::super) added: Vec<NewRow>,
    /// The state after it.
    pub(in super::super) counters: Counters,
    /// Whether a record has left the queue.
    pub(in super::super) has_unqueued: bool,
    /// A write that is visible takes effect until what follows the records has followed, and this is dropped.
    pub(in super::super) effect: Option<Effect>,
}

/// What is there of an id.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) row: u32,
    pub(super) hash: [u8; 32],
    pub(super) at: i64,
}

/// Records that were ingested again as they are: their rows, by the time.
pub(super) type Touched = BTreeMap<i64, Vec<u32>>;

/// A row that a write added.
#[derive(Debug)]
pub(in super::super) struct NewRow {
    pub(in super::super) row: u32,
    pub(in super::super) first_passage: u32,
    pub(in super::super) withdrawn: bool,
    pub(in super::super) passages: Vec<NewPassage>,
}

/// The rows of each table that a write inserts.
#[derive(Debug, Default)]
struct Inserts {
    record: Vec<Vec<SqlValue>>,
    content: Vec<Vec<SqlValue>>,
    folded: Vec<Vec<SqlValue>>,
    passage: Vec<Vec<SqlValue>>,
    element: Vec<Vec<SqlValue>>,
    affected: Vec<Vec<SqlValue>>,
    affected_literal: Vec<Vec<SqlValue>>,
    arrival: Vec<Vec<SqlValue>>,
}

impl Applied {
    /// Nothing, at this state.
    pub(super) fn new(counters: Counters) -> Self {
        Self {
            written: Vec::new(),
            removed: Vec::new(),
            added: Vec::new(),
            counters,
            has_unqueued: false,
            effect: None,
        }
    }

    /// Whether any search may answer otherwise than before.
    pub(in super::super) fn is_visible(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
}

impl Records {
    /// Applies `writes` in one transaction, if what is there meets all `demands`. Content that is there already is left as it
    /// is.
    pub(in super::super) async fn write(&self, writes: Vec<Write>, demands: &[Demand], turn: &Turn) -> Result<Applied> {
        let mut writer = self.writer.lock().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let named = writes.iter().map(Write::id).chain(demands.iter().map(|demand| &*demand.id));
        let ids: Vec<String> = named.map(str::to_owned).collect();
        let held = held_rows(&mut transaction, &ids).await?;
        for demand in demands {
            demand.check(held.get(&demand.id).map(|held| &held.hash))?;
        }
        let waiting = waiting(&mut transaction, &ids).await?;
        let mut at = counters(&mut transaction).await?;
        let mut applied = Applied::new(at);
        let (mut inserts, mut touched, mut unqueued) = (Inserts::default(), Touched::new(), Vec::new());
        for write in writes {
            let (before, place) = (held.get(write.id()), waiting.get(write.id()).map(|waiting| waiting.place));
            let written = match write {
                Write::Put { origin, .. } if origin.queued.is_some() && origin.queued != place => Written::Superseded,
                Write::Put { hash, origin, .. } if before.is_some_and(|held| held.hash == hash) => {
                    touch(&mut touched, before, origin.at);
                    Written::Unchanged
                }
                Write::Put { record, hash, passages, origin } => {
                    let row = next(&mut at.next_row, 1)?;
                    let first_passage = next(&mut at.next_passage, passages.len())?;
                    let withdrawn = record.withdrawn;
                    inserts.add(&self.layout, &record, hash, row, first_passage, &passages);
                    inserts.arrival.push(vec![row.into(), SqlValue::Integer(origin.at)]);
                    applied.added.push(NewRow { row, first_passage, withdrawn, passages });
                    if before.is_some() { Written::Replaced } else { Written::Created }
                }
                Write::Expire(_, until) if before.is_none_or(|held| held.at > until) => Written::Missing,
                Write::Delete(_) if before.is_none() && place.is_none() => Written::Missing,
                Write::Delete(_) | Write::Expire(..) => Written::Deleted,
            };
            if let (Written::Replaced | Written::Deleted, Some(held)) = (written, before) {
                applied.removed.push(held.row);
            }
            if !matches!(written, Written::Superseded | Written::Missing) {
                unqueued.extend(place);
            }
            applied.written.push(written);
        }
        applied.has_unqueued = !unqueued.is_empty();
        if !applied.is_visible() && touched.is_empty() && !applied.has_unqueued {
            return Ok(applied);
        }
        unqueue(&mut transaction, &unqueued).await?;
        move_arrivals(&mut transaction, touched).await?;
        if applied.is_visible() {
            at.change += 1;
            applied.counters = at;
            delete_rows(&mut transaction, &applied.removed).await?;
            inserts.run(&mut transaction, &self.layout).await?;
            save(&mut transaction, at).await?;
            applied.effect = Some(turn.effect());
        }
        transaction.commit().await.map_err(failed)?;
        Ok(applied)
    }

    /// The content hashes of these ids.
    pub(in super::super) async fn hashes(&self, ids: &[String]) -> Result<HashMap<String, [u8; 32]>> {
        let mut reader = self.readers.acquire().await.map_err(failed)?;
        let held = held_rows(&mut reader, ids).await?;
        Ok(held.into_iter().map(|(id, held)| (id, held.hash)).collect())
    }
}

fn next(counter: &mut u32, count: usize) -> Result<u32> {
    let first = *counter;
    let after = u32::try_from(count).ok().and_then(|count| first.checked_add(count)).filter(|after| *after < u32::MAX);
    *counter =
        after.ok_or_else(|| Error::internal("a datasource has used up its row numbers; load it into a new one"))?;
    Ok(first)
}

/// What the records hold of these ids.
pub(super) async fn held_rows(connection: &mut SqliteConnection, ids: &[String]) -> Result<HashMap<String, Held>> {
    let ids = serde_json::Value::from(ids.to_vec()).to_string();
    let text = "SELECT r.id, r.row, r.hash, a.at FROM record r JOIN arrival a ON a.row = r.row WHERE r.id IN (SELECT value FROM json_each(?1))";
    let rows = sqlx::query(text).bind(ids).fetch_all(connection).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let (id, number): (String, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let hash: Vec<u8> = row.try_get(2).map_err(failed)?;
            let hash = hash.try_into().map_err(|_| broken())?;
            Ok((id, Held { row: checked(number.unsigned_abs())?, hash, at: row.try_get(3).map_err(failed)? }))
        })
        .collect()
}

/// Notes that what is there came again at `at`.
pub(super) fn touch(touched: &mut Touched, held: Option<&Held>, at: i64) {
    if let Some(held) = held.filter(|held| held.at < at) {
        touched.entry(at).or_default().push(held.row);
    }
}

pub(super) async fn move_arrivals(connection: &mut SqliteConnection, touched: Touched) -> Result<()> {
    for (at, rows) in touched {
        let rows = serde_json::Value::from(rows).to_string();
        let text = "UPDATE arrival SET at = ?1 WHERE row IN (SELECT value FROM json_each(?2))";
        sqlx::query(text).bind(at).bind(rows).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

pub(super) async fn delete_rows(connection: &mut SqliteConnection, rows: &[u32]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    // Passages have no index by row; their numbers follow from their record.
    let rows = serde_json::Value::from(rows.to_vec()).to_string();
    let passages = "DELETE FROM passage WHERE passage IN (WITH RECURSIVE dead (passage, until) AS (SELECT first_passage, first_passage + passages FROM record WHERE passages > 0 AND row IN (SELECT value FROM json_each(?1)) UNION ALL SELECT passage + 1, until FROM dead WHERE passage + 1 < until) SELECT passage FROM dead)";
    sqlx::query(passages).bind(rows.clone()).execute(&mut *connection).await.map_err(failed)?;
    for table in OF_A_RECORD.into_iter().filter(|table| *table != "passage") {
        let text = format!("DELETE FROM {table} WHERE row IN (SELECT value FROM json_each(?1))");
        sqlx::query(AssertSqlSafe(text)).bind(rows.clone()).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

pub(super) async fn save(connection: &mut SqliteConnection, counters: Counters) -> Result<()> {
    let mut statement = Statement::new("UPDATE meta SET value = CASE key WHEN 'change' THEN ");
    statement.bind(SqlValue::Integer(i64::try_from(counters.change).unwrap_or(i64::MAX)));
    statement.push(" WHEN 'next_row' THEN ").bind(counters.next_row);
    statement.push(" WHEN 'next_passage' THEN ").bind(counters.next_passage).push(" ELSE value END");
    statement.query()?.execute(connection).await.map(drop).map_err(failed)
}

impl Inserts {
    fn add(
        &mut self,
        layout: &Layout,
        record: &Record,
        hash: [u8; 32],
        row: u32,
        first_passage: u32,
        passages: &[NewPassage],
    ) {
        let bytes = record.original.get().len() as i64;
        let mut narrow: Vec<SqlValue> = vec![
            row.into(),
            record.id.as_str().into(),
            SqlValue::Integer(i64::from(record.withdrawn)),
            first_passage.into(),
            SqlValue::Integer(passages.len() as i64),
            SqlValue::Integer(bytes),
            SqlValue::Blob(hash.to_vec()),
        ];
        narrow.extend(layout.scalars().iter().map(|(_, name, _)| scalar(record.fields.get(*name))));
        self.record.push(narrow);
        self.content.push(vec![row.into(), record.fields_json().into(), record.original.get().into()]);
        let mut folded: Vec<SqlValue> = vec![row.into(), fold(&record.id).into()];
        let texts = layout.textual();
        folded.extend(texts.iter().map(|(_, name, _)| {
            record.fields.get(*name).and_then(Value::as_text).map_or(SqlValue::Null, |text| fold(text).into())
        }));
        self.folded.push(folded);
        for (i, passage) in passages.iter().enumerate() {
            let blob = |vector: Option<&Vec<f32>>| {
                vector.map_or(SqlValue::Null, |vector| SqlValue::Blob(vector_bytes(vector)))
            };
            let headline = passage.headline.as_ref();
            self.passage.push(vec![
                (first_passage + i as u32).into(),
                row.into(),
                passage.text.as_str().into(),
                passage.keys.join(" ").into(),
                blob(passage.vector.as_ref()),
                headline.map_or(SqlValue::Null, |headline| headline.text.as_str().into()),
                blob(headline.and_then(|headline| headline.vector.as_ref())),
            ]);
        }
        for (number, name, _) in layout.lists() {
            let elements = record.fields.get(name).map(Value::elements).unwrap_or_default();
            let mut values: Vec<String> =
                elements.iter().filter_map(operand).map(|element| element_text(&element)).collect();
            values.sort_unstable();
            values.dedup();
            self.element.extend(
                values.into_iter().map(|value| vec![SqlValue::Integer(number as i64), value.into(), row.into()]),
            );
        }
        self.add_affected(record, row);
    }

    fn add_affected(&mut self, record: &Record, row: u32) {
        for affected in &record.affected {
            let package = || -> [SqlValue; 3] {
                [affected.package.as_str().into(), affected.ecosystem.name().into(), affected.suffix.as_str().into()]
            };
            for interval in &affected.intervals {
                let high = interval.high.clone().map_or(SqlValue::Null, SqlValue::Blob);
                let ends = [SqlValue::Blob(interval.low.clone()), high, row.into()];
                self.affected.push(package().into_iter().chain(ends).collect());
            }
            for literal in &affected.literals {
                self.affected_literal
                    .push(package().into_iter().chain([literal.as_str().into(), row.into()]).collect());
            }
        }
    }

    async fn run(self, connection: &mut SqliteConnection, layout: &Layout) -> Result<()> {
        insert(connection, "record", 7 + layout.scalars().len(), self.record).await?;
        insert(connection, "content", 3, self.content).await?;
        insert(connection, "folded", 2 + layout.textual().len(), self.folded).await?;
        insert(connection, "passage", 7, self.passage).await?;
        insert(connection, "element", 3, self.element).await?;
        insert(connection, "affected", 6, self.affected).await?;
        insert(connection, "affected_literal", 5, self.affected_literal).await?;
        insert(connection, "arrival", 2, self.arrival).await
    }
}

fn scalar(value: Option<&Value>) -> SqlValue {
    value.and_then(operand).map_or(SqlValue::Null, |operand| super::predicate::sql_value(&operand))
}

/// A value as filters compare it; `None` for a list.
fn operand(value: &Value) -> Option<Operand> {
    Some(match value {
        Value::Text(text) => Operand::Text(text.clone()),
        Value::Integer(integer) => Operand::Integer(*integer),
        Value::Float(float) => Operand::Float(*float),
        Value::Boolean(boolean) => Operand::Boolean(*boolean),
        Value::Timestamp(at) => Operand::Timestamp(*at),
        Value::Version { key, .. } => Operand::Version(key.clone()),
        Value::List(_) => return None,
    })
}

/// Little-endian `f32`, one after the other.
fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}
