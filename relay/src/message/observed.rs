//! What DNS said of a message's client soon after it was taken.

use backupmx_relay_config::DomainName;
use serde::{Deserialize, Serialize};

use super::SpfVerdict;
use crate::smtp::ReversePath;

/// What DNS said of a message's client soon after it was taken. What was not asked, or not answered, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The client's name in reverse DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverse: Option<ReverseName>,
    /// The SPF result for the message's [`SpfIdentity`]; never [`SpfVerdict::TempError`], which says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<SpfVerdict>,
}

/// What reverse DNS says of an address (`iprev`, RFC 8601 2.7.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReverseName {
    /// The address has this name, and the name has this address.
    Confirmed(DomainName),
    /// The address has names, and none of them has this address.
    Unconfirmed,
    /// The address has no name.
    Absent,
}

/// The name that SPF is asked of (RFC 7208 2.3, 2.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SpfIdentity {
    /// The domain of the reverse-path.
    MailFrom(DomainName),
    /// The client's HELO name, where the reverse-path is null.
    Helo(DomainName),
}

impl Observed {
    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.reverse.is_none() && self.spf.is_none()
    }

    /// The client's confirmed name.
    #[must_use]
    pub const fn name(&self) -> Option<&DomainName> {
        match &self.reverse {
            Some(ReverseName::Confirmed(name)) => Some(name),
            Some(ReverseName::Unconfirmed | ReverseName::Absent) | None => None,
        }
    }
}

impl SpfIdentity {
    /// Whom SPF is asked of for that sender and HELO name; none where both are address literals or no names with a dot.
    #[must_use]
    pub fn of(sender: &ReversePath, helo: &str) -> Option<Self> {
        if !sender.is_null() {
            return sender.domain().cloned().map(Self::MailFrom);
        }
        let name = helo.strip_suffix('.').unwrap_or(helo);
        if !name.is_ascii() || !name.contains('.') {
            return None;
        }
        name.parse().ok().map(Self::Helo)
    }

    /// The name.
    #[must_use]
    pub const fn domain(&self) -> &DomainName {
        match self {
            Self::MailFrom(domain) | Self::Helo(domain) => domain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_counts_and_helo_where_there_is_none() {
        let of = |sender: &str, helo: &str| SpfIdentity::of(&sender.parse().unwrap(), helo);
        let name = |text: &str| text.parse().unwrap();
        assert_eq!(of("a@Example.ORG", "mail.example.net"), Some(SpfIdentity::MailFrom(name("example.org"))));
        assert_eq!(of("", "Mail.Example.net."), Some(SpfIdentity::Helo(name("mail.example.net"))));
        for helo in ["", "localhost", "[192.0.2.1]", "192.0.2.1", "a b.example", "mail.example;x", "b\u{fc}.example"] {
            assert_eq!(of("", helo), None, "{helo:?}");
        }
        assert_eq!(of("a@[192.0.2.1]", "mail.example.net"), None, "the HELO name does not speak for a sender");
    }

    #[test]
    fn what_is_not_known_is_not_written() {
        let written = |observed: &Observed| serde_json::to_string(observed).unwrap();
        assert_eq!(written(&Observed::default()), "{}");
        let known = Observed {
            reverse: Some(ReverseName::Confirmed("mail.example.net".parse().unwrap())),
            spf: Some(SpfVerdict::Pass),
        };
        assert_eq!(serde_json::from_str::<Observed>(&written(&known)).unwrap(), known);
        assert_eq!(serde_json::from_str::<Observed>("{}").unwrap(), Observed::default());
    }
}
