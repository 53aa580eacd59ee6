//! Takes Authentication-Results fields that bear our own name out of a message's header (RFC 8601 5). Pure.
//!
//! We are the only one who may speak in our name, and a client that writes such a field forges it. Nothing else changes:
//! every other octet goes through as it came, in pieces of any size.

use backupmx_relay_config::DomainName;

const NAME: &[u8] = b"authentication-results";

/// Octets of one field that are kept back until its author is known. Real fields name it at once; one that hides it
/// behind 64 KiB of comments is a forgery or worthless, and is taken out.
const HELD: usize = 64 << 10;

/// Lets content through, without the forged fields of its header.
#[derive(Debug)]
pub(super) struct HeaderFilter<'a> {
    ours: &'a DomainName,
    state: State,
    /// What becomes of the field that the last line belonged to.
    field: Fate,
    /// Octets that are kept back: the start of a field whose name or author is not known yet.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a header line.
    LineStart,
    /// So many octets of the field's name agree.
    Name(usize),
    /// After the whole name: white space, then the colon.
    Colon,
    /// Within a line, its fate being that of `field`.
    Line,
    /// Past the header.
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
    /// Its author is not known yet; the field is in `held`.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Author<'a> {
    /// The text has ended before the author was named.
    Unknown,
    Named(&'a [u8]),
}

impl<'a> HeaderFilter<'a> {
    pub(super) const fn new(ours: &'a DomainName) -> Self {
        Self { ours, state: State::LineStart, field: Fate::Kept, held: Vec::new() }
    }

    /// Takes a piece of content and hands on what goes through.
    pub(super) fn push(&mut self, mut piece: &[u8], emit: &mut impl FnMut(&[u8])) {
        while let [octet, rest @ ..] = piece {
            let octet = *octet;
            match self.state {
                State::Body => return emit(piece),
                State::LineStart if octet == b' ' || octet == b'\t' => self.state = State::Line,
                State::LineStart => {
                    self.end_field(emit);
                    self.state = if matches!(octet, b'\r' | b'\n') { State::Body } else { State::Name(0) };
                }
                State::Name(agreed) if octet.eq_ignore_ascii_case(&NAME[agreed]) => {
                    self.held.push(octet);
                    self.state = if agreed + 1 == NAME.len() { State::Colon } else { State::Name(agreed + 1) };
                    piece = rest;
                }
                State::Colon if matches!(octet, b' ' | b'\t') && self.held.len() < HELD => {
                    self.held.push(octet);
                    piece = rest;
                }
                State::Colon if octet == b':' => {
                    self.held.push(octet);
                    self.field = Fate::Open;
                    self.state = State::Line;
                    piece = rest;
                }
                State::Name(_) | State::Colon => {
                    self.release(emit);
                    self.state = State::Line;
                }
                State::Line => piece = self.line(piece, emit),
            }
        }
    }

    /// Ends the content: hands on what was kept back.
    pub(super) fn finish(mut self, emit: &mut impl FnMut(&[u8])) {
        self.end_field(emit);
        self.release(emit);
    }

    /// Takes what there is of a line; returns what comes after it.
    fn line<'p>(&mut self, piece: &'p [u8], emit: &mut impl FnMut(&[u8])) -> &'p [u8] {
        let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
        let (line, rest) = piece.split_at(end.unwrap_or(piece.len()));
        match self.field {
            Fate::Kept => emit(line),
            Fate::Dropped => {}
            Fate::Open => {
                self.held.extend_from_slice(line);
                if end.is_some() || self.held.len() > HELD {
                    self.judge(emit);
                }
            }
        }
        if end.is_some() {
            self.state = State::LineStart;
        }
        rest
    }

    /// Decides on an open field, where it can be decided.
    fn judge(&mut self, emit: &mut impl FnMut(&[u8])) {
        let value = memchr::memchr(b':', &self.held).map_or(&[][..], |colon| &self.held[colon + 1..]);
        let forged = match author(value) {
            Author::Named(name) => self.is_ours(name),
            Author::Unknown if self.held.len() > HELD => true,
            Author::Unknown => return,
        };
        if forged {
            self.held.clear();
            self.field = Fate::Dropped;
        } else {
            self.release(emit);
        }
    }

    /// The field that came before is complete: one that never named its author is not ours.
    fn end_field(&mut self, emit: &mut impl FnMut(&[u8])) {
        if self.field == Fate::Open {
            self.release(emit);
        }
        self.field = Fate::Kept;
    }

    fn release(&mut self, emit: &mut impl FnMut(&[u8])) {
        self.field = Fate::Kept;
        if !self.held.is_empty() {
            emit(&self.held);
            self.held.clear();
        }
    }

    fn is_ours(&self, name: &[u8]) -> bool {
        // Within quotes a backslash only says that the next octet is meant.
        let text = String::from_utf8_lossy(name).replace('\\', "");
        let text = text.strip_suffix('.').unwrap_or(&text);
        text.parse::<DomainName>().is_ok_and(|name| name == *self.ours)
    }
}

