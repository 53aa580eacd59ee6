//! Typical messages and what became of them.

use std::time::Duration;

use backupmx_relay_config::DomainName;

use super::paths;
use crate::{
    clock::Timestamp,
    dsn::{Cause, Incident, Occasion, ReportRequest},
    message::{BodyType, Client, Envelope, MessageId, Notify, Origin, Recipient, Speaker},
    smtp::{EnhancedCode, Reply},
};

/// A request that owns what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) name: &'static str,
    hostname: DomainName,
    pub(super) envelope: Envelope,
    pub(super) content: Vec<u8>,
    pub(super) incidents: Vec<Incident>,
    pub(super) occasion: Occasion,
}

const HEADER: &str = "Received: from client.example.com by mail.example.com; Thu, 1 Jan 2026 00:00:00 +0000\r\n\
    From: Alice <alice@example.com>\r\nTo: info@example.org\r\nSubject: Lunch\r\n\
    Message-ID: <lunch.1@example.com>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n";

fn arrived() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

fn incident(recipient: usize, cause: Cause) -> Incident {
    Incident {
        recipient,
        cause,
        remote: Some("mail.example.org".parse().unwrap()),
        last_attempt: Some(arrived() + Duration::from_secs(3600)),
        speaker: Speaker::Destination,
    }
}

pub(super) fn recipient(path: &str) -> Recipient {
    Recipient { path: paths::forward(path), notify: None, orcpt: None }
}

fn unknown_user() -> Reply {
    Reply::new(550, Some(EnhancedCode(5, 1, 1)), "<info@example.org>: no such user here")
}

impl Made {
    /// One recipient, refused.
    pub(super) fn rejected() -> Self {
        let envelope = Envelope {
            arrived: arrived(),
            origin: Origin::Client(Client {
                address: [192, 0, 2, 7].into(),
                helo: "client.example.com".to_owned(),
                esmtp: true,
                tls: None,
            }),
            sender: paths::reverse("alice@example.com"),
            body: BodyType::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            recipients: vec![recipient("info@example.org")],
            size: 0,
        };
        Self {
            name: "rejected",
            hostname: "mx1.backup.example.net".parse().unwrap(),
            envelope,
            content: format!("{HEADER}\r\nsecret body\r\n").into_bytes(),
            incidents: vec![incident(0, Cause::Rejected(unknown_user()))],
            occasion: Occasion::Failure,
        }
    }

    /// Three recipients: refused, expired with an answer, expired without one.
    pub(super) fn three() -> Self {
        let mut made = Self::rejected();
        made.name = "three_recipients";
        made.envelope.recipients.extend([recipient("\"big box\"@example.org"), recipient("sales@example.org")]);
        made.envelope.envid = Some(paths::xtext("QQ+2B314159"));
        made.envelope.recipients[0].orcpt = Some(paths::xtext("rfc822;Info+2Blist@example.org"));
        made.incidents = vec![
            incident(
                0,
                Cause::Rejected(Reply::new(554, Some(EnhancedCode(5, 7, 1)), "Message rejected\nSee our policy")),
            ),
            incident(1, Cause::Expired(Some(Reply::new(452, Some(EnhancedCode(4, 2, 2)), "Mailbox full")))),
            Incident { remote: None, last_attempt: None, ..incident(2, Cause::Expired(None)) },
        ];
        made
    }

    pub(super) fn sender(mut self, sender: &str) -> Self {
        self.envelope.sender = paths::reverse(sender);
        self
    }

    pub(super) fn parent(&self) -> MessageId {
        MessageId::from_u64(1_767_225_600_000_000)
    }

    pub(super) fn request(&self) -> ReportRequest<'_> {
        ReportRequest {
            hostname: &self.hostname,
            parent: self.parent(),
            tenant: "example",
            envelope: &self.envelope,
            content: &self.content,
            incidents: &self.incidents,
            occasion: self.occasion,
            now: arrived() + Duration::from_secs(7 * 86_400),
            token: 0x0123_4567_89ab_cdef,
        }
    }
}

/// Every typical case.
pub(super) fn all() -> Vec<Made> {
    let rejected = Made::rejected();
    let mut expired = rejected.clone();
    expired.name = "expired";
    expired.incidents = vec![Incident { remote: None, ..incident(0, Cause::Expired(None)) }];
    let mut unfit = rejected.clone();
    unfit.name = "unfit";
    let ours = "mx1.backup.example.net: the message needs SMTPUTF8, which its server does not offer";
    let cause = Cause::Expired(Some(Reply::new(450, Some(EnhancedCode(4, 6, 7)), ours)));
    unfit.incidents = vec![Incident { speaker: Speaker::Us, ..incident(0, cause) }];
    let mut given_up = rejected.clone();
    given_up.name = "given_up";
    given_up.incidents = vec![incident(0, Cause::GivenUp(None))];
    let mut delayed = rejected.clone();
    delayed.name = "delayed";
    delayed.incidents = vec![incident(0, Cause::Delayed(None))];
    delayed.occasion = Occasion::Delay { retry_until: arrived() + Duration::from_secs(14 * 86_400) };
    let mut utf8_recipient = rejected.clone();
    utf8_recipient.name = "utf8_recipient";
    utf8_recipient.envelope.smtputf8 = true;
    utf8_recipient.envelope.recipients = vec![recipient("grüße@example.org")];
    utf8_recipient.envelope.recipients[0].orcpt = Some(paths::xtext("utf-8;gr\\x{FC}\\x{DF}e@example.org"));
    utf8_recipient.content = HEADER.replace("Lunch", "Größe").into_bytes();
    let mut utf8_sender = utf8_recipient.clone().sender("алиса@example.com");
    utf8_sender.name = "utf8_sender";
    let mut long_header = rejected.clone();
    long_header.name = "long_header_line";
    long_header.content = format!("{HEADER}X-Long: {}\r\nX-Nul: \0\r\n\r\nbody", "=".repeat(1200)).into_bytes();
    let mut no_header = rejected.clone();
    no_header.name = "no_header";
    no_header.content = b"\r\nonly a body\r\n".to_vec();
    let mut relayed = rejected.clone();
    relayed.name = "relayed";
    relayed.envelope.envid = Some(paths::xtext("QQ+2B314159"));
    relayed.envelope.recipients[0].notify = Some(Notify { success: true, ..Notify::default() });
    relayed.incidents =
        vec![incident(0, Cause::Relayed(Some(Reply::new(250, Some(EnhancedCode(2, 0, 0)), "queued as 4711"))))];
    relayed.occasion = Occasion::Relayed;
    vec![
        rejected,
        relayed,
        Made::three(),
        expired,
        unfit,
        given_up,
        delayed,
        utf8_recipient,
        utf8_sender,
        long_header,
        no_header,
    ]
}
