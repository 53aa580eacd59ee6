//! The state machine.

use backupmx_relay_config::status::PrimaryState;

use super::{Backlog, Effect, Event, Listed, Now, Settings};
use crate::{
    clock::{Moment, Timestamp},
    schedule::Handover,
};

/// What is known of one primary.
#[derive(Clone, Debug)]
pub struct Health {
    settings: Settings,
    since: Timestamp,
}

impl Health {
    /// A primary that has not been looked at. The first [`Event::Tick`] is due at once.
    #[must_use]
    pub fn new(settings: Settings, _backlog: Backlog, now: Now) -> Self {
        Self { settings, since: now.wall }
    }

    /// Takes in what happened, and says what to do.
    #[must_use]
    pub fn step(&mut self, _event: Event, _now: Now) -> Vec<Effect> {
        let _ = self.settings;
        Vec::new()
    }

    /// The state, as the status shows it.
    #[must_use]
    pub fn state(&self) -> PrimaryState {
        PrimaryState::Unknown
    }

    /// Since when it is in that state.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// The last failure, for people.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        None
    }

    /// When the primary, or an endpoint that failed, is tried next; none where nothing is planned.
    #[must_use]
    pub fn next_probe(&self) -> Option<Moment> {
        None
    }

    /// When [`Event::Tick`] is due. Always later than the last step, or at once.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        None
    }

    /// How many deliveries may run at once now, those that run counted. 0 while the primary is not known to take mail,
    /// is suspended or in a storm (where [`Effect::RetryRefused`] alone starts one); 0 or 1 while `Deferring`.
    #[must_use]
    pub fn concurrency(&self) -> u32 {
        0
    }

    /// The endpoints that a delivery may go to, lowest preference first; equal ones are for the caller to shuffle.
    pub fn usable_endpoints(&self) -> impl Iterator<Item = &Listed> {
        std::iter::empty()
    }

    /// Whether a 5xx that comes now is final. Where not, the message is withheld until [`Effect::FinaliseWithheld`] or
    /// [`Effect::RequeueWithheld`].
    #[must_use]
    pub fn reject_is_final(&self) -> bool {
        false
    }

    /// Whether a storm of rejects is on.
    #[must_use]
    pub fn in_storm(&self) -> bool {
        false
    }

    /// Whether deliveries are switched off, by the config or by a person.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        false
    }

    /// Whether mail is handed over, as expiry asks it.
    #[must_use]
    pub fn handover(&self) -> Handover {
        Handover::Running
    }

    /// When the last probe failed, where the primary has not answered one since and is `Down` or `Deferring`.
    #[must_use]
    pub fn last_failed_probe(&self) -> Option<Timestamp> {
        None
    }

    /// Whether a client may be told that the primary takes mail and to go there (`whenPrimaryUp: Defer`): it was seen
    /// to take mail within the last minute.
    #[must_use]
    pub fn ingress_may_defer(&self, _now: Moment) -> bool {
        false
    }
}
