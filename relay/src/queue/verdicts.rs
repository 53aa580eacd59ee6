//! Makes what was decided on a message durable: the outcome of a try, the end of its time, a person's word.

use std::{sync::Arc, time::Duration};

use backupmx_relay_config::{BouncePolicy, Host};
use bytes::Bytes;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use super::{
    Context, Shared, Verdict,
    lot::{Lot, Note},
    settle::Settled,
    worker::Tools,
};
use crate::{
    bounce::{self, Case, Evidence, kept_until},
    dsn::{Cause, HEADER_LIMIT, Incident},
    engine::EngineError,
    message::{Envelope, MessageId, MessageState, Origin, RecipientOutcome, Standing},
    schedule,
    spool::{Change, Claim, Spool, StoreError, Then},
};

/// How often, and how long apart, a message is claimed for a person: for a second in all.
const CLAIM_TRIES: u32 = 20;
const CLAIM_PAUSE: Duration = Duration::from_millis(50);
/// How long a failed record waits before it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a message waits on disk where too many wait in memory for their end to be decided.
const CROWDED: Duration = Duration::from_secs(60);

/// Records what a transaction made of a message. Returns as soon as the record is on its way: the next message does not
/// wait for it, but at most [`super::lot::UNRECORDED`] records are on their way at once.
pub(super) async fn record(tools: &Tools, claim: Claim, envelope: Envelope, settled: Settled, remote: Option<Host>) {
    let (state, failed) = match settled {
        Settled::Done => return save(tools, claim, Kept::Nothing).await,
        Settled::Keep(state) if !state.is_untold() => {
            return save(tools, claim, Kept::State(state)).await;
        }
        Settled::Keep(state) => (state, Vec::new()),
        Settled::Failed { state, failed, expired } => {
            let failed = incidents(tools, &state, &failed, expired, remote.as_ref());
            (state, failed)
        }
    };
    conclude(tools, claim, envelope, state, failed).await;
}

/// What is kept of a message.
#[derive(Clone)]
enum Kept {
    Nothing,
    State(MessageState),
}

impl Kept {
    fn change(&self, id: MessageId) -> Change {
        let then = match self {
            Self::Nothing => Then::Done,
            Self::State(state) => Then::Keep(state.clone()),
        };
        Change { id, then, reports: Vec::new() }
    }

    /// Says that it is on disk.
    fn log(&self, id: MessageId) {
        match self {
            Self::Nothing => debug!(id = %id, "done: it is on disk that nothing of it is left to deliver"),
            Self::State(_) => {}
        }
    }
}

/// Saves a step in the background, once a permit says that not too many are on their way.
async fn save(tools: &Tools, claim: Claim, kept: Kept) {
    let Ok(permit) = Arc::clone(&tools.lot.unrecorded).acquire_owned().await else { return };
    let (spool, notes) = (Arc::clone(&tools.context.spool), tools.notes.clone());
    let lanes = tools.lot.route().plan.lanes.clone();
    tokio::spawn(async move {
        persist(&spool, claim.id(), &kept).await;
        let id = claim.id();
        drop((claim, permit));
        // The first that a primary puts off is the message's first try at all: the other primaries are not waited for with
        // it. Once, or two that put it off would have it from each other without a pause.
        if matches!(&kept, Kept::State(state) if state.attempts == 1 && state.due.is_some()) {
            spool.offer_elsewhere(id, &lanes);
        }
        if matches!(&kept, Kept::State(state) if state.standing == Standing::Withheld) {
            let _ = notes.send(Note::Withheld).await;
        }
    });
}

/// Saves a step, however long it takes. The caller keeps the claim until then: what was delivered is not delivered again
/// because a volume is slow or full.
async fn persist(spool: &Spool, id: MessageId, kept: &Kept) {
    loop {
        match spool.commit(kept.change(id)).await {
            Ok(_) => return kept.log(id),
            Err(StoreError::Closed | StoreError::Unknown(_)) => return,
            Err(problem) => {
                error!(id = %id, "the outcome of a delivery can't be recorded yet: {problem}");
                sleep(AGAIN).await;
            }
        }
    }
}

