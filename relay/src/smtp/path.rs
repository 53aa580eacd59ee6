//! Paths (RFC 5321 4.1.2), checked by us and kept as received: what we send on is byte for byte what came in.
//!
//! A path that passes here carries no control character, and a space or an angle bracket only inside quotes, so it
//! cannot break out of the command that it is sent on in.

use std::{net::Ipv6Addr, str::FromStr};

use backupmx_relay_config::{DomainName, MailAddress};
use serde::{Deserialize, Serialize};

/// A reverse-path (RFC 5321 4.1.2) as received, without the angle brackets; empty is the null sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReversePath {
    text: String,
    domain: Option<DomainName>,
}

/// A forward-path (RFC 5321 4.1.2) as received, without the angle brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForwardPath {
    text: String,
    domain: DomainName,
}

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(pub(super) &'static str);

/// Octets of a local part. RFC 5321 4.5.3.1.1 asks for 64 at least; senders with a return address for each recipient
/// and reply-by-mail services go far beyond, and the primary takes their mail.
const LOCAL_PART: usize = 255;

/// Octets of a domain (RFC 5321 4.5.3.1.2).
const DOMAIN: usize = 255;

/// What may stand in a dot-string beside letters, digits and what is not ASCII. Dots may stand anywhere: addresses
/// with two in a row or one at the end exist, and it is for the primary to judge them.
const ATOM: &[u8] = b"!#$%&'*+-/=?^_`{|}~.";

impl ReversePath {
    /// The null sender, `<>`.
    #[must_use]
    pub fn null() -> Self {
        Self::default()
    }

    /// Whether it is `<>`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.text.is_empty()
    }

    /// The path as received, without the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain, as A-labels; none for the null sender and for address literals.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainName> {
        self.domain.as_ref()
    }

    /// The path as an address to send to; none for the null sender and for address literals.
    #[must_use]
    pub fn to_forward(&self) -> Option<ForwardPath> {
        let domain = self.domain.clone()?;
        Some(ForwardPath { text: self.text.clone(), domain })
    }
}

impl FromStr for ReversePath {
    type Err = PathError;

    /// Reads what stands between the angle brackets; empty is the null sender, a source route is dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::null());
        }
        let text = without_route(text)?;
        let (local, domain) = split(text)?;
        check_local(local)?;
        if !local.starts_with('"') && local.contains('@') {
            return Err(PathError("an address has one @ outside quotes"));
        }
        let domain = if domain.starts_with('[') {
            check_literal(domain)?;
            None
        } else {
            Some(parse_domain(domain)?)
        };
        Ok(Self { text: text.to_owned(), domain })
    }
}

impl ForwardPath {
    /// The path as received, without the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain, as A-labels.
    #[must_use]
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The local part as received, quotes and all.
    #[must_use]
    pub fn local(&self) -> &str {
        self.text.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// Whether the local part names another host in one of the old ways (`user%host`, `host!user`, `user@host`),
    /// quoted or not. A server that believes it would relay for us.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.local().bytes().any(|octet| matches!(octet, b'@' | b'%' | b'!'))
    }
}

impl FromStr for ForwardPath {
    type Err = PathError;

    /// Reads what stands between the angle brackets; a source route is dropped (RFC 5321 appendix C).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = without_route(text)?;
        let (local, domain) = split(text)?;
        check_local(local)?;
        if domain.starts_with('[') {
            return Err(PathError("mail is taken for domains, not for address literals"));
        }
        Ok(Self { text: text.to_owned(), domain: parse_domain(domain)? })
    }
}

impl From<&MailAddress> for ForwardPath {
    fn from(address: &MailAddress) -> Self {
        Self { text: address.to_string(), domain: address.domain().clone() }
    }
}

/// Splits `<path> rest` at the bracket that closes the path; brackets in quotes are part of it.
///
/// # Errors
/// There is no such bracket at the start, or none that closes it.
pub(super) fn bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<').ok_or(PathError("expected an address in angle brackets"))?;
    let mut quoted = false;
    let mut octets = inner.bytes().enumerate();
    while let Some((position, octet)) = octets.next() {
        match octet {
            b'\\' if quoted => {
                octets.next();
            }
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Ok((&inner[..position], &inner[position + 1..])),
            _ => {}
        }
    }
    Err(PathError("expected > after the address"))
}

/// Drops `@a,@b:` (RFC 5321 appendix C).
fn without_route(text: &str) -> Result<&str, PathError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, mailbox) = text.split_once(':').ok_or(PathError("a source route ends in a colon"))?;
    let hop = |hop: &str| hop.strip_prefix('@').is_some_and(|domain| parse_domain(domain).is_ok());
    if route.split(',').all(hop) { Ok(mailbox) } else { Err(PathError("a source route lists domains as @domain")) }
}

/// Splits at the last `@` (a domain or a literal holds none).
fn split(text: &str) -> Result<(&str, &str), PathError> {
    text.rsplit_once('@').ok_or(PathError("an address has the form local-part@domain"))
}

/// Dot-string or Quoted-string, with what RFC 6531 adds. An `@` is let through for the caller to judge.
fn check_local(local: &str) -> Result<(), PathError> {
    if local.is_empty() {
        return Err(PathError("the local part is empty"));
    }
    if local.len() > LOCAL_PART {
        return Err(PathError("the local part is longer than 255 octets"));
    }
    match local.strip_prefix('"') {
        Some(rest) => check_quoted(rest),
        None if local.chars().all(is_atom) => Ok(()),
        None => Err(PathError("the local part has characters that must be quoted")),
    }
}

fn is_atom(character: char) -> bool {
    match u8::try_from(character) {
        Ok(octet) if octet.is_ascii() => octet.is_ascii_alphanumeric() || octet == b'@' || ATOM.contains(&octet),
        _ => !character.is_control(),
    }
}

