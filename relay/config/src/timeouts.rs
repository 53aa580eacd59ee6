//! How long each step of handing mail over may take.

use serde::{Deserialize, Serialize};

use crate::Span;

/// How long each step may take when mail is handed to a primary, or a report to its reader's server. Each 1s to 1h,
/// `connect` and `tls` at most 2m. A probe waits for a greeting, and for each answer before the first message, 30 s at
/// most: a host that takes longer is as good as down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// The TCP connection. Default 5s, so that a dead host does not keep mail from the next one.
    pub connect: Span,
    /// The greeting. Default 5m (RFC 5321 4.5.3.2.1).
    pub greeting: Span,
    /// The answers to EHLO, HELO, STARTTLS and RSET. Default 5m.
    pub hello: Span,
    /// The TLS handshake. Default 30s.
    pub tls: Span,
    /// The answer to MAIL. Default 5m (RFC 5321 4.5.3.2.2).
    pub mail: Span,
    /// The answer to RCPT. Default 5m (RFC 5321 4.5.3.2.3).
    pub recipient: Span,
    /// The answer to DATA. Default 2m (RFC 5321 4.5.3.2.4).
    pub data: Span,
    /// Each piece of content, and the answer to a chunk that is not the last. Default 3m (RFC 5321 4.5.3.2.5).
    pub block: Span,
    /// The answer to the final dot or the last chunk. Default 10m (RFC 5321 4.5.3.2.6); less makes duplicates.
    pub end_of_data: Span,
    /// The answer to QUIT. Default 5s: it changes nothing.
    pub quit: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::seconds(5),
            greeting: Span::minutes(5),
            hello: Span::minutes(5),
            tls: Span::seconds(30),
            mail: Span::minutes(5),
            recipient: Span::minutes(5),
            data: Span::minutes(2),
            block: Span::minutes(3),
            end_of_data: Span::minutes(10),
            quit: Span::seconds(5),
        }
    }
}
