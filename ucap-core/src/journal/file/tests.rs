//! Tests of the files: crashes, damage, faults of the disk, and what a start reads.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::super::tests::{clock, entry, runtime, small};
use super::*;
use crate::entropy::SeededEntropy;

pub(super) fn try_open(directory: &Path, options: FileJournalOptions) -> Result<FileJournal> {
    FileJournal::open(directory, options, Arc::new(clock()), Arc::new(SeededEntropy::new(1)))
}

pub(super) fn open(directory: &Path) -> FileJournal {
    try_open(directory, small()).unwrap()
}

pub(super) fn one(n: u64) -> Vec<NewEntry> {
    vec![entry("user:ana", json!({ "n": n }))]
}

/// A journal of `count` entries over several segments, cleanly closed.
pub(super) fn filled(directory: &Path, count: u64) {
    runtime().block_on(async {
        let journal = open(directory);
        for n in 0..count {
            journal.append(one(n), Durability::Process).await.unwrap();
        }
        journal.close().await.unwrap();
    });
}

pub(super) fn sequences(journal: &FileJournal) -> Vec<u64> {
    let page = runtime().block_on(journal.read_back(ReadBack { limit: 1000, ..Default::default() })).unwrap();
    page.entries.iter().rev().map(|entry| entry.sequence).collect()
}

pub(super) fn verdict(journal: &FileJournal) -> Verification {
    runtime().block_on(journal.verify()).unwrap()
}

/// The directory as a crash would leave it.
pub(super) fn image(from: &Path) -> tempfile::TempDir {
    // In memory where there is such a place: these tests open hundreds of images, and each open flushes.
    let memory = Path::new("/dev/shm");
    let copy = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_dir() {
            continue;
        }
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

pub(super) fn files(directory: &Path, end: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = all.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    found.sort();
    found
}

pub(super) fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_crash_at_any_byte_keeps_what_came_before() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    let runtime = runtime();
    let path = home.path().join("000001.log");
    let mut ends = Vec::new(); // where each append ends, and its last sequence
    runtime.block_on(async {
        journal.append(one(0), Durability::Disk).await.unwrap();
        for n in 0..3u64 {
            let group: Vec<_> = (0..=n % 2).map(|m| entry("user:bob", json!([n, m, "ñ"]))).collect();
            ends.push((fs::metadata(&path).unwrap().len(), journal.head().await.unwrap().sequence));
            journal.append(group, Durability::Process).await.unwrap();
        }
        ends.push((fs::metadata(&path).unwrap().len(), journal.head().await.unwrap().sequence));
    });
    for cut in ends[0].0..=ends[3].0 {
        let crashed = image(home.path());
        OpenOptions::new().write(true).open(crashed.path().join("000001.log")).unwrap().set_len(cut).unwrap();
        assert!(FileJournal::verify_directory(crashed.path(), vec![]).unwrap().valid, "offline, cut at {cut}");
        let (whole, last) = *ends.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        let reopened = open(crashed.path());
        runtime.block_on(async {
            assert_eq!(reopened.head().await.unwrap().sequence, last, "cut at {cut}");
            let verdict = reopened.verify().await.unwrap();
            assert!(verdict.valid && verdict.entries == last, "cut at {cut}: {verdict:?}");
            assert_eq!(reopened.append(one(9), Durability::Process).await.unwrap(), last + 1);
            assert!(reopened.verify().await.unwrap().valid);
        });
        let torn = files(crashed.path(), ".torn");
        assert_eq!(torn.len(), usize::from(cut > whole));
        assert!(torn.iter().all(|torn| fs::metadata(torn).unwrap().len() == cut - whole));
    }
}

#[test]
fn garbage_behind_the_last_flush_is_put_aside() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    runtime().block_on(async {
        journal.append(one(0), Durability::Disk).await.unwrap();
        for n in 1..4 {
            journal.append(one(n), Durability::Process).await.unwrap();
        }
    });
    let crashed = image(home.path());
    // Power loss: of the pages behind the flush one was written and an earlier one was not.
    let path = crashed.path().join("000001.log");
    edit(&path, |bytes| {
        let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 10;
        bytes[second..second + 40].fill(0);
    });
    let reopened = open(crashed.path());
    assert_eq!(sequences(&reopened), [1]);
    assert!(verdict(&reopened).valid);
    assert_eq!(files(crashed.path(), ".torn").len(), 1);
}

