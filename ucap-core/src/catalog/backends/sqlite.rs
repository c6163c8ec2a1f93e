//! The catalog in one SQLite file: the default of a platform on one machine.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::catalog::change::{Change, Object};
use crate::catalog::store::{CatalogImage, CatalogStore};
use crate::data_directory::private;
use crate::error::{Error, ErrorKind, Result};

const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS object (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS epoch (only INTEGER PRIMARY KEY CHECK (only = 0), value INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO epoch (only, value) VALUES (0, 0)",
];

/// Holds the catalog in a SQLite database.
#[derive(Debug)]
pub struct SqliteCatalogStore(SqlitePool);

impl SqliteCatalogStore {
    /// Opens the file at `path`, or creates it, for its owner alone.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened.
    pub async fn open(path: &Path) -> Result<Self> {
        // SQLite would create it for whoever the umask lets in; the files beside it get the rights that it has.
        private(OpenOptions::new().append(true).create(true)).open(path).map_err(|cause| {
            let message = format!("{} cannot be opened: {cause}", path.display());
            Error::new(ErrorKind::Unavailable, message).with_source(cause)
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(failed)?;
        for statement in SCHEMA {
            sqlx::query(statement).execute(&pool).await.map_err(failed)?;
        }
        Ok(Self(pool))
    }
}

fn failed(cause: sqlx::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the catalog's database does not answer; see the log").with_source(cause)
}

#[async_trait]
impl CatalogStore for SqliteCatalogStore {
    async fn load(&self) -> Result<CatalogImage> {
        // One transaction sees one state, whoever writes meanwhile.
        let mut transaction = self.0.begin().await.map_err(failed)?;
        let epoch: i64 =
            sqlx::query_scalar("SELECT value FROM epoch").fetch_one(&mut *transaction).await.map_err(failed)?;
        let rows = sqlx::query("SELECT kind, id, body FROM object ORDER BY kind, id")
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let objects = rows
            .iter()
            .map(|row| {
                let kind: String = row.try_get(0).map_err(failed)?;
                let id: String = row.try_get(1).map_err(failed)?;
                let body: String = row.try_get(2).map_err(failed)?;
                let object = Object::from_body(&kind, &body)?;
                if object.id() == id {
                    Ok(object)
                } else {
                    Err(Error::internal(format!("the catalog holds a {kind} under another's id")))
                }
            })
            .collect::<Result<_>>()?;
        let epoch = u64::try_from(epoch).map_err(|_| Error::internal("the catalog's epoch is negative"))?;
        Ok(CatalogImage { epoch, objects })
    }

    async fn apply(&self, epoch: u64, changes: &[Change]) -> Result<()> {
        let next = i64::try_from(epoch).map_err(|_| Error::internal("the catalog's epoch is too large"))?;
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let moved = sqlx::query("UPDATE epoch SET value = ?1 WHERE value = ?1 - 1")
            .bind(next)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if moved.rows_affected() != 1 {
            return Err(Error::new(ErrorKind::Unavailable, "the catalog was changed by somebody else; try again"));
        }
        for change in changes {
            match change {
                Change::Put(object) => sqlx::query(
                    "INSERT INTO object (kind, id, body) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET body = ?3",
                )
                .bind(object.kind().as_str())
                .bind(object.id().to_owned())
                .bind(object.to_body()?),
                Change::Delete(kind, id) => {
                    sqlx::query("DELETE FROM object WHERE kind = ?1 AND id = ?2").bind(kind.as_str()).bind(id.clone())
                }
            }
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
