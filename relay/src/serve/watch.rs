//! Watches the config file, and reads it again on SIGHUP.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use backupmx_relay_config::from_yaml;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::engine::{ConfigSource, Engine};

/// How often the file is looked at. It is looked at rather than watched because a mounted ConfigMap changes by two
/// swapped symbolic links, and a bind mount not at all as far as inotify can see.
const INTERVAL: Duration = Duration::from_millis(500);

/// Applies the file whenever it changes or SIGHUP comes, until the program leaves.
pub(super) async fn run(engine: Arc<Engine>, path: PathBuf, leaving: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(problem) => {
            error!("SIGHUP can't be listened for, the config file is not watched: {problem}");
            return;
        }
    };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = Look::at(&path).ok();
    // A long replay of the spool lies between the first reading and this one.
    let mut overtaken = differs(&engine, &path);
    loop {
        let asked = tokio::select! {
            () = leaving.cancelled() => return,
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        engine.keep_config();
        let look = Look::at(&path);
        let same = look.is_err() || look.as_ref().ok() == seen.as_ref();
        if !asked && same && !std::mem::take(&mut overtaken) {
            continue;
        }
        info!(file = %path.display(), "reading the config again");
        match fs::read_to_string(&path) {
            // Refusals are logged and kept for the status by the engine.
            Ok(document) => drop(engine.apply_config(&document, ConfigSource::File(&path)).await),
            Err(problem) => engine.config_unreadable(&path, &problem),
        }
        seen = look.ok().or(seen);
    }
}

/// Whether the file is another than the one that the relay started with.
fn differs(engine: &Engine, path: &Path) -> bool {
    let Ok(document) = fs::read_to_string(path) else { return false };
    from_yaml(&document).map_or(true, |config| config != engine.config.load().config)
}

/// What tells one version of a file from another.
#[derive(PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
