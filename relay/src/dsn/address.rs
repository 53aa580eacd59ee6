//! Addresses and identifiers as a report writes them (RFC 3464 2.1.2, RFC 6533 3).

use std::fmt::Write;

use crate::smtp::{ForwardPath, ReversePath, XText};

/// The longest address or identifier that is written; what is longer is left out.
const LIMIT: usize = 500;

/// A recipient as `Final-Recipient` has it: `rfc822; address`, or `utf-8; address` in its 7-bit form.
pub(super) fn final_recipient(path: &ForwardPath) -> String {
    if path.as_str().is_ascii() {
        return format!("rfc822; {}", printable(path.as_str()));
    }
    if path.local().is_ascii() {
        return format!("rfc822; {}@{}", printable(path.local()), path.domain());
    }
    format!("utf-8; {}", seven_bit(path.as_str()))
}

/// An `ORCPT` as `Original-Recipient` has it; none where it is not of the form that RFC 3461 4.2 gives it, or would
/// decode to something that can't stand in a field.
pub(super) fn original_recipient(orcpt: &XText) -> Option<String> {
    let (kind, address) = orcpt.as_str().split_once(';')?;
    let is_atom = !kind.is_empty() && kind.len() <= 32 && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_atom || address.is_empty() || address.len() > LIMIT {
        return None;
    }
    let address = if kind.eq_ignore_ascii_case("utf-8") {
        // This type has an encoding of its own (RFC 6533 3) in which `+` stands for itself only as `\x{2B}`.
        if address.chars().any(|c| c.is_control() || c == ' ') {
            return None;
        }
        address.chars().fold(String::new(), |text, c| {
            if c.is_ascii() { text + c.encode_utf8(&mut [0; 4]) } else { text + &escaped(c) }
        })
    } else {
        decode(address)?
    };
    Some(format!("{kind}; {address}"))
}

/// An `ENVID` as `Original-Envelope-Id` has it: decoded; none where it decodes to something that can't stand there.
pub(super) fn envelope_id(envid: &XText) -> Option<String> {
    decode(envid.as_str()).filter(|id| id.len() <= LIMIT)
}

/// Decodes xtext (RFC 3461 4); none unless the result is printable ASCII without a space at an end, and not empty.
fn decode(xtext: &str) -> Option<String> {
    let mut decoded = String::with_capacity(xtext.len());
    let mut octets = xtext.bytes();
    while let Some(octet) = octets.next() {
        let value = if octet == b'+' {
            let high = char::from(octets.next()?).to_digit(16)?;
            let low = char::from(octets.next()?).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()?
        } else {
            octet
        };
        if !(0x20..=0x7e).contains(&value) {
            return None;
        }
        decoded.push(char::from(value));
    }
    (!decoded.is_empty() && decoded.trim() == decoded).then_some(decoded)
}

/// Where a report goes: the sender's path, with its domain as A-labels where that spares it `SMTPUTF8`; none where it
/// names no domain.
pub(super) fn report_recipient(sender: &ReversePath) -> Option<ForwardPath> {
    let path = sender.to_forward()?;
    if path.as_str().is_ascii() || !path.local().is_ascii() {
        return Some(path);
    }
    format!("{}@{}", path.local(), path.domain()).parse().ok().or(Some(path))
}

/// The `To` field's value: the path where it can stand in a header (RFC 5322 3.4.1), quoted where that takes it; else a
/// group without members: the envelope alone says where the report goes.
pub(super) fn header_address(path: &ForwardPath) -> String {
    let text = path.as_str();
    let domain_fits = |domain: &str| {
        !domain.is_empty()
            && domain.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c) || is_utf8_letter(c))
    };
    match text.rsplit_once('@') {
        Some((local, domain)) if text.len() <= LIMIT && domain_fits(domain) => match form(local) {
            Form::Fits => format!("<{text}>"),
            Form::NeedsQuotes => format!("<\"{local}\"@{domain}>"),
            Form::Unfit => NO_ADDRESS.to_owned(),
        },
        _ => NO_ADDRESS.to_owned(),
    }
}

const NO_ADDRESS: &str = "undisclosed-recipients:;";

/// How a local part can stand in a header.
enum Form {
    Fits,
    /// With dots where a dot-atom can't have them.
    NeedsQuotes,
    Unfit,
}

fn form(local: &str) -> Form {
    let quoted = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(quoted) = quoted {
        return if is_quoted_content(quoted) { Form::Fits } else { Form::Unfit };
    }
    let is_atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_letter(c);
    if local.is_empty() || !local.chars().all(|c| c == '.' || is_atext(c)) {
        Form::Unfit
    } else if local.split('.').any(str::is_empty) {
        Form::NeedsQuotes
    } else {
        Form::Fits
    }
}

