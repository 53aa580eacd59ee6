//! What others ask.

use backupmx_relay_config::status::PrimaryState;

use super::{Health, Listed, machine::Person, phase::Phase, session::FRESH};
use crate::{
    board::Withheld,
    clock::{Moment, Timestamp},
    schedule::{ClockTrust, Evidence, ExpiryInput, Handover},
};

impl Health {
    /// The state, as the status shows it.
    #[must_use]
    pub const fn state(&self) -> PrimaryState {
        self.phase.state()
    }

    /// Since when it is in that state.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// The last failure, for people; none while it is `Up`.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref().filter(|_| !matches!(self.phase, Phase::Up))
    }

    /// When the primary, or an endpoint that failed, is tried next; none where nothing is planned.
    #[must_use]
    pub fn next_probe(&self) -> Option<Moment> {
        [self.next_look(), self.next_trial()].into_iter().flatten().min()
    }

    /// How many deliveries may run at once now, those that run counted, trials too. 0 while the primary is not known to take mail,
    /// is suspended or in a storm (where [`Effect::RetryRefused`](super::Effect::RetryRefused) alone starts one); 0 or 1
    /// while `Deferring`.
    #[must_use]
    pub fn concurrency(&self) -> u32 {
        match &self.phase {
            _ if self.handover() != Handover::Running => 0,
            Phase::Unknown | Phase::Suspect(_) | Phase::Down => 0,
            Phase::Deferring(trials) => u32::from(trials.is_open()),
            Phase::Up | Phase::Recovering(_) => self.ramp.width(),
        }
    }

    /// The endpoints that a delivery may go to, lowest preference first; equal ones are for the caller to shuffle.
    pub fn usable_endpoints(&self) -> impl Iterator<Item = &Listed> {
        self.endpoints.usable()
    }

    /// Whether a 5xx that comes now is final. Where not, the message is withheld until
    /// [`Effect::FinaliseWithheld`](super::Effect::FinaliseWithheld) or
    /// [`Effect::RequeueWithheld`](super::Effect::RequeueWithheld).
    #[must_use]
    pub const fn reject_is_final(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// What withheld mail waits for.
    #[must_use]
    pub fn withheld(&self) -> Withheld {
        match &self.phase {
            Phase::Recovering(probation) if probation.is_extended() && !self.in_storm() => Withheld::ForAPerson,
            _ => Withheld::ForItsTrial,
        }
    }

    /// Whether withheld mail that is past its deadline may be given up, as mail that was refused to the end: for more than
    /// ten minutes of its trial the primary has refused all it was asked to take, twice, and too little for a storm. Else
    /// a few messages to a primary that gets no other mail would be held for ever.
    #[must_use]
    pub fn withheld_may_expire(&self) -> bool {
        self.handover() == Handover::Running
            && matches!(&self.phase, Phase::Recovering(probation) if probation.is_extended())
    }

    /// Whether mail that is found to be withheld now is to be queued again at once: what it waited for has come.
    #[must_use]
    pub fn requeues_withheld(&self) -> bool {
        self.reject_is_final() || (matches!(self.phase, Phase::Down) && self.storm.is_none())
    }

    /// Whether the primary is down because a host of it is this relay itself: mail for it would go in a circle.
    #[must_use]
    pub fn is_looping(&self) -> bool {
        matches!(self.phase, Phase::Down) && self.endpoints.one_is_ourselves()
    }

    /// Whether a storm of rejects is on.
    #[must_use]
    pub const fn in_storm(&self) -> bool {
        self.storm.is_some()
    }

    /// Whether deliveries are switched off, by the config or by a person.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.settings.suspended || self.person == Person::Suspended
    }

    /// Whether mail is handed over, as expiry asks it.
    #[must_use]
    pub fn handover(&self) -> Handover {
        if self.is_suspended() {
            Handover::Suspended
        } else if self.in_storm() {
            Handover::Storm
        } else {
            Handover::Running
        }
    }

    /// What expiry asks about a message of this primary: `attempt` is the last vain attempt to deliver that message since
    /// the program `started`.
    #[must_use]
    pub fn expiry_input(
        &self,
        now: Timestamp,
        clock: ClockTrust,
        started: Timestamp,
        attempt: Option<Timestamp>,
    ) -> ExpiryInput {
        let evidence = Evidence { attempt, failed_probe: self.last_failed_probe() };
        ExpiryInput { now, clock, started, primary: self.state(), handover: self.handover(), evidence }
    }

    /// When the last probe failed, where the primary has not answered one since and is `Down` or `Deferring`.
    #[must_use]
    pub fn last_failed_probe(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Down | Phase::Deferring(_) => self.last_failed_probe,
            Phase::Unknown | Phase::Up | Phase::Suspect(_) | Phase::Recovering(_) => None,
        }
    }

    /// Until when a client may be told that the primary takes mail and to go there (`whenPrimaryUp: Defer`): it is up,
    /// and answered within the minute before. Where not, the client's mail is taken; [`Event::ClientCame`] has the
    /// primary asked.
    ///
    /// [`Event::ClientCame`]: super::Event::ClientCame
    #[must_use]
    pub fn ingress_may_defer_until(&self) -> Option<Moment> {
        self.last_answer.filter(|_| matches!(self.phase, Phase::Up)).map(|last| last + FRESH)
    }
}
