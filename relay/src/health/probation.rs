//! A primary that has come back is on trial: its refusals are weighed before they are believed.

use std::time::Duration;

use backupmx_relay_config::RejectStorm;
use serde::{Deserialize, Serialize};

use super::{Outcome, Party, party::Parties};
use crate::clock::Moment;

/// So many accepted messages end the trial.
const ACCEPTANCES: u32 = 20;

/// So much time below the threshold ends the trial, unless the primary refused mail and took none.
const LENGTH: Duration = Duration::from_secs(10 * 60);

/// What a primary refuses in a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StormTarget {
    /// Recipients.
    Recipients,
    /// Content too, without which it would be no storm.
    Content,
}

/// What a primary that came back has said so far.
#[derive(Clone, Debug)]
pub(super) struct Probation {
    /// Messages accepted by at least one recipient.
    messages: u32,
    accepted: Parties,
    refused: Parties,
    /// One recipient of each message whose content was refused.
    refused_content: Parties,
    /// Refused before a storm that was ended: they have been weighed, and weigh no more.
    excused: Parties,
    until: Moment,
    /// Times that the trial was made longer because nothing was accepted.
    extensions: u32,
}

impl Probation {
    pub(super) fn new(now: Moment) -> Self {
        Self::excusing(Parties::default(), now)
    }

    /// A new trial after a storm, in which those recipients were refused.
    pub(super) fn excusing(excused: Parties, now: Moment) -> Self {
        Self {
            messages: 0,
            accepted: Parties::default(),
            refused: Parties::default(),
            refused_content: Parties::default(),
            excused,
            until: now + LENGTH,
            extensions: 0,
        }
    }

    /// Takes in the verdicts on one message.
    pub(super) fn weigh(&mut self, outcome: &Outcome) {
        let Outcome { accepted, refused, refused_content, .. } = outcome;
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
                self.refused_content.remove(*recipient);
            }
        }
        // One bad message with many recipients is still one bad message.
        let counted = |party: &&Party| {
            [&self.excused, &self.refused, &self.refused_content].iter().any(|set| set.contains(**party))
        };
        if let Some(recipient) = refused_content.iter().find(|party| !counted(party)) {
            self.refused_content.insert(*recipient);
        }
    }

    /// Whether so many are refused that the primary must be broken, and what it refuses.
    pub(super) fn storm(&self, threshold: RejectStorm) -> Option<StormTarget> {
        let is_storm = |refused: u64| {
            refused >= u64::from(threshold.min_messages).clamp(1, Parties::MOST)
                && refused * 100 >= (refused + self.accepted.len()) * u64::from(threshold.percent)
        };
        if is_storm(self.refused.len()) {
            Some(StormTarget::Recipients)
        } else {
            is_storm(self.refused()).then_some(StormTarget::Content)
        }
    }

    /// Distinct recipients refused. A refusal of content counts only while nothing is accepted: a primary that takes
    /// other mail means what it says of this message.
    pub(super) fn refused(&self) -> u64 {
        let content = if self.messages == 0 { self.refused_content.len() } else { 0 };
        self.refused.len() + content
    }

    /// Distinct recipients judged.
    pub(super) fn verdicts(&self) -> u64 {
        self.refused() + self.accepted.len()
    }

    /// Whether it refused mail and took none: that time passes is no proof that it means it.
    pub(super) fn refuses_all(&self) -> bool {
        self.messages == 0 && self.refused() > 0
    }

    /// Every recipient that was refused.
    pub(super) fn all_refused(&self) -> Parties {
        let mut all = self.excused.clone();
        all.extend(&self.refused);
        all.extend(&self.refused_content);
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

    /// Another round, as nothing was accepted in this one.
    pub(super) fn extend(&mut self, now: Moment) {
        self.extensions = self.extensions.saturating_add(1);
        self.prolong(now);
    }

    /// Whether nothing was accepted in a whole round and the primary still refuses all it was asked to take.
    pub(super) fn is_extended(&self) -> bool {
        self.extensions > 0 && self.refuses_all()
    }

    /// The time starts over: nothing was delivered meanwhile.
    pub(super) fn prolong(&mut self, now: Moment) {
        self.until = now + LENGTH;
    }
}
