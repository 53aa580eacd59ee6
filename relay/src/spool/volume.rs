//! The few things that the spool asks of the file system where a failure must be met with care, behind a trait so that
//! tests can make each of them fail.

use std::{fmt, fs::File, io, io::IoSlice, path::Path};

use rustix::fs::statvfs;

/// Buffers that one call takes, at most (`IOV_MAX` of Linux).
const BUFFERS: usize = 1024;

/// What a volume has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes that may still be written.
    pub(super) free: u64,
    /// Bytes in all.
    pub(super) total: u64,
}

/// A volume.
pub(super) trait Volume: fmt::Debug + Send + Sync {
    /// Writes some of the parts at an offset; returns how many octets.
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Makes a file's content durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()>;
    /// Makes a folder's entries durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file's entry.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// What there is.
    fn room(&self, folder: &Path) -> io::Result<Room>;
}

/// The real one.
#[derive(Clone, Copy, Debug)]
pub(super) struct System;

impl Volume for System {
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::pwritev(file, parts, offset))?)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }

    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        Ok(rustix::fs::ftruncate(file, length)?)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn room(&self, folder: &Path) -> io::Result<Room> {
        let volume = statvfs(folder)?;
        Ok(Room {
            free: volume.f_bavail.saturating_mul(volume.f_frsize),
            total: volume.f_blocks.saturating_mul(volume.f_frsize),
        })
    }
}

/// Writes all the parts at an offset.
pub(super) fn write_all(volume: &dyn Volume, file: &File, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
    for parts in parts.chunks(BUFFERS) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = volume.write_at(file, left, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
    }
    Ok(())
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
