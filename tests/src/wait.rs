//! Waiting for a condition, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// What should happen almost at once may take so long on a machine that is busy.
pub const SHORT: Duration = Duration::from_secs(15);
/// What takes seconds by itself (a retry, a start of Postfix) may take so long.
pub const LONG: Duration = Duration::from_secs(60);

/// How often a condition is looked at, at first and at the slowest: a look may cost a process or a server its time.
const POLL: Duration = Duration::from_millis(10);
const SLOWEST: Duration = Duration::from_millis(200);

/// Until the next look, by how long it has been waited for: nothing is found out later by more than a tenth.
fn pause(waited: Duration) -> Duration {
    (waited / 10).clamp(POLL, SLOWEST)
}

/// Waits until the condition holds.
///
/// # Panics
/// It does not hold within `limit`; the message says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_value(what, limit, || condition().then_some(()));
}

/// Waits until there is a value, and returns it.
///
/// # Panics
/// There is none within `limit`.
#[track_caller]
pub fn wait_value<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {:.1} s in vain until {what}", start.elapsed().as_secs_f32());
        thread::sleep(pause(start.elapsed()));
    }
}

/// Checks that something stays true for a while: for what must *not* happen.
///
/// # Panics
/// It was false once.
#[track_caller]
pub fn stays(what: &str, span: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(condition(), "after {:.1} s it was no longer so that {what}", start.elapsed().as_secs_f32());
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_value_once_there_is_one() {
        let mut turns = 0;
        let value = wait_value("three turns are over", SHORT, || {
            turns += 1;
            (turns == 3).then_some(turns)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "until pigs fly")]
    fn says_what_it_waited_for() {
        wait_until("pigs fly", Duration::from_millis(30), || false);
    }
}
