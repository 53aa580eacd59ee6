//! What the primary's answers to messages show.

use super::{
    Effect, Health, Now, Outcome, Purpose, StormEnd, Transient,
    endpoint::BackoffThen,
    phase::{Before, Phase},
    trial::Trials,
};

impl Health {
    pub(super) fn on_outcome(&mut self, outcome: &Outcome, now: Now, effects: &mut Vec<Effect>) {
        let known = self.endpoints.knows(&outcome.endpoint);
        if known {
            // Answers to a message are worth more than an answer to EHLO.
            self.false_alarms = 0;
            self.last_answer = Some(now.moment);
        }
        let accepted = !outcome.accepted.is_empty();
        if accepted {
            self.row.clear();
            if known {
                self.endpoints.good(&outcome.endpoint, BackoffThen::Restart);
                self.found_alive(&format!("{} took a message", outcome.endpoint), now, effects);
                self.false_alarms = 0;
            }
            self.ramp.accepted();
        }
        if self.storm.is_some() {
            self.on_storm_outcome(outcome, now, effects);
            return;
        }
        if accepted && matches!(self.phase, Phase::Deferring(_)) {
            self.recover(format!("{} took a message", outcome.endpoint), now, effects);
        }
        if let Some(probation) = self.phase.probation() {
            probation.weigh(outcome);
        }
        self.watch_for_storm(now, effects);
        if self.storm.is_some() {
            self.blame(outcome);
        }
        if accepted {
            return;
        }
        let system = outcome.transient == Some(Transient::System);
        match &mut self.phase {
            Phase::Deferring(trials) if trials.is_open() => {
                trials.wait(now);
                if system {
                    self.blame(outcome);
                    self.last_failed_probe = Some(now.wall);
                    effects.push(Effect::ReviewExpiry);
                }
            }
            Phase::Up | Phase::Recovering(_) if system => {
                let why = format!("{} answers 4.3.x or 4.4.x to every message", outcome.endpoint);
                self.on_row(outcome.sender, &why, now, effects);
                if matches!(self.phase, Phase::Deferring(_)) {
                    self.blame(outcome);
                }
            }
            _ => {}
        }
    }

    /// Keeps what the primary said to mail that it does not take, to be shown.
    fn blame(&mut self, outcome: &Outcome) {
        if let Some(said) = &outcome.said {
            self.note(&format!("{}: {said}", outcome.endpoint));
        }
    }

    /// In a storm only the word on a refused message that is tried again counts.
    fn on_storm_outcome(&mut self, outcome: &Outcome, now: Now, effects: &mut Vec<Effect>) {
        if outcome.purpose == Purpose::Ordinary {
            return;
        }
        if outcome.accepted.is_empty() {
            self.blame(outcome);
            self.end_trial(outcome.purpose, now);
        } else {
            self.end_storm(StormEnd::Accepted, now, effects);
            if let Some(probation) = self.phase.probation() {
                probation.weigh(outcome);
            }
        }
    }

    /// The transaction ended without an answer that counts: if it was a trial, the next one waits.
    pub(super) fn end_trial(&mut self, purpose: Purpose, now: Now) {
        if let Some(trials) = self.open_trial(purpose) {
            trials.wait(now);
        }
    }

    /// A trial was not made, for a reason of our own. A storm goes on: nothing of it was settled.
    pub(super) fn put_trial_off(&mut self, now: Now) {
        if let Some(trials) = self.open_trial(Purpose::Trial) {
            trials.put_off(now.moment);
        }
    }

    fn open_trial(&mut self, purpose: Purpose) -> Option<&mut Trials> {
        let deferring = match &mut self.phase {
            Phase::Deferring(trials) | Phase::Suspect(Before::Deferring(trials)) => Some(trials),
            _ => None,
        };
        // Mail that was on its way when a storm broke out is no trial; while deferring, whatever is tried is one.
        let trials = match purpose {
            Purpose::Trial => deferring.or(self.storm.as_mut().map(|storm| &mut storm.trials)),
            Purpose::Ordinary => deferring,
        };
        trials.filter(|trials| trials.is_open())
    }

    /// An endpoint could not be reached for a trial: another is tried at once, if the caller does not do so itself.
    pub(super) fn retry_trial(&mut self, now: Now) {
        let trials = match &mut self.phase {
            Phase::Deferring(trials) => Some(trials),
            _ => self.storm.as_mut().map(|storm| &mut storm.trials),
        };
        if let Some(trials) = trials
            && trials.is_open()
        {
            trials.again(now.moment);
        }
    }
}
