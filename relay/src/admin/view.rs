//! A held message as the API shows it. Pure. The command line reads the same types, and scripts rely on the names.

use std::{net::IpAddr, time::Duration};

use backupmx_relay_config::{RelayConfig, Tenant};
use serde::{Deserialize, Serialize};

use crate::{
    active::Active,
    bounce::{self, Decision, Evidence},
    clock::Timestamp,
    message::{Envelope, MessageId, MessageState, Observed, Origin, RecipientOutcome, SpfVerdict, Standing},
    spool::Summary,
};

/// A held message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// When it arrived, RFC 3339.
    pub arrived: String,
    /// Octets of content.
    pub size: u64,
    /// The domain that was asked for; where none was, that of its first recipient without an outcome.
    pub domain: String,
    /// The tenant whose domain that is; none where it is nobody's any more, and for reports to strangers.
    pub tenant: Option<String>,
    /// What it waits for.
    pub state: Standing,
    /// It is being delivered right now.
    pub busy: bool,
    /// Its primary turned out to be this relay itself: it waits until that is put right.
    #[serde(default)]
    pub looping_primary: bool,
    /// Tries that ended in a 4xx.
    pub attempts: u32,
    /// Its own due time, RFC 3339; none: as soon as its destination takes mail.
    pub due: Option<String>,
    /// When its hold time ends, RFC 3339; of a parked message, until when it is kept. None where no tenant says so.
    pub expires: Option<String>,
    /// Of a parked message: why its sender is not told.
    #[serde(default)]
    pub untold: Option<String>,
    /// The sender's address; empty is the null sender.
    pub sender: String,
    /// The recipients.
    pub recipients: Vec<RecipientView>,
    /// Who handed it in; none for our own reports.
    pub client: Option<ClientView>,
    /// The message that this one reports on.
    pub report_on: Option<MessageId>,
    /// Why its envelope cannot be read; the fields from the envelope are empty then.
    pub damage: Option<String>,
}

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecipientView {
    /// Its address.
    pub address: String,
    /// How far delivery to it has come.
    pub outcome: OutcomeView,
    /// The last answer for it.
    pub answer: Option<String>,
}

/// How far delivery to a recipient has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeView {
    /// It waits.
    Pending,
    /// The destination took the message.
    Delivered,
    /// It failed for good; the sender has been told, or did not want to be.
    Failed,
    /// It failed for good; the sender has not been told, and may not be.
    Unreported,
}

impl From<RecipientOutcome> for OutcomeView {
    fn from(outcome: RecipientOutcome) -> Self {
        match outcome {
            RecipientOutcome::Pending => Self::Pending,
            RecipientOutcome::Delivered | RecipientOutcome::Relayed { .. } => Self::Delivered,
            RecipientOutcome::Failed => Self::Failed,
            RecipientOutcome::Unreported { .. } => Self::Unreported,
        }
    }
}

/// The client as it was when it handed the message in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientView {
    /// Its address.
    pub address: IpAddr,
    /// Its confirmed name in reverse DNS, where it is known.
    pub name: Option<String>,
    /// What it called itself.
    pub helo: String,
    /// The session's encryption, such as `TLSv1.3`.
    pub tls: Option<String>,
    /// Its SPF result, where one is known.
    pub spf: Option<SpfVerdict>,
}

/// Which config is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionView {
    /// Its revision.
    pub revision: u64,
}

impl MessageView {
    /// A message whose envelope was read.
    #[must_use]
    pub fn new(summary: &Summary, envelope: &Envelope, state: &MessageState, active: &Active) -> Self {
        let tenant = active.directory.tenant(&active.config, &summary.domain);
        let answers = state.recipients.iter().map(Some).chain(std::iter::repeat(None));
        Self {
            due: state.due.map(Timestamp::rfc3339),
            expires: match (state.standing, state.due) {
                (Standing::Parked, Some(until)) => Some(until),
                _ => expiry(envelope, tenant, &active.config),
            }
            .map(Timestamp::rfc3339),
            untold: (state.standing == Standing::Parked).then(|| untold(envelope, state, tenant)),
            sender: envelope.sender.as_str().to_owned(),
            recipients: envelope
                .recipients
                .iter()
                .zip(answers)
                .map(|(recipient, state)| RecipientView {
                    address: recipient.path.as_str().to_owned(),
                    outcome: state.map_or(OutcomeView::Pending, |state| state.outcome.into()),
                    answer: state.and_then(|state| state.last.as_ref()).map(ToString::to_string),
                })
                .collect(),
            client: client(&envelope.origin, &state.observed),
            report_on: match &envelope.origin {
                Origin::Client(_) => None,
                Origin::Report { parent, .. } => Some(*parent),
            },
            ..Self::bare(summary, tenant)
        }
    }

