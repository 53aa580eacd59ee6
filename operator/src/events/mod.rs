//! What is told as Events: what has changed from one status to the next. Pure.
//!
//! An Event is a moment, a condition a state: what is still the case is not told again.

pub mod deleted;
pub mod orphans;
pub mod pace;
pub mod publish;
pub mod reason;

use backupmx_crds::{
    BackupMXStatus, PrimaryState, QueueStatus,
    conditions::{ConditionType, Reason as Cause},
};
use backupmx_relay_config::DomainName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub use self::reason::Reason;
use crate::{
    commands, labels,
    plan::{Disobeyed, Loss},
    status::{self, level::Level, messages_are},
    validated::{Owner, RelayName},
};

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Why it is written.
    pub reason: Reason,
    /// What happened, and what a person can do about it.
    pub note: String,
}

impl Event {
    /// One Event.
    pub fn new(reason: Reason, note: impl Into<String>) -> Self {
        Self { reason, note: note.into() }
    }
}

/// What is told of a relay that leaves without its claim, which was gone though nobody had let it go.
#[must_use]
pub fn lost_on_leaving(relay: &RelayName, loss: &Loss) -> Event {
    let held = loss.messages.map_or_else(
        || "how much mail it held is not known".to_owned(),
        |messages| format!("{} known to have been in it", messages_are(messages)),
    );
    let note = format!(
        "relay {relay} left, but its volume claim was gone though nobody had let it go: {held}. Where the volume is still \
         there (kubectl get pv), its mail is in it"
    );
    Event::new(Reason::ClaimLost, note)
}

/// What is told of mail that goes because somebody said so; `messages` of None: nobody knows how many.
#[must_use]
pub fn let_go(relay: &RelayName, messages: Option<u64>) -> Event {
    let held = messages.map_or_else(
        || "how much mail it held is not known".to_owned(),
        |messages| format!("{} in it when it was last asked", messages_are(messages)),
    );
    let note = format!("the volume claim of relay {relay} is let go with what it holds, as was ordered: {held}");
    Event::new(Reason::MailDiscarded, note)
}

/// What is told of a relay's claim that was copied into another namespace, and goes because somebody said so.
#[must_use]
pub fn let_copy_go(claim: &str) -> Event {
    let note = format!(
        "the claim {claim}, a copy of a relay's in another namespace, is let go with what it holds, as was ordered; how \
         much mail that is nobody knows, as no relay runs on it"
    );
    Event::new(Reason::MailDiscarded, note)
}

/// What is told of mail for a domain that the relay is to discard, as a person said.
#[must_use]
pub fn discarded(relay: &RelayName, domain: &DomainName, messages: u64) -> Event {
    let (count, release) = (status::messages(messages), labels::RELEASE);
    let note =
        format!("relay {relay} is told to discard {count} that it holds for {domain}, as {release} on its claim said");
    Event::new(Reason::MailDiscarded, note)
}

/// What is told of an order that is for nothing that leaves.
#[must_use]
pub fn not_obeyed(order: &Disobeyed) -> Event {
    let Disobeyed { relay, value, leaving } = order;
    let leaving: Vec<String> = leaving.iter().map(ToString::to_string).collect();
    let leaving = if leaving.is_empty() { "no domain leaves it".to_owned() } else { status::some(&leaving, ", ") };
    let note = format!(
        "{release}={value} on the claim of relay {relay} is not obeyed, and is taken off: it must be {discard}, {one} and a \
         domain that leaves that relay ({leaving}), or {withdrawn}",
        release = labels::RELEASE,
        discard = labels::DISCARD,
        one = labels::DISCARD_DOMAIN,
        withdrawn = labels::WITHDRAWN,
    );
    Event::new(Reason::OrderNotObeyed, note)
}

/// What is told where a relay cannot discard what it holds for a domain.
#[must_use]
pub fn not_discarded(owner: &Owner, relay: &RelayName, domain: &DomainName, messages: u64) -> Event {
    let note = format!(
        "{} held for {domain} by relay {relay}, whose version cannot discard by domain: it goes on to try the primary, and \
         nobody waits for that. {} shows it, and queue discard ID in place of that discards it",
        messages_are(messages),
        commands::in_relay(owner, relay, &format!("queue list --domain {domain}"))
    );
    Event::new(Reason::DrainStuck, note)
}

/// Why less mail may be held than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Less {
    /// It was delivered.
    Delivered,
    /// Some of it went because a person said so.
    Ordered,
}

/// What is told when the status of `owner` becomes `after`.
#[must_use]
pub fn told(owner: &Owner, before: &BackupMXStatus, after: &BackupMXStatus, less: Less) -> Vec<Event> {
    let conditions = conditions(before, after);
    // What went with its claim was not drained.
    let went = [Reason::ClaimReplaced, Reason::ClaimLost];
    let drained = less == Less::Delivered && !conditions.iter().any(|event| went.contains(&event.reason));
    let queue = queue(owner, before, after).into_iter().filter(|event| drained || event.reason != Reason::Drained);
    [primary(before, after), queue.collect(), volumes(before, after), conditions].into_iter().flatten().collect()
}

