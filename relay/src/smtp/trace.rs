//! Reads the Received fields (RFC 5321 4.4) off a message's header while it comes in, to tell mail that goes in a
//! circle from mail that does not.

/// Received fields of ours for one recipient domain that mean a circle.
const PASSES: usize = 3;

/// Octets of one Received field that are looked at.
const FIELD: usize = 2048;

/// Fields of ours that are remembered: far more than a message may have.
const OURS: usize = 500;

/// Counts Received fields, and knows those that this host has written.
#[derive(Clone, Debug)]
pub struct TraceScan {
    hostname: String,
    at: At,
    line: Vec<u8>,
    field: Vec<u8>,
    received: u32,
    /// The recipient's domain of each of our own fields, in lower case; none where it names no recipient.
    ours: Vec<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a Received field.
    Received,
    /// In another field, or at the start.
    Other,
    /// Past the header.
    Body,
}

impl TraceScan {
    /// A scan of one message; `hostname` is the name that we give ourselves in Received fields.
    #[must_use]
    pub fn new(hostname: &str) -> Self {
        Self {
            hostname: hostname.to_owned(),
            at: At::Other,
            line: Vec::new(),
            field: Vec::new(),
            received: 0,
            ours: Vec::new(),
        }
    }

    /// Reads more of the content.
    pub fn push(&mut self, mut content: &[u8]) {
        while self.at != At::Body
            && let Some(end) = memchr::memchr(b'\n', content)
        {
            let (line, rest) = content.split_at(end + 1);
            content = rest;
            if self.line.is_empty() {
                self.take(line);
            } else {
                self.keep(line);
                let line = std::mem::take(&mut self.line);
                self.take(&line);
            }
        }
        if self.at != At::Body {
            self.keep(content);
        }
    }

    /// Ends the scan: the header may end with the content.
    pub fn finish(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.at != At::Body {
            self.take(&line);
        }
        self.end_field();
        self.at = At::Body;
    }

    /// Received fields so far.
    #[must_use]
    pub const fn received(&self) -> u32 {
        self.received
    }

    /// Of them, ours for a recipient domain (in lower case). A field of ours that names no recipient counts for all.
    #[must_use]
    pub fn passes(&self, domain: &str) -> usize {
        self.ours.iter().filter(|field| field.as_deref().is_none_or(|named| named == domain)).count()
    }

    /// Whether the message goes in a circle: it has `most` Received fields, or three of ours for one of its recipients'
    /// domains (in lower case).
    #[must_use]
    pub fn is_circle<'d>(&self, most: u32, domains: impl IntoIterator<Item = &'d str>) -> bool {
        self.received() >= most || domains.into_iter().any(|domain| self.passes(domain) >= PASSES)
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = FIELD.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn take(&mut self, line: &[u8]) {
        if matches!(line, b"\r\n" | b"\n") {
            self.end_field();
            self.at = At::Body;
        } else if matches!(line.first(), Some(b' ' | b'\t')) {
            if self.at == At::Received {
                let room = FIELD.saturating_sub(self.field.len());
                self.field.extend_from_slice(&line[..line.len().min(room)]);
            }
        } else {
            self.end_field();
            let name = line.split(|octet| *octet == b':').next().unwrap_or_default().trim_ascii_end();
            if name.len() < line.len() && name.eq_ignore_ascii_case(b"received") {
                self.at = At::Received;
                self.field.extend_from_slice(&line[..line.len().min(FIELD)]);
            }
        }
    }

    fn end_field(&mut self) {
        if self.at != At::Received {
            return;
        }
        self.at = At::Other;
        self.received = self.received.saturating_add(1);
        let field = std::mem::take(&mut self.field);
        let field = String::from_utf8_lossy(&field);
        let value = field.split_once(':').map_or("", |(_, value)| value);
        let (by, recipient) = clauses(value);
        if by.is_some_and(|by| by.trim_end_matches('.').eq_ignore_ascii_case(&self.hostname)) {
            let domain = recipient.and_then(|address| address.trim_matches(['<', '>']).rsplit_once('@'));
            if self.ours.len() < OURS {
                self.ours.push(domain.map(|(_, domain)| domain.to_ascii_lowercase()));
            }
        }
    }
}

/// The values of the `by` and `for` clauses; comments are skipped, the date is not looked at.
fn clauses(value: &str) -> (Option<&str>, Option<&str>) {
    let (mut by, mut recipient) = (None, None);
    let mut depth = 0_usize;
    let mut keyword = "";
    for word in value.split_ascii_whitespace() {
        let opened = word.matches('(').count();
        let closed = word.matches(')').count();
        let inside = depth > 0 || word.starts_with('(');
        depth = (depth + opened).saturating_sub(closed);
        if inside {
            continue;
        }
        let (bare, ends) = word.split_once(';').map_or((word, false), |(bare, _)| (bare, true));
        if keyword.eq_ignore_ascii_case("by") {
            by = by.or(Some(bare));
        } else if keyword.eq_ignore_ascii_case("for") {
            recipient = recipient.or(Some(bare));
        }
        if ends {
            break;
        }
        keyword = bare;
    }
    (by, recipient)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> TraceScan {
        let mut scan = TraceScan::new("mx1.example.net");
        for piece in pieces {
            scan.push(piece);
        }
        scan.finish();
        scan
    }

    const MESSAGE: &str = "Received: from a (by mx1.example.net [192.0.2.1])\r\n\tby mx1.example.net (x; y) with ESMTP\
        \r\n id abc for <u@Example.ORG>; Thu, 1 Jan 2026 00:00:00 +0000\r\n\
        RECEIVED : by MX1.example.net; Thu\r\n\
        received: from mx1.example.net by other.test; Thu\r\n\
        Received: by mx1.example.net for <u@example.com>; x\r\n\
        Subject: Received: by mx1.example.net\r\n\
        \r\n\
        Received: by mx1.example.net; in the body\r\n";

    #[test]
    fn counts_fields_of_the_header_and_ours_for_each_domain() {
        let scan = scan(&[MESSAGE.as_bytes()]);
        assert_eq!(scan.received(), 4);
        assert_eq!(scan.passes("example.org"), 2);
        assert_eq!(scan.passes("example.com"), 2);
        assert_eq!(scan.passes("example.net"), 1);
    }

    #[test]
    fn any_split_gives_the_same_count() {
        for cut in 0..MESSAGE.len() {
            let (first, second) = MESSAGE.as_bytes().split_at(cut);
            let scan = scan(&[first, second]);
            assert_eq!((scan.received(), scan.passes("example.org")), (4, 2), "cut at {cut}");
        }
    }

    #[test]
    fn a_header_may_end_with_the_message() {
        assert_eq!(scan(&[b"Received: by mx1.example.net"]).passes("example.org"), 1);
        assert_eq!(scan(&[b""]).received(), 0);
    }

    #[test]
    fn long_lines_are_bounded() {
        let mut scan = TraceScan::new("mx1.example.net");
        for _ in 0..1000 {
            scan.push(&[b'x'; 1000]);
        }
        assert!(scan.line.len() <= FIELD);
    }
}
