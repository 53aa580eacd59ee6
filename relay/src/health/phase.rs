//! The states, with what belongs to each.

use std::mem;

use backupmx_relay_config::status::PrimaryState;

use super::{probation::Probation, trial::Trials};

/// The state of a primary, with what belongs to it.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Not looked at yet.
    Unknown,
    /// It takes mail.
    Up,
    /// A session failed; every endpoint is being probed. If one answers, things are as they were.
    Suspect(Before),
    /// No endpoint answers.
    Down,
    /// It answers, but takes no message.
    Deferring(Trials),
    /// It is back, and on trial.
    Recovering(Probation),
}

/// What a suspect was before.
#[derive(Clone, Debug)]
pub(super) enum Before {
    Up,
    Deferring(Trials),
    Recovering(Probation),
}

impl Phase {
    pub(super) const fn state(&self) -> PrimaryState {
        match self {
            Self::Unknown => PrimaryState::Unknown,
            Self::Up => PrimaryState::Up,
            Self::Suspect(_) => PrimaryState::Suspect,
            Self::Down => PrimaryState::Down,
            Self::Deferring(_) => PrimaryState::Deferring,
            Self::Recovering(_) => PrimaryState::Recovering,
        }
    }

    /// Whether an endpoint is known to answer.
    pub(super) const fn answers(&self) -> bool {
        match self {
            Self::Up | Self::Deferring(_) | Self::Recovering(_) => true,
            Self::Unknown | Self::Suspect(_) | Self::Down => false,
        }
    }

    /// The trial that it is on, or was on before it became suspect.
    pub(super) const fn probation(&mut self) -> Option<&mut Probation> {
        match self {
            Self::Recovering(probation) | Self::Suspect(Before::Recovering(probation)) => Some(probation),
            Self::Unknown | Self::Up | Self::Suspect(_) | Self::Down | Self::Deferring(_) => None,
        }
    }

    /// Takes out what a suspect will remember; none where it does not answer.
    pub(super) fn take_before(&mut self) -> Option<Before> {
        if !self.answers() {
            return None;
        }
        match mem::replace(self, Self::Down) {
            Self::Up => Some(Before::Up),
            Self::Deferring(trials) => Some(Before::Deferring(trials)),
            Self::Recovering(probation) => Some(Before::Recovering(probation)),
            Self::Unknown | Self::Suspect(_) | Self::Down => None,
        }
    }
}
