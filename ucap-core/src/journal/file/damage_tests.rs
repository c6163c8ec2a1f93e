//! Tests of damage: that each kind is found and named by its entry, file and line, and what a repair leaves.

use super::super::chain::{EntryHash, link};
use super::super::envelope::Record;
use super::super::tests::{clock, runtime, small};
use super::super::{Place, REPAIRED};
use super::tests::{edit, files, filled, image, one, open, sequences, try_open, verdict};
use super::*;
use crate::entropy::SeededEntropy;

/// The entries of the journal that is damaged here, which fill several segments.
const ENTRIES: u64 = 27;

/// What is done to a journal: its directory, and its segments that hold something.
type Damage = Box<dyn Fn(&Path, &[PathBuf])>;

struct Case {
    what: &'static str,
    damage: Damage,
    /// The first bad entry.
    bad: u64,
    /// Where: the segment's number and the line.
    place: (u32, u64),
    /// Whether a start refuses it; else it goes on, and only verification tells.
    refused: bool,
}

/// Where each line of a segment starts, and where the last one ends.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).collect()
}

fn cut_line(bytes: &mut Vec<u8>, line: usize) -> Vec<u8> {
    let starts = starts(bytes);
    bytes.drain(starts[line - 1]..starts[line]).collect()
}

/// Rewrites a line with a check that fits: a forger knows how.
fn forge(bytes: &mut Vec<u8>, line: usize, change: impl Fn(&mut Record)) {
    let at = starts(bytes)[line - 1];
    let mut record = Record::read_line(&cut_line(bytes, line)).unwrap();
    change(&mut record);
    let mut forged = Vec::new();
    record.write_line(&mut forged).unwrap();
    bytes.splice(at..at, forged);
}

/// How many lines each segment has.
fn lines(logs: &[PathBuf]) -> Vec<u64> {
    logs.iter().map(|log| fs::read(log).unwrap().iter().filter(|byte| **byte == b'\n').count() as u64).collect()
}

/// Flips a bit so many bytes behind the start of a line.
fn flip(bytes: &mut [u8], line: usize, offset: usize) {
    let start = starts(bytes)[line - 1];
    bytes[start.wrapping_add(offset)] ^= 1;
}

/// Damage to the file of one segment, counted from 0.
fn on(segment: usize, change: impl Fn(&mut Vec<u8>) + 'static) -> Damage {
    Box::new(move |_, logs| edit(&logs[segment], &change))
}

fn cut_last_line(bytes: &mut Vec<u8>) {
    let last = starts(bytes).len() - 1;
    cut_line(bytes, last);
}

fn case(what: &'static str, bad: u64, place: (u32, u64), refused: bool, damage: Damage) -> Case {
    Case { what, damage, bad, place, refused }
}

fn damaged_lines(lines: &[u64]) -> Vec<Case> {
    let (second, count) = (lines[0] + 2, lines.len());
    let (last, end) = (count - 1, (count as u32, lines[count - 1]));
    let swap = |bytes: &mut Vec<u8>| {
        let line = cut_line(bytes, 2);
        let at = starts(bytes)[2];
        bytes.splice(at..at, line);
    };
    let double = |bytes: &mut Vec<u8>| {
        let (from, to) = (starts(bytes)[1], starts(bytes)[2]);
        let line = bytes[from..to].to_vec();
        bytes.splice(to..to, line);
    };
    let join = |bytes: &mut Vec<u8>| {
        let newline = starts(bytes)[2] - 1;
        bytes[newline] = b' ';
    };
    vec![
        case("the first byte of a line", second, (2, 2), false, on(1, |bytes| flip(bytes, 2, 0))),
        case("a byte of the time", second, (2, 2), false, on(1, |bytes| flip(bytes, 2, 35))),
        case("a byte near the end", second, (2, 2), false, on(1, |bytes| flip(bytes, 3, 40usize.wrapping_neg()))),
        case("the newline", second, (2, 2), false, on(1, join)),
        case("a byte of the first line", 1, (1, 1), false, on(0, |bytes| flip(bytes, 1, 20))),
        case(
            "a byte of the last line",
            ENTRIES,
            end,
            true,
            on(last, move |bytes| {
                let at = bytes.len() - 30;
                bytes[at] ^= 1;
            }),
        ),
        case("a line removed", 2, (1, 2), false, on(0, |bytes| drop(cut_line(bytes, 2)))),
        case("two lines swapped", 2, (1, 2), false, on(0, swap)),
        case("a line twice", 3, (1, 3), false, on(0, double)),
        case("the last line cut", ENTRIES, end, true, on(last, cut_last_line)),
        case("the last line cut in two", ENTRIES, end, true, on(last, |bytes| bytes.truncate(bytes.len() - 7))),
    ]
}

