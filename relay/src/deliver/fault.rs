//! What can go wrong between us and a server, and at which step.

use std::{fmt, time::Duration};

use crate::smtp::{Reply, ReplyParseError};

/// A step of a session, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The TCP connection.
    Connect,
    /// The server's greeting.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// The STARTTLS command.
    StartTls,
    /// The TLS handshake.
    Tls,
    /// RSET, after a transaction that failed.
    Reset,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The content, before its final dot.
    Content,
    /// The final dot.
    EndOfData,
    /// A chunk of content that is not the last (BDAT, RFC 3030), in the place of DATA and the final dot.
    Chunk,
    /// The last chunk.
    LastChunk,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "the greeting",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Tls => "the TLS handshake",
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the content",
            Self::EndOfData => "the final dot",
            Self::Chunk => "BDAT",
            Self::LastChunk => "BDAT LAST",
        })
    }
}

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// Nothing came, or nothing could be sent, for that long.
    #[error("no answer in {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The network failed.
    #[error("{0}")]
    Network(String),
    /// What came is no SMTP reply.
    #[error("the server does not speak SMTP: {0}")]
    Garbled(#[from] ReplyParseError),
    /// What came is a reply that has no meaning here.
    #[error("unexpected reply: {0}")]
    Unexpected(Reply),
    /// TLS failed: the handshake, the certificate, or plain text pipelined behind the STARTTLS reply.
    #[error("TLS: {0}")]
    Tls(String),
    /// The content could not be read from our own disk.
    #[error("failed to read the content from the spool: {0}")]
    Content(String),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Network(error.to_string()),
        }
    }
}

/// A connection that was lost within a transaction: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lost at {stage}: {fault}")]
pub struct Lost {
    /// The step whose answer is missing.
    pub stage: Stage,
    /// What happened.
    pub fault: Fault,
}

impl Lost {
    /// The end of the content may have reached the server, and its answer did not reach us: the message may have been
    /// delivered.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        matches!(self.stage, Stage::EndOfData | Stage::LastChunk)
    }
}

/// Why a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The connection failed.
    #[error("failed at {}: {}", .0.stage, .0.fault)]
    Lost(Lost),
    /// The server answered, and would not have us.
    #[error("refused at {stage}: {reply}")]
    Refused {
        /// Greeting, EHLO or STARTTLS.
        stage: Stage,
        /// Its reply.
        reply: Reply,
    },
    /// TLS is required and the server does not offer STARTTLS.
    #[error("refused by us at STARTTLS: TLS is required, and the server does not offer it")]
    NoTls,
    /// The server gives itself our own name: mail would go in a circle.
    #[error("refused by us at EHLO: the server calls itself {name}, as we do; the mail would go in a circle")]
    Ourselves {
        /// The name.
        name: String,
    },
}

impl OpenError {
    /// The step that failed.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Lost(lost) => lost.stage,
            Self::Refused { stage, .. } => *stage,
            Self::NoTls => Stage::StartTls,
            Self::Ourselves { .. } => Stage::Ehlo,
        }
    }

    /// The server's reply, where there was one.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply, .. } | Self::Lost(Lost { fault: Fault::Unexpected(reply), .. }) => Some(reply),
            _ => None,
        }
    }
}

impl From<Lost> for OpenError {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}
