//! Making what others wrote safe to write into a report: no line ends, no control characters, bounded lines.

/// The longest line without its CRLF (RFC 5322 2.1.1).
pub const LINE_LIMIT: usize = 998;

/// Columns that a folded or wrapped line aims at (RFC 5322 2.1.1).
const COLUMNS: usize = 76;

/// One line of printable text: line ends become ` / `, other control characters and those that turn the direction of
/// writing become spaces, runs of spaces become one.
#[must_use]
pub fn one_line(text: &str) -> String {
    let words = |part: &str| {
        part.split(|c| c == ' ' || is_unsafe(c)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    text.split(['\r', '\n']).map(words).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" / ")
}

/// As [`one_line`], with a question mark for every character that is not ASCII.
#[must_use]
pub fn one_ascii_line(text: &str) -> String {
    one_line(text).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{feff}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Breaks a line at spaces so that each piece has at most 76 columns where the words allow it, and at most `hard`
/// octets always (a longer word is cut). No piece is empty.
fn pieces(line: &str, first: usize, hard: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut taken = first;
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        for chunk in chunks(word, hard) {
            if !piece.is_empty() && taken + 1 + chunk.len() > COLUMNS {
                pieces.push(std::mem::take(&mut piece));
                taken = 0;
            }
            if !piece.is_empty() {
                piece.push(' ');
                taken += 1;
            }
            piece.push_str(chunk);
            taken += chunk.len();
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// A word in pieces of at most `limit` octets, cut between characters.
fn chunks(word: &str, limit: usize) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.floor_char_boundary(limit.max(4).min(rest.len()));
        let (chunk, tail) = rest.split_at(end);
        rest = tail;
        Some(chunk)
    })
}

/// A header field, folded, with its CRLF. The value is made one line first; an empty value gives no field at all.
#[must_use]
pub fn field(name: &str, value: &str) -> String {
    let pieces = pieces(&one_line(value), name.len() + 2, LINE_LIMIT - 80);
    if pieces.is_empty() {
        return String::new();
    }
    format!("{name}: {}\r\n", pieces.join("\r\n "))
}

/// A paragraph, wrapped, each line indented and ended with CRLF. The text is made one line first.
#[must_use]
pub fn paragraph(text: &str, indent: &str) -> String {
    let pieces = pieces(&one_line(text), indent.len(), LINE_LIMIT - 80);
    pieces.iter().map(|piece| format!("{indent}{piece}\r\n")).collect()
}

/// Whether octets can go into a report as they are: 7-bit, CRLF line ends only, no NUL, no line too long.
#[must_use]
pub fn is_plain(octets: &[u8]) -> bool {
    octets.iter().all(|octet| matches!(octet, b'\t' | b'\r' | b'\n' | 0x20..=0x7e)) && has_plain_lines(octets)
}

/// Whether all line ends are CRLF, no line is too long, and there is no NUL.
#[must_use]
pub fn has_plain_lines(octets: &[u8]) -> bool {
    let mut rest = octets;
    while !rest.is_empty() {
        let (line, tail) = match memchr::memmem::find(rest, b"\r\n") {
            Some(end) => (&rest[..end], &rest[end + 2..]),
            None => (rest, &[][..]),
        };
        if line.len() > LINE_LIMIT || memchr::memchr3(b'\r', b'\n', 0, line).is_some() {
            return false;
        }
        rest = tail;
    }
    true
}

/// Octets as quoted-printable (RFC 2045 6.7): CRLF stays a line end, everything that is not printable ASCII is encoded.
#[must_use]
pub fn quoted_printable(octets: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(octets.len() + octets.len() / 8);
    let mut column = 0;
    let mut position = 0;
    while position < octets.len() {
        if octets[position..].starts_with(b"\r\n") {
            encoded.extend_from_slice(b"\r\n");
            column = 0;
            position += 2;
            continue;
        }
        let octet = octets[position];
        let ends_line = position + 1 == octets.len() || octets[position + 1..].starts_with(b"\r\n");
        let literal = match octet {
            b'=' => false,
            b' ' | b'\t' => !ends_line,
            0x21..=0x7e => true,
            _ => false,
        };
        if column + if literal { 1 } else { 3 } > 75 {
            encoded.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if literal {
            encoded.push(octet);
            column += 1;
        } else {
            encoded.extend([b'=', DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
            column += 3;
        }
        position += 1;
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_line_keeps_words_and_drops_tricks() {
        for (text, line) in [
            ("No such user", "No such user"),
            ("  a\r\nb\n\n c ", "a / b / c"),
            ("a\u{0}b\tc", "a b c"),
            ("x\u{202e}y", "x y"),
            ("", ""),
            ("\r\n\r\n", ""),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
        }
        assert_eq!(one_ascii_line("größer"), "gr??er");
    }

    #[test]
    fn a_field_is_folded_between_words() {
        assert_eq!(field("Status", "5.1.1"), "Status: 5.1.1\r\n");
        assert_eq!(field("Status", " \r\n "), "");
        let folded = field("Diagnostic-Code", &"word ".repeat(40));
        assert!(folded.lines().all(|line| line.len() <= 76), "{folded}");
        assert!(folded.lines().skip(1).all(|line| line.starts_with(" word")), "{folded}");
    }

    proptest! {
        #[test]
        fn a_field_is_always_one_field(value in ".{0,3000}") {
            let text = field("Name", &value);
            let mut lines = text.split("\r\n");
            prop_assert!(text.is_empty() || text.ends_with("\r\n"));
            prop_assert!(lines.next().is_some_and(|line| line.is_empty() || line.starts_with("Name: ")));
            for line in lines.filter(|line| !line.is_empty()) {
                prop_assert!(line.starts_with(' ') && !line.trim().is_empty() && line.len() <= LINE_LIMIT);
            }
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        }

        #[test]
        fn quoted_printable_is_plain(octets in prop::collection::vec(any::<u8>(), 0..3000)) {
            let encoded = quoted_printable(&octets);
            prop_assert!(is_plain(&encoded));
            prop_assert!(encoded.split(|b| *b == b'\n').all(|line| line.len() <= 77));
        }
    }
}