    /// A message whose envelope cannot be read.
    #[must_use]
    pub fn damaged(summary: &Summary, problem: String, active: &Active) -> Self {
        let tenant = active.directory.tenant(&active.config, &summary.domain);
        Self { damage: Some(problem), ..Self::bare(summary, tenant) }
    }

    fn bare(summary: &Summary, tenant: Option<&Tenant>) -> Self {
        Self {
            id: summary.id,
            arrived: summary.arrived.rfc3339(),
            size: summary.size,
            domain: summary.domain.to_string(),
            tenant: tenant.map(|tenant| tenant.name.clone()),
            state: summary.standing,
            busy: summary.busy,
            looping_primary: false,
            attempts: summary.attempts,
            due: summary.due.map(Timestamp::rfc3339),
            expires: None,
            untold: None,
            sender: String::new(),
            recipients: Vec::new(),
            client: None,
            report_on: None,
            damage: None,
        }
    }
}

/// Why the sender of a parked message is not told, as the config in force and what is recorded of the sender have it.
fn untold(envelope: &Envelope, state: &MessageState, tenant: Option<&Tenant>) -> String {
    let policy = tenant.map(|tenant| tenant.bounce.policy).unwrap_or_default();
    match bounce::decide(policy, envelope, Evidence::NotAsked.with_recorded(&state.observed), Duration::MAX) {
        Decision::Park(why) => why.to_string(),
        Decision::AskSpf | Decision::Wait => "its sender may be forged (SPF could not be asked)".to_owned(),
        Decision::Report => "when it was parked its sender could not be told".to_owned(),
    }
}

fn client(origin: &Origin, observed: &Observed) -> Option<ClientView> {
    match origin {
        Origin::Report { .. } => None,
        Origin::Client(client) => Some(ClientView {
            address: client.address,
            name: observed.name().map(ToString::to_string),
            helo: client.helo.clone(),
            tls: client.tls.as_ref().map(|tls| tls.version.clone()),
            spf: observed.spf,
        }),
    }
}

/// When a message's time is up, as the config in force has it.
fn expiry(envelope: &Envelope, tenant: Option<&Tenant>, config: &RelayConfig) -> Option<Timestamp> {
    match (&envelope.origin, tenant) {
        (Origin::Report { .. }, None) => Some(envelope.arrived + config.reports.give_up_after.as_duration()),
        (_, Some(tenant)) => {
            let end = envelope.arrived + tenant.hold.max_age.as_duration();
            Some(tenant.hold.extend_until.map_or(end, |until| end.max(until.into())))
        }
        (Origin::Client(_), None) => None,
    }
}

#[cfg(test)]
mod tests {
    use backupmx_relay_config::{examples, from_yaml};

    use super::*;
    use crate::admin::fake::envelope;

    #[test]
    fn the_config_in_force_says_when_time_is_up() {
        let config = from_yaml(examples::HOLD_7_DAYS).unwrap();
        let extended = |until: &str| {
            let text = examples::HOLD_7_DAYS.replace("maxAge: 7d", &format!("maxAge: 7d\n      extendUntil: {until}"));
            from_yaml(&text).unwrap()
        };
        let longer = extended("2026-02-01T00:00:00Z");
        let past = extended("2026-01-02T00:00:00Z");
        let client = envelope();
        let report = Envelope {
            origin: Origin::Report { parent: MessageId::from_u64(1), tenant: "example.org".to_owned() },
            ..envelope()
        };
        for (envelope, tenant, end) in [
            (&client, Some(&config.tenants[0]), Some("2026-01-08T00:00:00Z")),
            (&client, Some(&longer.tenants[0]), Some("2026-02-01T00:00:00Z")),
            (&client, Some(&past.tenants[0]), Some("2026-01-08T00:00:00Z")),
            (&client, None, None),
            (&report, None, Some("2026-01-03T00:00:00Z")),
        ] {
            let found = expiry(envelope, tenant, &config).map(Timestamp::rfc3339);
            assert_eq!(found.as_deref(), end);
        }
    }
}
