//! What a data directory tells about its journal besides the journal itself, and what can be done about damage without
//! opening the platform.
//!
//! A journal that is removed as a whole looks like one that never was. Two things contradict that: the catalog, whose every
//! change was journaled before it was made, and `journal.anchor`, the journal's head when the platform was last opened or
//! closed in order. Whoever can write the directory can rewrite these too; keep a copy of the anchor elsewhere if that matters.

use std::fs;
use std::io;
use std::path::Path;

use ucap_core::catalog::CatalogStore as _;
use ucap_core::catalog::backends::sqlite::SqliteCatalogStore;
use ucap_core::data_directory::FORMAT_FILE;
use ucap_core::journal::{ChainHead, FileJournal, JournalStore, Repair, Verification};
use ucap_core::{DataDirectory, Error, ErrorKind, Result, SystemClock, SystemEntropy};

/// The journal's folder in the data directory.
pub const JOURNAL_FOLDER: &str = "journal";
/// The file in the data directory that holds the journal's head.
pub const ANCHOR_FILE: &str = "journal.anchor";
/// The catalog's file in the data directory.
pub(crate) const CATALOG_FILE: &str = "catalog.db";
const MAX_ANCHOR_BYTES: u64 = 4096;

/// Verifies the journal of the data directory `path`, which is not opened: it may be a damaged one, a backup, or in use.
///
/// # Errors
/// `NotFound` when there is no data directory; `Unavailable` when a file cannot be read. A broken journal is no error but
/// an answer.
pub async fn verify_journal(path: &Path) -> Result<Verification> {
    is_data_directory(path)?;
    let anchor = read_anchor(path)?;
    let folder = path.join(JOURNAL_FOLDER);
    let (anchors, unreadable) = split(anchor);
    let found = blocking(move || FileJournal::verify_directory(&folder, anchors)).await?;
    let missing = missing(path, &found, unreadable).await?;
    Ok(match missing {
        Some(reason) => found.but(reason),
        None => found,
    })
}

/// Repairs the journal of the data directory `path`, which nobody may have open: what does not fit is put aside, and an
/// entry says so; see [`FileJournal::repair_directory`]. `None` when nothing is broken.
///
/// # Errors
/// `NotFound` when there is no data directory; `Unavailable` when it is in use or a file cannot be read or written.
pub async fn repair_journal(path: &Path) -> Result<Option<Repair>> {
    is_data_directory(path)?;
    let directory = DataDirectory::open(path)?;
    let (anchors, unreadable) = split(read_anchor(path)?);
    let folder = directory.sub(JOURNAL_FOLDER)?;
    let looked_at = (folder.clone(), anchors.clone());
    let found = blocking(move || FileJournal::verify_directory(&looked_at.0, looked_at.1)).await?;
    let missing = missing(path, &found, unreadable).await?;
    let repair = blocking(move || {
        FileJournal::repair_directory(&folder, anchors, missing.as_deref(), &SystemClock, &SystemEntropy)
    });
    let repair = repair.await?;
    if let Some(repair) = &repair {
        write_anchor(&directory, repair.head)?;
    }
    Ok(repair)
}

/// The head that was kept when the platform was last opened or closed, to be found on the journal that is opened now.
///
/// # Errors
/// `Internal` when the file is not what ucap wrote; `Unavailable` when it cannot be read.
pub(crate) fn anchors(path: &Path) -> Result<Vec<ChainHead>> {
    match read_anchor(path)? {
        Anchor::Head(head) => Ok(vec![head]),
        Anchor::None => Ok(Vec::new()),
        Anchor::Broken => Err(Error::internal(format!("{BROKEN}; {ADVICE}"))),
    }
}

/// Refuses a journal without entries beside a catalog that has changed.
///
/// # Errors
/// `Internal` when the journal is gone; `Unavailable` when it does not answer.
pub(crate) async fn demand_entries(journal: &dyn JournalStore, epoch: u64) -> Result<()> {
    if epoch > 0 && journal.head().await?.sequence == 0 {
        return Err(Error::internal(format!("the journal is damaged: {}; {ADVICE}", gone(epoch))));
    }
    Ok(())
}

