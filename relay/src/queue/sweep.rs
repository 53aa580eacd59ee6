//! Looks through a tenant's lanes for mail whose time has come: to expire, to be warned of, to be let go.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use backupmx_relay_config::{DomainName, HoldTimes, Tenant};
use tracing::{error, info, warn};

use super::{Context, verdicts, worker::Tools};
use crate::{
    bounce::{Parked, RemovalCause, parked_to_remove},
    clock::Timestamp,
    dsn::{Cause, Incident},
    message::{Envelope, MessageId, Standing},
    schedule::{self, ClockTrust, ExpiryInput, Handover},
    spool::{Change, Spool, Summary, Then},
};

/// Messages looked at in one go.
const PAGE: usize = 500;
/// Messages that may expire in one sweep; the next one goes on.
const AT_ONCE: usize = 1000;

/// Warnings that wait for DNS, at most; beyond it senders are not warned, and hear when the hold time ends.
const UNDECIDED: usize = 10_000;
/// How long such a warning waits.
const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// Remembers which messages were looked at for a warning.
#[derive(Default)]
pub(super) struct Sweeper {
    warned_up_to: HashMap<DomainName, MessageId>,
    /// Those for which it could not be decided, and when they come up again.
    undecided: BTreeMap<MessageId, Timestamp>,
}

/// How often to sweep: often enough that nothing is late by more than a twentieth of its hold time.
pub(super) fn interval(hold: &HoldTimes) -> Duration {
    (hold.max_age.as_duration() / 20).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

impl Sweeper {
    /// One sweep over all lanes of a tenant.
    pub(super) async fn sweep(
        &mut self,
        tools: &Tools,
        tenant: &Tenant,
        input: &ExpiryInput,
        withheld_may_expire: bool,
    ) {
        self.warn_again(tools, input.now);
        for lane in &tenant.domains {
            let held = tools.context.spool.lane(lane);
            if held.messages == 0 {
                self.warned_up_to.remove(lane);
                continue;
            }
            let over = |summary: &Summary| is_over(summary, &tenant.hold, input, withheld_may_expire);
            expire(tools, &tenant.domains, lane, &tenant.hold, input.now, over).await;
            if tenant.hold.warn_sender_after.is_some() {
                self.warn(tools, lane, &tenant.hold, input);
            }
        }
    }

    /// Whether the sender of a message is warned could not be decided yet.
    pub(super) fn undecided(&mut self, id: MessageId, now: Timestamp) {
        if self.undecided.len() < UNDECIDED {
            self.undecided.insert(id, now + ASK_AGAIN);
        }
    }

    /// Takes up the warnings whose wait is over.
    fn warn_again(&mut self, tools: &Tools, now: Timestamp) {
        let due: Vec<MessageId> =
            self.undecided.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).take(PAGE).collect();
        for id in due {
            self.undecided.remove(&id);
            if let Some(claim) = tools.context.spool.claim_one(id) {
                verdicts::warn_sender(tools, claim);
            }
        }
    }

    fn warn(&mut self, tools: &Tools, lane: &DomainName, hold: &HoldTimes, input: &ExpiryInput) {
        let Some(after) = hold.warn_sender_after else { return };
        let before = earlier(input.now, after.as_duration());
        let mut from = self.warned_up_to.get(lane).copied();
        for summary in tools.context.spool.aged(lane, before, from, PAGE) {
            let Some(at) = schedule::warn_at(summary.arrived, hold) else { break };
            let mut input = *input;
            input.evidence.attempt = (summary.attempts > 0).then_some(input.now);
            let waits = matches!(summary.standing, Standing::Queued | Standing::Withheld);
            if summary.busy || (waits && !schedule::warn_due(at, &input)) {
                // It, and all that came later, is looked at again.
                break;
            }
            if waits {
                let Some(claim) = tools.context.spool.claim_one(summary.id) else { break };
                verdicts::warn_sender(tools, claim);
            }
            from = Some(summary.id);
        }
        if let Some(from) = from {
            self.warned_up_to.insert(lane.clone(), from);
        }
    }
}

fn earlier(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

/// What the end of its hold time means for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// It is given up.
    GiveUp,
    /// One last try: what was refused once, or went in a circle, may be taken now.
    TryOnce,
    /// Nothing yet, or nothing here.
    Not,
}

fn is_over(summary: &Summary, hold: &HoldTimes, input: &ExpiryInput, withheld_may_expire: bool) -> Over {
    let deadline = schedule::deadline(summary.arrived, hold);
    let counts = input.now >= deadline && input.clock == ClockTrust::Believed;
    match summary.standing {
        Standing::Queued if schedule::may_expire(deadline, input) => Over::GiveUp,
        Standing::Withheld if counts && withheld_may_expire => Over::GiveUp,
        Standing::Rejected | Standing::Looping if counts && input.handover == Handover::Running => Over::TryOnce,
        Standing::Queued | Standing::Looping | Standing::Rejected | Standing::Withheld | Standing::Parked => Over::Not,
    }
}

async fn expire(
    tools: &Tools,
    lanes: &[DomainName],
    lane: &DomainName,
    hold: &HoldTimes,
    now: Timestamp,
    over: impl Fn(&Summary) -> Over,
) {
    let before = earlier(now, hold.max_age.as_duration());
    let mut ended = 0;
    let mut after = None;
    while ended < AT_ONCE {
        let page = tools.context.spool.aged(lane, before, after, PAGE);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for summary in page.iter().filter(|summary| !summary.busy) {
            match over(summary) {
                Over::GiveUp => ended += usize::from(give_up(tools, lanes, summary.id).await),
                Over::TryOnce => {
                    ended += 1;
                    requeue(tools, summary.id).await;
                }
                Over::Not => {}
            }
        }
    }
}