fn damaged_segments(lines: &[u64]) -> Vec<Case> {
    let count = lines.len();
    let (last, behind) = (count as u32, lines[count - 2] + 1);
    let swap: Damage = Box::new(|home, logs| {
        fs::rename(&logs[0], home.join("x")).unwrap();
        fs::rename(&logs[1], &logs[0]).unwrap();
        fs::rename(home.join("x"), &logs[1]).unwrap();
    });
    let remove = |segment: usize| -> Damage { Box::new(move |_, logs| fs::remove_file(&logs[segment]).unwrap()) };
    let remove_from = |segment: usize| -> Damage {
        Box::new(move |home, _| files(home, ".log")[segment..].iter().for_each(|log| fs::remove_file(log).unwrap()))
    };
    let mut cases = vec![
        case("the last segment gone", ENTRIES - lines[count - 1] + 1, (last - 1, behind), true, remove_from(count - 1)),
        case("a middle segment gone", lines[0] + 1, (2, 1), false, remove(1)),
        case("the first segment gone", 1, (1, 1), false, remove(0)),
        case("two segments swapped", 1, (1, 1), false, swap),
        case("a middle segment cut", lines[0] + lines[1], (3, 1), false, on(1, cut_last_line)),
    ];
    // Where there is no file there is no place.
    cases.push(Case { place: (0, 0), ..case("all segments gone", 1, (0, 0), true, remove_from(0)) });
    cases
}

fn damaged_heads(lines: &[u64]) -> Vec<Case> {
    let (last, end) = (lines.len() as u32, lines[lines.len() - 1]);
    let head = |change: fn(Checkpoint) -> Checkpoint| -> Damage {
        Box::new(move |home, _| {
            let (mut file, newest) = CheckpointFile::open(home).unwrap();
            file.write(change(newest.unwrap()), true).unwrap();
        })
    };
    let gone: Damage = Box::new(|home, _| fs::remove_file(home.join("HEAD")).unwrap());
    let garbage: Damage = Box::new(|home, _| edit(&home.join("HEAD"), |bytes| bytes.fill(b'7')));
    let elsewhere = head(|checkpoint| Checkpoint { start: 0, ..checkpoint });
    let ahead = head(|checkpoint| Checkpoint { sequence: ENTRIES + 9, ..checkpoint });
    vec![
        case("HEAD gone", ENTRIES + 1, (last, end + 1), true, gone),
        case("HEAD of garbage", ENTRIES + 1, (last, end + 1), true, garbage),
        case("HEAD in another place", ENTRIES, (last, end), true, elsewhere),
        case("HEAD ahead", ENTRIES + 1, (last, end + 1), true, ahead),
    ]
}

/// What somebody does who knows how a line is checked.
fn forgeries() -> Vec<Case> {
    let change =
        |what, change: fn(&mut Record)| case(what, 2, (1, 2), false, on(0, move |bytes| forge(bytes, 2, change)));
    vec![
        change("a payload changed", |record| record.disclosure.as_mut().unwrap().text = "{\"n\":7}".to_owned()),
        change("a principal changed", |record| record.principal = "user:eve".to_owned()),
        change("an append made longer", |record| record.more = 1),
        // It breaks the link to the one before, as it would break that of the one behind it.
        change("an entry that fits in itself", |record| {
            record.decision = Some("deny".to_owned());
            record.hash = link(&EntryHash::genesis(), record);
        }),
    ]
}

