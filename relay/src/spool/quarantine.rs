//! The quarantine: damaged parts of the spool, kept as files for people to look at.

use std::{fs, fs::File, io, io::Write, ops::Range, os::unix::fs::FileExt, path::PathBuf};

use super::{Spool, committer::Shared, folder, folder::Folder, space::Space, volume::Volume};
use crate::clock::Timestamp;

/// Octets that are copied at once.
const CHUNK: usize = 1 << 20;
/// Torn ends that are kept; they were never acknowledged, so the oldest may go.
const TORN: usize = 8;

/// The quarantine of a spool.
#[derive(Debug)]
pub(super) struct Quarantine<'a> {
    pub(super) folder: &'a Folder,
    pub(super) volume: &'a dyn Volume,
    pub(super) space: &'a Space,
}

impl<'a> Quarantine<'a> {
    pub(super) fn of(shared: &'a Shared) -> Self {
        Self { folder: &shared.folder, volume: &*shared.volume, space: &shared.space }
    }

    /// Keeps some octets; false where a file of that name is there already.
    pub(super) fn put(&self, name: &str, octets: &[u8]) -> io::Result<bool> {
        self.fill(name, |file| file.write_all(octets))
    }

    /// Keeps a part of a file; false where a file of that name is there already.
    pub(super) fn copy(&self, name: &str, from: &File, range: Range<u64>) -> io::Result<bool> {
        self.fill(name, |file| {
            let mut chunk = vec![0; CHUNK];
            let mut offset = range.start;
            while offset < range.end {
                let count = usize::try_from(range.end - offset).unwrap_or(CHUNK).min(CHUNK);
                let part = &mut chunk[..count];
                from.read_exact_at(part, offset)?;
                file.write_all(part)?;
                offset += count as u64;
            }
            Ok(())
        })
    }

    fn fill(&self, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<bool> {
        let path = self.path(name);
        let mut file = match folder::create(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error),
        };
        let result = write(&mut file).and_then(|()| self.volume.sync(&file)).and_then(|()| self.sync());
        if result.is_err() {
            let _ = self.volume.remove(&path);
        }
        result?;
        self.space.add(file.metadata()?.len());
        if !is_torn(name) {
            self.space.add_quarantined(1);
        }
        Ok(true)
    }

    /// Takes a file in that is damaged as a whole, or that nothing names.
    pub(super) fn take(&self, name: &str, from: &std::path::Path) -> io::Result<()> {
        std::fs::rename(from, self.path(name))?;
        self.space.add_quarantined(1);
        self.sync()
    }

    /// Keeps a torn end, and lets go of the oldest ones.
    pub(super) fn torn(&self, name: &str, from: &File, range: Range<u64>) -> io::Result<()> {
        self.copy(&format!("{name}.torn"), from, range)?;
        let mut torn = self.folder.files(self.folder.quarantine()).unwrap_or_default();
        torn.retain(|(path, _)| path.to_str().is_some_and(is_torn));
        torn.sort_unstable();
        for (path, length) in torn.iter().take(torn.len().saturating_sub(TORN)) {
            self.volume.remove(path)?;
            self.space.subtract(*length);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.quarantine().join(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.volume.sync_folder(self.folder.quarantine())
    }
}

/// A damaged part of the spool that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The name of its file.
    pub name: String,
    /// Its octets.
    pub size: u64,
    /// Since when.
    pub since: Timestamp,
    /// Whether it is the end of a write that was cut off: nobody was told that it was taken, so it is no damage.
    pub torn: bool,
}

impl Spool {
    /// What was set aside, the oldest first. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn set_aside(&self) -> io::Result<Vec<SetAside>> {
        let mut list = Vec::new();
        for entry in fs::read_dir(self.shared.folder.quarantine())? {
            let entry = entry?;
            let about = entry.metadata()?;
            if let (true, Ok(name)) = (about.is_file(), entry.file_name().into_string()) {
                let torn = is_torn(&name);
                list.push(SetAside { name, size: about.len(), since: Timestamp::from(about.modified()?), torn });
            }
        }
        list.sort_unstable_by(|one, other| (one.since, &one.name).cmp(&(other.since, &other.name)));
        Ok(list)
    }

    /// At most `limit` octets of what was set aside under a name; none behind its end. Blocks.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    pub fn read_set_aside(&self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.find_set_aside(name)?.0)?;
        let left = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(limit);
        let mut octets = vec![0; left.min(limit)];
        file.read_exact_at(&mut octets, offset)?;
        Ok(octets)
    }

    /// Removes for ever what was set aside under a name. Blocks.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be removed.
    pub fn discard_set_aside(&self, name: &str) -> io::Result<()> {
        let (path, size) = self.find_set_aside(name)?;
        let Shared { volume, space, folder, .. } = &*self.shared;
        volume.remove(&path)?;
        space.subtract(size);
        if !is_torn(name) {
            space.subtract_quarantined(1);
        }
        tracing::warn!(name, size, "a damaged part that was set aside is removed, as a person asked");
        volume.sync_folder(folder.quarantine())
    }

    /// Where it is, and its octets. Only what is listed: a name must not lead out of the folder.
    fn find_set_aside(&self, name: &str) -> io::Result<(PathBuf, u64)> {
        let known = self.set_aside()?.into_iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok((self.shared.folder.quarantine().join(known.name), known.size))
    }
}

/// Whether a file of that name holds a torn end.
pub(super) fn is_torn(name: &str) -> bool {
    name.ends_with(".torn")
}
