//! What happens to a primary, as the shell tells it.

use super::{EndpointKey, Listed, Party, Settings};
use crate::{
    clock::{Moment, Timestamp},
    schedule::Jitter,
};

/// The time of a step, and its draw of chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub moment: Moment,
    /// The wall clock, for what people are shown and for expiry.
    pub wall: Timestamp,
    /// Chance, for back-offs.
    pub jitter: Jitter,
}

/// What happens to a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed; sent at [`Health::next_wake`](super::Health::next_wake), at the start, or at any other time.
    Tick,
    /// The primary's hosts were looked up: every address of every host, lowest preference first, or why there is none.
    /// May be sent unasked, whenever the shell has looked.
    Resolved(Result<Vec<Listed>, String>),
    /// DNS did not answer the look-up; for people. That says nothing about the primary: what is known of its addresses
    /// stands, and no mail expires over it.
    NoAnswer(String),
    /// A probe ended: the endpoint answered EHLO (and required TLS and AUTH), or why not.
    Probed(EndpointKey, Result<(), OpenFailure>),
    /// A new session for a delivery is open: as good as a probe.
    Opened(EndpointKey),
    /// A new session for a delivery could not be opened.
    OpenFailed {
        /// With whom.
        endpoint: EndpointKey,
        /// Why.
        failure: OpenFailure,
        /// Other sessions with the primary that were open then.
        others: u32,
    },
    /// A session died in the middle of a transaction, or a fresh one before its first. (A reused one that turns out to
    /// have been closed while it was idle is no event: another is opened.)
    SessionLost {
        /// With whom.
        endpoint: EndpointKey,
        /// How, for people.
        detail: String,
        /// What the transaction was for.
        purpose: Purpose,
    },
    /// The primary answered 421 in a transaction and closes the session.
    ServiceClosing {
        /// Which endpoint.
        endpoint: EndpointKey,
        /// Its words, for people.
        detail: String,
        /// Other sessions with the primary that were open then.
        others: u32,
        /// What the transaction was for.
        purpose: Purpose,
    },
    /// A transaction ended with answers.
    Outcome(Outcome),
    /// A trial was asked for, and no message is queued.
    NothingToTry,
    /// A trial was asked for and not made, for a reason of our own: what it would have delivered could not be recorded,
    /// or its message could not be read or was not for the primary. That says nothing of the primary.
    TrialPutOff,
    /// A client handed mail in, or was told to come back later: if the primary were well it would not have come here.
    ClientCame,
    /// Mail waits, and for 30 s no session said anything: the primary may hang. May be sent again as long as that lasts.
    Stalled,
    /// A person asked for delivery at once.
    Flush,
    /// A client asked for delivery at once (ETRN, RFC 1985). Heeded once in 30 s.
    Etrn,
    /// Something outside says that the primary has become ready.
    EndpointsReady,
    /// A person switched deliveries off.
    Suspend,
    /// A person switched deliveries on, or said to go on after a storm.
    Resume,
    /// Another config is in force. Where it names other hosts, make a new [`Health`](super::Health) instead: that is
    /// another primary, and none of its rejects is final before it has passed a trial.
    Configured(Settings),
}

/// Whether mail is held when the program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// None: the primary was probably up.
    Empty,
    /// Some: the primary was probably down, and the first contact is a recovery.
    Held,
}

/// Why a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// The greeting, or the answer to EHLO, was 421.
    ServiceClosing(String),
    /// The server gives itself our own name: it is this relay, and mail for it would go in a circle.
    Ourselves(String),
    /// Anything else at connect, greeting, EHLO, required TLS or AUTH, whatever the code; for people.
    Failed(String),
}

/// What a transaction was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To deliver mail in its turn.
    Ordinary,
    /// To find out whether the primary takes mail: [`Effect::TryOldest`](super::Effect::TryOldest) or
    /// [`Effect::RetryRefused`](super::Effect::RetryRefused).
    Trial,
}

/// How the primary answered one message. All lists may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Who answered.
    pub endpoint: EndpointKey,
    /// What the transaction was for.
    pub purpose: Purpose,
    /// The message's sender.
    pub sender: Party,
    /// Recipients that have the message now (2xx after the content).
    pub accepted: Vec<Party>,
    /// Recipients refused with 5xx at RCPT, or all of them where MAIL was. Where verdicts on recipients are cached,
    /// only those that were accepted once.
    pub refused: Vec<Party>,
    /// Recipients refused with 5xx at DATA or after the content. Those tell something of the primary only while it takes
    /// no message at all.
    pub refused_content: Vec<Party>,
    /// The answer to recipients that are to be tried again; [`Transient::System`] where there are several kinds. A 421
    /// is none: see [`Event::ServiceClosing`].
    pub transient: Option<Transient>,
    /// The first answer to a recipient that does not have the message now, for people.
    pub said: Option<String>,
}

/// A 4xx that leaves the session open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transient {
    /// 4.3.x or 4.4.x, or a basic code that means it: the primary's own trouble.
    System,
    /// Anything else: about a mailbox (4.2.x), a policy (4.7.x) or an address.
    Message,
}