fn cases(lines: &[u64]) -> Vec<Case> {
    let mut cases = damaged_lines(lines);
    cases.extend(damaged_segments(lines));
    cases.extend(damaged_heads(lines));
    cases.extend(forgeries());
    cases
}

/// A journal, and its segments that hold something.
fn journal() -> (tempfile::TempDir, Vec<PathBuf>) {
    let home = tempfile::tempdir().unwrap();
    filled(home.path(), ENTRIES);
    let mut logs = files(home.path(), ".log");
    logs.retain(|log| fs::metadata(log).unwrap().len() > 0);
    assert!(logs.len() >= 4, "{logs:?}");
    (home, logs)
}

/// Damages a copy; the case's files are named as in the original.
fn damaged(home: &Path, logs: &[PathBuf], case: &Case) -> tempfile::TempDir {
    let copy = image(home);
    let logs: Vec<_> = logs.iter().map(|log| copy.path().join(log.file_name().unwrap())).collect();
    (case.damage)(copy.path(), &logs);
    copy
}

fn verify(home: &Path) -> Verification {
    FileJournal::verify_directory(home, vec![]).unwrap()
}

fn repair(home: &Path, anchors: Vec<ChainHead>, missing: Option<&str>) -> Option<Repair> {
    FileJournal::repair_directory(home, anchors, missing, &clock(), &SeededEntropy::new(2)).unwrap()
}

/// The newest entry.
fn newest(journal: &FileJournal) -> super::super::Entry {
    let page = runtime().block_on(journal.read_back(ReadBack { limit: 1, ..Default::default() })).unwrap();
    page.entries.into_iter().next().unwrap()
}

#[test]
fn each_damage_is_named_by_entry_file_and_line() {
    let (home, logs) = journal();
    for case in cases(&lines(&logs)) {
        let copy = damaged(home.path(), &logs, &case);
        let found = verify(copy.path());
        let (segment, line) = case.place;
        let place = (segment > 0).then(|| Place { file: format!("{segment:06}.log"), line });
        assert_eq!((found.valid, found.first_bad), (false, Some(case.bad)), "{}: {found}", case.what);
        assert_eq!((found.entries, found.place.as_ref()), (case.bad - 1, place.as_ref()), "{}: {found}", case.what);
        match try_open(copy.path(), small()) {
            Ok(journal) => {
                assert!(!case.refused, "{}", case.what);
                let found = verdict(&journal);
                assert_eq!((found.valid, found.first_bad), (false, Some(case.bad)), "{}: {found}", case.what);
            }
            Err(refusal) => {
                assert!(case.refused, "{}: {refusal}", case.what);
                assert_eq!(refusal.kind(), ErrorKind::Internal);
                assert!(refusal.to_string().contains("audit repair"), "{refusal}");
            }
        }
    }
    assert!(verify(home.path()).valid);
}

