//! The state machine: what it holds, how it steps, and how it goes from one state to another.

use std::mem;

use backupmx_relay_config::status::PrimaryState;

use super::{
    Backlog, Effect, Event, Now, Party, Settings,
    endpoint::{BackoffThen, Endpoints},
    lookup::LookUp,
    party::Parties,
    phase::{Before, Phase},
    probation::Probation,
    storm::Storm,
    trial::Trials,
};
use crate::{
    clock::{Moment, Timestamp},
    schedule::Ramp,
    spool::Reach,
};

/// Messages of so many distinct senders answered 4.3.x or 4.4.x, with none accepted between, mean that the primary takes
/// no mail at all.
const ROW: u64 = 10;

/// So many times in a row may a failed session be followed by a probe that succeeds; from then on a failed session is
/// believed, or delivery would be tried without a pause.
pub(super) const FALSE_ALARMS: u32 = 3;

/// Whether a person lets mail be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Person {
    Allows,
    Suspended,
}

/// Whether every session was silent when the primary was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stall {
    No,
    Suspected,
}

/// What is known of one primary.
#[derive(Clone, Debug)]
pub struct Health {
    pub(super) settings: Settings,
    pub(super) backlog: Backlog,
    pub(super) phase: Phase,
    /// Since when it is in that phase.
    pub(super) since: Timestamp,
    pub(super) endpoints: Endpoints,
    pub(super) look_up: LookUp,
    pub(super) ramp: Ramp,
    /// A storm goes on while the primary is suspect or down; it is off in all other phases but `Recovering`.
    pub(super) storm: Option<Storm>,
    pub(super) person: Person,
    /// Senders in the present row of 4.3.x and 4.4.x.
    pub(super) row: Parties,
    pub(super) false_alarms: u32,
    pub(super) last_error: Option<String>,
    /// When an endpoint last answered.
    pub(super) last_answer: Option<Moment>,
    /// What the next answer tells: where it is to show whether a silent primary hangs, or its sessions only.
    pub(super) stall: Stall,
    /// When the last probe failed, where none has succeeded since.
    pub(super) last_failed_probe: Option<Timestamp>,
    /// When ETRN was last heeded.
    pub(super) last_etrn: Option<Moment>,
}

impl Health {
    /// A primary that has not been looked at. The first [`Event::Tick`] is due at once.
    #[must_use]
    pub fn new(settings: Settings, backlog: Backlog, now: Now) -> Self {
        Self {
            backlog,
            phase: Phase::Unknown,
            since: now.wall,
            endpoints: Endpoints::new(settings.backoff),
            look_up: LookUp::due(settings.backoff, now.moment),
            ramp: Ramp::new(settings.max_connections),
            storm: None,
            person: Person::Allows,
            row: Parties::default(),
            false_alarms: 0,
            last_error: None,
            last_answer: None,
            stall: Stall::No,
            last_failed_probe: None,
            last_etrn: None,
            settings,
        }
    }

    /// Takes in what happened, and says what to do. Total: every event is welcome in every state, late ones and ones
    /// about endpoints that are gone too.
    #[must_use]
    pub fn step(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        let looped = self.is_looping();
        match event {
            Event::Tick => {}
            Event::Resolved(result) => self.on_resolved(result, now, &mut effects),
            Event::NoAnswer(problem) => self.on_no_answer(&problem, now, &mut effects),
            Event::Probed(key, Ok(())) | Event::Opened(key) => self.on_answer(&key, now, &mut effects),
            Event::Probed(key, Err(failure)) => self.on_probe_failed(&key, &failure, now, &mut effects),
            Event::OpenFailed { endpoint, failure, others } => {
                self.on_open_failed(&endpoint, &failure, others, now, &mut effects);
            }
            Event::SessionLost { endpoint, detail, purpose } => {
                self.on_session_lost(&endpoint, detail, purpose, now, &mut effects);
            }
            Event::ServiceClosing { endpoint, detail, others, purpose } => {
                self.on_service_closing(&endpoint, detail, others, purpose, now, &mut effects);
            }
            Event::Outcome(outcome) => self.on_outcome(&outcome, now, &mut effects),
            Event::NothingToTry => self.on_nothing_to_try(now, &mut effects),
            Event::TrialPutOff => self.put_trial_off(now),
            Event::ClientCame => self.on_client_came(now),
            Event::Stalled => self.on_stalled(now),
            Event::Flush | Event::EndpointsReady => self.hurry(BackoffThen::Restart, now, &mut effects),
            Event::Etrn => self.on_etrn(now, &mut effects),
            Event::Suspend => self.person = Person::Suspended,
            Event::Resume => self.on_resume(now, &mut effects),
            Event::Configured(settings) => self.on_configured(settings, now),
        }
        self.settle(now, &mut effects);
        match (looped, self.is_looping()) {
            (false, true) => effects.push(Effect::LoopFound),
            (true, false) => effects.push(Effect::LoopGone),
            (false, false) | (true, true) => {}
        }
        effects
    }

