//! The bounds on clients, memory and time. Every one has a default that is right for most.

use serde::{Deserialize, Serialize};

use crate::{ByteSize, Span};

/// The bounds on clients, memory and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once; one more is answered 421. Default 2000.
    pub connections: u32,
    /// Connections at once from one address. Default 50.
    pub connections_per_address: u32,
    /// Connections at once from one network (/24 of IPv4, /48 of IPv6). Default 200.
    pub connections_per_network: u32,
    /// Messages in a minute from one address (from one /64 of IPv6), after ten minutes' worth at once; beyond it 451.
    /// 0: no limit. Default 1000: a provider may bring 10,000 messages that it has kept back, and 1000 more a minute.
    pub messages_per_minute_per_address: u32,
    /// Messages in a minute from one network (/24 of IPv4, /48 of IPv6), likewise. 0: no limit. Default 5000.
    pub messages_per_minute_per_network: u32,
    /// Messages in a minute to the domains of one tenant, likewise. 0: no limit. Default 30000.
    pub messages_per_minute_per_tenant: u32,
    /// Commands in one session, DATA lines not counted. Default 1000.
    pub commands: u32,
    /// Unknown or wrong commands in one session before 421. Default 20.
    pub errors: u32,
    /// Refused recipients in one session before 421. Default 10.
    pub refused_recipients: u32,
    /// Messages in one session before 421. Default 1000.
    pub messages_per_session: u32,
    /// Recipients of one message, at least 100 (RFC 5321 4.5.3.1.8). Default 200.
    pub recipients: u32,
    /// Octets of a command line with its CRLF, at least 512 (RFC 5321 4.5.3.1.4). Default 2048, room for parameters.
    pub command_line: u32,
    /// Octets of a text line with its CRLF, at least 1000 (RFC 5321 4.5.3.1.6). Default 100000: many senders exceed
    /// the standard, and a message that the primary would take must not be lost over it.
    pub text_line: u32,
    /// The largest message that any tenant may allow, offered as SIZE (RFC 1870). Default 50Mi.
    pub message_size: ByteSize,
    /// Memory that all messages in flight may take together; beyond it 452. Default 128Mi.
    pub memory: ByteSize,
    /// A message larger than this is streamed to a file of its own. Default 256Ki.
    pub stream_above: ByteSize,
    /// Received lines before a message is taken for a loop (RFC 5321 6.3). Default 100.
    pub received_lines: u32,
    /// How long a client may take for a command. Default 5m (RFC 5321 4.5.3.2.7).
    pub command_timeout: Span,
    /// How long a client may be silent within a message. Default 3m (RFC 5321 4.5.3.2.5).
    pub data_timeout: Span,
    /// How long a session may last. Default 1h.
    pub session_timeout: Span,
    /// How long sessions may go on after a SIGTERM. From 1s to 9s; default 8s.
    pub shutdown_timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2000,
            connections_per_address: 50,
            connections_per_network: 200,
            messages_per_minute_per_address: 1000,
            messages_per_minute_per_network: 5000,
            messages_per_minute_per_tenant: 30_000,
            commands: 1000,
            errors: 20,
            refused_recipients: 10,
            messages_per_session: 1000,
            recipients: 200,
            command_line: 2048,
            text_line: 100_000,
            message_size: ByteSize::mebibytes(50),
            memory: ByteSize::mebibytes(128),
            stream_above: ByteSize::bytes(256 << 10),
            received_lines: 100,
            command_timeout: Span::minutes(5),
            data_timeout: Span::minutes(3),
            session_timeout: Span::minutes(60),
            shutdown_timeout: Span::seconds(8),
        }
    }
}