#[test]
fn a_broken_line_in_the_middle_does_not_stop_the_service_and_is_never_cut() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path(), 6);
    edit(&home.path().join("000001.log"), |bytes| bytes[40] ^= 1);
    let journal = open(home.path());
    assert_eq!(sequences(&journal), [2, 3, 4, 5, 6]);
    assert_eq!(runtime().block_on(journal.append(one(7), Durability::Disk)).unwrap(), 7);
    assert_eq!(verdict(&journal).first_bad, Some(1));
    assert!(files(home.path(), ".torn").is_empty());
}

#[test]
fn truncation_while_running_shows() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    runtime().block_on(async {
        for n in 0..3 {
            journal.append(one(n), Durability::Process).await.unwrap();
        }
    });
    edit(&home.path().join("000001.log"), |bytes| bytes.truncate(bytes.len() / 3 - 5));
    let found = verdict(&journal);
    assert_eq!((found.valid, found.first_bad), (false, Some(1)), "{found:?}");
}

#[test]
fn a_long_search_ends_early_and_is_gone_on_with() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    runtime().block_on(async {
        for n in 0..40u64 {
            let who = if n % 13 == 0 { "user:ana" } else { "user:añá\"" };
            journal.append(vec![entry(who, json!({ "principal": "user:ana" }))], Durability::Process).await.unwrap();
        }
    });
    let tail = *journal.published.lock();
    for (who, expected) in [("user:ana", 4), ("user:añá\"", 36), ("user:an", 0)] {
        let mut query = ReadBack { before: None, limit: 1000, principal: Some(who.to_owned()) };
        let (mut found, mut pages) = (0, 0);
        loop {
            let page = read_page(home.path(), &tail, &query, 1500).unwrap();
            found += page.entries.len();
            pages += 1;
            assert!(page.next < query.before || query.before.is_none() || page.next.is_none());
            query.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{who}");
        assert!(pages > 5, "{pages}");
    }
}

#[test]
fn one_journal_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    assert_eq!(try_open(home.path(), small()).unwrap_err().kind(), ErrorKind::Unavailable);
    runtime().block_on(journal.close()).unwrap();
    drop(open(home.path()));
}

#[test]
fn erasing_leaves_no_trace_of_the_payload() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    runtime().block_on(async {
        for n in 0..12 {
            let secret = json!({ "name": format!("Señora {n} secreta") });
            journal.append(vec![entry("user:ana", secret)], Durability::Process).await.unwrap();
        }
        let all: BTreeSet<u64> = (1..=12).collect();
        assert_eq!(journal.erase(all).await.unwrap(), 12);
        journal.append(one(1), Durability::Process).await.unwrap();
    });
    for file in fs::read_dir(home.path()).unwrap() {
        let text = String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("secreta"), "{text}");
    }
    let crashed = image(home.path());
    fs::write(crashed.path().join("000001.log.erasing"), "secreta").unwrap();
    for journal in [journal, open(crashed.path())] {
        assert_eq!(sequences(&journal).len(), 13);
        assert!(verdict(&journal).valid);
    }
    assert!(files(crashed.path(), ".erasing").is_empty());
}

