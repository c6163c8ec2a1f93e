//! A directory whose pages the system no longer holds in memory, as after a start of the machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::shell::{self, Result};

/// Has the system drop the pages that it keeps of every file below `folder`, which nobody may have open: what is not written yet is
/// written first. No rights are needed beyond those to write the files.
///
/// # Errors
/// There is no GNU `dd`, or a file cannot be written.
pub(super) fn forget_pages(folder: &Path) -> Result<()> {
    for file in files(folder)? {
        // With nothing to copy, `dd` syncs the file and advises the system that its pages are not needed (posix_fadvise).
        let mut advise = shell::program("dd");
        advise.arg(output_to(&file)).args(["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
        shell::run(advise.stdin(Stdio::null()))?;
    }
    Ok(())
}

/// Reads every file below `folder` from its beginning to its end; gives back how many bytes there were. After [`forget_pages`] this is what
/// the disk allows: no cold start that needs all of it is faster.
///
/// # Errors
/// A file cannot be read.
pub(super) fn read_through(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in files(folder)? {
        let read = File::open(&file).and_then(|mut open| io::copy(&mut open, &mut io::sink()));
        bytes += read.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    }
    Ok(bytes)
}

fn output_to(file: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("of=");
    argument.push(file);
    argument
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| format!("{} cannot be read: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        match entry.file_type().map_err(unreadable)? {
            kind if kind.is_dir() => found.extend(files(&entry.path())?),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::{forget_pages, read_through};

    #[test]
    fn what_the_files_hold_is_left_as_it_was() {
        let folder = std::env::temp_dir().join(format!("ucap-cold-{}", std::process::id()));
        let inner = folder.join("a folder");
        fs::create_dir_all(&inner).expect("a folder");
        let content = vec![7; 100_000];
        fs::write(inner.join("x=y"), &content).expect("a file");
        forget_pages(&folder).expect("it is advised");
        assert_eq!(fs::read(inner.join("x=y")).expect("it is there"), content);
        assert_eq!(read_through(&folder), Ok(100_000));
        assert!(forget_pages(&folder.join("missing")).is_err());
        fs::remove_dir_all(&folder).expect("it is removed");
    }
}