fn is_quoted_content(quoted: &str) -> bool {
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        let fits = match c {
            '"' => false,
            '\\' => chars.next().is_some_and(|c| c == ' ' || c.is_ascii_graphic()),
            c => c == ' ' || c.is_ascii_graphic() || is_utf8_letter(c),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// A character that `SMTPUTF8` adds (RFC 6532 3.1) and that has a shape of its own.
fn is_utf8_letter(c: char) -> bool {
    !c.is_ascii() && super::text::one_line(c.encode_utf8(&mut [0; 4])).chars().eq([c]) && !c.is_whitespace()
}

/// Printable ASCII only; what a path that was checked at receipt always is.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// An address in the 7-bit form of RFC 6533 3 (`utf-8-addr-xtext`).
fn seven_bit(address: &str) -> String {
    address.chars().fold(String::with_capacity(address.len() * 2), |text, c| match c {
        '\\' | '+' | '=' => text + &escaped(c),
        c if c.is_ascii_graphic() => text + c.encode_utf8(&mut [0; 4]),
        c => text + &escaped(c),
    })
}

fn escaped(c: char) -> String {
    let mut text = String::new();
    let _ = write!(text, "\\x{{{:02X}}}", u32::from(c));
    text
}

#[cfg(test)]
mod tests {
    use super::{super::tests::paths, *};

    #[test]
    fn recipients_are_written_in_seven_bits() {
        for (path, written) in [
            ("info@example.org", "rfc822; info@example.org"),
            ("\"a b\"@example.org", "rfc822; \"a b\"@example.org"),
            ("info@bücher.example", "rfc822; info@xn--bcher-kva.example"),
            ("bücher+1@example.org", "utf-8; b\\x{FC}cher\\x{2B}1@example.org"),
        ] {
            assert_eq!(final_recipient(&paths::forward(path)), written);
        }
    }

    #[test]
    fn a_report_needs_smtputf8_only_for_a_local_part() {
        for (sender, recipient) in [
            ("alice@example.com", Some("alice@example.com")),
            ("alice@bücher.example", Some("alice@xn--bcher-kva.example")),
            ("grün@bücher.example", Some("grün@bücher.example")),
            ("alice@[192.0.2.1]", None),
            ("", None),
        ] {
            let path = report_recipient(&paths::reverse(sender));
            assert_eq!(path.as_ref().map(ForwardPath::as_str), recipient, "{sender:?}");
        }
    }

    #[test]
    fn xtext_is_decoded_only_where_it_is_harmless() {
        for (xtext, decoded) in [
            ("QQ314159", Some("QQ314159")),
            ("a+2Bb+3Dc", Some("a+b=c")),
            ("a+0D+0AX-Evil: 1", None),
            ("+20", None),
            ("+C3+BC", None),
            ("a+4", None),
            ("a+zz", None),
            ("", None),
        ] {
            assert_eq!(envelope_id(&paths::xtext(xtext)).as_deref(), decoded, "{xtext:?}");
        }
        for (orcpt, written) in [
            ("rfc822;Bob+2Bx@example.org", Some("rfc822; Bob+x@example.org")),
            ("RFC822;a@example.org", Some("RFC822; a@example.org")),
            ("utf-8;b\\x{FC}@example.org", Some("utf-8; b\\x{FC}@example.org")),
            ("utf-8;bü@example.org", Some("utf-8; b\\x{FC}@example.org")),
            ("rfc822;a+0D+0Ab", None),
            ("rfc822;", None),
            ("no type", None),
            ("r fc;a@example.org", None),
        ] {
            assert_eq!(original_recipient(&paths::xtext(orcpt)).as_deref(), written, "{orcpt:?}");
        }
    }

    #[test]
    fn a_sender_stands_in_the_header_only_where_it_can() {
        for (path, written) in [
            ("alice@example.com", "<alice@example.com>"),
            ("\"a b\\\" c\"@example.com", "<\"a b\\\" c\"@example.com>"),
            ("grün@example.com", "<grün@example.com>"),
            ("a\r\nBcc: x@example.com", "undisclosed-recipients:;"),
            ("a b@example.com", "undisclosed-recipients:;"),
            ("a>b@example.com", "undisclosed-recipients:;"),
            ("\"a\"b\"@example.com", "undisclosed-recipients:;"),
            ("nodomain", "undisclosed-recipients:;"),
            (".a..b@example.com", "<\".a..b\"@example.com>"),
            ("a@example.com\r\nBcc: x", "undisclosed-recipients:;"),
        ] {
            assert_eq!(header_address(&paths::forward(path)), written, "{path:?}");
        }
    }
}
