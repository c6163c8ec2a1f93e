//! The data directory: its format, its lock, and files in it that are written whole or not at all.
//!
//! ```text
//! FORMAT   "ucap 1": which version of ucap's layout this is; a newer one is refused
//! LOCK     held while a process uses the directory; says which
//! ```
//! What else is in it belongs to the parts that keep it there, each in a directory of its own ([`DataDirectory::sub`]).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The version of the layout that this program writes.
pub const FORMAT: u32 = 1;
/// The file that makes a directory a data directory.
pub const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const SMALL_FILE_BYTES: u64 = 64;

/// Takes a directory from the format that it is of to the next; it may assume that a copy was made.
type Migration = fn(&Path) -> Result<()>;

/// `MIGRATIONS[n]` takes format `n + 1` to `n + 2`.
const MIGRATIONS: [Migration; FORMAT as usize - 1] = [];

/// A data directory that this process, and no other, uses. Dropping it lets go of the lock.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl DataDirectory {
    /// Opens the directory at `path`; creates it, for its owner alone, when it does not exist.
    ///
    /// # Errors
    /// `Unavailable` when another process holds its lock or the system refuses; `Unsupported` when a newer ucap wrote it;
    /// `InvalidInput` when it holds files but is no data directory.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let failed = |e| unusable(&path, e);
        create_private(&path).map_err(failed)?;
        let foreign = is_foreign(&path).map_err(failed)?;
        if foreign {
            let message = format!(
                "{} holds files but no `{FORMAT_FILE}`, so it is not a data directory of ucap; name an empty or a new one",
                path.display()
            );
            return Err(Error::invalid("data_directory", message));
        }
        let lock = take_lock(&path)?;
        let directory = Self { path, _lock: lock };
        directory.settle_format()?;
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the directory `name` in it, which is created, for its owner alone, when it does not exist.
    ///
    /// # Errors
    /// `InvalidInput` when `name` is not a plain file name; `Unavailable` when the system refuses.
    pub fn sub(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name)?;
        create_private(&path).and_then(|()| sync_directory(&self.path)).map_err(|e| unusable(&path, e))?;
        Ok(path)
    }

    /// Writes the file `name` for its owner alone, whole or not at all, so that it survives power loss.
    ///
    /// # Errors
    /// `InvalidInput` when `name` is not a plain file name; `Unavailable` when the system refuses.
    pub fn write_private(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(name)?;
        atomic_write(&path, bytes).map_err(|e| unusable(&path, e))
    }

    /// The content of the file `name`; `None` when there is none. At most `most` bytes.
    ///
    /// # Errors
    /// `InvalidInput` when `name` is not a plain file name; `TooLarge` beyond `most`; `Unavailable` when the system
    /// refuses.
    pub fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let path = self.file(name)?;
        let bytes = read_bounded(&path, most.saturating_add(1)).map_err(|e| unusable(&path, e))?;
        match bytes {
            Some(bytes) if bytes.len() as u64 > most => {
                let message = format!("{} is larger than {most} bytes; it is not what ucap wrote", path.display());
                Err(Error::new(ErrorKind::TooLarge, message))
            }
            bytes => Ok(bytes),
        }
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        let mut parts = Path::new(name).components();
        let plain =
            matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(part)), None) if part == name);
        if !plain || name.contains('\0') {
            return Err(Error::invalid("name", format!("`{name}` is not the name of a file in the data directory")));
        }
        Ok(self.path.join(name))
    }

    /// Writes `FORMAT` into a new directory, refuses a newer one, migrates an older one.
    fn settle_format(&self) -> Result<()> {
        let path = self.path.join(FORMAT_FILE);
        let found = match read_bounded(&path, SMALL_FILE_BYTES).map_err(|e| unusable(&path, e))? {
            None => return self.write_format(FORMAT),
            Some(bytes) => parse_format(&bytes).ok_or_else(|| {
                let message = format!(
                    "{} does not say `ucap` and a number; restore it, or the whole directory, from a backup",
                    path.display()
                );
                Error::new(ErrorKind::Unsupported, message)
            })?,
        };
        if found > FORMAT {
            let message = format!(
                "{} was written by a newer ucap (format {found}; this one knows {FORMAT}); start the newer program",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        for (format, migrate) in (1..).zip(MIGRATIONS).skip_while(|(format, _)| *format < found) {
            self.copy_before_migration(format)?;
            migrate(&self.path)?;
            self.write_format(format + 1)?;
        }
        Ok(())
    }

    fn write_format(&self, format: u32) -> Result<()> {
        self.write_private(FORMAT_FILE, format!("ucap {format}\n").as_bytes())
    }

    /// Copies the directory to `<path>.format-<n>` beside it, so that a migration can be gone back on.
    fn copy_before_migration(&self, format: u32) -> Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".format-{format}"));
        let copy = self.path.with_file_name(name);
        if copy.try_exists().map_err(|e| unusable(&copy, e))? {
            let message = format!("{} exists already; move it away, then start again to migrate", copy.display());
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        copy_tree(&self.path, &copy).map_err(|e| unusable(&copy, e))
    }
}

