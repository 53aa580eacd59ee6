//! The folder of the stand-in primary.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use serde::Serialize;

/// What was said of a message outside its content.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Said {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) helo: String,
    pub(super) peer: Option<IpAddr>,
    pub(super) size: usize,
}

/// A folder that messages are written to.
#[derive(Clone, Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// The last number given.
    last: Arc<AtomicU64>,
}

impl Store {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), last: Arc::default() })
    }

    /// Writes a message; both files are whole when they appear.
    pub(super) fn write(&self, said: &Said, content: &[u8]) -> io::Result<u64> {
        let number = self.number();
        self.put(number, "json", &serde_json::to_vec_pretty(said)?)?;
        self.put(number, "eml", content)?;
        Ok(number)
    }

    /// Microseconds since 1970, moved on where two would be equal: files sort by arrival, over restarts too.
    fn number(&self) -> u64 {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last.saturating_add(1));
        match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last))) {
            Ok(last) | Err(last) => next(last),
        }
    }

    fn put(&self, number: u64, kind: &str, octets: &[u8]) -> io::Result<()> {
        let path = self.directory.join(format!("{number:016}.{kind}"));
        let unfinished = self.directory.join(format!(".{number:016}.{kind}.part"));
        fs::write(&unfinished, octets)?;
        fs::rename(&unfinished, path)
    }
}
