//! The header of a message, cut off its content: all that a report gives back of it.

/// The most of a header that is looked at and given back, in octets.
pub const HEADER_LIMIT: usize = 64 << 10;

/// The header section of a message, with its last line end: as far as the lines are header fields, at most
/// [`HEADER_LIMIT`] octets, cut between fields. Nothing of the body, even where no empty line comes before it.
#[must_use]
pub fn header_of(content: &[u8]) -> &[u8] {
    let mut end = 0; // of the last whole field
    let mut position = 0;
    for line in content[..content.len().min(HEADER_LIMIT)].split_inclusive(|octet| *octet == b'\n') {
        let starts_field = match line.first() {
            Some(b' ' | b'\t') if position > 0 => false,
            _ if is_field_start(line) => true,
            _ => return &content[..position],
        };
        if starts_field {
            end = position;
        }
        if !line.ends_with(b"\n") {
            return &content[..end];
        }
        position += line.len();
    }
    if content.len() > HEADER_LIMIT { &content[..end] } else { &content[..position] }
}

/// Whether a line begins a field: a name of printable ASCII, perhaps spaces, a colon (RFC 5322 2.2, 4.5).
fn is_field_start(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(|octet| (0x21..=0x7e).contains(octet))
}

/// The Message-ID, with its angle brackets, where there is one that can be repeated in a header of ours.
pub(super) fn message_id(header: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"message-id:";
    let mut lines = header.split_inclusive(|octet| *octet == b'\n');
    lines.find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME)).and_then(|line| {
        let mut value = line[NAME.len()..].trim_ascii();
        if value.is_empty() {
            value = lines.next().filter(|next| next.starts_with(b" ") || next.starts_with(b"\t"))?.trim_ascii();
        }
        let id = str::from_utf8(value).ok()?;
        let inner = id.strip_prefix('<')?.strip_suffix('>')?;
        let (left, right) = inner.split_once('@')?;
        let fits =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"<>()@,;\\\"".contains(&b));
        (id.len() <= 250 && fits(left) && fits(right)).then_some(id)
    })
}

/// The subject on one line as people read it, where it is short: encoded words (RFC 2047) decoded, UTF-8 as it stands.
pub(super) fn subject(header: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"subject:";
    const LIMIT: usize = 200;
    /// Encoded words are up to nine times as long as what they say.
    const ENCODED: usize = 2000;
    let mut lines = header.split_inclusive(|octet| *octet == b'\n');
    let first = lines.find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    let folded = lines.take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t"));
    let mut field = first.trim_ascii_end().to_vec();
    for line in folded {
        // The fold is kept: white space between encoded words is none of the text.
        field.extend_from_slice(b"\r\n");
        field.extend_from_slice(line.trim_ascii_end());
        if field.len() > ENCODED {
            return None;
        }
    }
    let value = str::from_utf8(field.get(NAME.len()..)?).ok()?;
    let said = if value.contains("=?") { decoded(&field)? } else { value.replace("\r\n", "") };
    let subject = super::text::one_line(&said);
    // What is left of an encoded word was not one.
    (!subject.is_empty() && subject.chars().count() <= LIMIT && !subject.contains("=?")).then_some(subject)
}

fn decoded(field: &[u8]) -> Option<String> {
    let field = [field, b"\r\n\r\n"].concat();
    mail_parser::MessageParser::default().parse_headers(&field)?.subject().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_where_the_fields_end() {
        for (content, header) in [
            ("A: 1\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2\r\n"),
            ("A: 1\r\n folded\r\n\r\nbody", "A: 1\r\n folded\r\n"),
            ("A: 1\r\nthis is no field\r\nC: 3\r\n", "A: 1\r\n"),
            ("\r\nA: 1\r\n", ""),
            (" folded first\r\n", ""),
            ("body only", ""),
            ("A: 1\r\nB: cut of", "A: 1\r\n"),
            ("A: 1\r\nB: 2\r\n cut of", "A: 1\r\n"),
            ("A: 1\r\n", "A: 1\r\n"),
            ("", ""),
        ] {
            assert_eq!(header_of(content.as_bytes()), header.as_bytes(), "{content:?}");
        }
    }

    #[test]
    fn a_long_header_is_cut_between_fields() {
        let field = format!("X-Long: {}\r\n\t{}\r\n", "a".repeat(500), "b".repeat(500));
        let header = field.repeat(100);
        let cut = header_of(header.as_bytes());
        assert!(cut.len() <= HEADER_LIMIT && cut.len() > HEADER_LIMIT - field.len());
        assert_eq!(cut.len() % field.len(), 0);
        assert_eq!(header_of(&vec![b'a'; 2 * HEADER_LIMIT]), b"");
        assert_eq!(header_of(format!("A: {}", "x".repeat(2 * HEADER_LIMIT)).as_bytes()), b"");
    }

    #[test]
    fn a_message_id_is_repeated_only_where_it_is_one() {
        for (header, id) in [
            ("Message-ID: <a.b@example.com>\r\n", Some("<a.b@example.com>")),
            ("X: 1\r\nmessage-id:\r\n <c@example.com>\r\nY: 2\r\n", Some("<c@example.com>")),
            ("Message-ID: <a@b> (comment)\r\n", None),
            ("Message-ID: <a b@c>\r\n", None),
            ("Message-ID: <a@b@c>\r\n", None),
            ("Message-ID: <@c>\r\n", None),
            ("Message-ID:\r\nX: <a@b>\r\n", None),
            ("Message-ID: a@b\r\n", None),
            ("X: <a@b>\r\n", None),
        ] {
            assert_eq!(message_id(header.as_bytes()), id, "{header:?}");
        }
    }

    #[test]
    fn a_subject_is_named_where_it_is_legible() {
        let long = format!("Subject: {}\r\n", "x".repeat(300));
        for (header, subject_) in [
            ("Subject: Lunch\r\n", Some("Lunch")),
            ("A: 1\r\nSUBJECT: Größe\r\n\tund mehr\r\n \r\nB: 2\r\n", Some("Größe und mehr")),
            ("Subject: a\u{202e}b\u{0}c\r\n", Some("a b c")),
            ("Subject: =?utf-8?q?x?=\r\n", Some("x")),
            ("Subject: =?UTF-8?B?R3LDtsOfZQ==?=\r\n =?iso-8859-1?q?_f=FCr_alle?= now\r\n", Some("Größe für alle now")),
            ("Subject: =?utf-8?q?a=0D=0ABcc:_b?=\r\n", Some("a / Bcc: b")),
            ("Subject: =?utf-8?q?no end\r\n", None),
            ("Subject:\r\n", None),
            ("Subject: \r\nB: 2\r\n", None),
            ("X-Subject: no\r\n", None),
            (long.as_str(), None),
        ] {
            assert_eq!(subject(header.as_bytes()).as_deref(), subject_, "{header:?}");
        }
        assert_eq!(subject(b"Subject: \xff\r\n"), None);
    }
}