/// Writes `path` for its owner alone, whole or not at all: a file beside it is written, flushed and renamed, and the
/// directory is flushed. Two writers of one path must take turns.
///
/// # Errors
/// The system's. A file `.<name>.new` may be left; the next write replaces it.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    let new = directory.join(hidden);
    // Removed first: an old one could have other rights, and those of an existing file are kept.
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    sync_directory(directory)
}

fn take_lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK_FILE);
    let failed = |e| unusable(&path, e);
    let mut options = OpenOptions::new();
    let mut file = private(options.read(true).write(true).create(true).truncate(false)).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.take(SMALL_FILE_BYTES).read_to_string(&mut text);
            let holder = match (read, text.trim()) {
                (Ok(_), pid) if !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => format!("process {pid}"),
                _ => "another process".to_owned(),
            };
            let message = format!(
                "{} is in use: {holder} holds the lock {}; stop it, or name another data directory",
                directory.display(),
                path.display()
            );
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        Err(TryLockError::Error(e)) => return Err(failed(e)),
    }
    let pid = format!("{}\n", std::process::id());
    let written =
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(pid.as_bytes()));
    written.map_err(failed)?;
    Ok(file)
}

/// Whether the directory holds something without being a data directory. A start that was killed early leaves no more
/// than the lock and a half-written `FORMAT`.
fn is_foreign(path: &Path) -> io::Result<bool> {
    if path.join(FORMAT_FILE).try_exists()? {
        return Ok(false);
    }
    for file in fs::read_dir(path)? {
        let name = file?.file_name();
        // A volume that was formatted for us has its own `lost+found`.
        if name != LOCK_FILE && name != ".FORMAT.new" && name != "lost+found" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parse_format(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.trim_end().strip_prefix("ucap ")?.parse().ok().filter(|format| *format > 0)
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    create_private(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let (kind, copy) = (file.file_type()?, to.join(file.file_name()));
        if kind.is_dir() {
            copy_tree(&file.path(), &copy)?;
        } else if kind.is_file() {
            fs::copy(file.path(), &copy)?; // rights come along
            File::open(&copy)?.sync_all()?;
        }
    }
    sync_directory(to)
}

/// Creates the directory `path` and what is above it, for the owner alone.
///
/// # Errors
/// The system's.
pub fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes files that are created with `options` their owner's alone.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes names that were created, renamed or removed in `path` survive power loss.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn unusable(path: &Path, e: io::Error) -> Error {
    let message = format!("{} cannot be used: {e}", path.display());
    Error::new(ErrorKind::Unavailable, message).with_source(e)
}

#[cfg(test)]
#[path = "data_directory_tests.rs"]
mod tests;
