//! One session of the scripted primary.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::Ordering,
    time::Instant,
};

use super::{Answer, Received, Shared, Step, Visitor, Worked};

/// What is known of the transaction under way.
#[derive(Default)]
struct Transaction {
    from: Option<(String, String)>,
    to: Vec<(String, String)>,
    /// The chunks so far: how many, and their octets.
    chunks: (usize, Vec<u8>),
}

struct Session<'a> {
    stream: TcpStream,
    visitor: Visitor,
    shared: &'a Shared,
}

/// Whether the session goes on.
type Flow = io::Result<bool>;

/// Serves one connection to its end.
pub(super) fn serve(stream: TcpStream, visitor: Visitor, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut session = Session { stream, visitor, shared };
    let mut transaction = Transaction::default();
    if !session.answer(&Step::Greeting, "220 primary.example.org ESMTP", nothing)? {
        return session.close();
    }
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        if !session.command(&line, &mut transaction, &mut reader)? {
            return session.close();
        }
    }
}

impl Session<'_> {
    fn command(&mut self, line: &str, transaction: &mut Transaction, reader: &mut impl BufRead) -> Flow {
        let upper = line.to_ascii_uppercase();
        if let Some(name) = rest(line, &upper, "EHLO ") {
            let reply = self.ehlo();
            return self.answer(&Step::Ehlo(name), &reply, nothing);
        }
        if let Some(name) = rest(line, &upper, "HELO ") {
            return self.answer(&Step::Helo(name), "250 primary.example.org", nothing);
        }
        if let Some(arguments) = rest(line, &upper, "MAIL FROM:") {
            self.shared.transactions.fetch_add(1, Ordering::Relaxed);
            *transaction = Transaction::default();
            let from = &mut transaction.from;
            return self.answer(&Step::Mail(arguments), "250 2.1.0 ok", || {
                *from = Some(split(arguments));
                Worked::Done
            });
        }
        if let Some(arguments) = rest(line, &upper, "RCPT TO:") {
            if transaction.from.is_none() {
                return self.say("503 5.5.1 MAIL first");
            }
            let recipient = split(arguments);
            let to = &mut transaction.to;
            let address = recipient.0.clone();
            return self.answer(&Step::Rcpt(&address), "250 2.1.5 ok", || {
                to.push(recipient);
                Worked::Done
            });
        }
        if let Some(arguments) = rest(line, &upper, "BDAT ") {
            return self.bdat(arguments, transaction, reader);
        }
        match upper.as_str() {
            "DATA" if transaction.to.is_empty() => self.say("503 5.5.1 no valid recipients"),
            "DATA" => self.data(transaction, reader),
            "QUIT" => {
                self.say("221 2.0.0 bye")?;
                Ok(false)
            }
            "RSET" => {
                *transaction = Transaction::default();
                self.answer(&Step::Other(line), "250 2.0.0 ok", nothing)
            }
            "NOOP" => self.answer(&Step::Other(line), "250 2.0.0 ok", nothing),
            _ => self.answer(&Step::Other(line), "502 5.5.2 unknown command", nothing),
        }
    }

    fn ehlo(&self) -> String {
        let extensions = self.shared.extensions.lock();
        ["250 primary.example.org"]
            .into_iter()
            .chain(extensions.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn data(&mut self, transaction: &mut Transaction, reader: &mut impl BufRead) -> Flow {
        let mut taken = false;
        if !self.answer(&Step::Data, "354 go on", || {
            taken = true;
            Worked::Done
        })? {
            return Ok(false);
        }
        if !taken {
            *transaction = Transaction::default();
            return Ok(true);
        }
        let content = content(reader)?;
        self.end(transaction, content, None)
    }

    /// A chunk: its octets are read whatever the answer (RFC 3030 2).
    fn bdat(&mut self, arguments: &str, transaction: &mut Transaction, reader: &mut impl BufRead) -> Flow {
        let mut words = arguments.split(' ');
        let length = words.next().and_then(|word| word.parse().ok());
        let Some(length) = length else { return self.say("501 5.5.4 a length") };
        let mut chunk = vec![0; length];
        reader.read_exact(&mut chunk)?;
        if transaction.to.is_empty() {
            return self.say("503 5.5.1 no valid recipients");
        }
        let (count, octets) = &mut transaction.chunks;
        *count += 1;
        octets.extend_from_slice(&chunk);
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST")) {
            let (count, content) = std::mem::take(&mut transaction.chunks);
            return self.end(transaction, content, Some(count));
        }
        let mut taken = false;
        let flow = self.answer(&Step::Chunk(&chunk), "250 2.0.0 go on", || {
            taken = true;
            Worked::Done
        })?;
        if !taken {
            *transaction = Transaction::default();
        }
        Ok(flow)
    }

    fn end(&mut self, transaction: &mut Transaction, content: Vec<u8>, chunks: Option<usize>) -> Flow {
        let Transaction { from, to, .. } = std::mem::take(transaction);
        let (from, mail_parameters) = from.unwrap_or_default();
        let (to, rcpt_parameters) = to.into_iter().unzip();
        let received = Received {
            from,
            mail_parameters,
            to,
            rcpt_parameters,
            content: content.clone(),
            chunks,
            connection: self.visitor.connection,
            at: Instant::now(),
        };
        let (shared, life) = (self.shared, self.visitor.life);
        self.answer(&Step::Dot(&content), "250 2.0.0 taken", || shared.take(received, life))
    }

    /// Does what the script says: `work` is done where the step is taken.
    fn answer(&mut self, step: &Step<'_>, normal: &str, work: impl FnOnce() -> Worked) -> Flow {
        match self.shared.ask(step, self.visitor.connection) {
            Answer::Normal => match work() {
                Worked::Done => self.say(normal),
                Worked::Dead => Ok(false),
            },
            Answer::Reply(text) => self.say(&text),
            Answer::ThenClose => {
                if matches!(work(), Worked::Done) {
                    self.say(normal)?;
                }
                Ok(false)
            }
            Answer::Cut => {
                let _ = work();
                Ok(false)
            }
            Answer::Hang => {
                // Reads on and says nothing, until the client leaves or the primary is stopped.
                io::copy(&mut self.stream.try_clone()?.take(u64::MAX), &mut io::sink())?;
                Ok(false)
            }
        }
    }

    /// A reply of one or more lines; the first begins with the code.
    fn say(&mut self, reply: &str) -> Flow {
        let (code, _) = reply.split_at(3);
        let mut lines = reply[4.min(reply.len())..].split('\n').peekable();
        let mut wire = String::new();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            wire.push_str(&format!("{code}{mark}{line}\r\n"));
        }
        self.stream.write_all(wire.as_bytes())?;
        Ok(code != "421")
    }

    fn close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }
}

