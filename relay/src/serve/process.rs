//! What the program asks of the system before it does anything else.

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};
use tracing::{info, warn};

use crate::ingress;

/// Files and folders that the program makes are its user's alone: they are people's mail, and what is known of it.
pub(super) fn keep_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the limit on open files (RLIMIT_NOFILE) as far as the system lets us; its default of 1,024 is for programs
/// that use select(2). Warns where even that is not enough for `connections`: then fewer are taken.
pub(super) fn raise_open_files(connections: u32) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        warn!(%error, "failed to raise the limit on open files");
    }
    let files = getrlimit(Resource::Nofile).current;
    let room = ingress::connections_within(files);
    if room < connections {
        warn!(files, "limits.connections is {connections}, but the limit on open files allows {room} only");
    } else {
        info!(files, "limit on open files");
    }
}