/// Refuses a catalog that never changed beside a journal whose head was kept, which happens after the first change only: the
/// datasources of a catalog that was removed would be swept away as those of nobody.
///
/// # Errors
/// `Internal` when the catalog is gone.
pub(crate) fn demand_catalog(anchors: &[ChainHead], epoch: u64) -> Result<()> {
    if epoch == 0 && anchors.iter().any(|head| head.sequence > 0) {
        return Err(Error::internal(format!(
            "`{CATALOG_FILE}` is missing or empty although the journal records changes of it; restore the data directory from a backup"
        )));
    }
    Ok(())
}

/// Keeps the journal's head beside it. All of the journal must have been flushed, so that the head is not ahead of it.
///
/// # Errors
/// `Unavailable` when the file cannot be written.
pub(crate) async fn keep_anchor(directory: &DataDirectory, journal: &dyn JournalStore) -> Result<()> {
    let head = journal.head().await?;
    if matches!(read_anchor(directory.path())?, Anchor::Head(held) if held == head) {
        return Ok(());
    }
    write_anchor(directory, head)
}

const BROKEN: &str = "`journal.anchor` is not what ucap wrote";
const ADVICE: &str = "`ucap audit verify` says more, then restore the data directory from a backup, or go on behind the last \
                      good entry with `ucap audit repair`";

fn gone(epoch: u64) -> String {
    format!("it has no entries although the catalog was changed {epoch} times, and each change was recorded first")
}

/// What `journal.anchor` says.
enum Anchor {
    None,
    Head(ChainHead),
    Broken,
}

fn read_anchor(path: &Path) -> Result<Anchor> {
    let file = path.join(ANCHOR_FILE);
    let failed = |e: io::Error| Error::new(ErrorKind::Unavailable, format!("{} cannot be read: {e}", file.display()));
    match fs::metadata(&file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Anchor::None),
        Err(e) => return Err(failed(e)),
        Ok(data) if data.len() > MAX_ANCHOR_BYTES => return Ok(Anchor::Broken),
        Ok(_) => {}
    }
    let bytes = fs::read(&file).map_err(failed)?;
    Ok(serde_json::from_slice(&bytes).map_or(Anchor::Broken, Anchor::Head))
}

fn split(anchor: Anchor) -> (Vec<ChainHead>, bool) {
    match anchor {
        Anchor::None => (Vec::new(), false),
        Anchor::Head(head) => (vec![head], false),
        Anchor::Broken => (Vec::new(), true),
    }
}

fn write_anchor(directory: &DataDirectory, head: ChainHead) -> Result<()> {
    let mut text = serde_json::to_vec(&head)
        .map_err(|e| Error::internal("the journal's head cannot be written as JSON").with_source(e))?;
    text.push(b'\n');
    directory.write_private(ANCHOR_FILE, &text)
}

/// What is missing from a journal that fits in itself.
async fn missing(path: &Path, found: &Verification, unreadable_anchor: bool) -> Result<Option<String>> {
    if found.valid && found.entries == 0 {
        let epoch = epoch(path).await?;
        if epoch > 0 {
            return Ok(Some(gone(epoch)));
        }
    }
    Ok(unreadable_anchor.then(|| BROKEN.to_owned()))
}

async fn epoch(path: &Path) -> Result<u64> {
    let file = path.join(CATALOG_FILE);
    if !file.exists() {
        return Ok(0); // opening it would create it
    }
    let store = SqliteCatalogStore::open(&file).await?;
    let image = store.load().await;
    store.close().await;
    Ok(image?.epoch)
}

fn is_data_directory(path: &Path) -> Result<()> {
    if path.join(FORMAT_FILE).is_file() {
        return Ok(());
    }
    let message = format!("{} is no data directory of ucap: it has no {FORMAT_FILE}", path.display());
    Err(Error::new(ErrorKind::NotFound, message))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal("reading the journal ended early").with_source(e))?
}
