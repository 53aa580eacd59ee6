//! What look-ups, probes and sessions show.

use std::{mem, time::Duration};

use super::{
    Backlog, Effect, EndpointKey, Health, Listed, Now, OpenFailure, Purpose,
    endpoint::BackoffThen,
    machine::{FALSE_ALARMS, Stall},
    phase::Phase,
};
use crate::{clock::Moment, spool::Reach};

/// ETRN is heeded once in this time.
const ETRN_REST: Duration = Duration::from_secs(30);

/// Characters kept of a failure.
const NOTE: usize = 500;

/// How long an answer proves that a primary takes mail.
pub(super) const FRESH: Duration = Duration::from_secs(60);

impl OpenFailure {
    fn detail(&self) -> &str {
        match self {
            Self::ServiceClosing(detail) | Self::Ourselves(detail) | Self::Failed(detail) => detail,
        }
    }
}

impl Health {
    pub(super) fn on_resolved(&mut self, result: Result<Vec<Listed>, String>, now: Now, effects: &mut Vec<Effect>) {
        match result {
            Ok(listed) if !listed.is_empty() => {
                self.look_up.succeeded();
                self.endpoints.replace(listed);
                if !self.phase.answers() {
                    self.endpoints.check_untested(now.moment);
                }
                effects.extend(self.endpoints.take_due(now.moment).into_iter().map(Effect::Probe));
            }
            Ok(_) => self.on_look_up_failed("no host of the primary has an address", now, effects),
            Err(problem) => self.on_look_up_failed(&problem, now, effects),
        }
    }

    /// DNS did not answer. The addresses that are known are as good as before; without any, there is nothing to try, but
    /// no evidence against the primary either.
    pub(super) fn on_no_answer(&mut self, problem: &str, now: Now, effects: &mut Vec<Effect>) {
        self.look_up.failed(now);
        if !self.endpoints.is_empty() {
            effects.extend(self.endpoints.take_due(now.moment).into_iter().map(Effect::Probe));
            return;
        }
        self.note(problem);
        if self.phase.answers() {
            self.suspect(problem, now, effects);
        } else {
            self.fall(problem, now, effects);
        }
    }

    /// Without an address there is nothing to probe: the look-up is the probe that failed.
    pub(super) fn on_look_up_failed(&mut self, problem: &str, now: Now, effects: &mut Vec<Effect>) {
        self.note(problem);
        self.endpoints.clear();
        self.look_up.failed(now);
        if self.phase.answers() {
            self.suspect(problem, now, effects);
        } else {
            self.on_nobody_answers(problem, now, effects);
        }
    }

    /// A round of probes ended without an answer.
    pub(super) fn on_nobody_answers(&mut self, why: impl Into<String>, now: Now, effects: &mut Vec<Effect>) {
        self.fall(why, now, effects);
        self.last_failed_probe = Some(now.wall);
        self.watch_for_end_of_storm(now, effects);
        effects.push(Effect::ReviewExpiry);
    }

    /// An endpoint answered EHLO.
    pub(super) fn on_answer(&mut self, key: &EndpointKey, now: Now, effects: &mut Vec<Effect>) {
        if !self.endpoints.knows(key) {
            return;
        }
        let worth = if self.false_alarms < FALSE_ALARMS { BackoffThen::Restart } else { BackoffThen::GoOn };
        self.endpoints.good(key, worth);
        self.last_answer = Some(now.moment);
        if mem::replace(&mut self.stall, Stall::No) == Stall::Suspected {
            // Only its sessions hang: there is to be room for another.
            self.ramp.accepted();
        }
        self.found_alive(&format!("{key} answers"), now, effects);
    }

