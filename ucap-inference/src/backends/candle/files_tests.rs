//! The cache's promises, with a small file in place of the weights.

use std::ffi::OsString;

use super::*;

/// SHA-256 of `abc`: the example of FIPS 180-4.
const ABC: PinnedFile =
    PinnedFile { name: "abc", bytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };

#[test]
fn only_the_pinned_bytes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ABC.read(folder.path()).unwrap_err().contains("abc: "));
    for (bytes, reason) in [(&b"abd"[..], "its SHA-256 is"), (b"ab", "fewer than its 3"), (b"abcd", "more than its 3")]
    {
        fs::write(folder.path().join("abc"), bytes).unwrap();
        let error = ABC.read(folder.path()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
    fs::write(folder.path().join("abc"), b"abc").unwrap();
    assert_eq!(ABC.read(folder.path()).unwrap(), b"abc");
}

#[test]
fn a_file_that_is_stored_replaces_a_corrupt_one_and_leaves_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a/b");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("abc"), b"corrupt").unwrap();
    ABC.store(&folder, b"abc").unwrap();
    assert_eq!(ABC.read(&folder).unwrap(), b"abc");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn several_may_store_at_once_and_readers_see_whole_files_only() {
    let root = tempfile::tempdir().unwrap();
    ABC.store(root.path(), b"abc").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| ABC.store(root.path(), b"abc").unwrap()));
        }
        (0..100).for_each(|_| assert_eq!(ABC.read(root.path()).unwrap(), b"abc"));
    });
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), b"").unwrap();
    let error = ABC.store(&root.path().join("file"), b"abc").unwrap_err();
    assert!(error.contains("cannot write abc into") && error.contains("file"), "{error}");
}

#[test]
fn leftovers_of_a_day_ago_are_removed_and_younger_ones_stay() {
    let root = tempfile::tempdir().unwrap();
    let (old, young, other) = (root.path().join(".partial-1"), root.path().join(".partial-2"), root.path().join("abc"));
    let before = SystemTime::now() - Duration::from_secs(48 * 3_600);
    for path in [&old, &young, &other] {
        fs::write(path, b"").unwrap();
    }
    for path in [&old, &other] {
        File::open(path).unwrap().set_modified(before).unwrap();
    }
    remove_leftovers(root.path());
    assert_eq!((old.exists(), young.exists(), other.exists()), (false, true, true));
    remove_leftovers(&root.path().join("missing"));
}

#[test]
fn the_cache_folder_follows_the_environment() {
    let of = |variables: &[(&str, &str)]| {
        cache_directory(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    };
    let home = ("HOME", "/home/ana");
    assert_eq!(of(&[("UCAP_CACHE", "/cache"), home]), Some("/cache".into()));
    assert_eq!(of(&[]), None);
    if cfg!(target_os = "linux") {
        assert_eq!(of(&[("UCAP_CACHE", ""), home]), Some("/home/ana/.cache/ucap".into()));
        assert_eq!(of(&[("XDG_CACHE_HOME", "/x"), home]), Some("/x/ucap".into()));
        assert_eq!(of(&[("XDG_CACHE_HOME", "relative"), home]), Some("/home/ana/.cache/ucap".into()));
    }
}

#[test]
fn the_folder_of_a_model_carries_its_digest() {
    let folder = model_directory(Path::new("/c"));
    assert_eq!(folder, Path::new("/c/models/all-minilm-l6-v2-53aa51172d14"));
}
