//! A storm of rejects: a primary that came back refuses so many recipients that it must be broken.

use super::{Effect, Health, Now, StormEnd, party::Parties, phase::Phase, probation::Probation, trial::Trials};

/// A storm of rejects that is on.
#[derive(Clone, Debug)]
pub(super) struct Storm {
    /// When a refused message is tried again.
    pub(super) trials: Trials,
    /// Trials begun.
    pub(super) turn: u32,
    /// Who was refused.
    refused: Parties,
}

impl Health {
    /// Begins a storm where the trial has seen enough refusals for one.
    pub(super) fn watch_for_storm(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let threshold = self.settings.storm;
        let Some(probation) = self.phase.probation() else { return };
        if self.storm.is_some() || !probation.is_storm(threshold) {
            return;
        }
        let cut = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        effects.push(Effect::StormBegan { refused: cut(probation.refused()), verdicts: cut(probation.verdicts()) });
        self.storm = Some(Storm {
            trials: Trials::after(self.settings.backoff, now),
            turn: 0,
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
        effects.push(Effect::MakeDue);
    }

    /// A trial was asked for, and no mail is queued. What is withheld is queued again: else nothing would be tried.
    pub(super) fn on_nothing_to_try(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Recovering(_) => self.end_storm(StormEnd::NothingHeld, now, effects),
            // The place stays open, for this mail or for mail to come.
            Phase::Deferring(trials) if trials.is_open() => effects.push(Effect::RequeueWithheld),
            Phase::Unknown | Phase::Up | Phase::Suspect(_) | Phase::Down | Phase::Deferring(_) => {}
        }
    }
}
