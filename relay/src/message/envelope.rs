//! The envelope: what the client said of a message outside its content, and who the client was.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::MessageId;
use crate::{
    clock::Timestamp,
    smtp::{ForwardPath, ReversePath, XText},
};

/// What was said of a message outside its content (RFC 5321 2.3.1), and by whom. Never changes once it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// When the final dot came.
    pub arrived: Timestamp,
    /// Whether it came from a client or was made here.
    pub origin: Origin,
    /// The reverse-path, as received.
    pub sender: ReversePath,
    /// The `BODY` parameter (RFC 6152).
    pub body: BodyType,
    /// The `SMTPUTF8` parameter (RFC 6531).
    pub smtputf8: bool,
    /// The `RET` parameter (RFC 3461 4.3).
    pub ret: Option<ReportContent>,
    /// The `ENVID` parameter (RFC 3461 4.4), encoded as received.
    pub envid: Option<XText>,
    /// One or more.
    pub recipients: Vec<Recipient>,
    /// Octets of content, line ends as CRLF, dots unstuffed.
    pub size: u64,
}

/// Where a message comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A client handed it in.
    Client(Client),
    /// It is our report on another message, for that tenant (its smarthost applies).
    Report {
        /// The message that it reports on.
        parent: MessageId,
        /// The tenant whose mail it was.
        tenant: String,
    },
}

/// The client as it was when it handed the message in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// What it called itself in HELO or EHLO, as received.
    pub helo: String,
    /// Whether it said EHLO.
    pub esmtp: bool,
    /// The session's encryption.
    pub tls: Option<TlsUsed>,
}

/// A session's encryption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsUsed {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
}

/// An SPF result (RFC 7208 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpfVerdict {
    /// The client may send for the domain.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The domain does not say.
    Neutral,
    /// The domain has no policy.
    None,
    /// DNS did not answer.
    TempError,
    /// The policy cannot be read.
    PermError,
}

/// The `BODY` parameter (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyType {
    /// None was given, or `7BIT`.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// How much of a message its sender wants back in a report (RFC 3461 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportContent {
    /// All of it. We send headers all the same: a bounce is not a way to send someone content.
    Full,
    /// The header.
    Headers,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path, as received.
    pub path: ForwardPath,
    /// The `NOTIFY` parameter (RFC 3461 4.1); none where none was given.
    pub notify: Option<Notify>,
    /// The `ORCPT` parameter (RFC 3461 4.2), encoded as received: `addr-type;xtext`.
    pub orcpt: Option<XText>,
}

/// The `NOTIFY` parameter (RFC 3461 4.1). All false is `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Report a delivery.
    pub success: bool,
    /// Report a failure.
    pub failure: bool,
    /// Report a delay.
    pub delay: bool,
}
