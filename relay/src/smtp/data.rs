//! The content after DATA (RFC 5321 4.1.1.4, 4.5.2): dots unstuffed, and no end but CRLF.CRLF; and after BDAT
//! (RFC 3030), where octets are counted and dots are dots.
//!
//! Servers that take a lone LF or CR for a line end can be made to see two messages where the sender's server saw one
//! (SMTP smuggling). Here such an octet never ends anything, and the whole message is refused once its real end came.

/// The bounds on a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// Octets of the content, dots unstuffed.
    pub size: u64,
    /// Octets of a line with its CRLF.
    pub line: usize,
}

/// Why a content is refused. The first fault counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataFault {
    /// A CR without an LF after it, or an LF without a CR before it.
    #[error("a line of the message ends in a bare CR or LF")]
    BareLineEnd,
    /// A line is too long.
    #[error("a line of the message is too long")]
    LineTooLong,
    /// The content is too large.
    #[error("the message is too large")]
    TooLarge,
}

/// Reads one content off a stream, in pieces of any size.
#[derive(Clone, Debug)]
pub struct DataDecoder {
    limits: DataLimits,
    framing: Framing,
    at: At,
    line: usize,
    size: u64,
    fault: Option<DataFault>,
}

/// How the end of a content is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// By a line with one dot; other dots at the start of a line are stuffed.
    Dots,
    /// By counting.
    Chunks,
}

/// What came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// CRLF, or nothing yet.
    LineStart,
    /// Something else within a line.
    Text,
    /// A CR within a line.
    Cr,
    /// A dot that begins a line.
    Dot,
    /// That, and a CR.
    DotCr,
}

impl DataDecoder {
    /// A decoder for one message after DATA.
    #[must_use]
    pub const fn new(limits: DataLimits) -> Self {
        Self { limits, framing: Framing::Dots, at: At::LineStart, line: 0, size: 0, fault: None }
    }

    /// A decoder for one message in chunks, which [`Self::finish`] ends.
    #[must_use]
    pub const fn chunks(limits: DataLimits) -> Self {
        Self { framing: Framing::Chunks, ..Self::new(limits) }
    }

    /// Octets of content so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What is wrong with the content so far. After a fault nothing more is written to the sink.
    #[must_use]
    pub const fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Reads octets up to the end of the content, and appends what they hold to `sink`. Returns how many octets were
    /// used, and whether the end came; before the end all are used.
    pub fn push(&mut self, input: &[u8], sink: &mut Vec<u8>) -> (usize, bool) {
        let mut copied = 0;
        let mut next = 0;
        while let Some(&octet) = input.get(next) {
            match (self.at, octet) {
                (At::LineStart, b'.') if self.framing == Framing::Dots => {
                    self.copy(&input[copied..next], sink);
                    next += 1;
                    copied = next;
                    self.at = At::Dot;
                }
                (At::LineStart | At::Text, _) => {
                    self.at = At::Text;
                    match memchr::memchr2(b'\r', b'\n', &input[next..]) {
                        None => {
                            self.line += input.len() - next;
                            next = input.len();
                        }
                        Some(text) => {
                            self.line += text;
                            next += text + 1;
                            if input[next - 1] == b'\r' {
                                self.at = At::Cr;
                            } else {
                                self.blame(DataFault::BareLineEnd);
                            }
                        }
                    }
                    if self.line > self.limits.line.saturating_sub(2) {
                        self.blame(DataFault::LineTooLong);
                    }
                }
                (At::Cr, b'\n') => {
                    next += 1;
                    self.line = 0;
                    self.at = At::LineStart;
                }
                (At::Dot, b'\r') => {
                    next += 1;
                    copied = next;
                    self.at = At::DotCr;
                }
                (At::DotCr, b'\n') => return (next + 1, true),
                // The dot was stuffed; what follows is text.
                (At::Dot, _) => self.at = At::Text,
                (At::Cr | At::DotCr, _) => {
                    self.blame(DataFault::BareLineEnd);
                    self.at = At::Text;
                }
            }
        }
        self.copy(&input[copied..next], sink);
        (next, false)
    }

    /// Ends a message in chunks. A last line without an end stays so: it is handed on as it came wherever that is
    /// possible.
    pub fn finish(&mut self) {
        match self.at {
            At::LineStart | At::Text => {}
            At::Cr | At::Dot | At::DotCr => self.blame(DataFault::BareLineEnd),
        }
    }

    fn copy(&mut self, octets: &[u8], sink: &mut Vec<u8>) {
        self.size += octets.len() as u64;
        if self.size > self.limits.size {
            self.blame(DataFault::TooLarge);
        }
        if self.fault.is_none() {
            sink.extend_from_slice(octets);
        }
    }

    fn blame(&mut self, fault: DataFault) {
        self.fault = self.fault.or(Some(fault));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: DataLimits = DataLimits { size: 64, line: 20 };

    /// What became of a stream: the content or its fault, and what is left after the end; none where no end came.
    type Outcome = Option<(Result<Vec<u8>, DataFault>, Vec<u8>)>;

    fn decode(pieces: &[&[u8]], limits: DataLimits) -> Outcome {
        let mut decoder = DataDecoder::new(limits);
        let mut content = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let (used, ended) = decoder.push(piece, &mut content);
            if ended {
                let mut rest = piece[used..].to_vec();
                rest.extend(pieces[index + 1..].concat());
                return Some((decoder.fault().map_or(Ok(content), Err), rest));
            }
            assert_eq!(used, piece.len());
        }
        None
    }