fn incidents(
    tools: &Tools,
    state: &MessageState,
    failed: &[usize],
    expired: bool,
    remote: Option<&Host>,
) -> Vec<Incident> {
    let now = tools.context.clock.now();
    if expired {
        tools.context.metrics.expired.with_label_values(&[&tools.lot.tenant]).inc();
    }
    failed
        .iter()
        .map(|position| Incident {
            remote: remote.cloned(),
            last_attempt: Some(now),
            ..Incident::of(state, *position, Cause::failed)
        })
        .collect()
}

/// Decides what the sender is told of recipients that failed, and records it with the report in one step. Goes on in
/// the background, as SPF may have to be asked. What was delivered to others is recorded before that, since it may take a
/// while; and where too many wait already, that is all for now: the message comes up again by its due time.
pub(super) async fn conclude(
    tools: &Tools,
    claim: Claim,
    envelope: Envelope,
    state: MessageState,
    incidents: Vec<Incident>,
) {
    let now = tools.context.clock.now();
    let mut known = bounce::remember(&envelope, &state, &incidents, now);
    let Ok(turn) = Arc::clone(&tools.shared.concluding).try_acquire_owned() else {
        known.standing = Standing::Queued;
        known.due = Some(now + CROWDED);
        return save(tools, claim, Kept::State(known)).await;
    };
    let delivered = |outcome| matches!(outcome, RecipientOutcome::Delivered | RecipientOutcome::Relayed { .. });
    let is_shared = state.recipients.iter().any(|recipient| delivered(recipient.outcome));
    let permit = match is_shared {
        true => Arc::clone(&tools.lot.unrecorded).acquire_owned().await.ok(),
        false => None,
    };
    let tools = tools.clone();
    tokio::spawn(async move {
        if permit.is_some() {
            persist(&tools.context.spool, claim.id(), &Kept::State(known)).await;
        }
        drop(permit);
        let Ok(_permit) = tools.shared.reporting.acquire().await else { return };
        let policy = tools.context.tenant(&tools.lot.tenant).map(|tenant| tenant.bounce.policy).unwrap_or_default();
        let case = Conclusion { tenant: &tools.lot.tenant, policy, envelope: &envelope, incidents: &incidents };
        loop {
            match case.commit(&tools.context, &tools.shared, claim.id(), &state).await {
                Ok(_) | Err(StoreError::Closed | StoreError::Unknown(_)) => break,
                Err(problem) => {
                    error!(id = %claim.id(), "the end of a message can't be recorded yet: {problem}");
                    sleep(AGAIN).await;
                }
            }
        }
        drop((claim, turn));
    });
}

