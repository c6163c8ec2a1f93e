//! Records that wait for their embeddings: in a table of their own, so that no leg can find them.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use serde_json::value::RawValue;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use ucap_core::Result;

use super::sql::{SqlValue, failed, insert};
use super::write::{Applied, Touched, delete_rows, held_rows, move_arrivals, save, touch};
use super::{Records, broken, counters};
use crate::datastore::{Deferred, QueueBound, Queued, Written};
use crate::writing::Turn;

impl Records {
    /// Lets `records` wait, and removes what they replace, in one transaction.
    pub(in super::super) async fn defer(
        &self,
        records: Vec<Deferred>,
        bound: QueueBound,
        turn: &Turn,
    ) -> Result<Applied> {
        let mut writer = self.writer.lock().await;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let (count, bytes) = size(&mut transaction).await?;
        let more: u64 = records.iter().map(|record| record.body.get().len() as u64).sum();
        bound.check(count + records.len() as u64, bytes + more)?;
        let ids: Vec<String> = records.iter().map(|record| record.id.clone()).collect();
        let held = held_rows(&mut transaction, &ids).await?;
        let waiting = waiting(&mut transaction, &ids).await?;
        let mut applied = Applied::new(counters(&mut transaction).await?);
        let (mut rows, mut touched, mut unqueued, mut refreshed) = (Vec::new(), Touched::new(), Vec::new(), Vec::new());
        for record in records {
            let (before, waiting) = (held.get(&record.id), waiting.get(&record.id));
            let same = waiting.filter(|waiting| waiting.hash == record.hash);
            let written = if let Some(same) = same {
                refreshed.push((same.place, record.at));
                Written::Unchanged
            } else if before.is_some_and(|held| held.hash == record.hash) {
                touch(&mut touched, before, record.at);
                Written::Unchanged
            } else {
                applied.removed.extend(before.map(|held| held.row));
                unqueued.extend(waiting.map(|waiting| waiting.place));
                rows.push(row_of(record));
                if before.is_some() || waiting.is_some() { Written::Replaced } else { Written::Created }
            };
            applied.written.push(written);
        }
        unqueue(&mut transaction, &unqueued).await?;
        for (place, at) in refreshed {
            let text = "UPDATE queue SET at = max(at, ?1) WHERE place = ?2";
            sqlx::query(text).bind(at).bind(place as i64).execute(&mut *transaction).await.map_err(failed)?;
        }
        move_arrivals(&mut transaction, touched).await?;
        insert(&mut transaction, "queue", 6, rows).await?;
        if applied.is_visible() {
            applied.counters.change += 1;
            delete_rows(&mut transaction, &applied.removed).await?;
            save(&mut transaction, applied.counters).await?;
            applied.effect = Some(turn.effect());
        }
        transaction.commit().await.map_err(failed)?;
        Ok(applied)
    }

    /// Those that wait behind the place `after`: `limit` at most, and no more than fit in `bytes`, but one.
    pub(in super::super) async fn queued(&self, after: u64, limit: usize, bytes: usize) -> Result<Vec<Queued>> {
        let text = "SELECT place, id, hash, at, body FROM queue WHERE place > ?1 ORDER BY place LIMIT ?2";
        let query = sqlx::query(text).bind(number(after)).bind(number(limit as u64));
        let mut rows = query.fetch(&self.readers);
        let (mut queued, mut held) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let body: String = row.try_get(4).map_err(failed)?;
            held += body.len();
            if held > bytes && !queued.is_empty() {
                break;
            }
            let (place, hash): (i64, Vec<u8>) = (row.try_get(0).map_err(failed)?, row.try_get(2).map_err(failed)?);
            let record = Deferred {
                id: row.try_get(1).map_err(failed)?,
                hash: hash.try_into().map_err(|_| broken())?,
                body: RawValue::from_string(body).map_err(|_| broken())?,
                at: row.try_get(3).map_err(failed)?,
            };
            queued.push(Queued { place: place.unsigned_abs(), record });
        }
        Ok(queued)
    }

    /// How many wait.
    pub(in super::super) async fn waiting(&self) -> Result<u64> {
        let mut reader = self.readers.acquire().await.map_err(failed)?;
        Ok(size(&mut reader).await?.0)
    }
}

/// How many wait, and how many bytes they have.
async fn size(connection: &mut SqliteConnection) -> Result<(u64, u64)> {
    let text = "SELECT count(*), coalesce(sum(bytes), 0) FROM queue";
    let row = sqlx::query(text).fetch_one(connection).await.map_err(failed)?;
    let (count, bytes): (i64, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    Ok((count.unsigned_abs(), bytes.unsigned_abs()))
}

/// What waits of an id.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) place: u64,
    pub(super) hash: [u8; 32],
}

/// Those of `ids` that wait.
pub(super) async fn waiting(connection: &mut SqliteConnection, ids: &[String]) -> Result<HashMap<String, Place>> {
    let ids = serde_json::Value::from(ids.to_vec()).to_string();
    let text = "SELECT id, place, hash FROM queue WHERE id IN (SELECT value FROM json_each(?1))";
    let rows = sqlx::query(text).bind(ids).fetch_all(connection).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            let (id, place): (String, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let hash: Vec<u8> = row.try_get(2).map_err(failed)?;
            Ok((id, Place { place: place.unsigned_abs(), hash: hash.try_into().map_err(|_| broken())? }))
        })
        .collect()
}

/// Takes these places out of the queue.
pub(super) async fn unqueue(connection: &mut SqliteConnection, places: &[u64]) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let places = serde_json::Value::from(places.to_vec()).to_string();
    let text = "DELETE FROM queue WHERE place IN (SELECT value FROM json_each(?1))";
    sqlx::query(text).bind(places).execute(connection).await.map(drop).map_err(failed)
}

/// The database gives the place.
fn row_of(record: Deferred) -> Vec<SqlValue> {
    let body = record.body.get();
    vec![
        SqlValue::Null,
        record.id.into(),
        SqlValue::Blob(record.hash.to_vec()),
        SqlValue::Integer(record.at),
        SqlValue::Integer(body.len() as i64),
        body.into(),
    ]
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
