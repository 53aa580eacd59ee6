//! What time brings: probes, look-ups and trials that are due, trials of a primary that are over.

use std::time::Duration;

use super::{Effect, Health, Now, OpenFailure, phase::Phase};
use crate::clock::Moment;

/// A primary from which nothing was heard for this time is probed, though it is up: the state that is shown, and that
/// decides what clients are told, must not be an old one.
const IDLE: Duration = Duration::from_secs(5 * 60);

impl Health {
    /// Brings everything up to this moment. Afterwards nothing is due any more.
    pub(super) fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.look_up.is_overdue(now.moment) {
            self.on_no_answer("the look-up of the primary's hosts did not end", now, effects);
        }
        for key in self.endpoints.overdue(now.moment) {
            let failure = OpenFailure::Failed("the probe did not end".to_owned());
            self.on_probe_failed(&key, &failure, now, effects);
        }
        if self.phase.answers() && self.endpoints.usable().next().is_none() {
            self.suspect("no endpoint that answered is left", now, effects);
        }
        if matches!(self.phase, Phase::Unknown | Phase::Suspect(_)) && self.endpoints.all_failed() {
            self.on_nobody_answers("no endpoint answers", now, effects);
        }
        if self.idle_check().is_some_and(|at| at <= now.moment) {
            self.endpoints.check_all(now.moment);
        }
        if self.probation_end().is_some_and(|at| at <= now.moment)
            && let Some(probation) = self.phase.probation()
            && probation.refuses_all()
        {
            // Nothing tells a primary that is right from one that is broken: what it refused is tried again.
            probation.extend(now.moment);
            effects.push(Effect::RequeueWithheld);
        }
        if self.probation_end().is_some_and(|at| at <= now.moment) || self.probation_passed() {
            self.go(Phase::Up, "its trial is over", now, effects);
            effects.push(Effect::FinaliseWithheld);
        }
        self.begin_trials(now, effects);
        let wanted = self.endpoints.next_due().is_some_and(|due| due <= now.moment);
        if self.look_up.start(wanted, now.moment) {
            effects.push(Effect::Resolve);
        }
    }

    fn begin_trials(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.next_trial().is_none_or(|at| at > now.moment) {
            return;
        }
        match (&mut self.phase, &mut self.storm) {
            (Phase::Deferring(trials), _) => {
                trials.begin(now.moment);
                effects.push(Effect::TryOldest);
            }
            (_, Some(storm)) => {
                effects.push(storm.begin_trial(now.moment));
            }
            _ => {}
        }
    }

    /// When the primary is asked whether it is still there. Trials ask that themselves.
    fn idle_check(&self) -> Option<Moment> {
        let asked = self.endpoints.is_probing() || self.look_up.is_running() || self.next_trial().is_some();
        self.last_answer.filter(|_| self.phase.answers() && !asked).map(|last| last + IDLE)
    }

    /// When its trial is over; none while no mail is handed over to tell by.
    fn probation_end(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Recovering(probation) if self.storm.is_none() && !self.is_suspended() => Some(probation.until()),
            _ => None,
        }
    }

    fn probation_passed(&self) -> bool {
        matches!(&self.phase, Phase::Recovering(probation) if self.storm.is_none() && probation.is_passed())
    }

    /// When a trial is next begun.
    pub(super) fn next_trial(&self) -> Option<Moment> {
        match (&self.phase, &self.storm) {
            _ if self.is_suspended() => None,
            (Phase::Deferring(trials), _) => Some(trials.next()),
            (Phase::Recovering(_), Some(storm)) => Some(storm.trials.next()),
            _ => None,
        }
    }

    /// When [`Event::Tick`](super::Event::Tick) is due. Always later than the last step, or at once.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        // While a look-up is under way, whatever else is due waits for it.
        let looking =
            if self.look_up.is_running() { self.look_up.next_overdue() } else { self.next_look().into_iter().min() };
        [looking, self.endpoints.next_overdue(), self.idle_check(), self.probation_end(), self.next_trial()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the next look-up begins, for its own sake or for an endpoint.
    pub(super) fn next_look(&self) -> Option<Moment> {
        [self.look_up.next_due(), self.endpoints.next_due()].into_iter().flatten().min()
    }
}
