//! A small volume of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::Place;

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// Mounts a tmpfs of that many bytes in the place's folder.
    ///
    /// # Panics
    /// It cannot be mounted: that takes root, and there is no test of a full volume without one.
    #[must_use]
    pub fn new(place: &Place, bytes: u64) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test mounts a small volume and so must run as root (or with sudo)"
        );
        let path = place.file("volume");
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={bytes},mode=0755");
        let output =
            crate::tool::run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "backupmx-test"]).arg(&path));
        assert!(output.ok, "a tmpfs cannot be mounted: {}", output.text);
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are free on it.
    ///
    /// # Panics
    /// The system does not say.
    #[must_use]
    pub fn free(&self) -> u64 {
        let about = rustix::fs::statvfs(&self.path).unwrap();
        about.f_bavail * about.f_frsize
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: the relay may still be ending when a failing test drops this.
        let output = crate::tool::run(Command::new("umount").arg("--lazy").arg(&self.path));
        if !output.ok {
            eprintln!("failed to unmount {}: {}", self.path.display(), output.text);
        }
    }
}
