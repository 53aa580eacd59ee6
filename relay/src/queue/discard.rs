//! A person's word on all mail of a domain that is not taken any more: it goes, and nobody is told.
//!
//! What is for that domain goes, whatever it waits for. What is for another domain too stays for that one, and a report to a
//! sender that was written already goes out: it is mail for the sender's domain.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backupmx_relay_config::{AcceptMode, DomainName, status::Discarded};
use tokio::task::JoinSet;
use tracing::{error, warn};

use super::Context;
use crate::{
    engine::EngineError,
    message::{Envelope, MessageState, Origin, RecipientOutcome},
    spool::{Change, Claim, ReadError, Spool, StoreError, Then},
};

/// Messages that are discarded by one commit.
const PAGE: usize = 500;
/// How long one request goes on; whoever asked asks again.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What becomes of reports of ours to senders in the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reports {
    /// The domain is a tenant's: they are mail for it like any other.
    Discarded,
    /// It is no tenant's: a sender is owed them.
    Kept,
}

/// Discards what is held for a domain. What is being delivered just then is left.
pub(super) async fn discard(context: &Arc<Context>, domain: &DomainName) -> Result<Discarded, EngineError> {
    let begun = Instant::now();
    let (mut discarded, mut after) = (0, None);
    // Each time: the domain may be taken again.
    let mut reports = reports_of(context, domain)?;
    while begun.elapsed() < AT_ONCE {
        let page = context.spool.list(Some(domain), after, PAGE);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let claims = page.iter().filter_map(|summary| context.spool.claim_one(summary.id)).collect();
        discarded += discard_all(context, domain, claims, reports).await?;
        reports = reports_of(context, domain)?;
    }
    let lane = context.spool.lane(domain);
    let left = match reports {
        Reports::Discarded => lane.messages,
        Reports::Kept => lane.messages - lane.reports,
    };
    if discarded > 0 {
        warn!(domain = %domain, messages = discarded, left, "what was held for a domain was discarded, as a person said");
    }
    Ok(Discarded { discarded, left })
}

/// What becomes of reports.
///
/// # Errors
/// Mail for the domain is taken.
fn reports_of(context: &Context, domain: &DomainName) -> Result<Reports, EngineError> {
    let active = context.config.load();
    match active.directory.tenant(&active.config, domain).map(|tenant| tenant.accept) {
        Some(AcceptMode::Active) => Err(EngineError::Refused(format!(
            "mail for {domain} is taken; all that is held for a domain is discarded only where its tenant says `accept: \
             Defer`, or where it is no tenant's any more; single messages can be discarded by their ids"
        ))),
        Some(AcceptMode::Defer) => Ok(Reports::Discarded),
        None => Ok(Reports::Kept),
    }
}

/// What is to be done about one message.
struct Step {
    claim: Claim,
    envelope: Envelope,
    then: Then,
}

async fn discard_all(
    context: &Arc<Context>,
    domain: &DomainName,
    claims: Vec<Claim>,
    reports: Reports,
) -> Result<u64, EngineError> {
    let (spool, of) = (Arc::clone(&context.spool), domain.clone());
    let steps = tokio::task::spawn_blocking(move || {
        claims.into_iter().filter_map(|claim| step(&spool, &of, claim, reports)).collect::<Vec<Step>>()
    });
    let steps = steps.await.map_err(|problem| EngineError::Spool(problem.to_string()))?;
    // All at once: one commit takes them together.
    let mut recording: JoinSet<Result<bool, StoreError>> =
        steps.into_iter().map(|step| record(Arc::clone(context), domain.clone(), step)).collect();
    let mut discarded = 0;
    while let Some(recorded) = recording.join_next().await {
        let recorded = recorded.map_err(|problem| EngineError::Spool(problem.to_string()))?;
        discarded += u64::from(recorded.map_err(|problem| EngineError::Spool(problem.to_string()))?);
    }
    Ok(discarded)
}

fn step(spool: &Spool, domain: &DomainName, claim: Claim, reports: Reports) -> Option<Step> {
    match spool.peek(claim.id()) {
        Ok((envelope, _)) if reports == Reports::Kept && matches!(envelope.origin, Origin::Report { .. }) => None,
        Ok((envelope, state)) => {
            let then = without(&envelope, state, domain);
            Some(Step { claim, envelope, then })
        }
        // Gone, or set aside just now.
        Err(ReadError::Unknown(_) | ReadError::Damaged { .. }) => None,
        Err(problem @ ReadError::Unreadable { .. }) => {
            error!(id = %claim.id(), "a held message can't be discarded yet: {problem}");
            None
        }
    }
}

