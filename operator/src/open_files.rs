//! The limit on open files (RLIMIT_NOFILE). Every relay that is waited for is an open connection, and where none can be
//! opened any more, every relay would seem to be silent.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises the limit as far as the system lets us: its default of 1,024, which pods have where containerd is started by
/// systemd, is for programs that use select(2).
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        warn!(%error, "failed to raise the limit on open files");
    }
    info!(files = getrlimit(Resource::Nofile).current, "limit on open files");
}

/// How many of `wanted` connections may stay open for long.
#[must_use]
pub fn lasting(wanted: usize) -> usize {
    within(wanted, getrlimit(Resource::Nofile).current)
}

/// Half of the files are for what is short: passes, DNS, the API server. `files`: none where there is no limit.
fn within(wanted: usize, files: Option<u64>) -> usize {
    let half = files.and_then(|files| usize::try_from(files / 2).ok());
    half.map_or(wanted, |half| wanted.min(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_files_are_left() {
        for (files, wanted) in [(None, 512), (Some(524_288), 512), (Some(1024), 512), (Some(256), 128), (Some(1), 0)] {
            assert_eq!(within(512, files), wanted, "{files:?}");
        }
    }
}