/// Tells the sender that the mail is late, where it may be told, and records that this was decided.
pub(super) fn warn_sender(tools: &Tools, claim: Claim) {
    let tools = tools.clone();
    tokio::spawn(async move {
        let Ok(_permit) = tools.shared.reporting.acquire().await else { return };
        let context = &tools.context;
        let id = claim.id();
        let Some(tenant) = context.tenant(&tools.lot.tenant) else { return };
        let Ok((envelope, state)) = context.spool.peek(id) else { return };
        let Some(due) = schedule::warn_at(envelope.arrived, &tenant.hold).filter(|_| !state.warned) else { return };
        let active = context.config.load_full();
        let content = header(context, id);
        let case = Case {
            id,
            tenant: &tenant.name,
            hostname: &active.config.hostname,
            policy: tenant.bounce.policy,
            envelope: &envelope,
            content: &content,
            incidents: &[],
            evidence: Evidence::NotAsked,
            now: context.clock.now(),
            token: rand::random(),
        };
        let deadline = schedule::deadline(envelope.arrived, &tenant.hold);
        let settled = tools.shared.bouncer.load_full().warn(&case, &state, due, deadline).await;
        let (outcome, from) = (settled.outcome, envelope.sender.as_str());
        let recorded = context.spool.commit(settled.change).await;
        drop(claim);
        match (recorded, outcome) {
            (Ok(_), bounce::Outcome::Reported(recipients)) => {
                info!(id = %id, tenant = %tenant.name, from, recipients, "its sender is told of the delay");
            }
            (Ok(_), bounce::Outcome::Waiting(_)) => {
                info!(id = %id, tenant = %tenant.name, from, "DNS does not answer: a warning of the delay waits");
                let _ = tools.notes.send(Note::Undecided(id)).await;
            }
            (Ok(_), bounce::Outcome::Nothing | bounce::Outcome::Parked(_)) => {
                info!(id = %id, tenant = %tenant.name, from, "its sender is not told of the delay");
            }
            (Err(problem), _) => {
                error!(id = %id, "the warning of a delay can't be recorded: {problem}");
                let _ = tools.notes.send(Note::Undecided(id)).await;
            }
        }
    });
}

/// Claims a message for a person, who waits a moment for one that is just being written to; none where that takes longer,
/// or it is not held.
async fn claim(context: &Context, id: MessageId) -> Option<Claim> {
    for _ in 0..CLAIM_TRIES {
        if let Some(claim) = context.spool.claim_one(id) {
            return Some(claim);
        }
        if context.spool.peek(id).is_err() {
            return None;
        }
        sleep(CLAIM_PAUSE).await;
    }
    None
}

/// A person's word on one message.
pub(super) async fn judge(
    context: &Arc<Context>,
    shared: &Arc<Shared>,
    id: MessageId,
    verdict: Verdict,
) -> Result<(), EngineError> {
    let Some(claim) = claim(context, id).await else {
        let held = context.spool.peek(id).is_ok();
        return Err(if held { EngineError::Busy(id) } else { EngineError::NoMessage(id) });
    };
    let (envelope, mut state) = context.spool.peek(id).map_err(|problem| EngineError::Spool(problem.to_string()))?;
    let failed = |problem: StoreError| EngineError::Spool(problem.to_string());
    match verdict {
        Verdict::Release => {
            for recipient in &mut state.recipients {
                if matches!(recipient.outcome, RecipientOutcome::Unreported { .. }) {
                    recipient.outcome = RecipientOutcome::Pending;
                }
            }
            state.standing = Standing::Queued;
            state.due = None;
            let change = Change { id, then: Then::Keep(state), reports: Vec::new() };
            context.spool.commit(change).await.map_err(failed)?;
            info!(id = %id, "released by a person");
        }
        Verdict::Discard => {
            context.spool.commit(Change { id, then: Then::Done, reports: Vec::new() }).await.map_err(failed)?;
            context.metrics.removed.with_label_values(&["discarded"]).inc();
            warn!(id = %id, from = envelope.sender.as_str(), "discarded by a person");
        }
        Verdict::Bounce => {
            if matches!(envelope.origin, Origin::Report { .. }) {
                return Err(EngineError::Refused(format!("message {id} is a report of ours; it can be discarded")));
            }
            if envelope.sender.is_null() {
                return Err(EngineError::Refused(format!(
                    "message {id} has the null sender: there is nobody to tell; it can be released or discarded"
                )));
            }
            let tenant = tenant_name(context, &envelope);
            let incidents: Vec<Incident> =
                state.pending().map(|recipient| Incident::of(&state, recipient, Cause::GivenUp)).collect();
            let case = Conclusion {
                tenant: &tenant,
                policy: BouncePolicy::Always,
                envelope: &envelope,
                incidents: &incidents,
            };
            if let bounce::Outcome::Parked(why) = case.commit(context, shared, id, &state).await.map_err(failed)? {
                return Err(EngineError::Refused(format!(
                    "message {id} was parked, as nobody can be told: {why}; it can be released or discarded"
                )));
            }
            info!(id = %id, from = envelope.sender.as_str(), "given up by a person");
        }
    }
    drop(claim);
    Ok(())
}

