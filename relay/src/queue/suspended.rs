//! Which tenants a person has suspended: a small file in the spool folder, so that it survives a restart.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use tracing::warn;

/// The names of the suspended tenants, in memory and on disk.
#[derive(Debug)]
pub(super) struct Suspended {
    path: PathBuf,
    names: Mutex<BTreeSet<String>>,
}

impl Suspended {
    /// Reads the list. One that can't be read counts as empty, with a warning: mail that goes out is a smaller harm
    /// than mail that waits unseen.
    pub(super) fn load(spool: &Path) -> Self {
        let path = spool.join("suspended.json");
        let names = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                warn!("failed to read {}, nothing is suspended: {error}", path.display());
                BTreeSet::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                warn!("failed to read {}, nothing is suspended: {error}", path.display());
                BTreeSet::new()
            }
        };
        Self { path, names: Mutex::new(names) }
    }

    /// Whether a tenant is suspended.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.lock().contains(name)
    }

    /// Adds or takes off names, and makes the list durable.
    pub(super) fn change(&self, names: &[String], suspend: bool) -> io::Result<()> {
        let mut held = self.names.lock();
        let mut next = held.clone();
        for name in names {
            if suspend {
                next.insert(name.clone());
            } else {
                next.remove(name);
            }
        }
        if next != *held {
            self.write(&next)?;
            *held = next;
        }
        Ok(())
    }

    fn write(&self, names: &BTreeSet<String>) -> io::Result<()> {
        let temporary = self.path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(names)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_survives_a_restart() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let names = ["a".to_owned(), "b".to_owned()];
        Suspended::load(folder.path()).change(&names, true)?;
        Suspended::load(folder.path()).change(&names[..1], false)?;
        let read = Suspended::load(folder.path());
        assert!(!read.contains("a") && read.contains("b"));
        Ok(())
    }

    #[test]
    fn a_damaged_list_counts_as_empty() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("suspended.json"), "{")?;
        assert!(!Suspended::load(folder.path()).contains("a"));
        Ok(())
    }
}
