//! Reports to senders (RFC 3461, 3464, 6522, 6533): what happened to their mail, as a message of its own. Pure.
//!
//! [`compose`] makes one report about one message. It never makes one for the null sender or about another report, it
//! leaves out the recipients whose sender did not ask to be told (`NOTIFY`), and it gives back the header of the
//! message only, whatever `RET` says: a bounce is not a way to send content to a stranger. Everything that others wrote
//! (addresses, replies, the header) goes through [`text`] first, so no report carries a line that we did not mean.

mod address;
mod compose;
mod header;
mod human;
mod status;
pub mod text;

#[cfg(test)]
mod tests;

use backupmx_relay_config::{DomainName, Host};

use crate::{
    clock::Timestamp,
    message::{Envelope, MessageId, MessageState, Recipient, Speaker},
    smtp::Reply,
};

pub use compose::compose;
pub use header::{HEADER_LIMIT, header_of};

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct ReportRequest<'a> {
    /// Our own name.
    pub hostname: &'a DomainName,
    /// The message that is reported on.
    pub parent: MessageId,
    /// The tenant whose mail it was.
    pub tenant: &'a str,
    /// Its envelope.
    pub envelope: &'a Envelope,
    /// Its content, or the beginning of it: [`HEADER_LIMIT`] octets are enough. Only the header is looked at.
    pub content: &'a [u8],
    /// What happened to which recipients; those whose sender does not want to know are left out.
    pub incidents: &'a [Incident],
    /// Whether it is over.
    pub occasion: Occasion,
    /// Now.
    pub now: Timestamp,
    /// A random number: it makes the Message-ID unique and the boundary unguessable.
    pub token: u64,
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Delivery failed for good.
    Failure,
    /// Delivery is late, and still being tried.
    Delay {
        /// When it will be given up.
        retry_until: Timestamp,
    },
    /// It was delivered to a server that tells nobody of it (RFC 3461 5.2.2).
    Relayed,
}

/// What happened to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its position in the envelope.
    pub recipient: usize,
    /// What became of it.
    pub cause: Cause,
    /// The server that answered or failed to, where one is known.
    pub remote: Option<Host>,
    /// When it was last tried, where it was.
    pub last_attempt: Option<Timestamp>,
    /// Whose words the reply in the cause is.
    pub speaker: Speaker,
}

impl Incident {
    /// What happened to a recipient, by the last answer that the state has noted for it.
    #[must_use]
    pub fn of(state: &MessageState, recipient: usize, cause: impl FnOnce(Option<Reply>) -> Cause) -> Self {
        let noted = state.recipients.get(recipient);
        Self {
            recipient,
            cause: cause(noted.and_then(|noted| noted.last.clone())),
            remote: None,
            last_attempt: None,
            speaker: noted.map(|noted| noted.speaker).unwrap_or_default(),
        }
    }
}

/// Why a recipient has no mail, or that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The destination refused it, with this reply.
    Rejected(Reply),
    /// Its time was up; the last reply, where there was one.
    Expired(Option<Reply>),
    /// A person gave it up; the last reply, where there was one.
    GivenUp(Option<Reply>),
    /// Nothing is decided; the last reply, where there was one.
    Delayed(Option<Reply>),
    /// The destination took it; its reply, where it is known.
    Relayed(Option<Reply>),
}

impl Cause {
    /// Why a recipient failed: by that answer, where it is for good, else by the end of its time.
    #[must_use]
    pub fn failed(last: Option<Reply>) -> Self {
        match last {
            Some(reply) if reply.is_permanent() => Self::Rejected(reply),
            last => Self::Expired(last),
        }
    }

    /// What was said last.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Rejected(reply) => Some(reply),
            Self::Expired(reply) | Self::GivenUp(reply) | Self::Delayed(reply) | Self::Relayed(reply) => reply.as_ref(),
        }
    }
}

/// A report, to be stored like any message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReport {
    /// From the null sender to the sender of the message.
    pub envelope: Envelope,
    /// The report: CRLF line ends, lines of at most 998 octets, 7-bit but for the address of a sender that is not.
    pub content: Vec<u8>,
}

/// Whether the sender wants to be told of this about that recipient (RFC 3461 4.1).
///
/// Without `NOTIFY` a sender is told of failures, and of delays too: that is left to us, and `warnSenderAfter` is off
/// unless it is configured. Of a delivery is told only who asked for it.
#[must_use]
pub fn wants(recipient: &Recipient, occasion: Occasion) -> bool {
    match (recipient.notify, occasion) {
        (None, Occasion::Failure | Occasion::Delay { .. }) => true,
        (None, Occasion::Relayed) => false,
        (Some(notify), Occasion::Relayed) => notify.success,
        (Some(notify), Occasion::Failure) => notify.failure,
        (Some(notify), Occasion::Delay { .. }) => notify.delay,
    }
}
