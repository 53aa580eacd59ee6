//! Who is told that their mail was not delivered, and what becomes of mail whose sender may not be told.
//!
//! [`decide`], [`settle`], [`warn`] and [`parked_to_remove`] are pure; [`Bouncer`] adds the one thing that they need
//! from outside, an SPF look-up ([`spf`]). `dsn/README.md` says the rules in plain words.

mod decide;
mod parked;
mod plan;
pub mod spf;

#[cfg(test)]
mod tests;

use crate::{
    clock::Timestamp,
    message::{MessageState, Origin, SpfVerdict},
};

pub use decide::{Decision, Evidence, PATIENCE, Why, decide};
pub use parked::{GRACE, Parked, Removal, RemovalCause, kept_until, parked_since, parked_to_remove};
pub use plan::{Case, Outcome, Settled, Step, remember, settle, warn};

/// Settles messages, looking up SPF where it decides.
#[derive(Debug)]
pub struct Bouncer {
    spf: spf::SpfChecker,
}

impl Bouncer {
    /// One that asks that checker.
    #[must_use]
    pub const fn new(spf: spf::SpfChecker) -> Self {
        Self { spf }
    }

    /// As [`settle`], with the SPF look-up where one is needed; at most [`spf::TIMEOUT`] for it.
    pub async fn settle(&self, case: &Case<'_>, state: &MessageState) -> Settled {
        let case = match settle(case, state) {
            Step::Settled(settled) => return settled,
            Step::NeedsSpf => self.with_verdict(case).await,
        };
        match settle(&case, state) {
            Step::Settled(settled) => settled,
            Step::NeedsSpf => Settled::unchanged(case.id, state), // never: there is a verdict now
        }
    }

    /// As [`warn`], with the SPF look-up where one is needed; at most [`spf::TIMEOUT`] for it.
    pub async fn warn(&self, case: &Case<'_>, state: &MessageState, due: Timestamp, retry_until: Timestamp) -> Settled {
        let case = match warn(case, state, due, retry_until) {
            Step::Settled(settled) => return settled,
            Step::NeedsSpf => self.with_verdict(case).await,
        };
        match warn(&case, state, due, retry_until) {
            Step::Settled(settled) => settled,
            Step::NeedsSpf => Settled::unchanged(case.id, state), // never: there is a verdict now
        }
    }

    async fn with_verdict<'a>(&self, case: &Case<'a>) -> Case<'a> {
        let verdict = match &case.envelope.origin {
            Origin::Client(client) => {
                self.spf.check(client.address, &client.helo, &case.envelope.sender, case.hostname).await
            }
            Origin::Report { .. } => SpfVerdict::None,
        };
        Case { evidence: Evidence::Verdict(verdict), ..*case }
    }
}
