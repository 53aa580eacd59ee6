//! Replies (RFC 5321 4.2) and enhanced status codes (RFC 3463).

use std::fmt;

use serde::{Deserialize, Serialize};

/// An enhanced status code (RFC 3463): class, subject and detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// Splits an enhanced code of the class of `code` (2, 4 or 5) and the space after it off the front of a text.
    fn strip(code: u16, text: &str) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = word.split('.');
        let mut number = || parts.next().filter(|part| (1..=3).contains(&part.len())).and_then(digits);
        let (class, subject, detail) = (number()?, number()?, number()?);
        if parts.next().is_some() || class != code / 100 || !matches!(class, 2 | 4 | 5) {
            return None;
        }
        Some((Self(u8::try_from(class).ok()?, subject, detail), rest))
    }
}

fn digits(text: &str) -> Option<u16> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A reply of one or more lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced code, where there was one.
    pub enhanced: Option<EnhancedCode>,
    /// The text after the codes, lines joined by `\n`; printable, at most 1,000 octets kept.
    pub text: String,
}

impl Reply {
    /// A reply of our own.
    #[must_use]
    pub fn new(code: u16, enhanced: Option<EnhancedCode>, text: impl Into<String>) -> Self {
        Self { code, enhanced, text: text.into() }
    }

    /// 2xx.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx.
    #[must_use]
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends the reply as it goes over the wire, each line with its codes and CRLF. A control character in the text
    /// becomes a space: no text can forge a line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            let mut head = [0; 3];
            for (position, digit) in head.iter_mut().rev().enumerate() {
                *digit = b'0' + (self.code / [1, 10, 100][position] % 10) as u8;
            }
            out.extend_from_slice(&head);
            out.push(separator as u8);
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(enhanced.to_string().as_bytes());
                out.push(b' ');
            }
            out.extend(line.bytes().map(|octet| if octet.is_ascii_control() { b' ' } else { octet }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text.replace('\n', " / "))?;
        }
        Ok(())
    }
}

/// Why octets are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyParseError {
    /// It does not begin as a reply does.
    #[error("expected a reply: three digits, then a space or a hyphen (RFC 5321 4.2.1)")]
    Form,
    /// A line is longer than [`ReplyParser::LINE`] octets.
    #[error("a line of the reply is longer than {} octets", ReplyParser::LINE)]
    LineTooLong,
    /// There are more than [`ReplyParser::LINES`] lines.
    #[error("the reply has more than {} lines", ReplyParser::LINES)]
    TooManyLines,
    /// The lines of one reply have different codes.
    #[error("the lines of the reply have different codes")]
    CodesDiffer,
}

/// Reads replies off a stream, in pieces of any size, within bounds. After an error the stream is out of step: it must
/// be closed.
///
/// Lines end at LF, with a CR before it or not. The first enhanced code is kept; octets that are not UTF-8 and control
/// characters are replaced.
#[derive(Clone, Debug)]
pub struct ReplyParser {
    keep: usize,
    line: Vec<u8>,
    reply: Option<Reply>,
    lines: usize,
}

impl Default for ReplyParser {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplyParser {
    /// Octets of a line that are still read; RFC 5321 4.5.3.1.5 allows 512.
    pub const LINE: usize = 4096;
    /// Lines of one reply that are still read.
    pub const LINES: usize = 128;
    /// Octets of text kept of a reply.
    pub const TEXT: usize = 1000;

    /// A parser that keeps [`Self::TEXT`] octets of each reply's text.
    #[must_use]
    pub const fn new() -> Self {
        Self::keeping(Self::TEXT)
    }

    /// A parser that keeps so many octets of each reply's text. The answer to EHLO is a list: 8192 is enough for it.
    #[must_use]
    pub const fn keeping(octets: usize) -> Self {
        Self { keep: octets, line: Vec::new(), reply: None, lines: 0 }
    }

    /// Whether it is in the middle of a reply.
    #[must_use]
    pub const fn is_midway(&self) -> bool {
        !self.line.is_empty() || self.reply.is_some()
    }

    /// Reads octets up to the end of one reply. Returns how many were used and the reply, if it is complete; without a
    /// reply all were used. Call again with what is left for the next reply.
    ///
    /// # Errors
    /// They are not a reply, or it is beyond the bounds.
    pub fn push(&mut self, octets: &[u8]) -> Result<(usize, Option<Reply>), ReplyParseError> {
        let mut used = 0;
        while let Some(end) = memchr::memchr(b'\n', &octets[used..]) {
            let piece = &octets[used..used + end];
            used += end + 1;
            let last = if self.line.is_empty() {
                self.take_line(piece)?
            } else {
                self.extend(piece)?;
                let line = std::mem::take(&mut self.line);
                self.take_line(&line)?
            };
            if last {
                self.lines = 0;
                return Ok((used, self.reply.take()));
            }
        }
        self.extend(&octets[used..])?;
        Ok((octets.len(), None))
    }

