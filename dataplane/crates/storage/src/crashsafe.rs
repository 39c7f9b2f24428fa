//! Small files that are whole after any crash: the old version or the new one, never a mixture.
//!
//! Ordinary blocking calls, for ordinary threads. Which directory has to be synced after which
//! change is decided here, once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files of this ending were being written when a crash came. They are never read.
pub const TEMPORARY_SUFFIX: &str = ".writing";

/// Writes a file, replacing one of the same name. After `Ok` the new content is durable.
///
/// # Errors
/// As the operating system's. The file has its old content or its new one.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, 0o666)
}

/// As [`write_file`], for nobody else to read.
///
/// # Errors
/// As [`write_file`].
pub fn write_secret_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, 0o600)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(TEMPORARY_SUFFIX);
    let temporary = path.with_file_name(name);
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_dir(parent(path))
}

/// Removes a file, durably. Succeeds when there is none.
///
/// # Errors
/// As the operating system's. The file is there or not.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_dir(parent(path))),
    }
}

/// Creates a directory and its missing parents, durably.
///
/// # Errors
/// As the operating system's. Some of the parents may have been created.
pub fn create_dir_all(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    create_dir_all(parent(path))?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| sync_dir(parent(path))),
    }
}

/// The files of a directory, after removing what a crash left half written.
///
/// # Errors
/// As the operating system's.
pub fn read_dir_clean(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.as_os_str().as_encoded_bytes().ends_with(TEMPORARY_SUFFIX.as_bytes()) {
            fs::remove_file(file)?;
        } else if file.is_file() {
            files.push(file);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Makes every change of names in a directory durable.
///
/// # Errors
/// As the operating system's.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leftovers_are_cleaned() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b");
        create_dir_all(&deep).unwrap();
        create_dir_all(&deep).unwrap();
        let file = deep.join("state.json");
        write_file(&file, b"old").unwrap();
        write_file(&file, b"new").unwrap();
        fs::write(deep.join("other.json.writing"), b"ha").unwrap();
        assert_eq!(read_dir_clean(&deep).unwrap(), std::slice::from_ref(&file));
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1);
        let secret = deep.join("key");
        write_secret_file(&secret, b"k").unwrap();
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
        remove_file(&file).unwrap();
        remove_file(&file).unwrap();
        assert!(!file.exists());
    }
}