fn primary(before: &BackupMXStatus, after: &BackupMXStatus) -> Vec<Event> {
    use PrimaryState::{Deferring, Down, Recovering, Rejecting, Suspect, Unknown, Up};
    let state = |status: &BackupMXStatus| status.primary.as_ref().map_or(Unknown, |primary| primary.state);
    let reason = match (state(before), state(after)) {
        (before, after) if before == after => return Vec::new(),
        // Its condition tells of it.
        (_, Down) if cause(after, ConditionType::PrimaryReachable) == Some(Cause::Looping.as_str()) => {
            return Vec::new();
        }
        (_, Down) => Reason::PrimaryDown,
        (_, Deferring) => Reason::PrimaryDeferring,
        (_, Rejecting) => Reason::RejectStorm,
        (Down | Deferring | Rejecting, Up | Recovering) => Reason::PrimaryBack,
        // A relay that has just started knows of the outage by what it holds.
        (Unknown, Recovering) => Reason::PrimaryBack,
        (_, Up | Suspect | Recovering | Unknown) => return Vec::new(),
    };
    let held = after.queue.as_ref().map_or(0, |queue| queue.messages);
    let note = match reason {
        Reason::PrimaryBack if held > 0 => {
            format!("the primary takes mail again, and gets what is held: {} on the way", messages_are(held))
        }
        Reason::PrimaryBack => "the primary takes mail again".to_owned(),
        _ => message(after, ConditionType::PrimaryReachable),
    };
    vec![Event::new(reason, note)]
}

fn queue(owner: &Owner, before: &BackupMXStatus, after: &BackupMXStatus) -> Vec<Event> {
    let counts = |status: &BackupMXStatus| {
        let queue = status.queue.clone().unwrap_or_default();
        let QueueStatus { messages, held, parked, .. } = queue;
        (messages, held, parked)
    };
    let ((messages, held, parked), now) = (counts(before), counts(after));
    let mut events = Vec::new();
    if messages > 0 && now.0 == 0 {
        events.push(Event::new(Reason::Drained, "no mail is held any more"));
    }
    if now.1 > held {
        let note = format!(
            "{} held for a person, as rejected or in a loop; queue release, bounce or discard decides what becomes of it, \
             in place of queue list: {}",
            messages_are(now.1),
            listed(owner, after, "held", |queue| queue.held)
        );
        events.push(Event::new(Reason::MailNeedsDecision, note));
    }
    if now.2 > parked {
        let note = format!(
            "{} parked, neither to be delivered nor reported to a sender that may be forged; listed by: {}",
            messages_are(now.2),
            listed(owner, after, "parked", |queue| queue.parked)
        );
        events.push(Event::new(Reason::MailParked, note));
    }
    events
}

/// The commands that list what the relays hold in a state.
fn listed(owner: &Owner, status: &BackupMXStatus, state: &str, count: fn(&QueueStatus) -> u64) -> String {
    let those = status.relays.iter().filter(|relay| relay.queue.as_ref().is_some_and(|queue| count(queue) > 0));
    let names = those.filter_map(|relay| relay.name.parse().ok());
    let words = format!("queue list --state {state}");
    let commands: Vec<String> = names.map(|name| commands::in_relay(owner, &name, &words)).collect();
    status::some(&commands, "; ")
}

fn volumes(before: &BackupMXStatus, after: &BackupMXStatus) -> Vec<Event> {
    let passed = after.relays.iter().filter_map(|relay| Some((relay, status::fuller(before, relay)?)));
    passed
        .filter_map(|(relay, level)| {
            let (reason, percent) = match level {
                Level::Low => return None,
                Level::Half => (Reason::VolumePast50, 50),
                Level::ThreeQuarters => (Reason::VolumePast75, 75),
                Level::NineTenths => (Reason::VolumePast90, 90),
            };
            let size = relay.volume.as_ref().map(|volume| volume.size.clone()).unwrap_or_default();
            let past = format!("the volume of relay {} is past {percent} % of {size}", relay.name);
            Some(Event::new(reason, format!("{past}; {}", status::ROOM)))
        })
        .collect()
}

