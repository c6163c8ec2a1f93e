//! The repair of a broken journal: what does not fit is put aside, and the chain goes on with an entry that says so.
//!
//! The order makes an interruption harmless. What stands behind the damage is moved away first, then the entry is written
//! to a segment of its own, then the damaged segment is replaced by its good part, and `HEAD` comes last: until then a
//! start is refused, and a second repair finds the same damage and names all that was put aside so far.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::super::chain::ChainHead;
use super::super::verify::{REPAIRED, Verification};
use super::super::{NewEntry, Prepared};
use super::checkpoint::{Checkpoint, CheckpointFile, NAME};
use super::inspection::{Inspection, at_rest};
use super::recovery::{Tail, remove_unfinished, unreadable};
use super::segment::{list, name_of, path_of};
use crate::clock::Clock;
use crate::data_directory::{create_private, private, sync_directory};
use crate::entropy::Entropy;
use crate::error::Result;

/// What the folders begin with that hold what was put aside.
const FOLDER: &str = "set-aside-";
/// The most repairs of one journal; somebody has to look before there are more.
const MAX_FOLDERS: u32 = 1000;
/// The entry names so many files; of more it tells the number.
const MAX_NAMED: usize = 1000;

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong.
    pub found: Verification,
    /// All files that stand aside now, those of earlier repairs too.
    pub set_aside: Vec<SetAside>,
    /// The journal's head: the entry that records the repair.
    pub head: ChainHead,
}

/// A file that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its path below the journal's directory.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// The BLAKE3 hash of its content, 64 hexadecimal digits.
    pub blake3: String,
}

/// Repairs the journal in `directory`, whose `HEAD` is held; `None` when nothing is broken.
pub(super) fn repair(
    directory: &Path,
    (mut checkpoint, newest): (CheckpointFile, Option<Checkpoint>),
    anchors: Vec<ChainHead>,
    missing: Option<&str>,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Option<Repair>> {
    let failed = |e: io::Error| unreadable(directory, e);
    let Inspection { verification, good } = at_rest(directory, newest, anchors.clone()).map_err(failed)?;
    let found = match missing {
        Some(reason) => verification.but(reason),
        None => verification,
    };
    if found.valid {
        return Ok(None);
    }
    let segments = list(directory).map_err(failed)?;
    remove_unfinished(directory, &segments).map_err(failed)?;
    move_away(directory, &good, &segments).map_err(failed)?;
    let set_aside = set_aside(directory).map_err(failed)?;
    let entry = Prepared::new(entry(&found, good.chain.head(), &anchors, &set_aside))?;
    // A segment in which nothing is good is away by now; any other stays, and the entry gets one of its own.
    let mut tail = Tail { segment: if good.end == 0 { 1 } else { good.segment.saturating_add(1) }, ..good };
    let mut line = Vec::new();
    let record = tail.chain.stamp(entry, 0, clock.now(), entropy)?;
    (tail.start, tail.end) = (0, record.write_line(&mut line)? as u64);
    let mut finish = || {
        write_new(&path_of(directory, tail.segment), &line)?;
        sync_directory(directory)?;
        keep_good_part(directory, &good)?;
        // Both slots: the one that told of what is gone must not come back.
        checkpoint.write(tail.checkpoint(), true)?;
        checkpoint.write(tail.checkpoint(), true)
    };
    finish().map_err(failed)?;
    tracing::warn!(found = %found, went_on_after = good.chain.sequence, "the journal was repaired");
    Ok(Some(Repair { found, set_aside, head: tail.chain.head() }))
}

fn entry(found: &Verification, good: ChainHead, anchors: &[ChainHead], set_aside: &[SetAside]) -> NewEntry {
    let place = found.place.as_ref().map(|place| json!({ "file": place.file, "line": place.line }));
    NewEntry {
        kind: REPAIRED.into(),
        version: 1,
        principal: "system".to_owned(),
        resource: Some("journal".to_owned()),
        decision: None,
        request_id: String::new(),
        payload: json!({
            "damage": found.reason,
            "first_bad": found.first_bad,
            "place": place,
            "verified": good,
            "anchors": anchors,
            "set_aside": set_aside.get(..MAX_NAMED).unwrap_or(set_aside),
            "set_aside_count": set_aside.len(),
        }),
    }
}

/// Puts aside `HEAD`, the segments behind the good part, and a copy of the one that is good at its beginning only.
fn move_away(directory: &Path, good: &Tail, segments: &[u32]) -> io::Result<()> {
    let head = directory.join(NAME);
    let has_head = fs::metadata(&head)?.len() > 0;
    let damaged = path_of(directory, good.segment);
    let is_mixed = good.end > 0 && fs::metadata(&damaged)?.len() > good.end;
    let behind = segments.iter().copied().filter(|number| good.end == 0 || *number > good.segment);
    if !has_head && !is_mixed && behind.clone().next().is_none() {
        return Ok(());
    }
    let aside = new_folder(directory)?;
    if has_head {
        copy(&head, &aside.join(NAME))?; // whoever holds it holds the journal, so it stays where it is
    }
    if is_mixed {
        copy(&damaged, &aside.join(name_of(good.segment)))?;
    }
    sync_directory(&aside)?;
    for number in behind {
        fs::rename(path_of(directory, number), aside.join(name_of(number)))?;
    }
    sync_directory(&aside)?;
    sync_directory(directory)
}

fn new_folder(directory: &Path) -> io::Result<PathBuf> {
    for number in 1..=MAX_FOLDERS {
        let path = directory.join(format!("{FOLDER}{number}"));
        if !path.try_exists()? {
            create_private(&path)?;
            sync_directory(directory)?;
            return Ok(path);
        }
    }
    Err(io::Error::other(format!("there are {MAX_FOLDERS} folders {FOLDER}…; move them away")))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut out = private(OpenOptions::new().write(true).create_new(true)).open(to)?;
    io::copy(&mut File::open(from)?, &mut out)?;
    out.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut out = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    out.write_all(bytes)?;
    out.sync_all()
}

/// Replaces the segment that `good` ends in by its part up to there, in one step.
fn keep_good_part(directory: &Path, good: &Tail) -> io::Result<()> {
    let path = path_of(directory, good.segment);
    if good.end == 0 || fs::metadata(&path)?.len() == good.end {
        return Ok(());
    }
    let new = directory.join(format!("{}.repairing", name_of(good.segment)));
    let mut out = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
    io::copy(&mut File::open(&path)?.take(good.end), &mut out)?;
    out.sync_all()?;
    fs::rename(&new, &path)?;
    sync_directory(directory)
}

/// Every file that stands aside, by name.
fn set_aside(directory: &Path) -> io::Result<Vec<SetAside>> {
    let mut files = Vec::new();
    for folder in fs::read_dir(directory)? {
        let folder = folder?;
        let name = folder.file_name().to_string_lossy().into_owned();
        if !name.starts_with(FOLDER) || !folder.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            let mut hasher = blake3::Hasher::new();
            let bytes = io::copy(&mut File::open(file.path())?, &mut hasher)?;
            let name = format!("{name}/{}", file.file_name().to_string_lossy());
            files.push(SetAside { file: name, bytes, blake3: hasher.finalize().to_hex().to_string() });
        }
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(files)
}
