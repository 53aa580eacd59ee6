//! Which change of a status is worth a write.

use std::time::Duration;

use backupmx_crds::{BackupMXStatus, QueueStatus, RelayStatus, conditions::Reason};

use super::level::Level;

/// How long after a write figures alone are written again.
const PACE: Duration = Duration::from_secs(60);

/// How soon to look again at a status that is not worth a write: when its figures are. None: it is the same.
#[must_use]
pub fn worth_later(old: &BackupMXStatus, new: &BackupMXStatus, since: Duration) -> Option<Duration> {
    (old != new).then(|| PACE.saturating_sub(since))
}

/// Whether a new status is worth a write now. Figures alone are written once a minute; whether anything is held, parked
/// or waits for a person, and a volume that is fuller by a step, at once. `since` is how long ago the last one was
/// written.
#[must_use]
pub fn worth_writing(old: &BackupMXStatus, new: &BackupMXStatus, since: Duration) -> bool {
    let counts = |queue: &QueueStatus| [queue.messages, queue.held, queue.parked].map(|count| count > 0);
    let plain = |status: &BackupMXStatus| {
        let mut plain = status.clone();
        let total = plain.queue.take().as_ref().map(counts);
        for relay in &mut plain.relays {
            relay.queue = None;
            relay.volume = None;
        }
        for condition in &mut plain.conditions {
            // The counts stand in messages too.
            let counts = ["QueueHealthy", "StorageHealthy", "Draining"].contains(&condition.type_.as_str());
            if counts || condition.reason == Reason::Stuck.as_str() {
                condition.message = String::new();
            }
        }
        (plain, total)
    };
    let fuller = new.relays.iter().any(|relay| fuller(old, relay).is_some());
    old != new && (since >= PACE || fuller || plain(old) != plain(new))
}

/// The step that a relay's volume has passed since `old`.
#[must_use]
pub fn fuller(old: &BackupMXStatus, relay: &RelayStatus) -> Option<Level> {
    let level = |relay: &RelayStatus| relay.volume.as_ref().map_or(Level::Low, |volume| Level::at(volume.used_percent));
    let before = old.relays.iter().find(|known| known.name == relay.name).map_or(Level::Low, level);
    (level(relay) > before).then(|| level(relay))
}
