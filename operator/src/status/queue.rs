//! What the relays hold.

use std::time::Duration;

use backupmx_crds::{
    QueueStatus, RelayStatus,
    conditions::{ConditionType, Reason},
};
use backupmx_relay_config::{
    HoldTimes,
    status::{QueueStatus as Queue, RelayStatus as Report},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};

use super::{
    conditions::{Conditions, Truth},
    level, messages, messages_are, some,
};
use crate::{
    commands,
    validated::{Owner, RelayName},
};

/// Held mail is near its expiry when it has a quarter of its hold time left, and a day at most.
const NEAR: Duration = Duration::from_secs(24 * 3600);

/// What one relay holds.
pub(super) fn of(report: &Report) -> QueueStatus {
    figures(&report.queue)
}

fn figures(queue: &Queue) -> QueueStatus {
    QueueStatus {
        messages: queue.messages,
        bytes: queue.bytes,
        held: queue.held,
        parked: queue.parked,
        oldest_message_time: queue.oldest_message_time.as_ref().and_then(|time| time.parse().ok()).map(Time),
    }
}

/// What of it goes back to its senders when its time is over, with the age of what is not parked, where the relay says
/// that. Mail of domains that are nobody's any more, and reports of the relay's own, do not.
fn waiting(report: &Report) -> QueueStatus {
    if report.orphaned.messages + report.reports.messages == 0 {
        return unparked(&report.queue);
    }
    report.tenants.iter().map(|tenant| unparked(&tenant.queue)).reduce(sum).unwrap_or_default()
}

