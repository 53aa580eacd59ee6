//! Small files in the spool folder: what must survive a restart and belongs to no message.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

/// A value in memory and in a small file.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    path: PathBuf,
    value: Mutex<T>,
}

impl<T: Clone + PartialEq + Default + Serialize + DeserializeOwned> Kept<T> {
    /// Reads what the last run left; the default where there is nothing. A file that can't be read counts as missing, with
    /// a warning that says what that means: mail that goes out is a smaller harm than mail that waits unseen.
    pub(crate) fn load(path: PathBuf, meaning: &str) -> Self {
        let value = Mutex::new(read(&path, meaning));
        Self { path, value }
    }

    /// Looks at the value.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.lock())
    }

    /// Changes the value, and makes that durable. On an error nothing has changed.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) -> io::Result<()> {
        let mut value = self.value.lock();
        let mut next = value.clone();
        change(&mut next);
        if next != *value {
            write(&self.path, &next)?;
            *value = next;
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned + Default>(path: &Path, meaning: &str) -> T {
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
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
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