    /// The same by the book, one octet at a time: find the first CRLF.CRLF, then judge and unstuff what is before it.
    fn reference(octets: &[u8]) -> Outcome {
        let stream = [b"\r\n", octets].concat();
        // Only a CRLF that is not half of CR CR LF … is a line end all the same: its CR is next to its LF.
        let end = stream.windows(5).position(|window| window == b"\r\n.\r\n")?;
        let (content, rest) = (&stream[2..(end + 2).max(2)], &stream[end + 5..]);
        let text = content.iter().map(|octet| char::from(*octet)).collect::<String>();
        let unstuffed: Vec<String> =
            text.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line).to_owned()).collect();
        let bare = unstuffed.iter().any(|line| line.contains(['\r', '\n']));
        let content = unstuffed.join("\r\n").chars().map(|c| c as u8).collect::<Vec<u8>>();
        Some((if bare { Err(DataFault::BareLineEnd) } else { Ok(content) }, rest.to_vec()))
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found() {
        for (stream, content, rest) in [
            (".\r\n", "", ""),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n"),
            ("..\r\n...\r\n.a\r\n.\r\n", ".\r\n..\r\na\r\n", ""),
            ("\r\n\r\n.\r\n", "\r\n\r\n", ""),
            ("a.\r\nb .\r\n.\r\n", "a.\r\nb .\r\n", ""),
            ("é\0\u{ff}\r\n.\r\n", "é\0\u{ff}\r\n", ""),
        ] {
            let expected = Some((Ok(content.as_bytes().to_vec()), rest.as_bytes().to_vec()));
            assert_eq!(decode(&[stream.as_bytes()], LIMITS), expected, "{stream:?}");
        }
    }

    #[test]
    fn nothing_else_ends_a_message_however_it_is_cut() {
        for end in ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\n.\r", "\r\n.\n", "\r\n.\r", "\r\n.\r\r\n"] {
            let stream = format!("Subject: a\r\n\r\nb{end}MAIL FROM:<>\r\n.\r\nQUIT\r\n");
            let octets = stream.as_bytes();
            let expected = Some((Err(DataFault::BareLineEnd), b"QUIT\r\n".to_vec()));
            let limits = DataLimits { size: 1000, line: 1000 };
            assert_eq!(decode(&[octets], limits), expected, "{end:?}");
            for cut in 0..octets.len() {
                assert_eq!(decode(&[&octets[..cut], &octets[cut..]], limits), expected, "{end:?} cut at {cut}");
            }
            let single: Vec<&[u8]> = octets.chunks(1).collect();
            assert_eq!(decode(&single, limits), expected, "{end:?} in single octets");
        }
    }

    #[test]
    fn bounds_hold_to_the_octet() {
        let line = |octets: usize| format!("{}\r\n.\r\n", "x".repeat(octets));
        assert!(decode(&[line(18).as_bytes()], LIMITS).unwrap().0.is_ok());
        assert_eq!(decode(&[line(19).as_bytes()], LIMITS).unwrap().0, Err(DataFault::LineTooLong));
        let size = |lines: usize| format!("{}.\r\n", "123456\r\n".repeat(lines));
        assert!(decode(&[size(8).as_bytes()], LIMITS).unwrap().0.is_ok());
        assert_eq!(decode(&[size(9).as_bytes()], LIMITS).unwrap().0, Err(DataFault::TooLarge));
    }

    #[test]
    fn the_sink_stays_within_the_bound() {
        let mut decoder = DataDecoder::new(LIMITS);
        let mut sink = Vec::new();
        for _ in 0..1000 {
            decoder.push(b"12345678901234\r\n", &mut sink);
        }
        assert!(sink.len() <= 64);
        assert_eq!(decoder.fault(), Some(DataFault::TooLarge));
    }

    #[test]
    fn chunks_are_taken_as_they_are_but_for_bare_line_ends() {
        for (content, expected) in [
            ("", Ok("")),
            (".\r\n", Ok(".\r\n")),
            ("a\r\n.\r\nb\r\n", Ok("a\r\n.\r\nb\r\n")),
            ("..\r\nno end", Ok("..\r\nno end")),
            ("a\r", Err(DataFault::BareLineEnd)),
            ("a\nb\r\n", Err(DataFault::BareLineEnd)),
            ("a\r\r\n", Err(DataFault::BareLineEnd)),
            ("12345678901234567890", Err(DataFault::LineTooLong)),
        ] {
            for cut in 0..=content.len() {
                let (mut decoder, mut sink) = (DataDecoder::chunks(LIMITS), Vec::new());
                let (first, second) = content.as_bytes().split_at(cut);
                assert_eq!(decoder.push(first, &mut sink), (first.len(), false));
                assert_eq!(decoder.push(second, &mut sink), (second.len(), false));
                decoder.finish();
                let found = decoder.fault().map_or(Ok(sink), Err);
                assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{content:?} cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference_in_any_pieces(
            text in "(a|\\.|\r|\n|\r\n|\r\n\\.|\r\n\\.\r\n|\r\n\\.\r){0,24}",
            cuts in proptest::collection::vec(0usize..80, 0..8),
        ) {
            let octets = text.as_bytes();
            let limits = DataLimits { size: 1000, line: 1000 };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(octets.len())).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces, limits), reference(octets));
        }
    }
}
