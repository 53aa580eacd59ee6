//! A tenant: domains that share one primary, and how their mail is taken, held, handed over and bounced.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ByteSize, DomainName, Host, Span};

/// Domains that share one primary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    /// A name for people, logs and metrics; unique in the document.
    pub name: String,
    /// The domains whose mail is taken; each in one tenant only. A U-label is converted.
    pub domains: Vec<DomainName>,
    /// Whether mail is taken now. Default `Active`.
    #[serde(default)]
    pub accept: AcceptMode,
    /// The servers that the mail is held for.
    pub primary: Primary,
    /// What is taken.
    #[serde(default)]
    pub acceptance: Acceptance,
    /// How long mail is held.
    #[serde(default)]
    pub hold: HoldTimes,
    /// How mail is handed over.
    #[serde(default)]
    pub delivery: Delivery,
    /// What is reported to senders.
    #[serde(default)]
    pub bounce: Bounce,
    /// What the tenant may hold. Default: as much as the spool.
    #[serde(default)]
    pub quota: Quota,
}

/// Whether mail is taken for a tenant's domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcceptMode {
    /// Mail is taken.
    #[default]
    Active,
    /// Every recipient is answered 451: the domain is retiring, in conflict, or not yet published. Never 550, as
    /// senders have our MX in their caches and a 550 bounces.
    Defer,
}

/// The servers that mail is held for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Primary {
    /// One or more; the lowest preference is tried first, equal ones at random.
    pub hosts: Vec<PrimaryHost>,
    /// How the way to the primary is encrypted.
    #[serde(default)]
    pub tls: PrimaryTls,
}

/// One server of the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrimaryHost {
    /// A host name (A and AAAA are looked up when mail is due) or an IP address.
    pub host: Host,
    /// Its SMTP port. Default 25.
    #[serde(default = "smtp_port")]
    pub port: u16,
    /// Lower is tried first. Default 10.
    #[serde(default = "default_preference")]
    pub preference: u16,
}

/// How the way to the primary is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PrimaryTls {
    /// Default `Opportunistic`.
    pub mode: PrimaryTlsMode,
}

/// How much encryption a session with the primary must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrimaryTlsMode {
    /// STARTTLS is not used.
    None,
    /// STARTTLS where it is offered, with any certificate; in the clear where it fails.
    #[default]
    Opportunistic,
    /// STARTTLS with any certificate, or no delivery.
    Require,
    /// STARTTLS with a certificate for the host's name from a public authority, or no delivery.
    Verify,
}

/// What is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Acceptance {
    /// What happens to mail that arrives while the primary is up. Default `Hold`.
    pub when_primary_up: WhenPrimaryUp,
    /// Which recipients there are.
    pub recipients: Recipients,
    /// The largest message for this tenant; at most `limits.messageSize`. Default: that limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<ByteSize>,
}

/// What happens to mail that arrives while the primary is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenPrimaryUp {
    /// It is taken into the spool and handed over at once.
    #[default]
    Hold,
    /// It is answered 451, so that the sender goes to the primary. For primaries that judge by the client's address.
    Defer,
}

/// Which recipients there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Recipients {
    /// Default `Any`.
    pub mode: RecipientMode,
    /// With `List`: local parts (`info`, in every domain of the tenant) or addresses (`info@example.org`). Case is
    /// ignored. `postmaster` is always taken. At least one; `[postmaster]` takes nobody else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<String>,
}

/// How it is known whether a recipient exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientMode {
    /// Every local part is taken; the primary judges later.
    #[default]
    Any,
    /// Only what is listed is taken; another is refused with 550 5.1.1.
    List,
}

/// How long mail is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HoldTimes {
    /// From arrival; then the mail goes back to its sender. Default 7d.
    pub max_age: Span,
    /// No mail expires before this moment (RFC 3339), whatever its age: a longer hold by arrangement.
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339")]
    pub extend_until: Option<std::time::SystemTime>,
    /// The sender is told once that the mail is late, after this time. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_sender_after: Option<Span>,
}

