//! A primary that has come back is on trial: its refusals are weighed before they are believed.

use std::time::Duration;

use backupmx_relay_config::RejectStorm;

use super::{Party, party::Parties};
use crate::clock::Moment;

/// So many accepted messages end the trial.
const ACCEPTANCES: u32 = 20;

/// So much time below the threshold ends the trial.
const LENGTH: Duration = Duration::from_secs(10 * 60);

/// What a primary that came back has said so far.
#[derive(Clone, Debug)]
pub(super) struct Probation {
    /// Messages accepted by at least one recipient.
    messages: u32,
    accepted: Parties,
    refused: Parties,
    /// Refused before a storm that was ended: they have been weighed, and weigh no more.
    excused: Parties,
    until: Moment,
}

impl Probation {
    pub(super) fn new(now: Moment) -> Self {
        Self::excusing(Parties::default(), now)
    }

    /// A new trial after a storm, in which those recipients were refused.
    pub(super) fn excusing(excused: Parties, now: Moment) -> Self {
        Self { messages: 0, accepted: Parties::default(), refused: Parties::default(), excused, until: now + LENGTH }
    }

    /// Takes in the verdicts on one message.
    pub(super) fn weigh(&mut self, accepted: &[Party], refused: &[Party]) {
        if !accepted.is_empty() {
            self.messages = self.messages.saturating_add(1);
        }
        for recipient in accepted {
            self.refused.remove(*recipient);
            self.excused.remove(*recipient);
            self.accepted.insert(*recipient);
        }
        for recipient in refused {
            if !self.excused.contains(*recipient) {
                self.refused.insert(*recipient);
            }
        }
    }

    /// Whether so many are refused that the primary must be broken.
    pub(super) fn is_storm(&self, threshold: RejectStorm) -> bool {
        let refused = self.refused.len();
        refused >= u64::from(threshold.min_messages).clamp(1, Parties::MOST)
            && refused * 100 >= self.verdicts() * u64::from(threshold.percent)
    }

    /// Distinct recipients refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.len()
    }

    /// Distinct recipients judged.
    pub(super) fn verdicts(&self) -> u64 {
        self.refused.len() + self.accepted.len()
    }

    /// Every recipient that was refused.
    pub(super) fn all_refused(&self) -> Parties {
        let mut all = self.excused.clone();
        all.extend(&self.refused);
        all
    }

    /// Whether enough was accepted to believe it.
    pub(super) const fn is_passed(&self) -> bool {
        self.messages >= ACCEPTANCES
    }

    /// When the trial is over, if no storm breaks out before.
    pub(super) const fn until(&self) -> Moment {
        self.until
    }

    /// The time starts over: nothing was delivered meanwhile.
    pub(super) fn prolong(&mut self, now: Moment) {
        self.until = now + LENGTH;
    }
}