fn unparked(queue: &Queue) -> QueueStatus {
    let all = figures(queue);
    let oldest = queue.oldest_waiting_time.as_ref().and_then(|time| time.parse().ok()).map(Time);
    let oldest = oldest.or_else(|| all.oldest_message_time.clone()).filter(|_| all.messages > all.parked);
    QueueStatus { oldest_message_time: oldest, ..all }
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

/// Whether a relay lets nothing expire now: deliveries are suspended, a storm of rejects is on, or its clock is not
/// believed.
fn is_paused(report: &Report) -> bool {
    let stands = report.tenants.iter().all(|tenant| tenant.suspended || tenant.primary.reject_storm);
    report.clock_jumped || (stands && !report.tenants.is_empty())
}

/// Whether nothing is delivered for a tenant of the relay, as a person has said so: in the spec, or to the relay itself.
pub(super) fn is_suspended(report: &Report) -> bool {
    report.tenants.iter().any(|tenant| tenant.suspended)
}

/// What is said of that. `resume` is the command that ends it.
pub(super) fn suspended(resume: &str) -> String {
    format!(
        "deliveries are suspended, so none of it goes out: set spec.delivery.suspended to false, or where queue suspend \
         did it: {resume}"
    )
}

/// What the relays hold, by what they say and what they said last.
pub(super) struct Told<'a> {
    /// Whose relays they are.
    pub owner: &'a Owner,
    /// What those say that answer.
    pub reports: Vec<(&'a RelayName, &'a Report)>,
    /// All relays, those that do not answer with what they said last.
    pub relays: &'a [RelayStatus],
    /// Those that do not answer, and when they said something last.
    pub silent: Vec<(&'a RelayName, Option<Timestamp>)>,
    /// How long mail is held.
    pub hold: &'a HoldTimes,
}

impl Told<'_> {
    /// What a relay said last that does not answer now.
    fn silent(&self) -> impl Iterator<Item = (&RelayName, Option<Timestamp>, &QueueStatus)> {
        self.silent.iter().filter_map(|(name, heard)| {
            let relay = self.relays.iter().find(|relay| relay.name == name.as_str())?;
            Some((*name, *heard, relay.queue.as_ref()?))
        })
    }

    fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().map(|(_, report)| *report)
    }

    /// The command to type for each of the relays that are so.
    fn commands(&self, words: &str, is: impl Fn(&Report) -> bool) -> String {
        let those = self.reports.iter().filter(|(_, report)| is(report));
        let commands: Vec<String> = those.map(|(name, _)| commands::in_relay(self.owner, name, words)).collect();
        some(&commands, "; ")
    }

    /// What is to be said of damaged parts. None: there are none.
    fn damaged(&self) -> Option<String> {
        let parts = match self.reports().map(|report| report.storage.quarantined).sum::<u64>() {
            0 => return None,
            1 => "1 damaged part was".to_owned(),
            parts => format!("{parts} damaged parts were"),
        };
        let list = self.commands("quarantine list", |report| report.storage.quarantined > 0);
        Some(format!(
            "{parts} of a queue set aside; the relay's log says what each is. They are listed by: {list}. Then, in place of \
             quarantine list: quarantine show NAME prints one, quarantine discard NAME removes it for ever"
        ))
    }

    /// When the first message expires of those whose time runs, and of those whose time does not.
    fn expiring(&self, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let (paused, going): (Vec<&Report>, Vec<&Report>) = self.reports().partition(|report| is_paused(report));
        let of_all = |reports: Vec<&Report>| -> Vec<QueueStatus> { reports.into_iter().map(waiting).collect() };
        let last = self.silent().map(|(_, _, queue)| queue.clone());
        // What stops the others stops one that is silent too, when it is back.
        let (going, paused): (Vec<_>, Vec<_>) = if going.is_empty() && !paused.is_empty() {
            (Vec::new(), of_all(paused).into_iter().chain(last).collect())
        } else {
            (of_all(going).into_iter().chain(last).collect(), of_all(paused))
        };
        (expires(&going, self.hold, now), expires(&paused, self.hold, now))
    }

    /// What is to be said of mail that no domain of a relay has any more. None: there is none.
    fn orphaned(&self) -> Option<String> {
        let count: u64 = self.reports().map(|report| report.orphaned.messages).sum();
        let list = || self.commands("queue list", |report| report.orphaned.messages > 0);
        let of = "for domains that no relay serves any more, and that nothing delivers or returns by itself";
        (count > 0)
            .then(|| format!("{} held {of}. They are among those that are listed by: {}", messages_are(count), list()))
    }

    /// What is to be added of relays that do not answer. None: none of them is known to have held mail.
    fn missing(&self) -> Option<String> {
        let said = self.silent().filter(|(_, _, queue)| queue.messages > 0);
        let said: Vec<String> = said
            .map(|(name, heard, queue)| {
                let held = messages(queue.messages);
                let heard = heard.map(|heard| format!(", at {}", time(heard))).unwrap_or_default();
                format!("relay {name} does not say what it holds, and held {held} when it last did{heard}")
            })
            .collect();
        (!said.is_empty()).then(|| format!("{}; RelaysReady says what to do", said.join("; ")))
    }
}

/// Notes the condition. The first of what may be so counts: the worse stands above. Mail that expires goes back to its
/// senders, while a full volume has them try again: near the end of a long outage both are so.
pub(super) fn condition(conditions: &mut Conditions<'_>, told: &Told<'_>) {
    let (expiring, paused) = told.expiring(conditions.now());
    let (truth, reason, mut message) = judge(told, expiring, paused);
    if let Some(orphaned) = told.orphaned().filter(|_| reason != Reason::NeedsDecision) {
        message.push_str("; ");
        message.push_str(&orphaned);
    }
    if let Some(end) = paused.filter(|_| reason != Reason::ExpiringSoon) {
        message.push_str("; ");
        message.push_str(&stopped(end));
    }
    if let Some(damaged) = told.damaged().filter(|_| reason != Reason::Quarantined) {
        message.push_str("; ");
        message.push_str(&damaged);
    }
    if told.reports().any(is_suspended) {
        let resume = told.commands("queue resume --all", is_suspended);
        message.push_str(&format!("; {}", suspended(&resume)));
    }
    if let Some(missing) = told.missing().filter(|_| reason != Reason::NotReported) {
        message.push_str("; ");
        message.push_str(&missing);
    }
    conditions.set(ConditionType::QueueHealthy, truth, reason, message);
}

