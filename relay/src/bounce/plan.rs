//! What becomes of a message after a try: its new state or its end, and the reports that go with it, in one step. Pure.

use std::time::Duration;

use backupmx_relay_config::{BouncePolicy, DomainName};
use bytes::Bytes;

use super::{Decision, Evidence, Why, decide};
use crate::{
    clock::Timestamp,
    dsn::{self, Cause, Incident, NewReport, Occasion, ReportRequest},
    message::{Envelope, MessageId, MessageState, RecipientOutcome, Standing},
    spool::{Body, Change, NewMessage, Then},
};

/// How long a message waits for DNS before SPF is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// A message and what happened to it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The message.
    pub id: MessageId,
    /// The tenant whose mail it is.
    pub tenant: &'a str,
    /// Our own name.
    pub hostname: &'a DomainName,
    /// The tenant's policy; `Always` where a person wants the sender told.
    pub policy: BouncePolicy,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// Its content, or the first [`dsn::HEADER_LIMIT`] octets of it.
    pub content: &'a [u8],
    /// The recipients that failed for good just now.
    pub incidents: &'a [Incident],
    /// What SPF said when it was asked for this; what the state has recorded comes before it.
    pub evidence: Evidence,
    /// Now.
    pub now: Timestamp,
    /// A random number for the report.
    pub token: u64,
}

/// What to do next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Ask SPF, then come again with the verdict.
    NeedsSpf,
    /// All is decided.
    Settled(Settled),
}

/// One atomic step for the spool, and what it means.
#[derive(Debug)]
#[must_use]
pub struct Settled {
    /// What to commit.
    pub change: Change,
    /// What was decided, for the log and the counters, to be counted once the change is durable.
    pub outcome: Outcome,
    /// Recipients that failed without a report because their sender did not ask for one (`NOTIFY`), by position.
    pub unwanted: Vec<usize>,
    /// Of how many recipients that have the message the sender is told so.
    pub relayed: usize,
}

/// What was decided about the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was to be reported.
    Nothing,
    /// It is told, of so many recipients.
    Reported(usize),
    /// DNS did not answer; it is decided at that moment or when the message is next tried.
    Waiting(Timestamp),
    /// It may not be told. The message is parked, or goes on for the recipients that are still pending.
    Parked(Why),
}

impl Settled {
    /// Nothing changes.
    pub(super) fn unchanged(id: MessageId, state: &MessageState) -> Self {
        let change = Change { id, then: Then::Keep(state.clone()), reports: Vec::new() };
        Self { change, outcome: Outcome::Nothing, unwanted: Vec::new(), relayed: 0 }
    }
}

/// Decides what becomes of a message whose deliveries are entered in `state` already, and whose failures are
/// `case.incidents` and those that `state` remembers as unreported. To be called after every try; it is total.
///
/// All failures that may be reported go into one report, stored in the same step as the state that says so. A message
/// is done when every recipient is delivered, reported, or not to be reported by its sender's wish. One that may not be
/// reported is parked when no recipient is pending any more. Deliveries that the sender asked to be told of, by a server
/// that tells nobody, are reported under the same rule, and forgotten where they may not be.
pub fn settle(case: &Case<'_>, state: &MessageState) -> Step {
    let mut next = state.clone();
    let mut unwanted = Vec::new();
    let mut incidents = remembered(state);
    for incident in case.incidents {
        match enter(case.envelope, &mut next, incident, case.now) {
            Some(Wish::ToBeTold) => incidents.push(incident.clone()),
            Some(Wish::NotToBeTold) => unwanted.push(incident.recipient),
            None => {}
        }
    }
    let relayed = relayed(state);
    let told = Told { outcome: Outcome::Nothing, reports: Vec::new(), unwanted, relayed: 0 };
    if incidents.is_empty() && relayed.is_empty() {
        return finish(case, next, told);
    }
    let since = next.unreported().chain(next.relayed()).map(|(_, since)| since).min().unwrap_or(case.now);
    let evidence = case.evidence.with_recorded(&state.observed);
    match decide(case.policy, case.envelope, evidence, case.now.since(since)) {
        Decision::AskSpf => Step::NeedsSpf,
        Decision::Report => {
            confirm(&mut next);
            tell(case, next, &incidents, &relayed, told)
        }
        Decision::Wait => finish(case, next, Told { outcome: Outcome::Waiting(case.now + ASK_AGAIN), ..told }),
        Decision::Park(why) => {
            // What was delivered is done; nobody hears of it.
            confirm(&mut next);
            let outcome = if incidents.is_empty() { Outcome::Nothing } else { Outcome::Parked(why) };
            finish(case, next, Told { outcome, ..told })
        }
    }
}

/// What was decided on the sender.
struct Told {
    outcome: Outcome,
    reports: Vec<NewReport>,
    unwanted: Vec<usize>,
    relayed: usize,
}

/// Its sender is told: of what failed in one report, of what was delivered in another.
fn tell(
    case: &Case<'_>,
    mut state: MessageState,
    incidents: &[Incident],
    relayed: &[Incident],
    mut told: Told,
) -> Step {
    if let Some(report) = report(case, relayed, Occasion::Relayed) {
        told.relayed = relayed.len();
        told.reports.push(report);
    }
    if incidents.is_empty() {
        return finish(case, state, told);
    }
    match report(case, incidents, Occasion::Failure) {
        Some(report) => {
            for incident in incidents {
                if let Some(entry) = state.recipients.get_mut(incident.recipient) {
                    entry.outcome = RecipientOutcome::Failed;
                }
            }
            told.reports.push(report);
            told.outcome = Outcome::Reported(incidents.len());
        }
        None => told.outcome = Outcome::Parked(Why::NoDomain),
    }
    finish(case, state, told)
}