/// Whether it was there to be discarded.
async fn record(context: Arc<Context>, domain: DomainName, step: Step) -> Result<bool, StoreError> {
    let Step { claim, envelope, then } = step;
    let id = claim.id();
    let goes = matches!(then, Then::Done);
    match context.spool.commit(Change { id, then, reports: Vec::new() }).await {
        Ok(_) => {}
        Err(StoreError::Unknown(_)) => return Ok(false),
        Err(problem) => return Err(problem),
    }
    if goes {
        context.metrics.removed.with_label_values(&["discarded"]).inc();
    }
    warn!(id = %id, domain = %domain, from = envelope.sender.as_str(), "discarded by a person, with all that is for its domain");
    drop(claim);
    Ok(true)
}

/// What is left of a message without its recipients in a domain. Pure.
fn without(envelope: &Envelope, mut state: MessageState, domain: &DomainName) -> Then {
    for (recipient, known) in state.recipients.iter_mut().zip(&envelope.recipients) {
        if known.path.domain() != domain {
            continue;
        }
        recipient.outcome = match recipient.outcome {
            RecipientOutcome::Pending | RecipientOutcome::Unreported { .. } | RecipientOutcome::Failed => {
                RecipientOutcome::Failed
            }
            RecipientOutcome::Delivered | RecipientOutcome::Relayed { .. } => RecipientOutcome::Delivered,
        };
    }
    if state.pending().next().is_none() && !state.is_untold() { Then::Done } else { Then::Keep(state) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    fn envelope(recipients: &[&str]) -> Envelope {
        let path = |address: &&str| {
            let domain = address.split_once('@').map(|(_, domain)| domain);
            json!({"path": {"text": address, "domain": domain}, "notify": null, "orcpt": null})
        };
        serde_json::from_value(json!({
            "arrived": Timestamp::from_millis(1),
            "origin": {"Client": {"address": "192.0.2.7", "helo": "client.example", "esmtp": true, "tls": null}},
            "sender": {"text": "ann@sender.example", "domain": "sender.example"},
            "body": "SevenBit",
            "smtputf8": false,
            "ret": null,
            "envid": null,
            "recipients": recipients.iter().map(path).collect::<Vec<_>>(),
            "size": 42,
        }))
        .unwrap()
    }

    /// The outcomes that are left, where anything is.
    fn left(recipients: &[(&str, RecipientOutcome)]) -> Option<Vec<RecipientOutcome>> {
        let mut state = MessageState::new(recipients.len());
        for (recipient, (_, outcome)) in state.recipients.iter_mut().zip(recipients) {
            recipient.outcome = *outcome;
        }
        let addresses: Vec<&str> = recipients.iter().map(|(address, _)| *address).collect();
        match without(&envelope(&addresses), state, &"gone.example".parse().unwrap()) {
            Then::Done => None,
            Then::Keep(state) => Some(state.recipients.iter().map(|recipient| recipient.outcome).collect()),
        }
    }

    #[test]
    fn what_is_for_the_domain_goes_whatever_it_waits_for() {
        use RecipientOutcome::{Delivered, Failed, Pending, Relayed, Unreported};
        let since = Timestamp::from_millis(1);
        for outcome in [Pending, Unreported { since }, Relayed { since }, Delivered, Failed] {
            assert_eq!(left(&[("a@gone.example", outcome), ("b@gone.example", Pending)]), None, "{outcome:?}");
        }
    }

    #[test]
    fn what_is_for_another_domain_too_stays_for_that() {
        use RecipientOutcome::{Delivered, Failed, Pending, Relayed, Unreported};
        let since = Timestamp::from_millis(1);
        for other in [Pending, Unreported { since }, Relayed { since }] {
            let left = left(&[("a@gone.example", Pending), ("b@stays.example", other), ("c@stays.example", Delivered)]);
            assert_eq!(left, Some(vec![Failed, other, Delivered]));
        }
        assert_eq!(left(&[("a@gone.example", Pending), ("c@stays.example", Delivered)]), None);
    }
}
