//! Command lines off a stream (RFC 5321 2.3.8): CRLF ends a line, and nothing else does.

/// What the front of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, without its CRLF.
    Complete(&'a [u8]),
    /// A line that is refused as a whole.
    Refused(LineFault),
    /// No line end yet.
    Partial,
}

/// Why a command line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It is longer than allowed.
    #[error("line too long")]
    TooLong,
    /// It holds a CR or an LF that are not a CRLF.
    #[error("lines end in CRLF, and hold no other CR or LF")]
    BareLineEnd,
}

/// Splits a stream into command lines within a bound.
#[derive(Clone, Debug, Default)]
pub struct LineSplitter {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Reading,
    /// Dropping a line that is too long; the last octet dropped was a CR or not.
    Dropping { after_cr: bool },
}

impl LineSplitter {
    /// Takes a line of at most `limit` octets (CRLF counted) off the front of a buffer. Returns how many octets are
    /// used up and what they were. Without a line end the octets stay, until they are too many.
    pub fn next<'a>(&mut self, buffer: &'a [u8], limit: usize) -> (usize, Line<'a>) {
        if let State::Dropping { after_cr } = self.state {
            return self.drop_more(buffer, after_cr);
        }
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\n', &buffer[from..]) {
            let end = from + found;
            if end > 0 && buffer[end - 1] == b'\r' {
                let line = &buffer[..end - 1];
                let line = if end + 1 > limit {
                    Line::Refused(LineFault::TooLong)
                } else if memchr::memchr2(b'\r', b'\n', line).is_some() {
                    Line::Refused(LineFault::BareLineEnd)
                } else {
                    Line::Complete(line)
                };
                return (end + 1, line);
            }
            from = end + 1;
        }
        if buffer.len() < limit {
            return (0, Line::Partial);
        }
        self.state = State::Dropping { after_cr: buffer.last() == Some(&b'\r') };
        (buffer.len(), Line::Partial)
    }

    fn drop_more<'a>(&mut self, buffer: &[u8], after_cr: bool) -> (usize, Line<'a>) {
        let mut after_cr = after_cr;
        let mut from = 0;
        while let Some(found) = memchr::memchr(b'\n', &buffer[from..]) {
            let end = from + found;
            if if end == 0 { after_cr } else { buffer[end - 1] == b'\r' } {
                self.state = State::Reading;
                return (end + 1, Line::Refused(LineFault::TooLong));
            }
            from = end + 1;
        }
        if let Some(last) = buffer.last() {
            after_cr = *last == b'\r';
        }
        self.state = State::Dropping { after_cr };
        (buffer.len(), Line::Partial)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every line of the pieces, as text; faults as `!`.
    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<String> {
        let mut splitter = LineSplitter::default();
        let (mut buffer, mut lines) = (Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                let (used, line) = splitter.next(&buffer, limit);
                match line {
                    Line::Complete(line) => lines.push(String::from_utf8_lossy(line).into_owned()),
                    Line::Refused(fault) => lines.push(format!("!{fault:?}")),
                    Line::Partial => {
                        buffer.drain(..used);
                        assert!(buffer.len() < limit);
                        break;
                    }
                }
                buffer.drain(..used);
            }
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line() {
        for (octets, expected) in [
            ("A\r\nB\r\nC", vec!["A", "B"]),
            ("\r\n\r\n", vec!["", ""]),
            ("A\nB\r\n", vec!["!BareLineEnd"]),
            ("A\rB\r\n", vec!["!BareLineEnd"]),
            ("A\r\r\n", vec!["!BareLineEnd"]),
            ("\nA\r\nB\r\n", vec!["!BareLineEnd", "B"]),
            ("123456\r\n12345678\r\nA\r\n", vec!["123456", "!TooLong", "A"]),
            ("123456789\n\r01234567\r\nA\r\n", vec!["!TooLong", "A"]),
        ] {
            assert_eq!(lines(&[octets.as_bytes()], 8), expected, "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(text in "([A\r\n]|\r\n){0,40}", cuts in proptest::collection::vec(0usize..60, 0..8)) {
            let octets = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(octets.len())).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&pieces, 8), lines(&[octets], 8));
        }
    }
}
