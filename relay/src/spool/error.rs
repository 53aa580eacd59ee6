//! Why the spool could not do something.

use std::path::PathBuf;

use crate::message::MessageId;

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the spool {} is in use by {holder}; one relay a folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// What is known of the holder, such as `process 4711`.
        holder: String,
    },
    /// There is something else in its place.
    #[error("failed to open the spool: expected a folder, such as /var/lib/backupmx; {} is none", .0.display())]
    NoFolder(PathBuf),
    /// Another build wrote it.
    #[error("failed to read {}: it has format version {found}, and this build reads {expected}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that this build reads.
        expected: u32,
    },
    /// The file system failed.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was tried, such as `create folder`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// Why something could not be made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The volume is full up to the reserve (or, for what may use the reserve, full).
    #[error("the spool is full")]
    Full,
    /// The volume failed.
    #[error("failed to write to the spool: {0}")]
    Io(String),
    /// No such message is held.
    #[error("no message {0} is held")]
    Unknown(MessageId),
    /// The spool is closed.
    #[error("the spool is closed")]
    Closed,
}

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such message is held.
    #[error("no message {0} is held")]
    Unknown(MessageId),
    /// The disk does not give it now; nothing was set aside, and it may be better later.
    #[error("message {id} can't be read now: {problem}")]
    Unreadable {
        /// The message.
        id: MessageId,
        /// What the disk says.
        problem: String,
    },
    /// Its record or file is damaged or missing; it was set aside.
    #[error("message {id} is damaged: {problem}")]
    Damaged {
        /// The message.
        id: MessageId,
        /// What is wrong.
        problem: String,
    },
}