fn tenant_name(context: &Context, envelope: &Envelope) -> String {
    let active = context.config.load();
    envelope
        .recipients
        .first()
        .and_then(|recipient| active.directory.tenant(&active.config, recipient.path.domain()))
        .map_or_else(|| "(none)".to_owned(), |tenant| tenant.name.clone())
}

/// What is to be decided on a message that failed.
struct Conclusion<'a> {
    tenant: &'a str,
    policy: BouncePolicy,
    envelope: &'a Envelope,
    incidents: &'a [Incident],
}

impl Conclusion<'_> {
    async fn commit(
        &self,
        context: &Context,
        shared: &Shared,
        id: MessageId,
        state: &MessageState,
    ) -> Result<bounce::Outcome, StoreError> {
        let active = context.config.load_full();
        let content = header(context, id);
        let now = context.clock.now();
        let case = Case {
            id,
            tenant: self.tenant,
            hostname: &active.config.hostname,
            policy: self.policy,
            envelope: self.envelope,
            content: &content,
            incidents: self.incidents,
            evidence: Evidence::NotAsked,
            now,
            token: rand::random(),
        };
        let mut settled = shared.bouncer.load_full().settle(&case, state).await;
        let mut parked = false;
        if let Then::Keep(kept) = &mut settled.change.then
            && kept.standing == Standing::Parked
        {
            parked = true;
            let hold = context.tenant(self.tenant).map(|tenant| tenant.hold).unwrap_or_default();
            kept.due = Some(kept_until(schedule::deadline(self.envelope.arrived, &hold), now));
        }
        context.spool.commit(settled.change).await?;
        if parked {
            context.metrics.parked.with_label_values(&[self.tenant]).inc();
        }
        self.tell(context, id, settled.outcome, &settled.unwanted);
        if settled.relayed > 0 {
            let (tenant, from) = (self.tenant, self.envelope.sender.as_str());
            info!(id = %id, tenant, from, recipients = settled.relayed, "its sender is told that it was delivered");
        }
        Ok(settled.outcome)
    }

    fn tell(&self, context: &Context, id: MessageId, outcome: bounce::Outcome, unwanted: &[usize]) {
        let from = self.envelope.sender.as_str();
        let tenant = self.tenant;
        match outcome {
            bounce::Outcome::Nothing => {}
            bounce::Outcome::Reported(recipients) => {
                context.metrics.bounced.with_label_values(&[tenant]).inc();
                warn!(id = %id, tenant, from, recipients, "bounced: its sender is told");
            }
            bounce::Outcome::Waiting(until) => {
                info!(id = %id, tenant, from, until = %until, "DNS does not answer: whether its sender is told is decided later");
            }
            bounce::Outcome::Parked(why) => {
                warn!(id = %id, tenant, from, why = %why, "it failed, and its sender may not be told: it is parked");
            }
        }
        if !unwanted.is_empty() {
            warn!(id = %id, tenant, from, recipients = unwanted.len(), "failed; its sender asked not to be told (NOTIFY)");
        }
    }
}

/// The beginning of a message's content, with its header. Empty where it can't be read: the report goes out without.
fn header(context: &Context, id: MessageId) -> Bytes {
    context.spool.head(id, HEADER_LIMIT).unwrap_or_else(|problem| {
        warn!(id = %id, "its header can't be read for the report: {problem}");
        Bytes::new()
    })
}

/// Waits until no delivery of a tenant is without its record.
pub(super) async fn all_recorded(lot: &Lot) {
    let _ = lot.unrecorded.acquire_many(super::lot::UNRECORDED).await;
}
