//! Ending with whoever started this program.

use std::{io, thread};

use rustix::process::{Signal, getpid, kill_process};
use tracing::warn;

/// Ends this process, as by SIGTERM, when its standard input is closed: where that is a pipe, the kernel closes it with
/// the process at its other end, however that one ended.
pub(super) fn end_with_stdin() {
    let watch = || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = kill_process(getpid(), Signal::TERM);
    };
    if let Err(error) = thread::Builder::new().name("lifeline".to_owned()).spawn(watch) {
        warn!(%error, "failed to watch standard input; this process goes on when it is closed");
    }
}
