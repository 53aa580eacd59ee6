//! The Authentication-Results field that goes on top of a message when it is handed on (RFC 8601). Pure.

use std::{fmt::Write as _, net::IpAddr};

use backupmx_relay_config::DomainName;

use crate::message::{Envelope, Observed, Origin, ReverseName, SpfIdentity, SpfVerdict};

/// The Authentication-Results field of a message, folded, with its last CRLF. Nothing for our own reports.
///
/// It says what was found out and nothing else: a method that was not asked, or that DNS did not answer, is left out,
/// and where all are, the field says `none` (RFC 8601 2.2: no method was run). Only names that were checked to be domain
/// names and addresses go into it: no sender's local part, and nothing as the client wrote it.
pub(super) fn authentication_results(envelope: &Envelope, observed: &Observed, hostname: &DomainName) -> Vec<u8> {
    let Origin::Client(client) = &envelope.origin else { return Vec::new() };
    let mut field = format!("Authentication-Results: {hostname}");
    // Writing to a String cannot fail.
    if let (Some(verdict), Some(identity)) = (observed.spf, SpfIdentity::of(&envelope.sender, &client.helo)) {
        let property = match identity {
            SpfIdentity::MailFrom(_) => "mailfrom",
            SpfIdentity::Helo(_) => "helo",
        };
        let _ = write!(field, ";\r\n\tspf={} smtp.{property}={}", spf(verdict), identity.domain());
    }
    if let Some(reverse) = &observed.reverse {
        let _ = write!(field, ";\r\n\tiprev={} policy.iprev={}", iprev(reverse), value(client.address));
        if let ReverseName::Confirmed(name) = reverse {
            let _ = write!(field, " ({name})");
        }
    }
    if !field.contains(';') {
        field.push_str("; none");
    }
    field.push_str("\r\n");
    field.into_bytes()
}

/// RFC 8601 2.7.2.
const fn spf(verdict: SpfVerdict) -> &'static str {
    match verdict {
        SpfVerdict::Pass => "pass",
        SpfVerdict::Fail => "fail",
        SpfVerdict::SoftFail => "softfail",
        SpfVerdict::Neutral => "neutral",
        SpfVerdict::None => "none",
        SpfVerdict::TempError => "temperror",
        SpfVerdict::PermError => "permerror",
    }
}

/// RFC 8601 2.7.3: an address without a name is a permanent error, not a failure.
const fn iprev(reverse: &ReverseName) -> &'static str {
    match reverse {
        ReverseName::Confirmed(_) => "pass",
        ReverseName::Unconfirmed => "fail",
        ReverseName::Absent => "permerror",
    }
}

/// An address as a value (RFC 2045 5.1): a colon needs quotes.
fn value(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"{address}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::fake::envelope;

    fn of(sender: &str, helo: &str, address: &str, observed: &Observed) -> String {
        let mut envelope = envelope(sender, &["b@example.org"]);
        if let Origin::Client(client) = &mut envelope.origin {
            client.helo = helo.to_owned();
            client.address = address.parse().unwrap();
        }
        let ours = "mx1.backup.example.net".parse().unwrap();
        String::from_utf8(authentication_results(&envelope, observed, &ours)).unwrap()
    }

    fn observed(reverse: Option<ReverseName>, spf: Option<SpfVerdict>) -> Observed {
        Observed { reverse, spf }
    }

    fn confirmed() -> Option<ReverseName> {
        Some(ReverseName::Confirmed("host.example.net".parse().unwrap()))
    }

    #[test]
    fn says_what_was_found_out() {
        assert_eq!(
            of("a@Example.NET", "mail.example.net", "192.0.2.7", &observed(confirmed(), Some(SpfVerdict::Pass))),
            "Authentication-Results: mx1.backup.example.net;\r\n\
             \tspf=pass smtp.mailfrom=example.net;\r\n\
             \tiprev=pass policy.iprev=192.0.2.7 (host.example.net)\r\n"
        );
        assert_eq!(
            of("", "mail.example.net", "2001:db8::7", &observed(Some(ReverseName::Absent), Some(SpfVerdict::SoftFail))),
            "Authentication-Results: mx1.backup.example.net;\r\n\
             \tspf=softfail smtp.helo=mail.example.net;\r\n\
             \tiprev=permerror policy.iprev=\"2001:db8::7\"\r\n"
        );
        assert_eq!(
            of("a@example.net", "x", "::ffff:192.0.2.7", &observed(Some(ReverseName::Unconfirmed), None)),
            "Authentication-Results: mx1.backup.example.net;\r\n\tiprev=fail policy.iprev=192.0.2.7\r\n"
        );
    }

    #[test]
    fn says_nothing_where_nothing_was_asked() {
        let none = "Authentication-Results: mx1.backup.example.net; none\r\n";
        assert_eq!(of("a@example.net", "mail.example.net", "192.0.2.7", &Observed::default()), none);
        let spf = observed(None, Some(SpfVerdict::Pass));
        assert_eq!(of("a@[192.0.2.7]", "mail.example.net", "192.0.2.7", &spf), none, "there is no name to speak of");
    }

    #[test]
    fn what_strangers_say_cannot_break_out() {
        for (sender, helo) in [
            ("\"x; spf=pass\"@example.net", "mail.example.net"),
            ("\"x\\\"; dkim=pass\"@example.net", "a)\r\nX: y"),
            ("", "mail.example;dkim=pass"),
            ("", "a\r\nX-Injected: yes.example"),
            ("", "(.example"),
            ("b\u{fc}cher@b\u{fc}cher.example", "b\u{fc}cher.example"),
        ] {
            for spf in [None, Some(SpfVerdict::Fail)] {
                let field = of(sender, helo, "192.0.2.7", &observed(confirmed(), spf));
                assert!(field.is_ascii(), "{field:?}");
                assert_eq!(field.matches("\r\n").count(), field.matches("\r\n\t").count() + 1, "{field:?}");
                assert!(!field.contains("dkim") && !field.contains("spf=pass") && !field.contains('"'), "{field:?}");
            }
        }
    }

    #[test]
    fn our_own_reports_begin_here() {
        let mut report = envelope("", &["a@example.net"]);
        report.origin = Origin::Report { parent: crate::message::MessageId::from_u64(1), tenant: "t".into() };
        let ours = "mx1.backup.example.net".parse().unwrap();
        assert!(authentication_results(&report, &Observed::default(), &ours).is_empty());
    }
}
