//! When the hold time of a message is over, and when its sender is told that it is late.
//!
//! Nothing expires on the clock's word alone: after its deadline its delivery must have been tried once more.

use backupmx_relay_config::{HoldTimes, status::PrimaryState};

use super::ClockTrust;
use crate::clock::Timestamp;

/// Whether held mail is on its way at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// As soon as the primary takes it.
    Running,
    /// A person or the config has switched it off.
    Suspended,
    /// A storm of rejects stopped it.
    Storm,
}

/// What was tried for a message since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The last attempt to deliver this very message that did not succeed.
    pub attempt: Option<Timestamp>,
    /// The last failed probe of a primary that has not answered since.
    pub failed_probe: Option<Timestamp>,
}

/// What the decision to give a message up, or to warn its sender, depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryInput {
    /// The wall clock.
    pub now: Timestamp,
    /// Whether it is believed.
    pub clock: ClockTrust,
    /// When the program started, by the wall clock.
    pub started: Timestamp,
    /// The primary's state.
    pub primary: PrimaryState,
    /// Whether mail is handed over.
    pub handover: Handover,
    /// What was tried.
    pub evidence: Evidence,
}

/// When the hold time of a message that arrived then is over: after `maxAge`, but not before `extendUntil`.
#[must_use]
pub fn deadline(arrived: Timestamp, hold: &HoldTimes) -> Timestamp {
    let aged = arrived + hold.max_age.as_duration();
    hold.extend_until.map_or(aged, |extended| aged.max(extended.into()))
}

/// Whether a message with that deadline may be given up now.
///
/// Its deadline has passed, the wall clock is believed, mail is being handed over (neither suspended nor in a storm),
/// and after the deadline and since the program started an attempt to deliver it failed. Where the primary is down or
/// takes no message at all, one failed probe is an attempt for all of them.
#[must_use]
pub fn may_expire(deadline: Timestamp, input: &ExpiryInput) -> bool {
    input.now >= deadline
        && input.clock == ClockTrust::Believed
        && input.handover == Handover::Running
        && tried_after(deadline, input)
}

/// When the sender of a message that arrived then is to be told that it is late; none: never.
#[must_use]
pub fn warn_at(arrived: Timestamp, hold: &HoldTimes) -> Option<Timestamp> {
    hold.warn_sender_after.map(|after| arrived + after.as_duration())
}

/// Whether the sender of a message is to be told now that it is late, where [`warn_at`] names that moment and it was
/// not told yet.
///
/// As with [`may_expire`] delivery must have failed since then, or be held back: a relay that was switched off for a
/// day tells nobody of mail that it hands over a second later.
#[must_use]
pub fn warn_due(warn_at: Timestamp, input: &ExpiryInput) -> bool {
    input.now >= warn_at
        && input.clock == ClockTrust::Believed
        && (input.handover != Handover::Running || tried_after(warn_at, input))
}

fn tried_after(moment: Timestamp, input: &ExpiryInput) -> bool {
    let after = |tried: Option<Timestamp>| tried.is_some_and(|tried| tried >= moment && tried >= input.started);
    let probed = match input.primary {
        PrimaryState::Down | PrimaryState::Deferring => after(input.evidence.failed_probe),
        PrimaryState::Unknown | PrimaryState::Up | PrimaryState::Suspect | PrimaryState::Recovering => false,
    };
    probed || after(input.evidence.attempt)
}