/// Removes parked mail that is over its time or its share of the volume, over all lanes. Lanes that no tenant has
/// count too.
pub(super) async fn remove_parked(context: &Context, now: Timestamp) {
    let spool = &context.spool;
    let active = context.config.load_full();
    let mut parked = Vec::new();
    for (lane, _) in spool.lanes().into_iter().filter(|(_, held)| held.parked > 0) {
        let hold = active.directory.tenant(&active.config, &lane).map(|tenant| tenant.hold).unwrap_or_default();
        let mut after = None;
        loop {
            let page = spool.list(Some(&lane), after, PAGE);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let idle = page.iter().filter(|summary| summary.standing == Standing::Parked && !summary.busy);
            parked.extend(idle.map(|summary| as_parked(summary, schedule::deadline(summary.arrived, &hold))));
        }
    }
    // What is parked for several domains is in the lane of each.
    parked.sort_by_key(|message| message.id);
    parked.dedup_by_key(|message| message.id);
    for removal in parked_to_remove(&parked, spool.usage().size, now) {
        let Some(claim) = spool.claim_one(removal.id) else { continue };
        let reason = match removal.cause {
            RemovalCause::Expired => "parked_expired",
            RemovalCause::Crowded => "parked_crowded",
        };
        let about = spool.peek(removal.id).ok();
        match spool.commit(Change { id: removal.id, then: Then::Done, reports: Vec::new() }).await {
            Ok(_) => {
                context.metrics.removed.with_label_values(&[reason]).inc();
                let (from, to) = about.as_ref().map_or_else(Default::default, |(envelope, _)| parties(envelope));
                warn!(id = %removal.id, reason, from, to, "a parked message is let go");
            }
            Err(problem) => error!(id = %removal.id, "parked mail can't be removed: {problem}"),
        }
        drop(claim);
    }
}

/// Sender and recipients, for the log.
fn parties(envelope: &Envelope) -> (&str, String) {
    let to: Vec<&str> = envelope.recipients.iter().map(|recipient| recipient.path.as_str()).collect();
    (envelope.sender.as_str(), to.join(" "))
}

fn as_parked(summary: &Summary, deadline: Timestamp) -> Parked {
    Parked { id: summary.id, size: summary.size, kept_until: summary.due.unwrap_or(deadline) }
}

/// Gives a message up whose time is over. Whether it was there to be given up.
async fn give_up(tools: &Tools, lanes: &[DomainName], id: MessageId) -> bool {
    if tools.shared.concluding.available_permits() == 0 {
        return false;
    }
    let Some(claim) = tools.context.spool.claim_one(id) else { return false };
    let Ok((envelope, state)) = tools.context.spool.peek(id) else { return false };
    // Recipients in domains of another tenant are that one's: its primary may take them yet.
    let ours = |position: &usize| envelope.recipients.get(*position).is_some_and(|r| lanes.contains(r.path.domain()));
    let incidents: Vec<Incident> =
        state.pending().filter(ours).map(|recipient| Incident::of(&state, recipient, Cause::Expired)).collect();
    if incidents.is_empty() && state.pending().next().is_some() {
        return false;
    }
    if !incidents.is_empty() {
        tools.context.metrics.expired.with_label_values(&[&tools.lot.tenant]).inc();
        info!(id = %id, tenant = %tools.lot.tenant, arrived = %envelope.arrived, "its hold time is over");
    }
    verdicts::conclude(tools, claim, envelope, state, incidents).await;
    true
}

async fn requeue(tools: &Tools, id: MessageId) {
    let spool = &tools.context.spool;
    let Some(claim) = spool.claim_one(id) else { return };
    let Ok((_, mut state)) = spool.peek(id) else { return };
    state.standing = Standing::Queued;
    state.due = None;
    if let Err(problem) = spool.commit(Change { id, then: Then::Keep(state), reports: Vec::new() }).await {
        error!(id = %id, "a held message can't be queued again: {problem}");
    }
    drop(claim);
}

/// Queues every withheld message of a tenant again, oldest first. Where the primary's trial is over too: it is asked once
/// more, and what a primary says that is fully back is final.
pub(super) async fn requeue_withheld(tools: Tools, lanes: Vec<DomainName>) {
    for lane in &lanes {
        for id in withheld(&tools.context.spool, lane) {
            requeue(&tools, id).await;
        }
    }
}

/// Every withheld message of a lane, oldest first.
pub(super) fn withheld(spool: &Spool, lane: &DomainName) -> Vec<MessageId> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = spool.list(Some(lane), after, PAGE);
        let Some(last) = page.last() else { return found };
        after = Some(last.id);
        found.extend(page.iter().filter(|summary| summary.standing == Standing::Withheld).map(|summary| summary.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_never_late_by_more_than_a_twentieth() {
        let hold =
            |seconds| HoldTimes { max_age: backupmx_relay_config::Span::seconds(seconds), ..HoldTimes::default() };
        for (seconds, every) in [(1, 1), (100, 5), (604_800, 30)] {
            assert_eq!(interval(&hold(seconds)), Duration::from_secs(every));
        }
    }
}