    /// It lives: the end of `Unknown`, `Suspect` and `Down`.
    pub(super) fn found_alive(&mut self, why: &str, now: Now, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Unknown => match self.backlog {
                Backlog::Empty => {
                    self.last_failed_probe = None;
                    self.go(Phase::Up, why, now, effects);
                }
                Backlog::Held => self.recover(why, now, effects),
            },
            Phase::Suspect(before) => {
                let before = before.clone();
                self.clear_suspicion(before, why, now, effects);
            }
            Phase::Down => self.recover(why, now, effects),
            Phase::Up | Phase::Deferring(_) | Phase::Recovering(_) => {}
        }
    }

    pub(super) fn on_probe_failed(
        &mut self,
        key: &EndpointKey,
        failure: &OpenFailure,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if !self.endpoints.knows(key) {
            return;
        }
        let detail = format!("{key}: {}", failure.detail());
        self.note(&detail);
        self.endpoints.probe_ended(key);
        if self.phase.answers() && !self.endpoints.another_is_good(key) {
            self.suspect(detail, now, effects);
            return;
        }
        self.endpoints.failed(key, failure, now);
        if self.endpoints.all_failed() {
            self.false_alarms = 0;
            self.on_nobody_answers(detail, now, effects);
        }
    }

    pub(super) fn on_open_failed(
        &mut self,
        key: &EndpointKey,
        failure: &OpenFailure,
        others: u32,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let detail = format!("{key}: {}", failure.detail());
        self.note(&detail);
        if matches!(failure, OpenFailure::ServiceClosing(_)) && others > 0 {
            self.ramp.halve(others);
            self.end_trial(Purpose::Trial, now);
        } else if self.phase.answers() && self.endpoints.knows(key) {
            if self.endpoints.another_is_good(key) {
                self.endpoints.failed(key, failure, now);
                self.retry_trial(now);
            } else {
                self.suspect(detail, now, effects);
            }
        }
    }

    pub(super) fn on_session_lost(
        &mut self,
        key: &EndpointKey,
        detail: String,
        purpose: Purpose,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let detail = format!("{key}: {detail}");
        self.note(&detail);
        self.end_trial(purpose, now);
        if !self.phase.answers() || !self.endpoints.knows(key) {
            return;
        }
        if self.endpoints.another_is_good(key) {
            self.endpoints.doubt(key, now.moment);
        } else {
            self.suspect(detail, now, effects);
        }
    }

    pub(super) fn on_service_closing(
        &mut self,
        key: &EndpointKey,
        detail: String,
        others: u32,
        purpose: Purpose,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if others == 0 {
            self.on_session_lost(key, detail, purpose, now, effects);
        } else {
            self.note(&format!("{key}: {detail}"));
            self.end_trial(purpose, now);
            self.ramp.halve(others);
        }
    }

    /// A client here means that others may find the primary down; it is asked, unless it answered a moment ago.
    pub(super) fn on_client_came(&mut self, now: Now) {
        if matches!(self.phase, Phase::Up) && !self.is_fresh(now.moment) && !self.endpoints.is_probing() {
            self.endpoints.check_all(now.moment);
        }
    }

    /// Every session is silent: it is asked, even if it answered a moment ago.
    pub(super) fn on_stalled(&mut self, now: Now) {
        if self.phase.answers() && !self.endpoints.is_probing() {
            self.stall = Stall::Suspected;
            self.endpoints.check_all(now.moment);
        }
    }

    pub(super) fn on_etrn(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.last_etrn.is_some_and(|last| now.moment.since(last) < ETRN_REST) {
            return;
        }
        self.last_etrn = Some(now.moment);
        self.hurry(BackoffThen::GoOn, now, effects);
    }

    /// Delivery at once: all mail is due, and what failed is tried.
    pub(super) fn hurry(&mut self, backoff: BackoffThen, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::MakeDue(Reach::Underway));
        self.endpoints.check_failed(now.moment, backoff);
        if backoff == BackoffThen::Restart && matches!(self.phase, Phase::Up) && !self.endpoints.is_probing() {
            // A person who asks wants to know how it is now, mail or none.
            self.endpoints.check_all(now.moment);
        }
        if backoff == BackoffThen::Restart {
            self.look_up.restart_backoff();
        }
        if self.endpoints.is_empty() {
            self.look_up.want(now.moment);
        }
        let trials = match &mut self.phase {
            Phase::Deferring(trials) => Some(trials),
            _ => self.storm.as_mut().map(|storm| &mut storm.trials),
        };
        if let Some(trials) = trials {
            if backoff == BackoffThen::Restart {
                trials.restart_backoff();
            }
            trials.hurry(now.moment);
        }
    }

    /// Keeps a failure to be shown, the beginning of a long one.
    pub(super) fn note(&mut self, problem: &str) {
        self.last_error = Some(problem.chars().take(NOTE).collect());
    }

    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        self.last_answer.is_some_and(|last| now.since(last) <= FRESH)
    }
}
