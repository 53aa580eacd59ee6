//! Whether the sender of a message may be told of what became of it. Pure.

use std::{fmt, time::Duration};

use backupmx_relay_config::BouncePolicy;

use crate::message::{Envelope, Observed, Origin, SpfVerdict};

/// How long DNS may fail before a message is taken for one without evidence: a day after its report was due.
pub const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of the sender beyond the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// SPF has not been asked.
    NotAsked,
    /// SPF says this of the sender's domain and the client's stored address.
    Verdict(SpfVerdict),
}

impl Evidence {
    /// What counts where something was recorded soon after receipt: that, before whatever was asked later. A temporary
    /// error says nothing.
    #[must_use]
    pub fn with_recorded(self, observed: &Observed) -> Self {
        observed.spf.filter(|verdict| *verdict != SpfVerdict::TempError).map_or(self, Self::Verdict)
    }
}

/// Whether the sender may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is told.
    Report,
    /// SPF must be asked first.
    AskSpf,
    /// DNS did not answer; it is asked again later.
    Wait,
    /// It may not be told.
    Park(Why),
}

/// Why a sender may not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The message has none: it is a report of someone's, and reports are not reported on.
    NullSender,
    /// The message is a report of ours.
    OwnReport,
    /// The sender's address is at an IP address, not in a domain.
    NoDomain,
    /// `bounce.policy` is `Never`.
    Policy,
    /// The sender's domain does not name the client in its SPF record, so the sender may be forged.
    NotAuthorised(SpfVerdict),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NullSender => f.write_str("it has the null sender"),
            Self::OwnReport => f.write_str("it is a report of ours"),
            Self::NoDomain => f.write_str("its sender is at an address literal"),
            Self::Policy => f.write_str("bounce.policy is Never"),
            Self::NotAuthorised(verdict) => write!(f, "its sender may be forged (SPF: {verdict:?})"),
        }
    }
}

/// Whether the sender of a message may be told of it, whose report has been due for the time `waited`.
///
/// The null sender and our own reports come before any policy: answering those makes loops. With `UnlessForged` only an
/// SPF pass counts as evidence: neutral or no policy is what a forger of most domains gets.
#[must_use]
pub fn decide(policy: BouncePolicy, envelope: &Envelope, evidence: Evidence, waited: Duration) -> Decision {
    if matches!(envelope.origin, Origin::Report { .. }) {
        return Decision::Park(Why::OwnReport);
    }
    if envelope.sender.is_null() {
        return Decision::Park(Why::NullSender);
    }
    if envelope.sender.domain().is_none() {
        return Decision::Park(Why::NoDomain);
    }
    match policy {
        BouncePolicy::Always => return Decision::Report,
        BouncePolicy::Never => return Decision::Park(Why::Policy),
        BouncePolicy::UnlessForged => {}
    }
    let verdict = match evidence {
        Evidence::Verdict(verdict) => verdict,
        Evidence::NotAsked => return Decision::AskSpf,
    };
    match verdict {
        SpfVerdict::Pass => Decision::Report,
        SpfVerdict::TempError if waited < PATIENCE => Decision::Wait,
        SpfVerdict::TempError
        | SpfVerdict::Fail
        | SpfVerdict::SoftFail
        | SpfVerdict::Neutral
        | SpfVerdict::None
        | SpfVerdict::PermError => Decision::Park(Why::NotAuthorised(verdict)),
    }
}
