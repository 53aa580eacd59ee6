//! What the answers of a transaction mean: to the primary's state, to the message, and in the log.

use backupmx_relay_config::DomainName;
use tracing::{info, warn};

use super::{settle::Answer, worker::Tools};
use crate::{
    deliver::{self, Capabilities, Class, Outcome},
    dsn::{self, Occasion},
    health::{self, EndpointKey, Party, Purpose, Transient},
    message::{Envelope, MessageId},
    smtp::{EnhancedCode, Reply},
};

/// A transaction's answers as the state machine counts them.
pub(super) fn outcome(
    endpoint: &EndpointKey,
    purpose: Purpose,
    envelope: &Envelope,
    transaction: &deliver::Transaction,
) -> health::Outcome {
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    let mut refused_content = Vec::new();
    let mut transient = None;
    let mut said = None;
    for (position, outcome) in &transaction.outcomes {
        let Some(recipient) = envelope.recipients.get(*position) else { continue };
        let party = Party::of(recipient.path.as_str());
        if let Outcome::Permanent(reply, _) | Outcome::Transient(reply, _) = outcome {
            said.get_or_insert_with(|| reply.to_string());
        }
        match (outcome, outcome.class()) {
            (Outcome::Accepted(_), _) => accepted.push(party),
            (Outcome::Permanent(_, deliver::Stage::Mail | deliver::Stage::Recipient), _) => refused.push(party),
            (Outcome::Transient(..), Some(Class::SystemTransient)) => transient = Some(Transient::System),
            (Outcome::Transient(..) | Outcome::NeedsSmtpUtf8, _) => {
                transient = transient.or(Some(Transient::Message));
            }
            (Outcome::Permanent(..), _) => refused_content.push(party),
            (Outcome::Lost(_), _) => {}
        }
    }
    health::Outcome {
        endpoint: endpoint.clone(),
        purpose,
        sender: Party::of(envelope.sender.as_str()),
        accepted,
        refused,
        refused_content,
        transient,
        said,
    }
}

/// What an outcome means for the message. `ours` is our own name.
pub(super) fn answer(outcome: Outcome, ours: &DomainName) -> Answer {
    match outcome {
        Outcome::Accepted(reply) => Answer::Accepted(reply),
        // The server closed the session: that is no word on this message.
        Outcome::Transient(Reply { code: 421, .. }, _) => Answer::Silent,
        Outcome::Transient(reply, _) => Answer::Transient(reply),
        Outcome::Permanent(reply, _) => Answer::Permanent(reply),
        Outcome::Lost(_) => Answer::Silent,
        Outcome::NeedsSmtpUtf8 => Answer::Unfit(needs_smtputf8(ours)),
    }
}

/// Why a message waits that its server can't take, in the form of a reply (RFC 6531 4.2: X.6.7). It may offer it later.
fn needs_smtputf8(ours: &DomainName) -> Reply {
    let text = format!("{ours}: the message needs SMTPUTF8, which its server does not offer; nothing was sent to it");
    Reply::new(450, Some(EnhancedCode(4, 6, 7)), text)
}

/// Tells apart what the sender asked to be told of, and the server will not tell (RFC 3461 5.2.2). Nobody is to be told
/// of a report, and the null sender has no address.
pub(super) fn with_wishes(
    answers: Vec<(usize, Answer)>,
    envelope: &Envelope,
    offered: &Capabilities,
) -> Vec<(usize, Answer)> {
    let is_told = offered.dsn || envelope.sender.is_null();
    let wanted = |position: usize| {
        let recipient = envelope.recipients.get(position);
        recipient.is_some_and(|recipient| dsn::wants(recipient, Occasion::Relayed))
    };
    let answers = answers.into_iter().map(|(position, answer)| match answer {
        Answer::Accepted(reply) if !is_told && wanted(position) => (position, Answer::Relayed(reply)),
        answer => (position, answer),
    });
    answers.collect()
}

pub(super) fn log_answers(
    tools: &Tools,
    id: MessageId,
    envelope: &Envelope,
    endpoint: &EndpointKey,
    answers: &[(usize, Answer)],
) {
    let metrics = &tools.context.metrics;
    let tenant = tools.lot.tenant.as_str();
    let age = tools.context.clock.now().since(envelope.arrived).as_secs_f64();
    for (position, answer) in answers {
        let Some(recipient) = envelope.recipients.get(*position) else { continue };
        let to = recipient.path.as_str();
        match answer {
            Answer::Accepted(reply) | Answer::Relayed(reply) => {
                metrics.delivered.with_label_values(&[tenant]).inc();
                metrics.queue_seconds.with_label_values(&[tenant]).observe(age);
                info!(id = %id, tenant, to, at = %endpoint, age, reply = %reply, "delivered");
            }
            Answer::Transient(reply) => {
                metrics.deferred.with_label_values(&[tenant]).inc();
                info!(id = %id, tenant, to, at = %endpoint, reply = %reply, "deferred");
            }
            Answer::Permanent(reply) => {
                metrics.rejected.with_label_values(&[tenant]).inc();
                warn!(id = %id, tenant, to, at = %endpoint, reply = %reply, "rejected");
            }
            Answer::Circle(_) => {}
            Answer::Unfit(why) => {
                metrics.deferred.with_label_values(&[tenant]).inc();
                warn!(id = %id, tenant, to, at = %endpoint, why = %why, "not delivered, it is held");
            }
            Answer::Silent => info!(id = %id, tenant, to, at = %endpoint, "not delivered: the session was lost"),
        }
    }
}
