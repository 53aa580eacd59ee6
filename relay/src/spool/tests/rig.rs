//! A volume that fails when it is told to, and that forgets what was not synced when its power is cut.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ffi::OsString,
    fs::{self, File},
    io::{self, IoSlice},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::{Condvar, Mutex};

use super::kit::Place;
use crate::spool::volume::{Room, System, Volume};

/// What goes wrong, once each, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A write stores this many octets; it is not an error.
    Short(usize),
    /// A write stores this many octets, and the next one finds the volume full.
    FullAfter(usize),
    /// A write fails.
    Write,
    /// A sync fails; what it was to sync is on the disk or not.
    Sync,
    /// A sync fails, and so does the cut after it.
    SyncAndCut,
    /// A sync of a folder fails so.
    Folder(io::ErrorKind),
}

#[derive(Debug, Default)]
struct State {
    faults: VecDeque<Fault>,
    full: bool,
    no_cut: bool,
    /// What there was when it was said, and what the spool took then.
    room: Option<(Room, u64)>,
    /// Octets that were synced, by inode.
    synced: HashMap<u64, u64>,
    /// Names that were synced, by folder.
    names: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// Files whose removal was not synced.
    removed: BTreeMap<PathBuf, Vec<u8>>,
}

/// The volume.
#[derive(Debug, Default)]
pub(super) struct Rig {
    state: Mutex<State>,
    /// Syncs wait while this is set.
    held: Mutex<bool>,
    waiting: AtomicUsize,
    let_go: Condvar,
}

impl Rig {
    pub(super) fn fail(&self, faults: &[Fault]) {
        self.state.lock().faults.extend(faults);
    }

    /// Says how much is free now; what the spool takes from now on is taken off.
    pub(super) fn set_room(&self, place: &Place, free: u64, total: u64) {
        self.state.lock().room = Some((Room { free, total }, taken(&place.options.path)));
    }

    /// Whether a name in a folder was synced.
    pub(super) fn has_synced(&self, path: &Path) -> bool {
        let state = self.state.lock();
        let names = path.parent().and_then(|folder| state.names.get(folder));
        names.is_some_and(|names| names.contains(path.file_name().unwrap()))
    }

    /// Makes syncs wait, or lets them go.
    pub(super) fn hold(&self, held: bool) {
        *self.held.lock() = held;
        self.let_go.notify_all();
    }

    /// Syncs that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Faults that have not come yet.
    pub(super) fn faults_left(&self) -> usize {
        self.state.lock().faults.len()
    }

    /// Takes what is there as durable.
    pub(super) fn assume_durable(&self, place: &Place) {
        for folder in ["log", "large"] {
            for file in place.files(folder, "") {
                self.sync(&File::open(file).unwrap()).unwrap();
            }
            self.sync_folder(&place.options.path.join(folder)).unwrap();
        }
    }

    /// Takes a file as written and not synced.
    pub(super) fn assume_unsynced(&self, file: &Path) {
        self.state.lock().synced.insert(fs::metadata(file).unwrap().ino(), 0);
    }

    /// What a power cut now leaves: of each segment and each large message what was synced and `extra` octets of the rest,
    /// names that were synced, and where `raise` is set, files whose removal was not.
    pub(super) fn cut_power(&self, place: &Place, extra: u64, raise: bool) -> Place {
        let after = place.snapshot();
        let state = self.state.lock();
        for (folder, file) in [("log", ".seg"), ("large", "")]
            .into_iter()
            .flat_map(|(folder, end)| place.files(folder, end).into_iter().map(move |file| (folder, file)))
        {
            let name = file.file_name().unwrap();
            let copy = after.options.path.join(folder).join(name);
            if !state.names.get(&place.options.path.join(folder)).is_some_and(|names| names.contains(name)) {
                fs::remove_file(copy).unwrap();
                continue;
            }
            let about = file.metadata().unwrap();
            let synced = state.synced.get(&about.ino()).copied().unwrap_or(0);
            let length = synced.saturating_add(extra).min(fs::metadata(&copy).unwrap().len());
            File::options().write(true).open(&copy).unwrap().set_len(length).unwrap();
        }
        if raise {
            for (path, octets) in &state.removed {
                let folder = path.parent().unwrap().file_name().unwrap();
                fs::write(after.options.path.join(folder).join(path.file_name().unwrap()), octets).unwrap();
            }
        }
        after
    }
}

impl Volume for Rig {
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.full) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = match state.faults.front().copied() {
            Some(Fault::Short(count)) => count,
            Some(Fault::FullAfter(count)) => {
                state.full = true;
                count
            }
            Some(Fault::Write) => {
                state.faults.pop_front();
                return Err(io::Error::other("the disk is broken"));
            }
            Some(Fault::Sync | Fault::SyncAndCut | Fault::Folder(_)) | None => {
                return System.write_at(file, parts, offset);
            }
        };
        state.faults.pop_front();
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).take(count).collect();
        if all.is_empty() {
            state.full = false;
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all_at(&all, offset)?;
        Ok(all.len())
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.waiting.fetch_add(1, Relaxed);
        self.let_go.wait_while(&mut self.held.lock(), |held| *held);
        self.waiting.fetch_sub(1, Relaxed);
        let mut state = self.state.lock();
        if let Some(fault @ (Fault::Sync | Fault::SyncAndCut)) = state.faults.front().copied() {
            state.faults.pop_front();
            state.no_cut = fault == Fault::SyncAndCut;
            return Err(io::Error::other("the disk is broken"));
        }
        let about = file.metadata()?;
        state.synced.insert(about.ino(), about.len());
        Ok(())
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        if std::mem::take(&mut self.state.lock().no_cut) {
            return Err(io::Error::other("the disk is broken"));
        }
        System.truncate(file, length)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(Fault::Folder(kind)) = state.faults.front().copied() {
            state.faults.pop_front();
            return Err(kind.into());
        }
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
        state.names.insert(folder.to_owned(), names);
        state.removed.retain(|path, _| path.parent() != Some(folder));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let octets = fs::read(path)?;
        fs::remove_file(path)?;
        state.removed.insert(path.to_owned(), octets);
        Ok(())
    }

    fn room(&self, folder: &Path) -> io::Result<Room> {
        match self.state.lock().room {
            Some((Room { free, total }, before)) => {
                Ok(Room { free: (free + before).saturating_sub(taken(folder)), total })
            }
            None => System.room(folder),
        }
    }
}

/// Octets of the files in a spool's folder.
fn taken(path: &Path) -> u64 {
    let length =
        |entry: io::Result<fs::DirEntry>| entry.and_then(|entry| entry.metadata()).map_or(0, |about| about.len());
    let folder = |name: &str| -> u64 { fs::read_dir(path.join(name)).into_iter().flatten().map(length).sum() };
    ["log", "large", "quarantine"].into_iter().map(folder).sum()
}
