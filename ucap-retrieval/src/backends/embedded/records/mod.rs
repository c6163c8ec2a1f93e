//! The structured half of a datasource: one SQLite file, the source of truth. What is committed here exists; text and
//! vectors are derived from it.

mod layout;
mod predicate;
mod queue;
mod read;
mod sql;
mod write;

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use roaring::RoaringBitmap;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tokio::sync::Mutex;
use ucap_core::data_directory::private;
use ucap_core::{Error, ErrorKind, Result};

use self::layout::{LAYOUT_REVISION, Layout};
use self::sql::failed;
use crate::schema::Schema;

pub(super) use self::write::Applied;

/// Readers of one datasource; each is a thread while it is open.
const READERS: u32 = 4;
/// A reader that nobody needs for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// The records of one datasource.
#[derive(Debug)]
pub(super) struct Records {
    readers: SqlitePool,
    writer: Mutex<SqliteConnection>,
    layout: Layout,
}

/// The numbers that the next write continues from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Of the last write.
    pub(super) change: u64,
    /// The next row.
    pub(super) next_row: u32,
    /// The next passage.
    pub(super) next_passage: u32,
}

impl Records {
    /// Opens the file, or makes it for its owner alone, with a column for each field of `schema`.
    pub(super) async fn open(path: &Path, schema: &Schema) -> Result<Self> {
        // SQLite would make it for whoever the umask lets in; the files beside it get the rights that it has.
        private(OpenOptions::new().append(true).create(true)).open(path).map_err(|cause| {
            let message = "a datasource's records cannot be opened; see the log";
            Error::new(ErrorKind::Unavailable, message).with_source(cause)
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-16384")
            .pragma("mmap_size", "1073741824")
            .pragma("temp_store", "memory");
        let mut writer = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let layout = Layout::prepare(&mut writer, schema).await?;
        check_revision(&mut writer).await?;
        let readers = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(READERS)
            .idle_timeout(IDLE)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Self { readers, writer: Mutex::new(writer), layout })
    }

    /// Ends all connections; the files may be removed then.
    pub(super) async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        // A connection in memory takes the place of the one that is closed: nobody writes any more.
        if let Ok(nothing) = SqliteConnection::connect("sqlite::memory:").await {
            let writer = std::mem::replace(&mut *writer, nothing);
            if let Err(error) = writer.close().await {
                tracing::warn!(error = %error, "a datasource's database did not close cleanly");
            }
        }
    }
}

async fn check_revision(writer: &mut SqliteConnection) -> Result<()> {
    let held: Option<i64> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'layout'")
        .fetch_optional(&mut *writer)
        .await
        .map_err(failed)?;
    match held {
        Some(LAYOUT_REVISION) => Ok(()),
        Some(other) => Err(Error::internal(format!(
            "a datasource's database has layout {other}, this program writes layout {LAYOUT_REVISION}; use the program that wrote it"
        ))),
        None => {
            let text = "INSERT INTO meta VALUES ('layout', ?1), ('change', 0), ('next_row', 0), ('next_passage', 0)";
            sqlx::query(text).bind(LAYOUT_REVISION).execute(writer).await.map(drop).map_err(failed)
        }
    }
}

/// Numbers joined by commas, as `group_concat` folds them: one value instead of a row each.
fn parse_numbers(text: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::with_capacity(text.len() / 6);
    let mut number: u64 = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => number = number * 10 + u64::from(byte - b'0'),
            b',' => {
                numbers.push(checked(number)?);
                number = 0;
            }
            _ => return Err(broken()),
        }
    }
    numbers.push(checked(number)?);
    Ok(numbers)
}

fn parse_rows(text: Option<&str>) -> Result<RoaringBitmap> {
    let mut rows = text.map_or_else(|| Ok(Vec::new()), parse_numbers)?;
    rows.sort_unstable();
    RoaringBitmap::from_sorted_iter(rows).map_err(|_| broken())
}

fn checked(number: u64) -> Result<u32> {
    u32::try_from(number).map_err(|_| broken())
}

fn broken() -> Error {
    Error::internal("a datasource's database holds a number that cannot be read")
}

impl Records {
    /// The numbers that the next write continues from.
    pub(super) async fn counters(&self) -> Result<Counters> {
        let mut writer = self.writer.lock().await;
        counters(&mut writer).await
    }
}

async fn counters(connection: &mut SqliteConnection) -> Result<Counters> {
    let rows = sqlx::query("SELECT key, value FROM meta").fetch_all(connection).await.map_err(failed)?;
    let mut counters = Counters::default();
    for row in rows {
        let (key, value): (String, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let value = value.unsigned_abs();
        match key.as_str() {
            "change" => counters.change = value,
            "next_row" => counters.next_row = checked(value)?,
            "next_passage" => counters.next_passage = checked(value)?,
            _ => {}
        }
    }
    Ok(counters)
}