    fn on_configured(&mut self, settings: Settings, now: Now) {
        let was_suspended = self.is_suspended();
        self.settings = settings;
        self.endpoints.set_backoff(settings.backoff, now.moment);
        self.look_up.set_backoff(settings.backoff, now.moment);
        if let Some(storm) = &mut self.storm {
            storm.trials.set_backoff(settings.backoff, now.moment);
        }
        if let Phase::Deferring(trials) | Phase::Suspect(Before::Deferring(trials)) = &mut self.phase {
            trials.set_backoff(settings.backoff, now.moment);
        }
        self.ramp.set_max(settings.max_connections);
        // The hosts may be others.
        self.look_up.want(now.moment);
        if was_suspended && !self.is_suspended() {
            self.restart_clocks(now);
        }
    }

    fn on_resume(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let was_suspended = self.is_suspended();
        self.person = Person::Allows;
        self.false_alarms = 0;
        self.end_storm(super::StormEnd::Person, now, effects);
        if was_suspended && !self.is_suspended() {
            self.restart_clocks(now);
        }
        self.hurry(BackoffThen::Restart, now, effects);
    }

    /// Deliveries were off and are on again: what waited for their outcome waits anew.
    fn restart_clocks(&mut self, now: Now) {
        if let Some(probation) = self.phase.probation() {
            probation.prolong(now.moment);
        }
        if let Some(storm) = &mut self.storm {
            storm.trials.again(now.moment);
        }
        if let Phase::Deferring(trials) = &mut self.phase {
            trials.again(now.moment);
        }
    }

    /// Goes to another phase, and says so.
    pub(super) fn go(&mut self, to: Phase, why: impl Into<String>, now: Now, effects: &mut Vec<Effect>) {
        let from = mem::replace(&mut self.phase, to).state();
        self.tell(from, why, now, effects);
    }

    /// Says that the state changed, if it did.
    fn tell(&mut self, from: PrimaryState, why: impl Into<String>, now: Now, effects: &mut Vec<Effect>) {
        let to = self.phase.state();
        if from != to {
            self.since = now.wall;
            if to == PrimaryState::Up {
                self.last_error = None;
            }
            effects.push(Effect::StateChanged { from, to, why: why.into() });
        }
    }

    /// It is back: on trial, from a single delivery on, with all mail due.
    pub(super) fn recover(&mut self, why: impl Into<String>, now: Now, effects: &mut Vec<Effect>) {
        self.ramp.restart();
        self.row.clear();
        self.last_failed_probe = None;
        self.go(Phase::Recovering(Probation::new(now.moment)), why, now, effects);
        match &mut self.storm {
            Some(storm) => storm.back(now.moment),
            None => effects.push(Effect::RequeueWithheld),
        }
        effects.push(Effect::MakeDue(Reach::Waiting));
    }

    /// A session failed, and no other endpoint is known to be good: every endpoint is probed at once.
    pub(super) fn suspect(&mut self, why: impl Into<String>, now: Now, effects: &mut Vec<Effect>) {
        if self.false_alarms >= FALSE_ALARMS && self.phase.answers() {
            self.endpoints.all_fail(now);
            self.fall(why, now, effects);
            return;
        }
        let from = self.phase.state();
        if let Some(before) = self.phase.take_before() {
            self.phase = Phase::Suspect(before);
            self.tell(from, why, now, effects);
            self.endpoints.doubt_all(now.moment);
            self.look_up.want(now.moment);
        }
    }

    /// No endpoint answers.
    pub(super) fn fall(&mut self, why: impl Into<String>, now: Now, effects: &mut Vec<Effect>) {
        self.row.clear();
        let was_down = matches!(self.phase, Phase::Down);
        self.go(Phase::Down, why, now, effects);
        if !was_down && self.storm.is_none() {
            // It is weighed anew when it is back; should it not come back, this mail expires like all other.
            effects.push(Effect::RequeueWithheld);
        }
    }

    /// A suspect answered a probe.
    pub(super) fn clear_suspicion(&mut self, before: Before, why: &str, now: Now, effects: &mut Vec<Effect>) {
        self.false_alarms = self.false_alarms.saturating_add(1);
        self.ramp.restart();
        if let Some(storm) = &mut self.storm
            && storm.trials.is_open()
        {
            storm.trials.wait(now);
        }
        match before {
            // A server that lost its sessions may have been started anew, and may not know its users yet: its refusals are
            // weighed again. Its mail keeps its own due times, or one that kills every session would go round and round.
            Before::Up => {
                self.row.clear();
                self.go(Phase::Recovering(Probation::new(now.moment)), why, now, effects);
                // Rejects that came while it was suspect were not believed.
                effects.push(Effect::RequeueWithheld);
            }
            Before::Deferring(mut trials) => {
                if trials.is_open() {
                    trials.wait(now);
                }
                self.go(Phase::Deferring(trials), why, now, effects);
            }
            Before::Recovering(probation) => self.go(Phase::Recovering(probation), why, now, effects),
        }
    }

    /// A message was answered 4.3.x or 4.4.x by a primary that takes mail.
    pub(super) fn on_row(&mut self, sender: Party, why: &str, now: Now, effects: &mut Vec<Effect>) {
        if self.storm.is_some() || !matches!(self.phase, Phase::Up | Phase::Recovering(_)) {
            return;
        }
        self.row.insert(sender);
        if self.row.len() >= ROW {
            self.row.clear();
            self.ramp.restart();
            self.go(Phase::Deferring(Trials::after(self.settings.backoff, now)), why, now, effects);
            // It takes nothing: this mail takes its turn as a trial, and its time runs out, like that of all other.
            effects.push(Effect::RequeueWithheld);
        }
    }
}
