//! Tests of the data directory.

use super::*;

fn open(path: &Path) -> Result<DataDirectory> {
    DataDirectory::open(path)
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_directory_says_its_format() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/b");
    let directory = open(&path).unwrap();
    assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "ucap 1\n");
    drop(directory);
    open(&path).unwrap();
}

#[test]
fn the_second_open_is_refused_until_the_first_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let first = open(home.path()).unwrap();
    let refusal = open(home.path()).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::Unavailable);
    let sentence = refusal.to_string();
    assert!(sentence.contains("lock"), "{sentence}");
    assert!(sentence.contains(&home.path().display().to_string()), "{sentence}");
    assert!(sentence.contains(&format!("process {}", std::process::id())), "{sentence}");
    drop(first);
    open(home.path()).unwrap();
}

#[test]
fn another_format_is_refused_and_left_alone() {
    for (text, word) in [("ucap 2\n", "newer"), ("ucap zero\n", "backup"), ("", "backup"), ("ucap 0\n", "backup")] {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("FORMAT"), text).unwrap();
        let refusal = open(home.path()).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Unsupported);
        assert!(refusal.to_string().contains(word), "{refusal}");
        assert_eq!(fs::read_to_string(home.path().join("FORMAT")).unwrap(), text);
    }
}

#[test]
fn somebody_elses_directory_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("thesis.tex"), "…").unwrap();
    assert_eq!(open(home.path()).unwrap_err().param(), Some("data_directory"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_start_that_was_killed_early_is_gone_on_with() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("LOCK"), "123\n").unwrap();
    fs::write(home.path().join(".FORMAT.new"), "uc").unwrap();
    open(home.path()).unwrap();
    assert_eq!(fs::read_to_string(home.path().join("FORMAT")).unwrap(), "ucap 1\n");
}

#[test]
fn files_are_replaced_whole() {
    let home = tempfile::tempdir().unwrap();
    let directory = open(home.path()).unwrap();
    assert_eq!(directory.read("key", 10).unwrap(), None);
    directory.write_private("key", b"one").unwrap();
    directory.write_private("key", "dós".as_bytes()).unwrap();
    assert_eq!(directory.read("key", 10).unwrap().as_deref(), Some("dós".as_bytes()));
    assert_eq!(directory.read("key", 2).unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(!home.path().join(".key.new").exists());
}

#[cfg(unix)]
#[test]
fn everything_is_for_the_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data");
    let directory = open(&path).unwrap();
    let journal = directory.sub("journal").unwrap();
    fs::write(path.join(".key.new"), "left over, and readable by all").unwrap();
    directory.write_private("key", b"secret").unwrap();
    assert_eq!((mode(&path), mode(&journal)), (0o700, 0o700));
    for name in ["key", "FORMAT", "LOCK"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
}

#[test]
fn names_cannot_leave_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let directory = open(home.path()).unwrap();
    for name in ["", ".", "..", "../x", "a/b", "/etc/x", "a/", "a\0b"] {
        assert_eq!(directory.write_private(name, b"").unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        assert_eq!(directory.sub(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
    }
}

#[test]
fn the_copy_before_a_migration_has_everything() {
    let home = tempfile::tempdir().unwrap();
    let directory = open(&home.path().join("data")).unwrap();
    fs::write(directory.sub("journal").unwrap().join("000001.log"), "line").unwrap();
    directory.copy_before_migration(1).unwrap();
    assert_eq!(fs::read_to_string(home.path().join("data.format-1/journal/000001.log")).unwrap(), "line");
    assert_eq!(directory.copy_before_migration(1).unwrap_err().kind(), ErrorKind::AlreadyExists);
}
