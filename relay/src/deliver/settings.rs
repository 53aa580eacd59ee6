//! How a session is to be opened, and how long each of its steps may take.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use backupmx_relay_config::{DomainName, PrimaryTlsMode};

use super::{ClientTls, Hurry, Quirks};

/// A server to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Its name, for TLS and logs; none where only its address is known.
    pub name: Option<DomainName>,
    /// Its address and port.
    pub address: SocketAddr,
}

impl fmt::Display for Endpoint {
    /// `mail.example.org[192.0.2.1]:25`, or the address alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}[{}]:{}", self.address.ip(), self.address.port()),
            None => write!(f, "{}", self.address),
        }
    }
}

/// How a session is to be opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our own name: said in EHLO, and refused as the server's.
    pub helo: DomainName,
    /// How much encryption there must be.
    pub tls: PrimaryTlsMode,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// The certificates that are believed.
    pub client_tls: Arc<ClientTls>,
    /// What is known of servers that do not do what they say.
    pub quirks: Arc<Quirks>,
    /// What has a connection that is being made tried once more.
    pub hurry: Hurry,
}

/// How long each step of a session may take; [`backupmx_relay_config::Timeouts`] says what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The TCP connection.
    pub connect: Duration,
    /// The greeting.
    pub greeting: Duration,
    /// EHLO, HELO, STARTTLS, RSET.
    pub ehlo: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// MAIL.
    pub mail: Duration,
    /// RCPT.
    pub recipient: Duration,
    /// DATA.
    pub data: Duration,
    /// Each piece of content that is sent, and the answer to a chunk that is not the last.
    pub block: Duration,
    /// The final dot or the last chunk.
    pub end_of_data: Duration,
    /// QUIT.
    pub quit: Duration,
}

impl Timeouts {
    /// For probes, and for servers that are nobody's primary: a host that takes longer than 30 s to greet is as good as
    /// down.
    #[must_use]
    pub fn for_probe(self) -> Self {
        const PATIENCE: Duration = Duration::from_secs(30);
        Self { greeting: self.greeting.min(PATIENCE), ehlo: self.ehlo.min(PATIENCE), ..self }
    }
}

impl From<&backupmx_relay_config::Timeouts> for Timeouts {
    fn from(config: &backupmx_relay_config::Timeouts) -> Self {
        Self {
            connect: config.connect.as_duration(),
            greeting: config.greeting.as_duration(),
            ehlo: config.hello.as_duration(),
            tls: config.tls.as_duration(),
            mail: config.mail.as_duration(),
            recipient: config.recipient.as_duration(),
            data: config.data.as_duration(),
            block: config.block.as_duration(),
            end_of_data: config.end_of_data.as_duration(),
            quit: config.quit.as_duration(),
        }
    }
}
