//! A file under a temporary name until it is whole.
//!
//! It is locked as long as its process works on it. The lock goes with the process, however that ends, so the next archive
//! of the same name tells what a killed one has left from what another is still writing, and removes the former.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::BuildHasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of the final name that the temporary one repeats; with its 26 bytes of decoration it stays under the 255
/// bytes of the common file systems.
const KEPT_NAME_BYTES: usize = 200;

/// Times that a file is created which somebody else takes for a dead one before it is locked.
const MAX_CREATIONS: usize = 8;

/// Hexadecimal digits of the random part of a temporary name.
const RANDOM_DIGITS: usize = 16;

/// Symbolic links followed before a chain counts as a loop, as in Linux.
const MAX_LINKS: usize = 40;

/// A file that may be created: everything the file system had to be asked for is known.
#[derive(Debug)]
pub(super) struct Plan {
    path: PathBuf,
    target: PathBuf,
    overwrite: bool,
    replaced: Option<Permissions>,
}

/// How a temporary name ends.
const SUFFIX: &str = ".partial";

/// `.NAME.<random>.partial` in the directory of the final name; removed when dropped.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    target: PathBuf,
    overwrite: bool,
    kept: bool,
}

impl Plan {
    /// Looks at the place; creates nothing, and removes what killed processes have left of the same archive.
    ///
    /// A symbolic link stays a link: the file appears where it points.
    pub(super) fn new(path: &Path, overwrite: bool) -> io::Result<Self> {
        let target = resolve(path)?;
        let replaced = match fs::metadata(&target) {
            Ok(_) if !overwrite => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(metadata) => Some(metadata.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?.as_bytes();
        let name = OsStr::from_bytes(name.get(..KEPT_NAME_BYTES).unwrap_or(name));
        let random = RandomState::new().hash_one(std::process::id());
        let mut beginning = OsStr::new(".").to_owned();
        beginning.push(name);
        beginning.push(".");
        remove_dead(directory(&target), &beginning);
        let mut temporary = beginning;
        temporary.push(format!("{random:0RANDOM_DIGITS$x}{SUFFIX}"));
        let path = directory(&target).join(temporary);
        Ok(Self { path, target, overwrite, replaced })
    }

    /// Creates the temporary file exclusively, with the permissions of the file it will replace, or those of any new
    /// file (the umask decides).
    ///
    /// Not in another thread: whoever gives up waiting for one could not know whether there is a file to remove.
    pub(super) fn create(self) -> io::Result<(File, Partial)> {
        let Self { path, target, overwrite, replaced } = self;
        let file = create_locked(&path)?;
        let partial = Partial { path, target, overwrite, kept: false };
        if let Some(permissions) = replaced {
            file.set_permissions(permissions)?;
        }
        Ok((file, partial))
    }
}

/// A new file that is locked by this process; without the lock where the file system has none.
fn create_locked(path: &Path) -> io::Result<File> {
    for _ in 0..MAX_CREATIONS {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        // Whoever holds it for a moment takes the file for a dead one, and removes it.
        if file.lock().is_err() || fs::symlink_metadata(path).is_ok() {
            return Ok(file);
        }
    }
    Err(io::Error::other("others keep removing the temporary file"))
}

/// Removes the temporary files of these names that no process works on.
fn remove_dead(directory: &Path, beginning: &OsStr) {
    // What cannot be listed, opened or locked stays: it is in nobody's way.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.as_bytes().strip_prefix(beginning.as_bytes());
        let random = rest.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        let is_ours = random
            .is_some_and(|random| random.len() == RANDOM_DIGITS && random.iter().all(u8::is_ascii_hexdigit))
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_ours
            && let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Partial {
    /// Puts the file on the disk and gives it its final name. What must be told although it has got it is returned.
    pub(super) fn complete(mut self, file: &File) -> io::Result<Option<String>> {
        file.sync_all()?;
        // Opened before there is anything to be sorry for. A directory that may be written need not be readable.
        let directory = match File::open(directory(&self.target)) {
            Ok(directory) => Some(directory),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => return Err(error),
        };
        if self.overwrite {
            fs::rename(&self.path, &self.target)?;
            self.kept = true;
        } else {
            // A link, unlike a rename, refuses a name that is taken. Dropping then removes the temporary name.
            fs::hard_link(&self.path, &self.target).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => io::Error::new(io::ErrorKind::Unsupported, error),
                _ => error,
            })?;
        }
        // The archive is there and whole from here on, whatever becomes of the rest.
        match directory.map(|directory| directory.sync_all()) {
            None | Some(Ok(())) => Ok(None),
            // Some network file systems cannot sync a directory; they have no cache of names to lose.
            Some(Err(error))
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                Ok(None)
            }
            Some(Err(error)) => Ok(Some(format!(
                "the archive is complete, but its name could not be put on the disk and may be lost in a power cut: {error}"
            ))),
        }
    }

    /// Where the file will be, and whether it may replace what is there.
    pub(super) fn destination(&self) -> (PathBuf, bool) {
        (self.target.clone(), self.overwrite)
    }

    /// Removes the file.
    pub(super) fn remove(mut self) -> io::Result<()> {
        self.kept = true;
        fs::remove_file(&self.path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left to tell; `remove` tells.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Where a chain of symbolic links ends, whether or not something is there.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_symlink() => {
                target = directory(&target).join(fs::read_link(&target)?);
            }
            Ok(_) => return Ok(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}
