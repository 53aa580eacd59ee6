//! The decision on one recipient.

use backupmx_relay_config::{AcceptMode, RelayConfig, WhenPrimaryUp, status::PrimaryState};

use super::{Directory, TooFast};
use crate::smtp::{EnhancedCode, ForwardPath, Reply};

/// What a decision rests on.
#[derive(Debug)]
pub struct Question<'a> {
    /// The config in force.
    pub config: &'a RelayConfig,
    /// The directory derived from it.
    pub directory: &'a Directory,
    /// The recipient.
    pub recipient: &'a ForwardPath,
    /// The first recipient that the transaction has already.
    pub first: Option<&'a ForwardPath>,
    /// The size that the client has declared, in octets.
    pub declared: Option<u64>,
    /// Whether the message was announced with SMTPUTF8.
    pub smtputf8: bool,
    /// What is known of the primary of the recipient's tenant.
    pub primary: PrimaryFacts,
    /// What the tenant holds; looked at only where it has a quota.
    pub held: Held,
}

/// What is known of a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrimaryFacts {
    /// Its state.
    pub state: PrimaryState,
    /// The SIZE that it offered last, in octets; none where it offered none or without a limit.
    pub size: Option<u64>,
    /// Whether it offered SMTPUTF8; none before it was asked.
    pub smtputf8: Option<bool>,
}

impl Default for PrimaryFacts {
    fn default() -> Self {
        Self { state: PrimaryState::Unknown, size: None, smtputf8: None }
    }
}

/// What a tenant holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Messages.
    pub messages: u64,
    /// Octets of content.
    pub octets: u64,
}

/// A decision on one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Mail is taken for it, up to so many octets.
    Take {
        /// The tenant's limit on a message, or the primary's where that is less.
        size: u64,
    },
    /// It is not.
    Refuse(Refusal),
}

/// Why a recipient is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There are no tenants: the config is yet to come.
    NoTenants,
    /// The domain is not ours.
    NotOurs,
    /// The domain is retiring, in conflict, or not yet published.
    Deferred,
    /// The local part names another host.
    Routed,
    /// The transaction has a recipient of another tenant: one transaction has one primary.
    OtherTenant,
    /// The primary is up and wants to see the client itself.
    PrimaryUp,
    /// The recipient is not on the tenant's list.
    Unlisted,
    /// The declared size is beyond the tenant's limit.
    TooLarge,
    /// The declared size is beyond the primary's.
    TooLargeForPrimary,
    /// The primary does not take SMTPUTF8.
    NoUtf8,
    /// The tenant holds as much as it may.
    Quota,
    /// Too many messages have come of late.
    TooFast(TooFast),
}

impl Refusal {
    /// The answer to the client.
    #[must_use]
    pub fn reply(self) -> Reply {
        let (code, enhanced, text) = match self {
            Self::NoTenants => (451, EnhancedCode(4, 3, 5), "No domains are served here yet"),
            Self::NotOurs => (550, EnhancedCode(5, 7, 1), "Relaying denied: not a domain of ours"),
            Self::Deferred => (451, EnhancedCode(4, 3, 2), "Mail for this domain is not taken here now"),
            Self::Routed => (550, EnhancedCode(5, 7, 1), "Relaying denied: the local part names another host"),
            Self::OtherTenant => (452, EnhancedCode(4, 5, 3), "Send to this domain in a transaction of its own"),
            Self::PrimaryUp => (451, EnhancedCode(4, 3, 2), "The primary mail server is up; send to it"),
            Self::Unlisted => (550, EnhancedCode(5, 1, 1), "No such user"),
            Self::TooLarge => (552, EnhancedCode(5, 3, 4), "The message is larger than this domain takes"),
            Self::TooLargeForPrimary => (552, EnhancedCode(5, 3, 4), "The message is larger than the primary takes"),
            Self::NoUtf8 => (550, EnhancedCode(5, 6, 7), "The primary does not take SMTPUTF8"),
            Self::Quota => (452, EnhancedCode(4, 2, 2), "This domain holds as much mail as it may"),
            Self::TooFast(TooFast::Address) => {
                (451, EnhancedCode(4, 7, 1), "Too many messages from your address; try again later")
            }
            Self::TooFast(TooFast::Network) => {
                (451, EnhancedCode(4, 7, 1), "Too many messages from your network; try again later")
            }
            Self::TooFast(TooFast::Tenant) => {
                (451, EnhancedCode(4, 7, 1), "Too many messages to this domain; try again later")
            }
        };
        Reply::new(code, Some(enhanced), text)
    }

