//! A sender: the few lines of SMTP that hand a message in.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{bail, ensure};

/// Hands messages in, one transaction each, over one connection.
pub(super) struct Sender {
    stream: BufReader<TcpStream>,
}

impl Sender {
    /// Connects and greets.
    pub(super) fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut sender = Self { stream: BufReader::new(stream) };
        sender.expect(220)?;
        sender.say("EHLO client.sender.example\r\n", 250)?;
        Ok(sender)
    }

    /// Hands one message in; returns when the relay has answered for it.
    pub(super) fn send(&mut self, from: &str, to: &str, content: &str) -> anyhow::Result<()> {
        self.say(&format!("MAIL FROM:<{from}>\r\n"), 250)?;
        self.say(&format!("RCPT TO:<{to}>\r\n"), 250)?;
        self.say("DATA\r\n", 354)?;
        self.say(&format!("{content}.\r\n"), 250)
    }

    /// Tries a recipient that must be refused, and returns the refusal.
    pub(super) fn refused(&mut self, from: &str, to: &str) -> anyhow::Result<String> {
        self.say(&format!("MAIL FROM:<{from}>\r\n"), 250)?;
        self.stream.get_mut().write_all(format!("RCPT TO:<{to}>\r\n").as_bytes())?;
        let (code, text) = self.reply()?;
        ensure!(code / 100 == 5, "expected a refusal; got {text}");
        self.say("RSET\r\n", 250)?;
        Ok(text)
    }

    fn say(&mut self, line: &str, expected: u16) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(line.as_bytes())?;
        self.expect(expected)
    }

    fn expect(&mut self, expected: u16) -> anyhow::Result<()> {
        let (code, text) = self.reply()?;
        ensure!(code == expected, "expected {expected}; got {text}");
        Ok(())
    }

    fn reply(&mut self) -> anyhow::Result<(u16, String)> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the connection was closed");
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                let text = line.trim_end().to_owned();
                return Ok((text.get(..3).unwrap_or_default().parse()?, text));
            }
        }
    }
}
