//! What the shell is to do.

use backupmx_relay_config::status::PrimaryState;

use super::EndpointKey;
use crate::spool::Reach;

/// What the shell is to do. None of these waits for another; all are executed in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look up the primary's hosts, and answer with [`Event::Resolved`](super::Event::Resolved).
    Resolve,
    /// Open a session with this endpoint up to EHLO, required TLS and AUTH, and answer with
    /// [`Event::Probed`](super::Event::Probed). Where mail is waiting the session may be used for it at once; else it is
    /// closed: an idle primary is probed too, and a session that is kept goes stale.
    Probe(EndpointKey),
    /// The state changed: log it, post it.
    StateChanged {
        /// The old state.
        from: PrimaryState,
        /// The new state.
        to: PrimaryState,
        /// Why, for people.
        why: String,
    },
    /// Make queued mail of this tenant due now, whatever due times of its own it has (`Spool::flush`).
    MakeDue(Reach),
    /// Deliver one message as a trial: the oldest one that is due, else the queued one that is due soonest, so that
    /// messages take turns (one alone may be the trouble). Comes while `Deferring`, and in a storm in which content is
    /// refused, where it must be a message that is not withheld. Its outcome is reported with
    /// [`Purpose::Trial`](super::Purpose::Trial). Where nothing is queued, answer
    /// [`Event::NothingToTry`](super::Event::NothingToTry). Ignored where a trial is under way.
    TryOldest,
    /// The same with a message that was refused while the primary was on trial: of n withheld ones the `turn % n`th, so
    /// that they take turns (the first may be for a user who really is gone). Where none is withheld, as
    /// [`Self::TryOldest`].
    RetryRefused {
        /// Counts up from 0 in each storm.
        turn: u32,
    },
    /// The primary turned out to be this relay itself: tell a person. Its mail is held as for one that is down.
    LoopFound,
    /// It is so no longer.
    LoopGone,
    /// A storm of rejects began: deliver nothing but trials, tell a person.
    StormBegan {
        /// Distinct recipients refused.
        refused: u32,
        /// Distinct recipients judged, these among them.
        verdicts: u32,
    },
    /// The storm is over.
    StormEnded(StormEnd),
    /// Queue every withheld message again: its reject was the word of a primary that was not well. From a primary that is
    /// `Down` it expires as queued mail does.
    RequeueWithheld,
    /// The primary is well: every reject that was withheld is final and follows `onReject` now.
    FinaliseWithheld,
    /// A probe failed: mail that is past its deadline may expire now (see [`crate::schedule::may_expire`]).
    ReviewExpiry,
}

/// What ended a storm of rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StormEnd {
    /// A message that was refused is accepted now.
    Accepted,
    /// A person resumed.
    Person,
    /// There is no mail left to try.
    NothingHeld,
    /// The primary has not answered for a day: its mail expires like all mail, and is weighed anew should it come back.
    Gone,
}