#[test]
fn a_repair_keeps_everything_aside_and_goes_on() {
    let (home, logs) = journal();
    for case in cases(&lines(&logs)) {
        let copy = damaged(home.path(), &logs, &case);
        let before: Vec<_> =
            files(copy.path(), ".log").iter().map(|log| (log.clone(), fs::read(log).unwrap())).collect();
        let done = repair(copy.path(), vec![], None).unwrap_or_else(|| panic!("{}: nothing was repaired", case.what));
        assert_eq!((done.found.first_bad, done.head.sequence), (Some(case.bad), case.bad), "{}", case.what);
        // Each segment is still there as it was, in its place or aside.
        for (log, bytes) in before.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let aside = copy.path().join("set-aside-1").join(log.file_name().unwrap());
            let kept = [aside, log.clone()].iter().any(|path| fs::read(path).is_ok_and(|held| held == *bytes));
            assert!(kept, "{}: {}", case.what, log.display());
        }
        for set_aside in &done.set_aside {
            let bytes = fs::read(copy.path().join(&set_aside.file)).unwrap();
            assert_eq!(set_aside.blake3, blake3::hash(&bytes).to_hex().to_string());
            assert_eq!(set_aside.bytes, bytes.len() as u64);
        }

        let found = verify(copy.path());
        assert!(found.valid && found.entries == case.bad, "{}: {found}", case.what);
        assert_eq!((found.breaks, found.last_break), (1, Some(case.bad)));
        let journal = open(copy.path());
        assert_eq!(sequences(&journal), (1..=case.bad).collect::<Vec<_>>(), "{}", case.what);
        let entry = newest(&journal);
        assert_eq!((&*entry.kind, entry.head()), (REPAIRED, done.head));
        let payload = entry.payload.unwrap();
        assert_eq!(payload["first_bad"], case.bad, "{payload}");
        assert_eq!(payload["verified"]["sequence"], case.bad - 1);
        assert_eq!(payload["set_aside_count"], done.set_aside.len());
        assert_eq!(runtime().block_on(journal.append(one(1), Durability::Disk)).unwrap(), case.bad + 1);
        assert!(verdict(&journal).valid);
        runtime().block_on(journal.close()).unwrap();
        drop(journal);
        assert_eq!(repair(copy.path(), vec![], None), None, "{}: once is enough", case.what);
    }
}

#[test]
fn a_second_break_is_recorded_too() {
    let (home, logs) = journal();
    edit(&logs[2], |bytes| flip(bytes, 1, 20));
    repair(home.path(), vec![], None).unwrap();
    edit(&logs[0], |bytes| drop(cut_line(bytes, 2)));
    let done = repair(home.path(), vec![], None).unwrap();
    assert!(done.set_aside.iter().any(|file| file.file == "set-aside-1/000003.log"), "{:?}", done.set_aside);
    assert!(done.set_aside.iter().any(|file| file.file == "set-aside-2/000001.log"), "{:?}", done.set_aside);
    let found = verify(home.path());
    assert_eq!(
        (found.valid, found.entries, found.breaks),
        (true, 2, 1),
        "the first record was behind the second break"
    );
    edit(&logs[1], |bytes| bytes.extend_from_slice(b"{}\n"));
    assert!(verify(home.path()).valid, "what is behind HEAD at the very end is a torn write");
    edit(&home.path().join("HEAD"), |bytes| bytes.clear());
    let done = repair(home.path(), vec![], None).unwrap();
    assert_eq!(done.head.sequence, 3);
    let found = verify(home.path());
    assert_eq!((found.valid, found.breaks, found.last_break), (true, 2, Some(3)), "{found}");
}

#[test]
fn an_interrupted_repair_is_refused_until_it_is_done_again() {
    let (home, logs) = journal();
    edit(&logs[1], |bytes| flip(bytes, 2, 35));
    let (head, segment) = (fs::read(home.path().join("HEAD")).unwrap(), fs::read(&logs[1]).unwrap());
    let first = repair(home.path(), vec![], None).unwrap();
    // As if it had ended before HEAD was written; and before the damaged segment was replaced.
    for replaced in [true, false] {
        let copy = image(home.path());
        fs::create_dir(copy.path().join("set-aside-1")).unwrap();
        for file in fs::read_dir(home.path().join("set-aside-1")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.path().join("set-aside-1").join(file.file_name())).unwrap();
        }
        fs::write(copy.path().join("HEAD"), &head).unwrap();
        if !replaced {
            fs::write(copy.path().join("000002.log"), &segment).unwrap();
        }
        assert!(!verify(copy.path()).valid);
        assert!(try_open(copy.path(), small()).is_err());
        let again = repair(copy.path(), vec![], None).unwrap();
        for file in &first.set_aside {
            assert!(again.set_aside.contains(file), "{file:?}");
        }
        let found = verify(copy.path());
        assert_eq!((found.valid, found.breaks), (true, if replaced { 2 } else { 1 }), "{found}");
        assert!(verdict(&open(copy.path())).valid);
    }
}