/// Nothing more is to be said of what was delivered.
fn confirm(state: &mut MessageState) {
    for recipient in &mut state.recipients {
        if matches!(recipient.outcome, RecipientOutcome::Relayed { .. }) {
            recipient.outcome = RecipientOutcome::Delivered;
        }
    }
}

/// Enters failures in a state as such whose sender is not told yet: what can be recorded before SPF has been asked.
/// [`settle`] goes on from there, also after a restart.
#[must_use]
pub fn remember(envelope: &Envelope, state: &MessageState, incidents: &[Incident], now: Timestamp) -> MessageState {
    let mut next = state.clone();
    for incident in incidents {
        enter(envelope, &mut next, incident, now);
    }
    next
}

/// Whether a sender wants to be told of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    ToBeTold,
    NotToBeTold,
}

/// Enters one failure. None where the recipient has an outcome already, or is none of the message's.
fn enter(envelope: &Envelope, state: &mut MessageState, incident: &Incident, now: Timestamp) -> Option<Wish> {
    let recipient = envelope.recipients.get(incident.recipient)?;
    let entry = state.recipients.get_mut(incident.recipient)?;
    if entry.outcome != RecipientOutcome::Pending {
        return None;
    }
    if let Some(reply) = incident.cause.reply() {
        entry.answered(reply, incident.speaker);
    }
    if dsn::wants(recipient, Occasion::Failure) {
        entry.outcome = RecipientOutcome::Unreported { since: now };
        Some(Wish::ToBeTold)
    } else {
        entry.outcome = RecipientOutcome::Failed;
        Some(Wish::NotToBeTold)
    }
}

/// Decides whether the sender is told that the mail is late: the warning was due at `due`, and delivery is given up at
/// `retry_until`. Where it may not be told, or does not want to be, the state says that it was decided. With
/// [`Outcome::Waiting`] nothing has changed: there is nothing to commit, and it is asked again at that moment.
pub fn warn(case: &Case<'_>, state: &MessageState, due: Timestamp, retry_until: Timestamp) -> Step {
    let occasion = Occasion::Delay { retry_until };
    let incidents: Vec<Incident> = state
        .pending()
        .filter(|position| case.envelope.recipients.get(*position).is_some_and(|r| dsn::wants(r, occasion)))
        .map(|recipient| Incident::of(state, recipient, Cause::Delayed))
        .collect();
    let keep = |warned, outcome, report: Option<NewReport>| {
        let then = Then::Keep(MessageState { warned, ..state.clone() });
        let reports = report.into_iter().map(stored).collect();
        Step::Settled(Settled {
            change: Change { id: case.id, then, reports },
            outcome,
            unwanted: Vec::new(),
            relayed: 0,
        })
    };
    if state.warned || incidents.is_empty() {
        return keep(true, Outcome::Nothing, None);
    }
    let evidence = case.evidence.with_recorded(&state.observed);
    match decide(case.policy, case.envelope, evidence, case.now.since(due)) {
        Decision::AskSpf => Step::NeedsSpf,
        Decision::Report => match report(case, &incidents, occasion) {
            Some(report) => keep(true, Outcome::Reported(incidents.len()), Some(report)),
            None => keep(true, Outcome::Nothing, None),
        },
        Decision::Wait => keep(false, Outcome::Waiting(case.now + ASK_AGAIN), None),
        // Not `Parked`: the message itself goes on.
        Decision::Park(_) => keep(true, Outcome::Nothing, None),
    }
}

/// The failures that the state remembers.
fn remembered(state: &MessageState) -> Vec<Incident> {
    state.unreported().map(|(recipient, _)| Incident::of(state, recipient, Cause::failed)).collect()
}

/// The deliveries that the state remembers as still to be told.
fn relayed(state: &MessageState) -> Vec<Incident> {
    state
        .relayed()
        .map(|(recipient, since)| Incident {
            last_attempt: Some(since),
            ..Incident::of(state, recipient, Cause::Relayed)
        })
        .collect()
}

fn report(case: &Case<'_>, incidents: &[Incident], occasion: Occasion) -> Option<NewReport> {
    dsn::compose(&ReportRequest {
        hostname: case.hostname,
        parent: case.id,
        tenant: case.tenant,
        envelope: case.envelope,
        content: case.content,
        incidents,
        occasion,
        now: case.now,
        token: case.token,
    })
}

fn stored(report: NewReport) -> NewMessage {
    NewMessage { envelope: report.envelope, body: Body::Memory(Bytes::from(report.content)), passage: None }
}

/// Puts the step together: done where nothing is pending and nothing left to tell, else kept in the standing that fits.
fn finish(case: &Case<'_>, mut state: MessageState, told: Told) -> Step {
    let Told { outcome, reports, unwanted, relayed } = told;
    let is_pending = state.pending().next().is_some();
    let then = match (is_pending, state.is_untold()) {
        (false, false) => Then::Done,
        (true, _) => Then::Keep(state),
        (false, true) => {
            (state.standing, state.due) = match outcome {
                Outcome::Waiting(until) => (Standing::Queued, Some(until)),
                Outcome::Parked(_) | Outcome::Nothing | Outcome::Reported(_) => (Standing::Parked, None),
            };
            Then::Keep(state)
        }
    };
    let reports = reports.into_iter().map(stored).collect();
    Step::Settled(Settled { change: Change { id: case.id, then, reports }, outcome, unwanted, relayed })
}
