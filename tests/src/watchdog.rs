//! Ends a test program one of whose tests hangs, and says in what: a wait without an end would otherwise hold up whoever
//! waits for the program, and nobody would know why.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
    process,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::tool::children;

/// No test takes so long, on a machine however busy.
const LIMIT: Duration = Duration::from_secs(900);
/// How often is looked.
const ROUND: Duration = Duration::from_secs(15);
/// In which `/proc` counts; the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// Until when, in seconds since the machine began, no test counts as hanging.
static EXCUSED: AtomicU64 = AtomicU64::new(0);

/// Runs what all tests may wait for, for longer than one may hang: the start of a cluster, with its programs' build.
pub(crate) fn excused<T>(work: impl FnOnce() -> T) -> T {
    EXCUSED.store(u64::MAX, Ordering::Relaxed);
    let done = work();
    EXCUSED.store(uptime(Path::new("/proc")).map_or(0, |now| now as u64), Ordering::Relaxed);
    done
}

/// Looks from now on, in a thread of its own, whether a test hangs; nothing where that is done already.
pub(crate) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let watch = || {
            loop {
                thread::sleep(ROUND);
                if let Some(said) = hanging(Path::new("/proc"), LIMIT) {
                    // Past the capture of the test that began this.
                    let _ = io::stderr().write_all(said.as_bytes());
                    process::exit(1);
                }
            }
        };
        thread::Builder::new().name("watchdog".into()).spawn(watch).expect("a thread can be started");
    });
}

/// What is to be said of the tests that have run for longer than the limit; none where there is none.
fn hanging(proc: &Path, limit: Duration) -> Option<String> {
    let now = uptime(proc)?;
    let tasks = fs::read_dir(proc.join("self/task")).ok()?;
    let mut said = String::new();
    for task in tasks.flatten().map(|task| task.path()) {
        let Some((name, begun)) = fs::read_to_string(task.join("stat")).ok().as_deref().and_then(name_and_begin) else {
            continue;
        };
        // The harness names the thread of a test by the test, cut to 15 octets.
        let since = begun.max(EXCUSED.load(Ordering::Relaxed) as f64);
        if name.contains("::") && now - since > limit.as_secs_f64() {
            let waits = fs::read_to_string(task.join("wchan")).unwrap_or_default();
            let call = fs::read_to_string(task.join("syscall")).unwrap_or_default();
            let _ = writeln!(said, "\n== the test {name}... has hung for {:.0} s, in {waits}: {call}", now - begun);
        }
    }
    (!said.is_empty()).then(|| format!("{said}what runs below its program:\n{}\n", children(process::id())))
}

/// Seconds since the machine began.
fn uptime(proc: &Path) -> Option<f64> {
    fs::read_to_string(proc.join("uptime")).ok()?.split(' ').next()?.parse().ok()
}

/// Of a line of `/proc/PID/task/TID/stat`: the thread's name, and when it began, in seconds since the machine did.
fn name_and_begin(stat: &str) -> Option<(String, f64)> {
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    // Of all fields the 22nd; the rest begins with the third.
    let begun: f64 = rest.split(' ').nth(19)?.parse().ok()?;
    Some((name.to_owned(), begun / TICKS))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{SHORT, wait_until};

    #[test]
    fn names_the_test_that_hangs() {
        let (end, ended) = mpsc::channel::<()>();
        let test = thread::Builder::new().name("some::test".into()).spawn(move || ended.recv()).unwrap();
        let said = |limit| hanging(Path::new("/proc"), limit).unwrap_or_default();
        wait_until("it has run for a while", SHORT, || {
            said(Duration::ZERO).contains("the test some::test... has hung")
        });
        assert_eq!(said(LIMIT), "");
        drop(end);
        test.join().unwrap().unwrap_err();
    }

    #[test]
    fn reads_a_name_with_whatever_is_in_it() {
        let stat = "1 (a) (b::c) S 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 1234 0";
        let (name, begun) = name_and_begin(stat).unwrap();
        assert_eq!(name, "a) (b::c");
        assert!((begun - 12.34).abs() < 1e-9, "{begun}");
    }
}
