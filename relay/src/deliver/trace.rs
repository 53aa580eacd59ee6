//! The trace fields that go on top of a message when it is handed on (RFC 5321 4.4, RFC 8601 4.1). Pure.

use std::{fmt::Write as _, net::IpAddr};

use backupmx_relay_config::DomainName;

use super::results::authentication_results;
use crate::message::{Client, Envelope, MessageId, Observed, Origin};

/// What goes on top of a message: its Received field, which must come first (RFC 5321 4.4), then our
/// Authentication-Results. Nothing for our own reports.
#[must_use]
pub fn trace(envelope: &Envelope, observed: &Observed, id: MessageId, hostname: &DomainName) -> Vec<u8> {
    let mut fields = received(envelope, observed.name(), id, hostname);
    fields.extend(authentication_results(envelope, observed, hostname));
    fields
}

/// The Received field of a message, folded, with its last CRLF. Nothing for our own reports: we are where they begin.
///
/// What the client said is untrusted: a HELO name that is neither a domain nor an address literal is written as
/// `unknown`, so that it can neither end the field nor look like one of our own words. The recipient is named only
/// where there is one, as a list would show blind copies.
fn received(envelope: &Envelope, name: Option<&DomainName>, id: MessageId, hostname: &DomainName) -> Vec<u8> {
    let Origin::Client(client) = &envelope.origin else { return Vec::new() };
    let mut field = format!("Received: from {} (", helo(&client.helo));
    // Writing to a String cannot fail.
    if let Some(name) = name {
        let _ = write!(field, "{name} ");
    }
    let _ =
        write!(field, "{})\r\n\tby {hostname} with {}", literal(client.address), protocol(client, envelope.smtputf8));
    if let Some(tls) = &client.tls {
        let _ = write!(field, "\r\n\t({} {})", word(&tls.version), word(&tls.cipher));
    }
    let _ = write!(field, "\r\n\tid {id}");
    if let [recipient] = envelope.recipients.as_slice() {
        let path = recipient.path.as_str();
        if !path.chars().any(char::is_control) && (path.is_ascii() || envelope.smtputf8) {
            let _ = write!(field, "\r\n\tfor <{path}>");
        }
    }
    let _ = write!(field, "; {}\r\n", envelope.arrived.rfc5322());
    field.into_bytes()
}

/// The transmission type (RFC 5321 4.4, RFC 6531 4.3, and IANA's list of them).
fn protocol(client: &Client, smtputf8: bool) -> &'static str {
    match (smtputf8, client.esmtp, client.tls.is_some()) {
        (true, _, true) => "UTF8SMTPS",
        (true, _, false) => "UTF8SMTP",
        (false, _, true) => "ESMTPS",
        (false, true, false) => "ESMTP",
        (false, false, false) => "SMTP",
    }
}

fn helo(said: &str) -> &str {
    let is_literal = said.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|inner| {
        inner.len() <= 64 && !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b".:".contains(&b))
    });
    let is_name = said.is_ascii() && said.strip_suffix('.').unwrap_or(said).parse::<DomainName>().is_ok();
    if is_literal || is_name { said } else { "unknown" }
}