fn judge(told: &Told<'_>, expiring: Option<Timestamp>, paused: Option<Timestamp>) -> (Truth, Reason, String) {
    let sum = told.relays.iter().filter_map(|relay| relay.queue.clone()).reduce(sum).unwrap_or_default();
    let fullest = told.reports().filter(|report| report.storage.size > 0).max_by_key(|report| percent(report));
    match fullest {
        fullest if let Some(end) = expiring => {
            let mut text = format!(
                "the oldest held message expires at {}; a longer spec.hold.maxAge or a later spec.hold.extendUntil keeps it",
                time(end)
            );
            if let Some(report) = fullest.filter(|report| level::is_full(report)) {
                text.push_str("; and ");
                text.push_str(&full(report));
            }
            (Truth::False, Reason::ExpiringSoon, text)
        }
        Some(report) if level::is_full(report) => (Truth::False, Reason::Full, full(report)),
        _ if told.reports().any(|report| report.clock_jumped) => {
            let text = format!(
                "a relay's clock jumped; nothing expires until a person confirms it, when it is right, with: {}",
                told.commands("queue resume --all", |report| report.clock_jumped)
            );
            (Truth::False, Reason::ClockJumped, text)
        }
        _ if let Some(end) = paused => {
            let text = format!("{}; a longer spec.hold.maxAge or a later spec.hold.extendUntil keeps it", stopped(end));
            (Truth::False, Reason::ExpiringSoon, text)
        }
        Some(report) if percent(report) >= 90 => {
            let text = format!(
                "the volume of {} is {} % full, of {}; {ROOM}",
                report.hostname,
                percent(report),
                super::size(report.storage.size)
            );
            (Truth::False, Reason::AlmostFull, text)
        }
        _ if sum.held > 0 => {
            let mut text = format!(
                "{} held for a person: rejected, or in a loop. They are listed by: {}. {DECIDE}",
                messages_are(sum.held),
                told.commands("queue list --state held", |report| report.queue.held > 0)
            );
            if let Some(orphaned) = told.orphaned() {
                text.push_str("; ");
                text.push_str(&orphaned);
            }
            (Truth::False, Reason::NeedsDecision, text)
        }
        _ if let Some(orphaned) = told.orphaned() => {
            (Truth::False, Reason::NeedsDecision, format!("{orphaned}. {DECIDE}"))
        }
        _ if let Some(damaged) = told.damaged() => (Truth::False, Reason::Quarantined, damaged),
        _ if let Some(missing) = told.missing() => {
            let others = sum.messages - told.silent().map(|(_, _, queue)| queue.messages).sum::<u64>();
            let others = (others > 0).then(|| format!("; {} held by the others", messages_are(others)));
            (Truth::Unknown, Reason::NotReported, format!("{missing}{}", others.unwrap_or_default()))
        }
        _ if told.reports.is_empty() => {
            let text = match told.silent.is_empty() || told.silent().next().is_none() {
                true => "no relay has said anything yet; RelaysReady says why",
                false => {
                    "no relay says what it holds, and none held mail when it last did; RelaysReady says what to do"
                }
            };
            (Truth::Unknown, Reason::NotReported, text.to_owned())
        }
        _ if sum.parked > 0 => {
            let text = format!(
                "{} parked, and removed at the end of their hold time: they cannot be delivered, and no report may go to a \
                 sender that may be forged. They are listed by: {}. {DECIDE}",
                messages_are(sum.parked),
                told.commands("queue list --state parked", |report| report.queue.parked > 0)
            );
            (Truth::True, Reason::Parked, text)
        }
        _ if sum.messages > 0 => (Truth::True, Reason::Holding, format!("{} held", messages_are(sum.messages))),
        _ => (Truth::True, Reason::Empty, "no mail is held".to_owned()),
    }
}

