//! The rules of who is told, over whole messages.

mod deciding;
mod dns;
mod relayed;
mod settling;
mod warning;

use std::time::Duration;

use backupmx_relay_config::{BouncePolicy, DomainName};

use super::{Case, Evidence, Settled, Step};
use crate::{
    clock::Timestamp,
    dsn::{Cause, Incident},
    message::{
        BodyType, Client, Envelope, MessageId, MessageState, Notify, Origin, Recipient, RecipientOutcome, Speaker,
        SpfVerdict,
    },
    smtp::{EnhancedCode, Reply},
    spool::{NewMessage, Then},
};

pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000)
}

pub(super) fn client() -> Origin {
    Origin::Client(Client {
        address: [192, 0, 2, 7].into(),
        helo: "client.example.com".to_owned(),
        esmtp: true,
        tls: None,
    })
}

pub(super) fn envelope(sender: &str, recipients: usize) -> Envelope {
    let recipient = |n| Recipient { path: format!("r{n}@example.org").parse().unwrap(), notify: None, orcpt: None };
    Envelope {
        arrived: now(),
        origin: client(),
        sender: sender.parse().unwrap(),
        body: BodyType::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        recipients: (0..recipients).map(recipient).collect(),
        size: 0,
    }
}

/// What a case borrows.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) hostname: DomainName,
    pub(super) policy: BouncePolicy,
    pub(super) envelope: Envelope,
    pub(super) state: MessageState,
    pub(super) incidents: Vec<Incident>,
    pub(super) evidence: Evidence,
    pub(super) now: Timestamp,
}

impl Story {
    pub(super) fn new(recipients: usize) -> Self {
        Self {
            hostname: "mx1.backup.example.net".parse().unwrap(),
            policy: BouncePolicy::UnlessForged,
            envelope: envelope("alice@example.com", recipients),
            state: MessageState::new(recipients),
            incidents: Vec::new(),
            evidence: Evidence::NotAsked,
            now: now() + DAY,
        }
    }

    pub(super) fn case(&self) -> Case<'_> {
        Case {
            id: MessageId::from_u64(42),
            tenant: "example",
            hostname: &self.hostname,
            policy: self.policy,
            envelope: &self.envelope,
            content: b"Subject: x\r\n\r\nbody",
            incidents: &self.incidents,
            evidence: self.evidence,
            now: self.now,
            token: 7,
        }
    }

    pub(super) fn refused(mut self, recipient: usize) -> Self {
        let reply = Reply::new(550, Some(EnhancedCode(5, 1, 1)), "no such user");
        self.incidents.push(Incident {
            recipient,
            cause: Cause::Rejected(reply),
            remote: None,
            last_attempt: None,
            speaker: Speaker::Destination,
        });
        self
    }

    pub(super) fn delivered(mut self, recipient: usize) -> Self {
        self.state.recipients[recipient].outcome = RecipientOutcome::Delivered;
        self
    }

    pub(super) fn evidence(mut self, verdict: SpfVerdict) -> Self {
        self.evidence = Evidence::Verdict(verdict);
        self
    }

    pub(super) fn recorded(mut self, verdict: SpfVerdict) -> Self {
        self.state.observed.spf = Some(verdict);
        self
    }

    pub(super) fn notify(mut self, recipient: usize, notify: Notify) -> Self {
        self.envelope.recipients[recipient].notify = Some(notify);
        self
    }

    pub(super) fn settle(&self) -> Settled {
        settled(super::settle(&self.case(), &self.state))
    }

    /// Goes on with the state that was kept.
    pub(super) fn after(mut self, settled: &Settled) -> Self {
        self.state = kept(settled).clone();
        self.incidents.clear();
        self.evidence = Evidence::NotAsked;
        self
    }
}

pub(super) fn settled(step: Step) -> Settled {
    match step {
        Step::Settled(settled) => settled,
        Step::NeedsSpf => panic!("SPF is asked for"),
    }
}

pub(super) fn kept(settled: &Settled) -> &MessageState {
    match &settled.change.then {
        Then::Keep(state) => state,
        Then::Done => panic!("done"),
    }
}

pub(super) fn is_done(settled: &Settled) -> bool {
    matches!(settled.change.then, Then::Done)
}

pub(super) fn text(report: &NewMessage) -> String {
    match &report.body {
        crate::spool::Body::Memory(octets) => String::from_utf8(octets.to_vec()).unwrap(),
        crate::spool::Body::Large(_) => panic!("a report in a file"),
    }
}
