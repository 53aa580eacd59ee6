//! The content on its way to a server: dots stuffed (RFC 5321 4.5.2), ended by its final dot. Pure.

use memchr::memmem;

/// Doubles the dots at line starts of content that comes in pieces, and ends it.
#[derive(Debug)]
pub(super) struct DotStuffer {
    /// The last two octets so far; at the start those of the line before the content.
    tail: [u8; 2],
}

impl DotStuffer {
    pub(super) const fn new() -> Self {
        Self { tail: *b"\r\n" }
    }

    /// Adds a piece of content.
    ///
    /// A dot after a bare LF is doubled too. Content with a bare LF is not taken in; should some be in the spool all the
    /// same, no server that ends lines at LF can be made to see a command in it.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let [.., last] = *piece else { return };
        if self.tail[1] == b'\n' && piece.starts_with(b".") {
            out.push(b'.');
        }
        let mut from = 0;
        for at in memmem::find_iter(piece, b"\n.") {
            out.extend_from_slice(&piece[from..=at]);
            out.push(b'.');
            from = at + 1;
        }
        out.extend_from_slice(&piece[from..]);
        self.tail = match piece {
            [.., before, last] => [*before, *last],
            _ => [self.tail[1], last],
        };
    }

    /// Ends the content: its last line where it is not ended, then the final dot.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if self.tail != *b"\r\n" {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuff(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = DotStuffer::new();
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn doubles_dots_at_line_starts_only() {
        for (content, wire) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a.b\r\n", "a.b\r\n.\r\n"),
            (".\r\n.\r\n", "..\r\n..\r\n.\r\n"),
            ("..a\r\n", "...a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n.b", "a\r\n..b\r\n.\r\n"),
            ("a\n.\r\nQUIT\r\n", "a\n..\r\nQUIT\r\n.\r\n"),
        ] {
            assert_eq!(stuff(&[content.as_bytes()]), wire.as_bytes(), "{content:?}");
        }
    }

    /// What a server makes of it (RFC 5321 4.5.2): up to the final dot, one leading dot taken off each line.
    fn unstuff(wire: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let mut rest = wire;
        loop {
            let end = memmem::find(rest, b"\r\n")? + 2;
            let (line, after) = rest.split_at(end);
            if line == b".\r\n" {
                return after.is_empty().then_some(content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            rest = after;
        }
    }

    proptest! {
        #[test]
        fn a_server_reads_back_the_same_lines(
            lines in prop::collection::vec("[.a\u{e9} ]{0,4}", 0..8), cut in 0..40usize, again in 0..40usize,
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let content = content.as_bytes();
            let (first, rest) = content.split_at(cut.min(content.len()));
            let (second, third) = rest.split_at(again.min(rest.len()));
            let wire = stuff(&[first, second, third]);
            let read = unstuff(&wire);
            prop_assert_eq!(read.as_deref(), Some(content));
        }
    }
}