#[test]
fn a_head_kept_elsewhere_finds_what_a_careful_forger_cut() {
    let (home, logs) = journal();
    let head = open_head(home.path());
    // The last line is cut, and HEAD is written anew for what is left: nothing in the directory contradicts it.
    let path = logs.last().unwrap();
    edit(path, |bytes| drop(cut_line(bytes, starts(bytes).len() - 1)));
    fs::remove_file(home.path().join("HEAD")).unwrap();
    let bytes = fs::read(path).unwrap();
    let starts = starts(&bytes);
    let (start, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    let record = Record::read_line(&bytes[start..end]).unwrap();
    let (mut file, _) = CheckpointFile::open(home.path()).unwrap();
    let (segment, sequence, hash) = (logs.len() as u32, record.sequence, record.hash);
    let forged = Checkpoint { generation: 0, sequence, hash, segment, start: start as u64, end: end as u64 };
    file.write(forged, true).unwrap();
    drop(file);
    assert!(verify(home.path()).valid);
    let found = FileJournal::verify_directory(home.path(), vec![head]).unwrap();
    assert_eq!((found.valid, found.first_bad), (false, Some(ENTRIES)), "{found}");
    let anchored = || FileJournalOptions { anchors: vec![head], ..small() };
    assert!(
        try_open(home.path(), anchored()).unwrap_err().to_string().contains(&format!("once reached entry {ENTRIES}"))
    );
    // Another entry in the place of the anchored one.
    runtime().block_on(open(home.path()).append(one(99), Durability::Disk)).unwrap();
    assert!(try_open(home.path(), anchored()).unwrap_err().to_string().contains("anchored"));
    let found = FileJournal::verify_directory(home.path(), vec![head]).unwrap();
    assert_eq!((found.valid, found.first_bad, found.entries), (false, Some(ENTRIES), ENTRIES - 1), "{found}");
    let done = repair(home.path(), vec![head], None).unwrap();
    assert!(verdict(&try_open(home.path(), FileJournalOptions { anchors: vec![done.head], ..small() }).unwrap()).valid);
}

fn open_head(home: &Path) -> ChainHead {
    runtime().block_on(open(home).head()).unwrap()
}

#[test]
fn a_journal_that_is_gone_is_begun_anew_with_a_record_of_that() {
    let home = tempfile::tempdir().unwrap();
    let gone = home.path().join("journal");
    let found = FileJournal::verify_directory(&gone, vec![]).unwrap();
    assert_eq!((found.valid, found.entries), (true, 0), "by itself, nothing is an empty journal");
    let done = repair(&gone, vec![], Some("the catalog is at epoch 7")).unwrap();
    assert_eq!((done.head.sequence, done.set_aside.len(), done.found.first_bad), (1, 0, Some(1)));
    let journal = open(&gone);
    assert_eq!(newest(&journal).payload.unwrap()["damage"], "the catalog is at epoch 7");
    assert!(verdict(&journal).valid);
}

#[test]
fn a_torn_end_needs_no_repair() {
    let (home, logs) = journal();
    edit(logs.last().unwrap(), |bytes| bytes.extend_from_slice(b"{\"format\":1,\"sequ"));
    assert_eq!(repair(home.path(), vec![], None), None);
    assert!(verify(home.path()).valid);
    assert_eq!(sequences(&open(home.path())).len() as u64, ENTRIES);
    assert_eq!(files(home.path(), ".torn").len(), 1);
}

#[test]
fn an_open_journal_is_not_repaired() {
    let home = tempfile::tempdir().unwrap();
    let journal = open(home.path());
    let refusal = FileJournal::repair_directory(home.path(), vec![], None, &clock(), &SeededEntropy::new(2));
    assert_eq!(refusal.unwrap_err().kind(), ErrorKind::Unavailable);
    drop(journal);
}
