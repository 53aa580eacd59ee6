//! A storm of rejects: a primary that came back refuses so many recipients that it must be broken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Backlog, Effect, Health, Now, Party, Settings, StormEnd,
    party::Parties,
    phase::Phase,
    probation::{Probation, StormTarget},
    trial::Trials,
};
use crate::{clock::Moment, spool::Reach};

/// A primary in a storm that answers nobody for this time is gone. Longer than a broken one takes for a restart, or its
/// keepers for a restore, so that mail that the storm kept beyond its time does not expire meanwhile.
const GONE: Duration = Duration::from_secs(24 * 3600);

/// What a trial in a storm is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sample {
    /// A message that was refused.
    Refused,
    /// One that was not.
    Queued,
}

/// A storm of rejects that is on.
#[derive(Clone, Debug)]
pub(super) struct Storm {
    /// When a refused message is tried again.
    pub(super) trials: Trials,
    /// Trials begun.
    pub(super) turn: u32,
    /// What it refuses.
    target: StormTarget,
    /// What the last trial was made with.
    sample: Sample,
    /// Who was refused.
    refused: Parties,
    /// Since when the primary has not answered.
    away: Option<Away>,
}

/// For how long a primary has not answered.
#[derive(Clone, Copy, Debug)]
struct Away {
    since: Moment,
    /// In earlier runs of the program; time in which it did not run counts for nothing, as nobody asked then.
    before: Duration,
}

impl Away {
    fn length(self, now: Moment) -> Duration {
        self.before + now.since(self.since)
    }
}

/// What of a storm survives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormRecord {
    /// What the primary refuses.
    pub target: StormTarget,
    /// For how many minutes it has not answered; none where it answers.
    pub away_minutes: Option<u64>,
}

impl Storm {
    /// The next trial: a refused message; where content is refused, an untried one every other time, as those that were
    /// refused may all be bad.
    pub(super) fn begin_trial(&mut self, now: Moment) -> Effect {
        self.trials.begin(now);
        self.sample = match (self.target, self.sample) {
            (StormTarget::Content, Sample::Refused) if self.turn > 0 => Sample::Queued,
            _ => Sample::Refused,
        };
        match self.sample {
            Sample::Queued => Effect::TryOldest,
            Sample::Refused => {
                let turn = self.turn;
                self.turn = turn.wrapping_add(1);
                Effect::RetryRefused { turn }
            }
        }
    }

    /// The primary answers again.
    pub(super) const fn back(&mut self, now: Moment) {
        self.away = None;
        self.trials.again(now);
    }
}

impl Health {
    /// A primary that has not been looked at, but was in a storm when the program last ran: nothing is delivered and
    /// nothing expires until it ends. `refused` are the recipients whose mail is withheld: they have been weighed.
    #[must_use]
    pub fn in_storm_since_before(
        settings: Settings,
        record: StormRecord,
        refused: impl IntoIterator<Item = Party>,
        now: Now,
    ) -> Self {
        let mut parties = Parties::default();
        refused.into_iter().for_each(|party| parties.insert(party));
        let before = |minutes: u64| Duration::from_secs(minutes.saturating_mul(60));
        let storm = Storm {
            trials: Trials::after(settings.backoff, now),
            turn: 0,
            target: record.target,
            sample: Sample::Refused,
            refused: parties,
            away: record.away_minutes.map(|minutes| Away { since: now.moment, before: before(minutes) }),
        };
        // With mail held or without: its first answer begins a trial.
        Self { storm: Some(storm), ..Self::new(settings, Backlog::Held, now) }
    }

    /// What is to be kept of a storm that is on, so that it survives a restart.
    #[must_use]
    pub fn storm_record(&self, now: Moment) -> Option<StormRecord> {
        self.storm.as_ref().map(|storm| StormRecord {
            target: storm.target,
            away_minutes: storm.away.map(|away| away.length(now).as_secs() / 60),
        })
    }

    /// Begins a storm where the trial has seen enough refusals for one.
    pub(super) fn watch_for_storm(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let threshold = self.settings.storm;
        let Some(probation) = self.phase.probation() else { return };
        if self.storm.is_some() {
            return;
        }
        let Some(target) = probation.storm(threshold) else { return };
        let cut = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        effects.push(Effect::StormBegan { refused: cut(probation.refused()), verdicts: cut(probation.verdicts()) });
        self.storm = Some(Storm {
            trials: Trials::after(self.settings.backoff, now),
            turn: 0,
            target,
            sample: Sample::Refused,
            away: None,
            refused: probation.all_refused(),
        });
        self.row.clear();
    }

    /// Ends a storm, where one is on: everything withheld is tried again, from a single delivery on.
    pub(super) fn end_storm(&mut self, why: StormEnd, now: Now, effects: &mut Vec<Effect>) {
        let Some(storm) = self.storm.take() else { return };
        self.ramp.restart();
        if let Some(probation) = self.phase.probation() {
            *probation = Probation::excusing(storm.refused, now.moment);
        }
        effects.push(Effect::StormEnded(why));
        effects.push(Effect::RequeueWithheld);
        effects.push(Effect::MakeDue(Reach::Waiting));
    }

    /// A probe of a primary that is down failed. One that is gone for good storms no longer: else its mail were held for
    /// ever, and nobody told.
    pub(super) fn watch_for_end_of_storm(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(storm) = &mut self.storm else { return };
        let away = *storm.away.get_or_insert(Away { since: now.moment, before: Duration::ZERO });
        if away.length(now.moment) >= GONE {
            self.end_storm(StormEnd::Gone, now, effects);
        }
    }

    /// A trial was asked for, and no mail is queued. What is withheld is queued again: else nothing would be tried.
    pub(super) fn on_nothing_to_try(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(storm) = &mut self.storm
            && storm.sample == Sample::Queued
            && storm.trials.is_open()
        {
            // All that there is was refused.
            storm.trials.again(now.moment);
            return;
        }
        match &self.phase {
            Phase::Recovering(_) => self.end_storm(StormEnd::NothingHeld, now, effects),
            // The place stays open, for this mail or for mail to come.
            Phase::Deferring(trials) if trials.is_open() => effects.push(Effect::RequeueWithheld),
            Phase::Unknown | Phase::Up | Phase::Suspect(_) | Phase::Down | Phase::Deferring(_) => {}
        }
    }
}