impl Default for HoldTimes {
    fn default() -> Self {
        Self { max_age: Span::days(7), extend_until: None, warn_sender_after: None }
    }
}

/// How mail is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Delivery {
    /// How often a primary that is down is tried.
    pub retry: Retry,
    /// Sessions with the primary at once, 1 to 100. Default 10.
    pub max_connections: u32,
    /// Keep taking mail, deliver none. Default false.
    pub suspended: bool,
    /// What follows a 5xx of a primary that is fully back. Default `Bounce`.
    pub on_reject: OnReject,
    /// When so many rejects mean that the primary is broken rather than the mail.
    pub reject_storm: RejectStorm,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            max_connections: 10,
            suspended: false,
            on_reject: OnReject::default(),
            reject_storm: RejectStorm::default(),
        }
    }
}

/// How often a primary that is down is tried: the first time after `min`, sliding to every `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Retry {
    /// At least 1s. Default 30s.
    pub min: Span,
    /// At least `min`. Default 5m.
    pub max: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min: Span::seconds(30), max: Span::minutes(5) }
    }
}

/// What follows a 5xx of a primary that is fully back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnReject {
    /// The sender is told, as `bounce.policy` allows.
    #[default]
    Bounce,
    /// The mail is held until a person releases, bounces or discards it, or its hold time ends.
    Hold,
}

/// Rejects after a recovery that mean a broken primary: nothing bounces, a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RejectStorm {
    /// So many rejects of distinct recipients at least. Default 5.
    pub min_messages: u32,
    /// So many in a hundred of all verdicts at least, 1 to 100. Default 50.
    pub percent: u8,
}

impl Default for RejectStorm {
    fn default() -> Self {
        Self { min_messages: 5, percent: 50 }
    }
}

/// What is reported to senders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Bounce {
    /// Default `UnlessForged`.
    pub policy: BouncePolicy,
    /// Where this tenant's reports go, instead of to the sender's MX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smarthost: Option<HostPort>,
}

/// Which senders are told that their mail was not delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BouncePolicy {
    /// All but the null sender.
    Always,
    /// Those whose domain names the client's address in its SPF record; other mail is parked until its hold ends.
    #[default]
    UnlessForged,
    /// None; all undeliverable mail is parked until its hold ends.
    Never,
}

/// A server and its port: `smtp.example.net` (port 25) or `smtp.example.net:587`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Its name or address.
    pub host: Host,
    /// Its port. Default 25.
    pub port: u16,
}

/// What is wrong with a text that should be `host` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a host, or a host and a port such as mail.example.org:25 or [2001:db8::1]:25; got {}", crate::wording::Got(.0))]
pub struct HostPortError(String);

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || HostPortError(text.to_owned());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: Host::Address(address), port: smtp_port() });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
            None => (text, smtp_port()),
        };
        Ok(Self { host: host.parse().map_err(|_| wrong())?, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::load::scalar(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What a tenant may hold; beyond it recipients are answered 452.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quota {
    /// Messages held at once. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Bytes held at once. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
}

const fn smtp_port() -> u16 {
    25
}

const fn default_preference() -> u16 {
    10
}

/// Moments as RFC 3339 writes them.
mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserializer, Serializer, de, ser};
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    pub(super) fn serialize<S: Serializer>(moment: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => {
                let text = OffsetDateTime::from(*moment).format(&Rfc3339).map_err(ser::Error::custom)?;
                serializer.serialize_some(&text)
            }
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        let Some(text) = <Option<String> as serde::Deserialize>::deserialize(deserializer)? else { return Ok(None) };
        match OffsetDateTime::parse(&text, &Rfc3339) {
            Ok(moment) => Ok(Some(moment.into())),
            Err(_) => Err(de::Error::custom(format!(
                "expected a moment as RFC 3339 writes it, such as 2026-12-24T18:00:00Z; got {}",
                crate::wording::Got(&text)
            ))),
        }
    }
}