    /// A word for logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoTenants => "no_tenants",
            Self::NotOurs => "relay_denied",
            Self::Deferred => "deferred_domain",
            Self::Routed => "routed_address",
            Self::OtherTenant => "other_tenant",
            Self::PrimaryUp => "primary_up",
            Self::Unlisted => "unknown_recipient",
            Self::TooLarge => "too_large",
            Self::TooLargeForPrimary => "too_large_for_primary",
            Self::NoUtf8 => "smtputf8",
            Self::Quota => "quota",
            Self::TooFast(TooFast::Address) => "rate_address",
            Self::TooFast(TooFast::Network) => "rate_network",
            Self::TooFast(TooFast::Tenant) => "rate_tenant",
        }
    }
}

/// Decides on one recipient. A refusal for good comes before one for now, except that a domain which is not served at
/// the moment is never refused for good: senders have our MX in their caches, and a 5xx bounces.
pub fn decide(question: &Question<'_>) -> Verdict {
    let Question { config, directory, recipient, .. } = *question;
    if config.tenants.is_empty() {
        return Verdict::Refuse(Refusal::NoTenants);
    }
    let Some((position, tenant)) = directory
        .tenant_of(recipient.domain())
        .and_then(|position| config.tenants.get(position).map(|tenant| (position, tenant)))
    else {
        return Verdict::Refuse(Refusal::NotOurs);
    };
    if tenant.accept == AcceptMode::Defer {
        return Verdict::Refuse(Refusal::Deferred);
    }
    if recipient.is_routed() {
        return Verdict::Refuse(Refusal::Routed);
    }
    if let Some(first) = question.first
        && directory.tenant_of(first.domain()) != Some(position)
    {
        return Verdict::Refuse(Refusal::OtherTenant);
    }
    if tenant.acceptance.when_primary_up == WhenPrimaryUp::Defer && question.primary.state == PrimaryState::Up {
        return Verdict::Refuse(Refusal::PrimaryUp);
    }
    if !directory.takes(position, recipient) {
        return Verdict::Refuse(Refusal::Unlisted);
    }
    let size = tenant.acceptance.max_message_size.unwrap_or(config.limits.message_size).as_u64();
    let declared = question.declared.unwrap_or(0);
    if declared > size {
        return Verdict::Refuse(Refusal::TooLarge);
    }
    if question.primary.size.is_some_and(|limit| limit > 0 && declared > limit) {
        return Verdict::Refuse(Refusal::TooLargeForPrimary);
    }
    if question.smtputf8 && question.primary.smtputf8 == Some(false) {
        return Verdict::Refuse(Refusal::NoUtf8);
    }
    let quota = tenant.quota;
    let full = quota.messages.is_some_and(|limit| question.held.messages >= limit)
        || quota.size.is_some_and(|limit| question.held.octets.saturating_add(declared) > limit.as_u64());
    if full {
        return Verdict::Refuse(Refusal::Quota);
    }
    let primary = question.primary.size.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
    Verdict::Take { size: size.min(primary) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A config with the tenants of a YAML flow sequence.
    pub(in crate::policy) fn config(tenants: &str) -> RelayConfig {
        backupmx_relay_config::from_yaml(&format!(
            "{{contractVersion: 1, hostname: mx1.example.net, listeners: [{{address: '127.0.0.1:25'}}],
              spool: {{path: /tmp/spool}}, tenants: [{tenants}]}}"
        ))
        .unwrap()
    }

    const TENANTS: &str = "
        {name: a, domains: [example.org], primary: {hosts: [{host: h.test}]},
         acceptance: {maxMessageSize: 64Ki, recipients: {mode: List, list: [info]}},
         quota: {messages: 10, size: 1Mi}},
        {name: b, domains: [example.net], primary: {hosts: [{host: h.test}]}, acceptance: {whenPrimaryUp: Defer}},
        {name: c, domains: [example.com], primary: {hosts: [{host: h.test}]}, accept: Defer}";

    /// One row of the table: what is unusual about a question, and what follows.
    type Row = (&'static str, fn(&mut Question<'_>), Verdict);

    #[test]
    fn every_refusal_and_their_order() {
        let config = config(TENANTS);
        let directory = Directory::new(&config);
        let other: ForwardPath = "x@example.net".parse().unwrap();
        let plain: fn(&mut Question<'_>) = |_| {};
        let up: fn(&mut Question<'_>) = |question| question.primary.state = PrimaryState::Up;
        let rows: &[Row] = &[
            ("info@example.org", plain, Verdict::Take { size: 64 << 10 }),
            ("INFO@EXAMPLE.ORG", up, Verdict::Take { size: 64 << 10 }),
            ("postmaster@example.org", plain, Verdict::Take { size: 64 << 10 }),
            ("x@example.test", plain, Verdict::Refuse(Refusal::NotOurs)),
            ("x%y@example.test", plain, Verdict::Refuse(Refusal::NotOurs)),
            ("info%y@example.org", plain, Verdict::Refuse(Refusal::Routed)),
            ("\"victim@other X\"@example.net", plain, Verdict::Refuse(Refusal::Routed)),
            ("x%y@example.com", plain, Verdict::Refuse(Refusal::Deferred)),
            ("x@example.com", plain, Verdict::Refuse(Refusal::Deferred)),
            ("nobody@example.org", plain, Verdict::Refuse(Refusal::Unlisted)),
            ("x@example.net", plain, Verdict::Take { size: 50 << 20 }),
            ("x@example.net", up, Verdict::Refuse(Refusal::PrimaryUp)),
            ("info@example.org", |q| q.declared = Some(64 << 10), Verdict::Take { size: 64 << 10 }),
            ("info@example.org", |q| q.declared = Some((64 << 10) + 1), Verdict::Refuse(Refusal::TooLarge)),
            (
                "x@example.net",
                |q| (q.declared, q.primary.size) = (Some(11), Some(10)),
                Verdict::Refuse(Refusal::TooLargeForPrimary),
            ),
            ("x@example.net", |q| (q.declared, q.primary.size) = (Some(11), Some(0)), Verdict::Take { size: 50 << 20 }),
            (
                "x@example.net",
                |q| (q.smtputf8, q.primary.smtputf8) = (true, Some(false)),
                Verdict::Refuse(Refusal::NoUtf8),
            ),
            ("x@example.net", |q| (q.smtputf8, q.primary.smtputf8) = (true, None), Verdict::Take { size: 50 << 20 }),
            ("x@example.net", |q| q.primary.smtputf8 = Some(false), Verdict::Take { size: 50 << 20 }),
            ("info@example.org", |q| q.held.messages = 10, Verdict::Refuse(Refusal::Quota)),
            ("info@example.org", |q| (q.held.octets, q.declared) = (1 << 20, Some(1)), Verdict::Refuse(Refusal::Quota)),
            ("info@example.org", |q| q.held = Held { messages: 9, octets: 1 << 20 }, Verdict::Take { size: 64 << 10 }),
        ];
        for (recipient, change, expected) in rows {
            let recipient: ForwardPath = recipient.parse().unwrap();
            let mut question = question(&config, &directory, &recipient);
            change(&mut question);
            assert_eq!(decide(&question), *expected, "{}", recipient.as_str());
        }
        let recipient: ForwardPath = "info@example.org".parse().unwrap();
        let mut question = question(&config, &directory, &recipient);
        question.first = Some(&other);
        assert_eq!(decide(&question), Verdict::Refuse(Refusal::OtherTenant));
    }

    #[test]
    fn an_empty_list_of_tenants_defers_everything() {
        let config = config("");
        let directory = Directory::new(&config);
        let recipient: ForwardPath = "x@example.test".parse().unwrap();
        assert_eq!(decide(&question(&config, &directory, &recipient)), Verdict::Refuse(Refusal::NoTenants));
    }

    #[test]
    fn replies_have_the_class_that_they_should() {
        for (refusal, code) in [
            (Refusal::NoTenants, "451 4."),
            (Refusal::NotOurs, "550 5.7.1"),
            (Refusal::Deferred, "451 4."),
            (Refusal::Routed, "550 5.7.1"),
            (Refusal::OtherTenant, "452 4.5.3"),
            (Refusal::PrimaryUp, "451 4."),
            (Refusal::Unlisted, "550 5.1.1"),
            (Refusal::TooLarge, "552 5.3.4"),
            (Refusal::TooLargeForPrimary, "552 5.3.4"),
            (Refusal::NoUtf8, "550 5.6.7"),
            (Refusal::Quota, "452 4.2.2"),
            (Refusal::TooFast(TooFast::Address), "451 4.7.1"),
            (Refusal::TooFast(TooFast::Network), "451 4.7.1"),
            (Refusal::TooFast(TooFast::Tenant), "451 4.7.1"),
        ] {
            assert!(refusal.reply().to_string().starts_with(code), "{refusal:?}");
        }
    }

    fn question<'a>(config: &'a RelayConfig, directory: &'a Directory, recipient: &'a ForwardPath) -> Question<'a> {
        Question {
            config,
            directory,
            recipient,
            first: None,
            declared: None,
            smtputf8: false,
            primary: PrimaryFacts::default(),
            held: Held::default(),
        }
    }
}
