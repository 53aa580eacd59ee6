//! Names: mail domains and hosts, always in their A-label form (RFC 5890).

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A fully qualified domain name: lower-case A-labels, no trailing dot, 1 to 253 octets (RFC 1035 2.3.4, RFC 5890).
///
/// Cheap to clone. U-labels are converted when it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Arc<str>);

/// Why a text is not a domain name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a domain name such as example.org; got {}{}", crate::wording::Got(text), because(text, reason))]
pub struct DomainNameError {
    text: String,
    reason: &'static str,
}

/// Why a text is not a [`MailAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as ann@example.org; got {}{}", crate::wording::Got(text), because(text, reason))]
pub struct MailAddressError {
    text: String,
    reason: &'static str,
}

/// Why a text is wrong; nothing has no reason but that.
fn because(text: &str, reason: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {reason}") }
}

impl DomainName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it can be the full name of a host: two labels or more, of letters, digits and hyphens (RFC 5321 2.3.5).
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.0.contains('.') && !self.0.contains('_')
    }
}

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| DomainNameError { text: text.to_owned(), reason };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| wrong("it is not a valid internationalised name"))?
        };
        if ascii.len() > 253 {
            return Err(wrong("it is longer than 253 octets"));
        }
        for label in ascii.split('.') {
            check_label(label).map_err(wrong)?;
        }
        if ascii.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit())) {
            return Err(wrong("its last label is a number, as in an IP address"));
        }
        Ok(Self(ascii.into()))
    }
}

/// A label of letters, digits and inner hyphens (RFC 1123 2.1); the underscore is let through, as some sites use it.
fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("it has an empty label (two dots in a row, or a dot at an end)");
    }
    if label.len() > 63 {
        return Err("one of its labels is longer than 63 octets");
    }
    if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err("a label may hold letters, digits and hyphens only");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label may not start or end with a hyphen");
    }
    Ok(())
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for DomainName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A host to connect to: a name, or an address literal without brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Looked up for A and AAAA when it is needed.
    Name(DomainName),
    /// Connected to as it is.
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => text
                .parse()
                .map(Self::Name)
                .map_err(|error: DomainNameError| DomainNameError { reason: error.reason, ..error }),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A mailbox that the configuration names: a dot-atom local part, `@`, a domain (RFC 5321 4.1.2, unquoted).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MailAddress {
    local: String,
    domain: DomainName,
}

impl MailAddress {
    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }
}

impl FromStr for MailAddress {
    type Err = MailAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| MailAddressError { text: text.to_owned(), reason };
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| wrong("it has no @"))?;
        let atom = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~".contains(&b))
        };
        if local.len() > 64 || !local.split('.').all(atom) {
            return Err(wrong("its local part must be a plain dot-atom of at most 64 octets"));
        }
        let domain = domain.parse().map_err(|error: DomainNameError| wrong(error.reason))?;
        Ok(Self { local: local.to_owned(), domain })
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

macro_rules! text_serde {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::load::scalar(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

text_serde!(DomainName, Host, MailAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_kept_as_lower_case_a_labels() {
        for (text, ascii) in [
            ("Example.ORG", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<DomainName>().map(|d| d.to_string()), Ok(ascii.to_owned()));
        }
    }

    #[test]
    fn a_wrong_domain_says_why() {
        for (text, reason) in [
            ("", "got nothing"),
            ("example.org.", "empty label"),
            ("a..b", "empty label"),
            ("exa mple.org", "letters, digits"),
            ("-a.example", "hyphen"),
            ("192.0.2.1", "IP address"),
            ("user@example.org", "letters, digits"),
        ] {
            let error = text.parse::<DomainName>().map(|d| d.to_string()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        assert!(matches!("192.0.2.1".parse(), Ok(Host::Address(_))));
        assert!(matches!("[2001:db8::1]".parse(), Ok(Host::Address(_))));
        assert!(matches!("mail.example.org".parse(), Ok(Host::Name(_))));
        assert!("mail example".parse::<Host>().is_err());
    }

    #[test]
    fn a_mailbox_is_a_dot_atom_and_a_domain() {
        assert!("postmaster@example.org".parse::<MailAddress>().is_ok());
        for text in ["postmaster", "@example.org", "a b@example.org", "a@b@example.org", "\"q\"@example.org"] {
            assert!(text.parse::<MailAddress>().is_err(), "{text:?} was taken");
        }
    }
}