fn nothing() -> Worked {
    Worked::Done
}

/// What follows a verb, where the line begins with it.
fn rest<'a>(line: &'a str, upper: &str, verb: &str) -> Option<&'a str> {
    upper.starts_with(verb).then(|| line[verb.len()..].trim())
}

/// The path without brackets, and what follows it. Brackets within quotes belong to the path.
fn split(arguments: &str) -> (String, String) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in arguments.char_indices() {
        match octet {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let path = arguments[..at].trim_start_matches('<');
                return (path.to_owned(), arguments[at + 1..].trim().to_owned());
            }
            _ => {}
        }
    }
    (arguments.to_owned(), String::new())
}

/// Reads up to the final dot, and unstuffs.
fn content(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let mut line = Vec::new();
        loop {
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.ends_with(b"\r\n") {
                break;
            }
        }
        match line.as_slice() {
            b".\r\n" => return Ok(content),
            [b'.', stuffed @ ..] => content.extend_from_slice(stuffed),
            plain => content.extend_from_slice(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_a_path_from_its_parameters() {
        assert_eq!(split("<a@b.test> SIZE=3"), ("a@b.test".into(), "SIZE=3".into()));
        assert_eq!(split(r#"<"x> y"@b.test>"#), (r#""x> y"@b.test"#.into(), String::new()));
    }

    #[test]
    fn a_bare_lf_does_not_end_content() {
        let wire = b"a\n.\nb\r\n..c\r\n.\r\n";
        assert_eq!(content(&mut &wire[..]).unwrap(), b"a\n.\nb\r\n.c\r\n");
    }
}