/// What is true of a message whose time is nearly over while nothing expires.
fn stopped(end: Timestamp) -> String {
    format!(
        "the hold time of the oldest message ends at {}; nothing expires while deliveries are stopped, and it is tried \
         once more when they go on",
        time(end)
    )
}

/// What a person may do with a message that is listed.
const DECIDE: &str = "Then, in place of queue list: queue release ID tries one again, queue bounce ID tells its sender, \
                      queue discard ID throws it away";

/// What gives a volume room.
pub const ROOM: &str =
    "bring the primary back, or raise spec.storage.maxSize where the storage class lets volumes grow";

fn time(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%dT%H:%M:%SZ")
}

fn full(report: &Report) -> String {
    format!("the volume of {} is full; senders are asked to try again later; {ROOM}", report.hostname)
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

    #[test]
    fn mail_that_is_nobody_s_is_not_about_to_expire_and_waits_for_a_person() {
        let mut report = report();
        let old = Queue {
            messages: 1,
            oldest_message_time: Some("2026-12-01T00:00:00Z".into()),
            oldest_waiting_time: Some("2026-12-01T00:00:00Z".into()),
            ..Queue::default()
        };
        (report.queue, report.orphaned) = (old.clone(), old.clone());
        assert_eq!(super::waiting(&report).messages, 0);
        let now = "2027-01-15T08:00:00Z".parse().unwrap();
        assert_eq!(expires(&[super::waiting(&report)], &HoldTimes::default(), now), None);
        let message = said(&report, "False NeedsDecision");
        assert!(message.starts_with("1 message is held for domains that no relay serves any more"), "{message}");
        assert!(message.contains("backupmx-relay queue list. Then"), "{message}");
        // One of a tenant's beside it.
        report.queue.messages = 2;
        report.tenants[0].queue = old;
        assert!(expires(&[super::waiting(&report)], &HoldTimes::default(), now).is_some());
        let message = said(&report, "False ExpiringSoon");
        assert!(message.contains("; 1 message is held for domains that no relay serves any more"), "{message}");
    }

    #[test]
    fn reports_of_its_own_are_not_mail_that_expires() {
        let mut report = report();
        let old = Queue { messages: 1, oldest_message_time: Some("2026-12-01T00:00:00Z".into()), ..Queue::default() };
        (report.queue, report.reports) = (old.clone(), old);
        said(&report, "True Holding");
    }

    fn report() -> Report {
        crate::plan::tests::Cluster::settled().facts.relays.into_values().next().unwrap().report.unwrap()
    }

    /// What is said of the queue of a resource of one relay that says this, of that status and reason.
    #[track_caller]
    fn said(report: &Report, wanted: &str) -> String {
        let mut cluster = crate::plan::tests::Cluster::settled();
        cluster.facts.relays.values_mut().for_each(|live| live.report = None);
        cluster.facts.relays.values_mut().next().unwrap().report = Some(report.clone());
        let status = crate::status::tests::fresh(&cluster);
        assert_eq!(crate::status::tests::condition(&status, ConditionType::QueueHealthy), wanted);
        crate::status::tests::said(&status, ConditionType::QueueHealthy)
    }

    #[test]
    fn mail_that_is_parked_is_not_about_to_expire() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let report = report();
        let held = |waiting: Option<i64>| {
            let mut report = report.clone();
            report.queue.messages = 2;
            report.queue.parked = 1;
            report.queue.oldest_message_time = Some(at(0).to_string());
            report.queue.oldest_waiting_time = waiting.map(|second| at(second).to_string());
            super::waiting(&report)
        };
        let (day, hold) = (24 * 3600, HoldTimes::default());
        let now = at(7 * day);
        assert_eq!(expires(&[held(Some(6 * day))], &hold, now), None, "what is parked is a week old, the other a day");
        assert_eq!(expires(&[held(Some(day / 2))], &hold, now), Some(at(7 * day + day / 2)));
        assert_eq!(expires(&[held(None)], &hold, now), Some(at(7 * day)), "an older relay does not tell them apart");
    }
}
