//! The spool's folder: which file is where, and the lock that keeps a second relay out.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::{OpenError, record::SegmentId, volume::Volume};
use crate::message::MessageId;

/// The spool's folder, and the lock on it.
#[derive(Debug)]
pub(super) struct Folder {
    log: PathBuf,
    large: PathBuf,
    quarantine: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Folder {
    /// Makes what is missing, and takes the lock.
    pub(super) fn open(path: &Path, volume: &dyn Volume) -> Result<Self, OpenError> {
        make_durable(path, volume)?;
        if !path.is_dir() {
            return Err(OpenError::NoFolder(path.to_owned()));
        }
        let lock = lock(path)?;
        let [log, large, quarantine] = ["log", "large", "quarantine"].map(|name| path.join(name));
        for folder in [&log, &large, &quarantine] {
            make(folder)?;
        }
        volume.sync_folder(path).map_err(|source| failed("sync folder", path, source))?;
        Ok(Self { log, large, quarantine, _lock: lock })
    }

    /// Where the segments and their sidecars are.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Where large messages' content is.
    pub(super) fn large(&self) -> &Path {
        &self.large
    }

    /// Where damaged parts are put.
    pub(super) fn quarantine(&self) -> &Path {
        &self.quarantine
    }

    pub(super) fn segment(&self, segment: SegmentId) -> PathBuf {
        self.log.join(format!("{segment:010}.seg"))
    }

    pub(super) fn sidecar(&self, segment: SegmentId) -> PathBuf {
        self.log.join(format!("{segment:010}.idx"))
    }

    /// A large message's content.
    pub(super) fn content(&self, id: MessageId) -> PathBuf {
        self.large.join(format!("{id}.msg"))
    }

    /// Content that no record names yet.
    pub(super) fn unfinished(&self, id: MessageId) -> PathBuf {
        self.large.join(format!("{id}.tmp"))
    }

    /// The segments that are there, in order, with their lengths.
    pub(super) fn segments(&self) -> Result<Vec<(SegmentId, u64)>, OpenError> {
        let mut segments = Vec::new();
        for (path, length) in self.files(&self.log)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(id) = name.strip_suffix(".seg").filter(|id| id.len() == 10).and_then(|id| id.parse().ok()) {
                segments.push((id, length));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// The files in a folder, with their lengths.
    pub(super) fn files(&self, folder: &Path) -> Result<Vec<(PathBuf, u64)>, OpenError> {
        let list = || -> io::Result<Vec<(PathBuf, u64)>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let about = entry.metadata()?;
                if about.is_file() {
                    files.push((entry.path(), about.len()));
                }
            }
            Ok(files)
        };
        list().map_err(|source| failed("read folder", folder, source))
    }
}

/// Makes a file that only we may read; an error where it is there already.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { action, path: path.to_owned(), source }
}

/// Makes a folder and those above it that are missing, from the top, each one's entry synced before the next is made:
/// a power cut must not take away the way to accepted mail.
fn make_durable(path: &Path, volume: &dyn Volume) -> Result<(), OpenError> {
    let (missing, there): (Vec<&Path>, Vec<&Path>) =
        path.ancestors().filter(|folder| !folder.as_os_str().is_empty()).partition(|folder| !folder.exists());
    // The lowest that is there may have been made by a start that was killed before it synced the entry.
    if let Some(lowest) = there.first() {
        sync_entry(lowest, volume).or_else(|(parent, source)| match source.kind() {
            // Where it is another's, such as that of a mount point, it was made by that other.
            io::ErrorKind::PermissionDenied => Ok(()),
            _ => Err(failed("sync folder", parent, source)),
        })?;
    }
    for folder in missing.into_iter().rev() {
        make(folder)?;
        sync_entry(folder, volume).map_err(|(parent, source)| failed("sync folder", parent, source))?;
    }
    Ok(())
}

/// Makes a folder's entry in the one above durable; the error names that one.
fn sync_entry<'a>(folder: &'a Path, volume: &dyn Volume) -> Result<(), (&'a Path, io::Error)> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    volume.sync_folder(parent).map_err(|source| (parent, source))
}

fn make(path: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(failed("create folder", path, source)),
        _ => Ok(()),
    }
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(|source| failed("open", &path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = Read::by_ref(&mut file).take(64).read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "another process" } else { holder };
            return Err(OpenError::Locked { path: folder.to_owned(), holder: holder.to_owned() });
        }
        Err(error) => return Err(failed("lock", &path, error.into())),
    }
    let write = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
    // A full volume must not keep the relay from starting: the lock holds without the name in it.
    let _ = write;
    Ok(file)
}
