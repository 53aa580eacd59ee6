//! Messages that tests send, and how they must look when they arrive.

use std::sync::atomic::{AtomicU64, Ordering};

/// A message with an envelope.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The reverse-path, without brackets.
    pub from: String,
    /// The forward-paths, without brackets.
    pub to: Vec<String>,
    /// The content: CRLF line ends, dots not stuffed.
    pub content: Vec<u8>,
}

impl Mail {
    /// A short message from `alice@sender.test` to that recipient, different from every other one.
    #[must_use]
    pub fn to(recipient: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The `m` keeps an id from being the end of another one: tests look for it in texts.
        Self {
            from: "alice@sender.test".to_owned(),
            to: vec![recipient.to_owned()],
            content: format!(
                "From: Alice <alice@sender.test>\r\nTo: {recipient}\r\nSubject: test {number}\r\n\
                 Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <m{number}.{}@sender.test>\r\n\r\nHello {number}\r\n",
                std::process::id(),
            )
            .into_bytes(),
        }
    }

    /// From another sender; empty is the null sender.
    #[must_use]
    pub fn from(self, sender: &str) -> Self {
        Self { from: sender.to_owned(), ..self }
    }

    /// To one more recipient.
    #[must_use]
    pub fn and_to(mut self, recipient: &str) -> Self {
        self.to.push(recipient.to_owned());
        self
    }

    /// With this text appended to its body.
    #[must_use]
    pub fn with_body(mut self, body: &[u8]) -> Self {
        self.content.extend_from_slice(body);
        self
    }

    /// Its Message-ID, without brackets.
    ///
    /// # Panics
    /// It has none.
    #[must_use]
    pub fn id(&self) -> String {
        message_id(&self.content).expect("a test's mail has a Message-ID")
    }

    /// Its content as it goes over the wire: dots stuffed, with the final dot.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.content.len() + 8);
        let mut line_start = true;
        for &octet in &self.content {
            if line_start && octet == b'.' {
                wire.push(b'.');
            }
            wire.push(octet);
            line_start = octet == b'\n';
        }
        if !line_start {
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b".\r\n");
        wire
    }
}

/// The Message-ID of a message, without brackets.
#[must_use]
pub(crate) fn message_id(content: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let header = text.split("\r\n\r\n").next()?;
    header.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("message-id").then(|| value.trim().trim_matches(['<', '>']).to_owned())
    })
}

/// The content without what the relay puts on top: one `Received` field, then one `Authentication-Results` in the name of
/// `mx1.backup.test`.
///
/// # Panics
/// It does not begin with these.
#[must_use]
#[track_caller]
pub fn without_trace(content: &[u8]) -> &[u8] {
    split_trace(content).1
}

/// What the relay's own `Authentication-Results` field says, unfolded.
///
/// # Panics
/// There is none below the first field.
#[must_use]
#[track_caller]
pub fn results(content: &[u8]) -> String {
    split_trace(content).0
}

#[track_caller]
fn split_trace(content: &[u8]) -> (String, &[u8]) {
    assert!(content.starts_with(b"Received: "), "no Received field on top: {}", excerpt(content));
    let rest = &content[field(content)..];
    let name = b"Authentication-Results: ";
    assert!(
        rest.starts_with(b"Authentication-Results: mx1.backup.test;"),
        "no Authentication-Results of ours below Received: {}",
        excerpt(rest)
    );
    let (results, rest) = rest.split_at(field(rest));
    let value = String::from_utf8_lossy(&results[name.len()..]).replace("\r\n\t", " ");
    (value.trim_end().to_owned(), rest)
}

/// The length of the field at the front, with its folded lines.
#[track_caller]
fn field(content: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += content[at..].windows(2).position(|pair| pair == b"\r\n").expect("the field has an end") + 2;
        if !content.get(at).is_some_and(|octet| matches!(octet, b' ' | b'\t')) {
            return at;
        }
    }
}

/// Checks that what arrived is what was sent, with nothing but the relay's own trace fields on top.
///
/// # Panics
/// It is not; the first difference is shown.
#[track_caller]
pub fn same_content(arrived: &[u8], sent: &[u8]) {
    let arrived = without_trace(arrived);
    if arrived == sent {
        return;
    }
    let at = arrived.iter().zip(sent).position(|(a, b)| a != b).unwrap_or(arrived.len().min(sent.len()));
    let near = at.saturating_sub(20);
    panic!(
        "{} octets sent, {} arrived; they differ at {at}: sent {:?}, arrived {:?}",
        sent.len(),
        arrived.len(),
        excerpt(&sent[near..]),
        excerpt(&arrived[near..]),
    );
}

fn excerpt(octets: &[u8]) -> String {
    octets[..octets.len().min(80)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffs_dots_and_ends_the_last_line() {
        let mail = Mail { from: String::new(), to: vec![], content: b".\r\n..a\r\nb.\r\nc".to_vec() };
        assert_eq!(mail.wire(), b"..\r\n...a\r\nb.\r\nc\r\n.\r\n");
    }

    #[test]
    fn takes_folded_trace_fields_off() {
        let content = b"Received: from a\r\n\tby b;\r\n date\r\n\
            Authentication-Results: mx1.backup.test;\r\n\tspf=pass smtp.mailfrom=a.test;\r\n\tiprev=fail\r\n\
            Authentication-Results: mx1.backup.test; none\r\n";
        assert_eq!(without_trace(content), b"Authentication-Results: mx1.backup.test; none\r\n", "only the first");
        assert_eq!(results(content), "mx1.backup.test; spf=pass smtp.mailfrom=a.test; iprev=fail");
    }

    #[test]
    #[should_panic(expected = "no Authentication-Results of ours")]
    fn misses_the_results() {
        let _ = without_trace(b"Received: x\r\nAuthentication-Results: other.test; none\r\n");
    }

    #[test]
    #[should_panic(expected = "they differ at 3")]
    fn shows_where_contents_differ() {
        same_content(b"Received: x\r\nAuthentication-Results: mx1.backup.test; none\r\nabcd", b"abcx");
    }
}
