//! Small files in the spool folder: what must survive a restart and belongs to no message.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

/// Reads a file; the default where there is none. One that can't be read counts as missing, with a warning that says
/// what that means: mail that goes out is a smaller harm than mail that waits unseen.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path, meaning: &str) -> T {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
            warn!("failed to read {}, {meaning}: {error}", path.display());
            T::default()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => T::default(),
        Err(error) => {
            warn!("failed to read {}, {meaning}: {error}", path.display());
            T::default()
        }
    }
}

/// Writes a file whole, and makes it durable.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
