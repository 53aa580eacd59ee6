//! What the relays hold.

use backupmx_crds::{
    QueueStatus,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::status::{Accepting, QueueStatus as Held, RelayStatus as Report};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::conditions::{Conditions, Truth};

/// The sum over relays.
pub(super) fn total<'a>(queues: impl IntoIterator<Item = &'a Held>) -> QueueStatus {
    let mut sum = QueueStatus::default();
    let mut oldest: Option<Timestamp> = None;
    for queue in queues {
        sum.messages += queue.messages;
        sum.bytes += queue.bytes;
        sum.held += queue.held;
        sum.parked += queue.parked;
        let arrived = queue.oldest_message_time.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        oldest = [oldest, arrived].into_iter().flatten().min();
    }
    sum.oldest_message_time = oldest.map(Time);
    sum
}

/// The first of these that is so counts: the worse stands above.
pub(super) fn condition(conditions: &mut Conditions<'_>, reports: &[&Report]) {
    let sum = total(reports.iter().map(|report| &report.queue));
    let quarantined: u64 = reports.iter().map(|report| report.storage.quarantined).sum();
    let fullest = reports.iter().filter(|report| report.storage.size > 0).max_by_key(|report| percent(report));
    let (truth, reason, message) = match fullest {
        _ if reports.is_empty() => (Truth::Unknown, Reason::NotReported, "no relay has said anything yet".to_owned()),
        Some(report) if report.accepting == Accepting::StorageFull => {
            let text = format!("the volume of {} is full; senders are asked to try again later", report.hostname);
            (Truth::False, Reason::Full, text)
        }
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

fn percent(report: &Report) -> u64 {
    let (used, size) = (u128::from(report.storage.used), u128::from(report.storage.size));
    u64::try_from((used * 100).checked_div(size).unwrap_or(0)).unwrap_or(100)
}