    fn extend(&mut self, piece: &[u8]) -> Result<(), ReplyParseError> {
        if self.line.len() + piece.len() > Self::LINE {
            return Err(ReplyParseError::LineTooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Reads a line without its LF; true where it is the last of its reply.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, ReplyParseError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > Self::LINE {
            return Err(ReplyParseError::LineTooLong);
        }
        let (head, rest) = line.split_at_checked(3).ok_or(ReplyParseError::Form)?;
        let code = str::from_utf8(head).ok().and_then(digits).filter(|code| (200..600).contains(code));
        let code = code.ok_or(ReplyParseError::Form)?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyParseError::Form),
        };
        self.lines += 1;
        if self.lines > Self::LINES {
            return Err(ReplyParseError::TooManyLines);
        }
        let text = String::from_utf8_lossy(text);
        let (enhanced, text) = match EnhancedCode::strip(code, &text) {
            Some((enhanced, rest)) => (Some(enhanced), rest),
            None => (None, text.as_ref()),
        };
        let reply = match &mut self.reply {
            Some(reply) if reply.code != code => return Err(ReplyParseError::CodesDiffer),
            Some(reply) => {
                if reply.text.len() < self.keep {
                    reply.text.push('\n');
                }
                reply
            }
            reply @ None => reply.insert(Reply { code, enhanced, text: String::new() }),
        };
        reply.enhanced = reply.enhanced.or(enhanced);
        for character in text.chars() {
            let character = if character.is_control() { ' ' } else { character };
            if reply.text.len() + character.len_utf8() > self.keep {
                break;
            }
            reply.text.push(character);
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_all(octets: &[u8]) -> Result<Vec<Reply>, ReplyParseError> {
        parse_pieces(&[octets])
    }

    fn parse_pieces(pieces: &[&[u8]]) -> Result<Vec<Reply>, ReplyParseError> {
        let mut parser = ReplyParser::new();
        let mut replies = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (used, reply) = parser.push(rest)?;
                rest = &rest[used..];
                replies.extend(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn reads_replies_of_one_and_more_lines() {
        for (octets, code, enhanced, text) in [
            ("250 2.1.0 Ok\r\n", 250, Some(EnhancedCode(2, 1, 0)), "Ok"),
            ("250\r\n", 250, None, ""),
            ("354 go\n", 354, None, "go"),
            ("550 5.1.1\r\n", 550, Some(EnhancedCode(5, 1, 1)), ""),
            ("550 4.1.1 odd\r\n", 550, None, "4.1.1 odd"),
            ("250 1.2.3.4 host\r\n", 250, None, "1.2.3.4 host"),
            ("250-mx\r\n250-SIZE 1\r\n250 DSN\r\n", 250, None, "mx\nSIZE 1\nDSN"),
            ("550-5.7.1 no\r\n550 5.7.1 never\r\n", 550, Some(EnhancedCode(5, 7, 1)), "no\nnever"),
            ("220 a\tb\x07\r\n", 220, None, "a b "),
        ] {
            let replies = parse_all(octets.as_bytes()).unwrap();
            assert_eq!(replies, [Reply::new(code, enhanced, text)], "{octets:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_reply() {
        let many = "250-x\r\n".repeat(ReplyParser::LINES + 1);
        let long = format!("250 {}", "x".repeat(ReplyParser::LINE));
        for (octets, error) in [
            ("\r\n", ReplyParseError::Form),
            ("+OK\r\n", ReplyParseError::Form),
            ("150 x\r\n", ReplyParseError::Form),
            ("999 x\r\n", ReplyParseError::Form),
            ("2500 x\r\n", ReplyParseError::Form),
            ("+25 x\r\n", ReplyParseError::Form),
            ("250-a\r\n550 b\r\n", ReplyParseError::CodesDiffer),
            (&many, ReplyParseError::TooManyLines),
            (&long, ReplyParseError::LineTooLong),
        ] {
            assert_eq!(parse_all(octets.as_bytes()), Err(error), "{octets:.20?}");
        }
    }

    #[test]
    fn keeps_a_bounded_text() {
        let octets = "250-é\r\n".repeat(100) + "250 " + &"é".repeat(1000) + "\r\n";
        let reply = parse_all(octets.as_bytes()).unwrap().remove(0);
        assert!((ReplyParser::TEXT - 1..=ReplyParser::TEXT).contains(&reply.text.len()), "{}", reply.text.len());
    }

    #[test]
    fn no_text_can_forge_a_line() {
        let mut out = Vec::new();
        Reply::new(250, Some(EnhancedCode(2, 0, 0)), "a\r\n550 b\0").write_to(&mut out);
        assert_eq!(out, b"250-2.0.0 a \r\n250 2.0.0 550 b \r\n");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_in_any_pieces(
            code in 200u16..600,
            subject in 0u16..1000,
            lines in proptest::collection::vec("[a-z ]{0,20}", 1..5),
            cuts in proptest::collection::vec(0usize..200, 0..6),
        ) {
            let enhanced =
                matches!(code / 100, 2 | 4 | 5).then_some(EnhancedCode((code / 100) as u8, subject, 1));
            let reply = Reply::new(code, enhanced, lines.join("\n"));
            let mut wire = Vec::new();
            reply.write_to(&mut wire);
            reply.write_to(&mut wire);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse_pieces(&pieces), Ok(vec![reply.clone(), reply]));
        }

        #[test]
        fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_all(&octets);
        }
    }
}