/// The conditions that have become so.
fn conditions(before: &BackupMXStatus, after: &BackupMXStatus) -> Vec<Event> {
    let was = |now: &Condition| before.conditions.iter().find(|known| known.type_ == now.type_);
    let became = |now: &&Condition| was(now).is_none_or(|was| was.reason != now.reason || was.status != now.status);
    let replaced = |now: &&Condition| {
        let deleted = |reason: &str| {
            [Cause::DeletedWhileHolding, Cause::DeletedWhileStopped].iter().any(|one| one.as_str() == reason)
        };
        now.reason != Cause::ClaimLost.as_str()
            && !deleted(&now.reason)
            && was(now).is_some_and(|was| deleted(&was.reason))
    };
    let new = "a claim that was deleted is gone, and a new one was made in its place";
    let replaced = after.conditions.iter().filter(replaced).map(|_| Event::new(Reason::ClaimReplaced, new));
    after
        .conditions
        .iter()
        .filter(became)
        .filter_map(|now| Some(Event::new(of_condition(now, was(now))?, now.message.clone())))
        .chain(replaced)
        .collect()
}

fn of_condition(now: &Condition, was: Option<&Condition>) -> Option<Reason> {
    let kind = ConditionType::ALL.iter().find(|kind| kind.as_str() == now.type_)?;
    let cause = Cause::ALL.iter().find(|cause| cause.as_str() == now.reason)?;
    match (kind, cause, now.status.as_str()) {
        // Its own condition tells of it.
        (
            ConditionType::Stalled,
            Cause::ConfigRefused | Cause::Stuck | Cause::OwnedByAnother | Cause::NotAllowed,
            _,
        ) => None,
        (ConditionType::Stalled, _, "True") => Some(Reason::Stalled),
        (ConditionType::PrimaryReachable, Cause::Looping, _) => Some(Reason::PrimaryLooping),
        (ConditionType::QueueHealthy, Cause::Full, _) => Some(Reason::VolumeFull),
        (ConditionType::QueueHealthy, Cause::ExpiringSoon, _) => Some(Reason::MailNearExpiry),
        (ConditionType::QueueHealthy, Cause::Quarantined, _) => Some(Reason::MailQuarantined),
        (ConditionType::QueueHealthy, Cause::ClockJumped, _) => Some(Reason::ClockJumped),
        (ConditionType::StorageHealthy, Cause::CannotGrow, _) => Some(Reason::VolumeCannotGrow),
        (ConditionType::StorageHealthy, Cause::ResizeFailed, _) => Some(Reason::VolumeResizeFailed),
        (ConditionType::StorageHealthy, Cause::ClaimLost, _) => Some(Reason::ClaimLost),
        (ConditionType::StorageHealthy, Cause::DeletedWhileHolding, _) => match was {
            // Its relay runs again, which is no second deletion.
            Some(was) if was.reason == Cause::DeletedWhileStopped.as_str() => None,
            Some(_) | None => Some(Reason::ClaimDeleted),
        },
        (ConditionType::StorageHealthy, Cause::DeletedWhileStopped, _) => Some(Reason::ClaimStranded),
        (ConditionType::DomainConflict, Cause::OwnedByAnother, _) => Some(Reason::DomainConflict),
        (ConditionType::DomainConflict, Cause::NotAllowed, _) => Some(Reason::DomainNotAllowed),
        (ConditionType::HostnameConflict, Cause::OwnedByAnother, _) => Some(Reason::HostnameConflict),
        (ConditionType::HostnameConflict, Cause::NotAllowed, _) => Some(Reason::HostnameNotAllowed),
        (ConditionType::RelaysReady, Cause::ConfigRefused, _) => Some(Reason::ConfigRefused),
        (ConditionType::Draining, Cause::Stuck, _) => Some(Reason::DrainStuck),
        (ConditionType::DNSPublished, Cause::Published, "True") => Some(Reason::DNSPublished),
        // A host name that has no address yet is everybody's first minute.
        (ConditionType::DNSPublished, Cause::HostWithoutAddress, "False") if was.is_none_or(is_awaited) => None,
        (ConditionType::DNSPublished, cause, "False") if !awaited(*cause) => Some(Reason::DNSWrong),
        _ => None,
    }
}

fn is_awaited(condition: &Condition) -> bool {
    condition.status != "True" && Cause::ALL.iter().any(|cause| cause.as_str() == condition.reason && awaited(*cause))
}

/// Whether it takes nothing but time, or a person who was told what to enter; or it is as it should be.
const fn awaited(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Pending
            | Cause::WaitingForExternalDNS
            | Cause::WaitingForPerson
            | Cause::WaitingForRelays
            | Cause::StillPublished
            | Cause::Withdrawn
            | Cause::LookupFailed
    )
}

fn message(status: &BackupMXStatus, kind: ConditionType) -> String {
    condition(status, kind).map(|known| known.message.clone()).unwrap_or_default()
}

fn cause(status: &BackupMXStatus, kind: ConditionType) -> Option<&str> {
    condition(status, kind).map(|known| known.reason.as_str())
}

fn condition(status: &BackupMXStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|known| known.type_ == kind.as_str())
}

#[cfg(test)]
mod tests;
