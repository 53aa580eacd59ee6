//! How a session is to be opened, and how long each of its steps may take.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use backupmx_relay_config::{DomainName, PrimaryTlsMode};

use super::{ClientTls, Quirks};

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
}

/// How long each step of a session may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The TCP connection. Default 5 s, so that a dead host does not keep mail from the next one.
    pub connect: Duration,
    /// The greeting. Default 5 min (RFC 5321 4.5.3.2.1).
    pub greeting: Duration,
    /// EHLO, HELO, STARTTLS, RSET. Default 5 min.
    pub ehlo: Duration,
    /// The TLS handshake. Default 30 s.
    pub tls: Duration,
    /// MAIL. Default 5 min (RFC 5321 4.5.3.2.2).
    pub mail: Duration,
    /// RCPT. Default 5 min (RFC 5321 4.5.3.2.3).
    pub recipient: Duration,
    /// DATA. Default 2 min (RFC 5321 4.5.3.2.4).
    pub data: Duration,
    /// Each piece of content that is sent. Default 3 min (RFC 5321 4.5.3.2.5).
    pub block: Duration,
    /// The final dot. Default 10 min (RFC 5321 4.5.3.2.6).
    pub end_of_data: Duration,
    /// QUIT. Default 5 s: its answer changes nothing.
    pub quit: Duration,
}

impl Timeouts {
    /// As RFC 5321 4.5.3.2 asks.
    #[must_use]
    pub const fn delivery() -> Self {
        let minute = 60;
        Self {
            connect: Duration::from_secs(5),
            greeting: Duration::from_secs(5 * minute),
            ehlo: Duration::from_secs(5 * minute),
            tls: Duration::from_secs(30),
            mail: Duration::from_secs(5 * minute),
            recipient: Duration::from_secs(5 * minute),
            data: Duration::from_secs(2 * minute),
            block: Duration::from_secs(3 * minute),
            end_of_data: Duration::from_secs(10 * minute),
            quit: Duration::from_secs(5),
        }
    }

    /// For probes and for opening the first session of a drain: a host that takes longer than 30 s to greet is as good
    /// as down.
    #[must_use]
    pub const fn probe() -> Self {
        let patience = Duration::from_secs(30);
        Self { greeting: patience, ehlo: patience, ..Self::delivery() }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::delivery()
    }
}