/// The authserv-id of a field's value (RFC 8601 2.2): after white space and comments, a token or a quoted string.
fn author(value: &[u8]) -> Author<'_> {
    let mut rest = value;
    let mut depth = 0_u32;
    while let [octet, after @ ..] = rest {
        match (*octet, depth) {
            (b'(', _) => depth = depth.saturating_add(1),
            (b')', 1..) => depth -= 1,
            (b'\\', 1..) => {
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            (_, 1..) | (b' ' | b'\t' | b'\r' | b'\n', 0) => {}
            (b'"', 0) => {
                let end = closing_quote(after);
                return end.map_or(Author::Unknown, |end| Author::Named(&after[..end]));
            }
            (_, 0) => {
                let end = rest.iter().position(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'('));
                return end.map_or(Author::Unknown, |end| Author::Named(&rest[..end]));
            }
        }
        rest = after;
    }
    Author::Unknown
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|octet| {
        let closes = *octet == b'"' && !escaped;
        escaped = *octet == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(pieces: &[&[u8]]) -> String {
        let ours: DomainName = "mx1.example.net".parse().unwrap();
        let mut out = Vec::new();
        let mut filter = HeaderFilter::new(&ours);
        for piece in pieces {
            filter.push(piece, &mut |octets| out.extend_from_slice(octets));
        }
        filter.finish(&mut |octets| out.extend_from_slice(octets));
        String::from_utf8(out).unwrap()
    }

    const FORGED: &[&str] = &[
        "Authentication-Results: mx1.example.net; spf=pass\r\n",
        "authentication-results:mx1.example.net;\r\n\tspf=pass\r\n more\r\n",
        "AUTHENTICATION-RESULTS \t: MX1.Example.NET. 1; none\r\n",
        "Authentication-Results:\r\n (a (nested\\)) comment)\r\n mx1.example.net\r\n ; none\r\n",
        "Authentication-Results: \"mx1.example.net\" ; none\r\n",
        "Authentication-Results: \"mx1\\.example.net\"; none\r\n",
        "Authentication-Results: mx1.example.net(c); none\r\n",
        "Authentication-Results: mx1.example.net\r\n",
    ];

    const KEPT: &[&str] = &[
        "Authentication-Results: mx2.example.net; spf=pass (mx1.example.net)\r\n",
        "Authentication-Results: (mx1.example.net) other.example; x=mx1.example.net\r\n",
        "Authentication-Results: mx1.example.net.evil.example; none\r\n",
        "Authentication-Results: \"mx1.example.net\\\"\"; none\r\n",
        "Authentication-Results-Copy: mx1.example.net; none\r\n",
        "X-Authentication-Results: mx1.example.net; none\r\n",
        "Authentication-Result: mx1.example.net; none\r\n",
        "Authentication-Results;\r\n",
        "Authentication-Results:\r\n",
        "Authentication-Results: (never ends\r\n\tmx1.example.net\r\n",
        "Subject: hello\r\n Authentication-Results: mx1.example.net; none\r\n",
        "Received: from a\r\n\tby b; date\r\n",
        "A\r\n",
        "no colon at all\r\n",
    ];

    #[test]
    fn takes_out_our_own_name_only() {
        for forged in FORGED {
            let content = format!("To: a\r\n{forged}Subject: b\r\n\r\nbody\r\n");
            assert_eq!(filter(&[content.as_bytes()]), "To: a\r\nSubject: b\r\n\r\nbody\r\n", "{forged:?}");
            assert_eq!(filter(&[forged.as_bytes()]), "", "{forged:?}");
        }
        for kept in KEPT {
            let content = format!("To: a\r\n{kept}Subject: b\r\n\r\nbody\r\n");
            assert_eq!(filter(&[content.as_bytes()]), content);
            assert_eq!(filter(&[kept.as_bytes()]), *kept);
        }
    }

    #[test]
    fn the_body_is_not_looked_at() {
        for content in [
            format!("To: a\r\n\r\n{}", FORGED[0]),
            format!("\r\n{}", FORGED[0]),
            "To: a\r\n\r\n".to_owned(),
            "Authentication-Resul".to_owned(),
            "Authentication-Results: mx1.example.n".to_owned(),
            String::new(),
        ] {
            assert_eq!(filter(&[content.as_bytes()]), content);
        }
    }

    #[test]
    fn what_is_kept_back_is_bounded() {
        let comment = format!("Authentication-Results: ({}", "x".repeat(HELD));
        assert_eq!(filter(&[comment.as_bytes(), b"\r\nTo: a\r\n"]), "To: a\r\n");
        let spaces = format!("Authentication-Results{}: mx1.example.net;\r\n", " ".repeat(HELD));
        assert_eq!(filter(&[spaces.as_bytes()]), spaces);
    }

    proptest! {
        #[test]
        fn all_other_octets_go_through_however_they_are_cut(
            fields in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..6),
            body in "[ -~\r\n]{0,40}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut content = String::new();
            let mut expected = String::new();
            for (forged, index) in fields {
                let field = if forged { FORGED[index.index(FORGED.len())] } else { KEPT[index.index(KEPT.len())] };
                content.push_str(field);
                if !forged {
                    expected.push_str(field);
                }
            }
            content.push_str("\r\n");
            expected.push_str("\r\n");
            content.push_str(&body);
            expected.push_str(&body);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(content.len())).collect();
            at.push(0);
            at.push(content.len());
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &content.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(filter(&pieces), expected);
        }
    }
}