/// An address as RFC 5321 4.1.3 writes it.
fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, deliver::fake::envelope, message::TlsUsed};

    fn of(envelope: &Envelope) -> String {
        of_named(envelope, None)
    }

    fn of_named(envelope: &Envelope, name: Option<&str>) -> String {
        let ours = "mx1.backup.example.net".parse().unwrap();
        let name = name.map(|name| name.parse().unwrap());
        String::from_utf8(received(envelope, name.as_ref(), MessageId::from_u64(77), &ours)).unwrap()
    }

    fn client(envelope: &mut Envelope) -> &mut Client {
        match &mut envelope.origin {
            Origin::Client(client) => client,
            Origin::Report { .. } => unreachable!("the fake envelope has a client"),
        }
    }

    #[test]
    fn names_the_client_us_and_a_single_recipient() {
        let mut one = envelope("a@example.net", &["b@example.org"]);
        one.arrived = Timestamp::from_millis(1_767_225_600_000);
        assert_eq!(
            of(&one),
            "Received: from client.example.net ([192.0.2.7])\r\n\
             \tby mx1.backup.example.net with ESMTP\r\n\
             \tid 0000000002d\r\n\
             \tfor <b@example.org>; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
        );
        client(&mut one).address = "2001:db8::1".parse().unwrap();
        client(&mut one).tls = Some(TlsUsed { version: "TLSv1.3".into(), cipher: "TLS_AES_256_GCM_SHA384".into() });
        one.recipients.push(one.recipients[0].clone());
        assert_eq!(
            of_named(&one, Some("host.example.net")),
            "Received: from client.example.net (host.example.net [IPv6:2001:db8::1])\r\n\
             \tby mx1.backup.example.net with ESMTPS\r\n\
             \t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\
             \tid 0000000002d; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn what_the_client_calls_itself_cannot_break_out() {
        for (said, written) in [
            ("mail.example.net", "mail.example.net"),
            ("LOCALHOST", "LOCALHOST"),
            ("[192.0.2.7]", "[192.0.2.7]"),
            ("[IPv6:2001:db8::7]", "[IPv6:2001:db8::7]"),
            ("mail.example.net.", "mail.example.net."),
            ("", "unknown"),
            ("a b", "unknown"),
            ("a)\r\nX: y", "unknown"),
            ("a;by", "unknown"),
            ("[192.0.2.7) by [x]", "unknown"),
            ("192.0.2.7", "unknown"),
            ("b\u{fc}cher.example", "unknown"),
        ] {
            let mut envelope = envelope("a@example.net", &["b@example.org"]);
            client(&mut envelope).helo = said.to_owned();
            let field = of(&envelope);
            assert!(field.starts_with(&format!("Received: from {written} (")), "{said:?}: {field}");
            assert_eq!(field.matches("\r\n").count(), field.matches("\r\n\t").count() + 1, "{said:?}: {field}");
        }
    }

    #[test]
    fn says_how_it_came() {
        let tls = || Some(TlsUsed { version: "TLSv1.2".into(), cipher: "X".into() });
        for (esmtp, tls, utf8, expected) in [
            (false, None, false, "SMTP"),
            (true, None, false, "ESMTP"),
            (true, tls(), false, "ESMTPS"),
            (true, None, true, "UTF8SMTP"),
            (true, tls(), true, "UTF8SMTPS"),
        ] {
            let mut envelope = envelope("a@example.net", &["b@example.org"]);
            client(&mut envelope).esmtp = esmtp;
            client(&mut envelope).tls = tls;
            envelope.smtputf8 = utf8;
            assert!(of(&envelope).contains(&format!(" with {expected}\r\n")), "{expected}");
        }
    }

    #[test]
    fn our_own_reports_begin_here() {
        let mut report = envelope("", &["a@example.net"]);
        report.origin = Origin::Report { parent: MessageId::from_u64(1), tenant: "t".into() };
        assert_eq!(of(&report), "");
        let ours = "mx1.backup.example.net".parse().unwrap();
        assert!(trace(&report, &Observed::default(), MessageId::from_u64(2), &ours).is_empty());
    }

    #[test]
    fn received_comes_first_and_our_results_follow() {
        let ours = "mx1.backup.example.net".parse().unwrap();
        let one = envelope("a@example.net", &["b@example.org"]);
        let fields = String::from_utf8(trace(&one, &Observed::default(), MessageId::from_u64(77), &ours)).unwrap();
        assert!(fields.starts_with("Received: from "), "{fields}");
        assert!(fields.ends_with("+0000\r\nAuthentication-Results: mx1.backup.example.net; none\r\n"), "{fields}");
    }
}
