//! The content of a large message, in a file of its own.

use std::{fs::File, io::Write, path::PathBuf, sync::Arc};

use bytes::Bytes;
use crc32c::crc32c_append;

use super::{StoreError, committer::Shared, folder, space::Lease, volume::is_full};
use crate::message::MessageId;

/// Content that is streamed to a file of its own. Dropped before it is stored, the file goes too.
#[derive(Debug)]
pub struct LargeBody {
    shared: Arc<Shared>,
    path: PathBuf,
    /// None while a write is under way, and after one that was given up or failed.
    file: Option<File>,
    length: u64,
    crc: u32,
    fate: Fate,
}

/// What becomes of the file when this is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Removed,
    Kept,
}

impl LargeBody {
    /// Starts a file.
    pub(super) fn create(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let path = shared.folder.unfinished(shared.next_id());
        let file = folder::create(&path).map_err(|error| failed(&error))?;
        Ok(Self { shared, path, file: Some(file), length: 0, crc: 0, fate: Fate::Removed })
    }

    /// Octets so far.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// CRC32C of the octets so far.
    pub(super) const fn crc(&self) -> u32 {
        self.crc
    }

    /// Adds octets.
    ///
    /// # Errors
    /// The volume is full or failed.
    pub async fn write(&mut self, octets: Bytes) -> Result<(), StoreError> {
        let Some(mut file) = self.file.take() else {
            return Err(StoreError::Io("an earlier write of this message failed".to_owned()));
        };
        let count = octets.len() as u64;
        let lease: Lease = self.shared.space.lease(count).ok_or(StoreError::Full)?;
        let before = self.crc;
        let write = move || {
            let result = file.write_all(&octets);
            (file, crc32c_append(before, &octets), result)
        };
        let (file, crc, result) = tokio::task::spawn_blocking(write).await.map_err(|_| StoreError::Closed)?;
        drop(lease);
        result.map_err(|error| failed(&error))?;
        self.shared.space.add(count);
        self.length += count;
        self.crc = crc;
        self.file = Some(file);
        Ok(())
    }

    /// Makes the content durable under the name that the record of message `id` implies.
    pub(super) async fn finish(mut self, id: MessageId) -> Result<Self, StoreError> {
        let Some(file) = self.file.take() else {
            return Err(StoreError::Io("an earlier write of this message failed".to_owned()));
        };
        let sync = move || {
            let folder = &self.shared.folder;
            self.shared.volume.sync(&file)?;
            let path = folder.content(id);
            std::fs::rename(&self.path, &path)?;
            self.path = path;
            self.shared.volume.sync_folder(folder.large())?;
            Ok(self)
        };
        let result = tokio::task::spawn_blocking(sync).await.map_err(|_| StoreError::Closed)?;
        result.map_err(|error: std::io::Error| failed(&error))
    }

    /// A durable record names the file.
    pub(super) fn keep(mut self) {
        self.fate = Fate::Kept;
    }
}

impl Drop for LargeBody {
    fn drop(&mut self) {
        if self.fate == Fate::Removed {
            let _ = self.shared.volume.remove(&self.path);
            self.shared.space.subtract(self.length);
        }
    }
}

pub(super) fn failed(error: &std::io::Error) -> StoreError {
    if is_full(error) { StoreError::Full } else { StoreError::Io(error.to_string()) }
}
