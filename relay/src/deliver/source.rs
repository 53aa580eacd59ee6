//! The content of a message, read piece by piece.

use std::io;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::transfer::BLOCK;
use crate::spool::Content;

/// Content in pieces of at most [`BLOCK`] octets.
pub(super) enum Source {
    Memory(Bytes),
    File { file: tokio::fs::File, left: u64 },
}

impl Source {
    pub(super) fn new(content: Content) -> Self {
        match content {
            Content::Memory(octets) => Self::Memory(octets),
            Content::File(file, length) => Self::File { file: tokio::fs::File::from_std(file), left: length },
        }
    }

    /// Octets that the first piece will have at most.
    pub(super) fn expected(&self) -> usize {
        match self {
            Self::Memory(octets) => octets.len().min(BLOCK),
            Self::File { .. } => BLOCK,
        }
    }

    /// Octets that are left.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Memory(octets) => octets.len(),
            Self::File { left, .. } => usize::try_from(*left).unwrap_or(usize::MAX),
        }
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Memory(octets) if octets.is_empty() => Ok(None),
            Self::Memory(octets) => Ok(Some(octets.split_to(octets.len().min(BLOCK)))),
            Self::File { left: 0, .. } => Ok(None),
            Self::File { file, left } => {
                let mut piece = vec![0; BLOCK.min(usize::try_from(*left).unwrap_or(BLOCK))];
                // A file that is shorter than it was must not be sent as if it were whole.
                file.read_exact(&mut piece).await?;
                *left -= piece.len() as u64;
                Ok(Some(piece.into()))
            }
        }
    }
}
