//! What the relays hold.

use std::time::Duration;

use backupmx_crds::{
    QueueStatus, RelayStatus,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::{HoldTimes, status::RelayStatus as Report};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};

use super::{
    conditions::{Conditions, Truth},
    level,
};

/// Held mail is near its expiry when it has a quarter of its hold time left, and a day at most.
const NEAR: Duration = Duration::from_secs(24 * 3600);

/// What one relay holds.
pub(super) fn of(report: &Report) -> QueueStatus {
    let queue = &report.queue;
    QueueStatus {
        messages: queue.messages,
        bytes: queue.bytes,
        held: queue.held,
        parked: queue.parked,
        oldest_message_time: queue.oldest_message_time.as_ref().and_then(|time| time.parse().ok()).map(Time),
    }
}

/// The sum over relays; none where nothing was ever said.
pub(super) fn all(relays: &[RelayStatus]) -> Option<QueueStatus> {
    relays.iter().filter_map(|relay| relay.queue.clone()).reduce(sum)
}

fn sum(one: QueueStatus, other: QueueStatus) -> QueueStatus {
    QueueStatus {
        messages: one.messages + other.messages,
        bytes: one.bytes + other.bytes,
        held: one.held + other.held,
        parked: one.parked + other.parked,
        oldest_message_time: [one.oldest_message_time, other.oldest_message_time].into_iter().flatten().min(),
    }
}

/// When the oldest message expires, if that is near.
fn expires(queues: &[QueueStatus], hold: &HoldTimes, now: Timestamp) -> Option<Timestamp> {
    let age = hold.max_age.as_duration();
    // Parked mail has expired already, or was refused: no longer hold time has it delivered.
    let waiting = queues.iter().filter(|queue| queue.messages > queue.parked);
    let oldest = waiting.filter_map(|queue| queue.oldest_message_time.as_ref()).min()?;
    let aged = oldest.0.checked_add(SignedDuration::try_from(age).ok()?).ok()?;
    let extended = hold.extend_until.and_then(|until| Timestamp::try_from(until).ok());
    let end = extended.map_or(aged, |until| until.max(aged));
    let near = SignedDuration::try_from(NEAR.min(age / 4)).ok()?;
    (end.duration_since(now) <= near).then_some(end)
}

/// The first of these that is so counts: the worse stands above. Mail that expires goes back to its senders, while a full
/// volume has them try again: near the end of a long outage both are so.
pub(super) fn condition(conditions: &mut Conditions<'_>, reports: &[&Report], hold: &HoldTimes) {
    let queues: Vec<QueueStatus> = reports.iter().map(|report| of(report)).collect();
    let expiring = expires(&queues, hold, conditions.now());
    let sum = queues.into_iter().reduce(sum).unwrap_or_default();
    let quarantined: u64 = reports.iter().map(|report| report.storage.quarantined).sum();
    let fullest = reports.iter().filter(|report| report.storage.size > 0).max_by_key(|report| percent(report));
    let (truth, reason, message) = match fullest {
        _ if reports.is_empty() => (Truth::Unknown, Reason::NotReported, "no relay has said anything yet".to_owned()),
        fullest if let Some(end) = expiring => {
            let mut text = format!(
                "the oldest held message expires at {}; a longer hold.maxAge or a later hold.extendUntil keeps it",
                end.strftime("%Y-%m-%dT%H:%M:%SZ")
            );
            if let Some(report) = fullest.filter(|report| level::is_full(report)) {
                text.push_str("; and ");
                text.push_str(&full(report));
            }
            (Truth::False, Reason::ExpiringSoon, text)
        }
        Some(report) if level::is_full(report) => (Truth::False, Reason::Full, full(report)),
        _ if reports.iter().any(|report| report.clock_jumped) => {
            let text = "a relay's clock jumped; nothing expires until a person confirms it with: queue resume";
            (Truth::False, Reason::ClockJumped, text.to_owned())
        }
        _ if quarantined > 0 => {
            let text =
                format!("{quarantined} damaged parts of a queue were set aside; look into its quarantine folder");
            (Truth::False, Reason::Quarantined, text)
        }
        Some(report) if percent(report) >= 90 => {
            let text = format!(
                "the volume of {} is {} % full, of {}",
                report.hostname,
                percent(report),
                super::size(report.storage.size)
            );
            (Truth::False, Reason::AlmostFull, text)
        }
        _ if sum.held > 0 => {
            let text = format!("{} messages were rejected or loop, and wait for a person", sum.held);
            (Truth::False, Reason::NeedsDecision, text)
        }
        _ if sum.parked > 0 => {
            let text = format!("{} messages are parked: their senders may be forged", sum.parked);
            (Truth::True, Reason::Parked, text)
        }
        _ if sum.messages > 0 => (Truth::True, Reason::Holding, format!("{} messages are held", sum.messages)),
        _ => (Truth::True, Reason::Empty, "no mail is held".to_owned()),
    };
    conditions.set(ConditionType::QueueHealthy, truth, reason, message);
}

fn full(report: &Report) -> String {
    format!("the volume of {} is full; senders are asked to try again later", report.hostname)
}

fn percent(report: &Report) -> u8 {
    level::percent(&report.storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_quarter_of_a_hold_time_is_near_and_a_day_at_most() {
        let at = |second: u64| Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        let (hour, day) = (3600, 24 * 3600);
        for (what, max_age, extend_until, now, wanted) in [
            ("a week, its fifth day", 7 * day, None, 5 * day, None),
            ("a week, its last day", 7 * day, None, 6 * day, Some(7 * day)),
            ("over, and not expired yet", 7 * day, None, 8 * day, Some(7 * day)),
            ("four hours, the third", 4 * hour, None, 2 * hour, None),
            ("four hours, the last", 4 * hour, None, 3 * hour, Some(4 * hour)),
            ("extended", 4 * hour, Some(9 * day), 5 * hour, None),
            ("extended to less than its age", 4 * hour, Some(hour), 3 * hour, Some(4 * hour)),
        ] {
            let hold = HoldTimes {
                max_age: backupmx_relay_config::Span::seconds(max_age),
                extend_until: extend_until.map(|second: u64| std::time::UNIX_EPOCH + Duration::from_secs(second)),
                warn_sender_after: None,
            };
            let one = QueueStatus { messages: 1, oldest_message_time: Some(Time(at(0))), ..QueueStatus::default() };
            let parked = QueueStatus { parked: 1, ..one.clone() };
            assert_eq!(expires(&[parked.clone(), one], &hold, at(now)), wanted.map(at), "{what}");
            assert_eq!(expires(&[parked], &hold, at(now)), None, "{what}: it has expired already");
        }
        assert_eq!(expires(&[QueueStatus::default()], &HoldTimes::default(), at(0)), None, "nothing is held");
    }
}