/// What follows the opening quote.
fn check_quoted(rest: &str) -> Result<(), PathError> {
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(()),
            '"' => return Err(PathError("the local part goes on after its closing quote")),
            '\\' => match characters.next() {
                Some(' '..='~') => {}
                _ => return Err(PathError("a backslash quotes a printable ASCII character")),
            },
            character if character.is_control() => return Err(PathError("an address has no control characters")),
            _ => {}
        }
    }
    Err(PathError("the local part's quote is not closed"))
}

fn parse_domain(text: &str) -> Result<DomainName, PathError> {
    if text.len() > DOMAIN {
        return Err(PathError("the domain is longer than 255 octets"));
    }
    text.parse().map_err(|_| PathError("what follows the @ is not a domain name"))
}

/// Address literals of RFC 5321 4.1.3 that are in use: IPv4 and IPv6.
fn check_literal(text: &str) -> Result<(), PathError> {
    let wrong = PathError("expected an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]");
    let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else { return Err(wrong) };
    let valid = match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    if valid { Ok(()) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_kept_as_received() {
        for (text, domain) in [
            ("user@example.org", "example.org"),
            ("User.Name+tag@Example.ORG", "example.org"),
            ("\"a b>c<d\"@example.org", "example.org"),
            ("\"a\\\"b\\\\\"@example.org", "example.org"),
            ("two..dots.@example.org", "example.org"),
            ("döner@bücher.example", "xn--bcher-kva.example"),
            ("{!#$%&'*+-/=?^_`|}~@example.org", "example.org"),
        ] {
            let path: ForwardPath = text.parse().unwrap();
            assert_eq!(path.as_str(), text);
            assert_eq!(path.domain().as_str(), domain);
            let path: ReversePath = text.parse().unwrap();
            assert_eq!((path.as_str(), path.domain().unwrap().as_str()), (text, domain));
        }
    }

    #[test]
    fn what_is_not_a_path_is_refused() {
        let long = format!("{}@example.org", "a".repeat(256));
        for text in [
            "user",
            "@example.org",
            "user@",
            "a b@example.org",
            "a>b@example.org",
            "a<b@example.org",
            "a\"b@example.org",
            "\"a@example.org",
            "\"a\"b@example.org",
            "\"a\\\"@example.org",
            "a@exa mple.org",
            "a\r\nRCPT@example.org",
            "\"a\r\n\"@example.org",
            "\"a\\\r\n\"@example.org",
            "a\0@example.org",
            "\"a\0b\"@example.org",
            "a\u{85}b@example.org",
            "a@[192.0.2.256]",
            "a@[tag:x]",
            "a@example.org.",
            "@a.test,b.test:u@example.org",
            "@a.test:",
            "@ :u@example.org",
            "(c)a@example.org",
            "a@[192.0.2.1",
            long.as_str(),
        ] {
            assert!(text.parse::<ForwardPath>().is_err(), "{text:?} was taken as forward-path");
            assert!(text.parse::<ReversePath>().is_err(), "{text:?} was taken as reverse-path");
        }
    }

    #[test]
    fn empty_is_the_null_sender_and_no_recipient() {
        assert!("".parse::<ReversePath>().unwrap().is_null());
        assert!("".parse::<ForwardPath>().is_err());
    }

    #[test]
    fn an_address_literal_may_send_but_not_receive() {
        for text in ["a@[192.0.2.1]", "a@[IPv6:2001:db8::1]"] {
            assert_eq!(text.parse::<ReversePath>().unwrap().domain(), None);
            assert!(text.parse::<ForwardPath>().is_err());
        }
    }

    #[test]
    fn a_source_route_is_dropped() {
        let path: ForwardPath = "@a.test,@b.test:user@example.org".parse().unwrap();
        assert_eq!(path.as_str(), "user@example.org");
        let path: ReversePath = "@a.test:user@example.org".parse().unwrap();
        assert_eq!(path.as_str(), "user@example.org");
    }

    #[test]
    fn old_ways_of_routing_are_seen_quoted_or_not() {
        for (text, routed) in [
            ("user@example.org", false),
            ("user%other@example.org", true),
            ("other!user@example.org", true),
            ("user@other.test@example.org", true),
            ("\"user@other.test\"@example.org", true),
            ("\"victim@other X\"@example.org", true),
        ] {
            assert_eq!(text.parse::<ForwardPath>().unwrap().is_routed(), routed, "{text}");
        }
        assert!("user@other.test@example.org".parse::<ReversePath>().is_err());
    }

    #[test]
    fn the_closing_bracket_is_the_first_outside_quotes() {
        assert_eq!(bracketed("<a@b.test> SIZE=1"), Ok(("a@b.test", " SIZE=1")));
        assert_eq!(bracketed("<>"), Ok(("", "")));
        assert_eq!(bracketed("<\"a>\\\">\"@b.test>x"), Ok(("\"a>\\\">\"@b.test", "x")));
        for text in ["", "a@b.test", "<a@b.test", "<\"a>@b.test", "<\"a\\"] {
            assert!(bracketed(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        /// Whatever passes can be sent in `<…>` and is found again there.
        #[test]
        fn a_path_cannot_break_out_of_its_brackets(text in "[a@\"\\\\<> \r\n\u{0}.é%]{0,12}@b\\.test") {
            if let Ok(path) = text.parse::<ReversePath>() {
                prop_assert!(!path.as_str().chars().any(char::is_control));
                let line = format!("<{}> X", path.as_str());
                prop_assert_eq!(bracketed(&line), Ok((path.as_str(), " X")));
            }
        }
    }
}