#[test]
fn what_writers_send_together_is_kept_whole_and_in_order() {
    let home = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(home.path()));
    runtime().block_on(async {
        let tasks: Vec<_> = (0..16u64)
            .map(|who| {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move {
                    for n in 0..20u64 {
                        let group = (0..3).map(|m| entry(&format!("user:{who}"), json!([n, m]))).collect();
                        let durability = if n % 5 == 0 { Durability::Disk } else { Durability::Process };
                        journal.append(group, durability).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let page = runtime().block_on(journal.read_back(ReadBack { limit: 1000, ..Default::default() })).unwrap();
    assert_eq!(page.entries.len(), 960);
    for group in page.entries.chunks(3) {
        assert!(group.iter().all(|entry| entry.principal == group[0].principal));
        let places: Vec<_> = group.iter().map(|entry| entry.payload.as_ref().unwrap()[1].clone()).collect();
        assert_eq!(places, [2, 1, 0].map(Value::from));
    }
    assert!(verdict(&journal).valid);
}

#[test]
fn a_start_reads_little_of_a_large_journal() {
    let home = tempfile::tempdir().unwrap();
    let options = || FileJournalOptions { segment_bytes: 1 << 20, ..small() };
    let runtime = runtime();
    let count = 30 * MAX_APPEND as u64;
    runtime.block_on(async {
        let journal = try_open(home.path(), options()).unwrap();
        for _ in 0..30 {
            let group = (0..MAX_APPEND).map(|n| entry("user:ana", json!({ "n": n, "x": "y".repeat(200) }))).collect();
            journal.append(group, Durability::Process).await.unwrap();
        }
        journal.close().await.unwrap();
    });
    // What a start must not read is not readable: everything but HEAD's own line.
    let logs = files(home.path(), ".log");
    let last = logs.iter().rev().find(|log| fs::metadata(log).unwrap().len() > 0).unwrap();
    let lookup = image(home.path());
    for log in &logs {
        let path = lookup.path().join(log.file_name().unwrap());
        edit(&path, |bytes| {
            let inner = bytes.len().saturating_sub(1);
            let keep =
                if log == last { bytes[..inner].iter().rposition(|b| *b == b'\n').unwrap() } else { bytes.len() };
            bytes[..keep].fill(0xff);
        });
    }
    let reopened = try_open(lookup.path(), options()).unwrap();
    assert_eq!(runtime.block_on(reopened.head()).unwrap().sequence, count);

    let journal = try_open(home.path(), options()).unwrap();
    for before in [2, 17, count / 2, count - 5000, count, count + 7] {
        let query = ReadBack { before: Some(before), limit: 10, principal: None };
        let page = runtime.block_on(journal.read_back(query)).unwrap();
        let newest = (before - 1).min(count);
        let expected: Vec<_> = (newest.saturating_sub(9).max(1)..=newest).rev().collect();
        assert_eq!(page.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), expected);
    }
}

const MAX_APPEND: usize = super::super::MAX_APPEND_ENTRIES;

/// A disk that fails when told: a write half way, or a flush.
#[derive(Debug, Clone, Default)]
struct Failing {
    writes_left: Arc<AtomicU64>,
    flushes_left: Arc<AtomicU64>,
    cuts_fail: bool,
}

#[derive(Debug)]
struct FailingFile(Failing, fs::File);

impl SegmentIo for Failing {
    fn open(&self, path: &Path) -> std::io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Box::new(FailingFile(self.clone(), file)))
    }
}

fn spend(left: &AtomicU64) -> std::io::Result<()> {
    let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    spent.map(drop).map_err(|_| IoError::other("the disk is full"))
}

impl SegmentFile for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Err(e) = spend(&self.0.writes_left) {
            self.1.write_all(&bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        self.1.write_all(bytes)
    }
    fn sync_data(&mut self) -> std::io::Result<()> {
        spend(&self.0.flushes_left)?;
        self.1.sync_data()
    }
    fn truncate(&mut self, bytes: u64) -> std::io::Result<()> {
        if self.0.cuts_fail { Err(IoError::other("no")) } else { self.1.set_len(bytes) }
    }
}

#[test]
fn a_failed_write_poisons_until_the_journal_is_opened_again() {
    for (cuts_fail, durability) in
        [(false, Durability::Process), (true, Durability::Process), (false, Durability::Disk)]
    {
        let home = tempfile::tempdir().unwrap();
        let disk = Failing { cuts_fail, ..Failing::default() };
        // Either the third write fails half way, or the third flush.
        let process = durability == Durability::Process;
        disk.writes_left.store(if process { 2 } else { 99 }, Ordering::SeqCst);
        disk.flushes_left.store(2, Ordering::SeqCst);
        let journal = try_open(home.path(), FileJournalOptions { io: Arc::new(disk.clone()), ..small() }).unwrap();
        let runtime = runtime();
        runtime.block_on(async {
            for n in 1..=2 {
                assert_eq!(journal.append(one(n), durability).await.unwrap(), n);
            }
            for n in 0..3 {
                let refusal = journal.append(one(n), durability).await.unwrap_err();
                assert_eq!(refusal.kind(), ErrorKind::Unavailable);
                assert!(refusal.to_string().contains("the disk is full"), "{refusal}");
                disk.writes_left.store(99, Ordering::SeqCst); // the disk recovers; the journal does not trust it
                disk.flushes_left.store(99, Ordering::SeqCst);
            }
            assert_eq!(journal.head().await.unwrap_err().kind(), ErrorKind::Unavailable);
            assert!(journal.verify().await.unwrap().valid);
            assert!(journal.close().await.is_err());
        });
        drop(journal);
        let whole = fs::read(home.path().join("000001.log")).unwrap().ends_with(b"\n");
        assert_eq!(whole, !cuts_fail, "half a line is cut at once where that is possible");
        let reopened = open(home.path());
        let kept = if process { vec![1, 2] } else { vec![1, 2, 3] };
        assert_eq!(sequences(&reopened), kept, "an unflushed entry may stay, a half one may not");
        assert_eq!(runtime.block_on(reopened.append(one(9), Durability::Disk)).unwrap(), kept.len() as u64 + 1);
        assert!(verdict(&reopened).valid);
    }
}

#[cfg(unix)]
#[test]
fn files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    filled(&home.path().join("journal"), 1);
    for file in fs::read_dir(home.path().join("journal")).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
