//! How a relay or a domain leaves. Pure: one state machine, kept in an annotation of the claim, so that it survives
//! restarts of the operator and needs no spec.
//!
//! ```text
//! Withdrawing ─records changed─► Waiting ─TTL + 10 min─► Closing ─relay answers 451─► Draining ─empty─► Gone
//!            ◄─they are back────                                                         └─(a domain)─► Fading ─► Gone
//! ```
//! While senders may still have the old records the relay goes on taking their mail. Then it answers 451, never 550,
//! and what it holds is delivered. A domain that has drained is answered 451 until a day after its last records have
//! run out; a relay that has drained is taken away. No time takes a record out of DNS: while a domain's name the relay
//! still, 451 goes on.
//!
//! Where held mail is retained or discarded (`deletionPolicy`), mail that came in meanwhile would be stranded or lost:
//! the relay answers 451 from the beginning. It goes when senders have not its address any more, which may be another's
//! by then, and waits for nothing else. Where a person says so of a domain, the relay answers 451 for it at once and is told
//! to discard what it holds.

use std::time::Duration;

use backupmx_relay_config::{AcceptMode, DomainName, Span};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How much longer than the TTL the old records are believed to live, where the operator is not told otherwise:
/// resolvers round up, and external-dns and the provider take their time.
pub const GRACE: Span = Span::minutes(10);
/// How long after its last records a domain is still answered 451.
const FADING: Duration = Duration::from_secs(24 * 3600);

/// Something that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retirement {
    /// The domain that leaves. None: the whole relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// How far it is.
    pub phase: Phase,
    /// Since when it is in that phase.
    pub since: Timestamp,
    /// The largest TTL that its records were published with, in seconds.
    pub ttl: u32,
    /// How much longer than that they are believed to live.
    #[serde(default = "grace")]
    pub grace: Span,
    /// When a person's order was seen that what is held for the domain is discarded. None: there is no such order. It is
    /// kept here, so that it is for this domain only and never meets what leaves another day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Timestamp>,
    /// Of a domain: since when its records are seen to name the relay no more. None: they do, or may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    /// Of a domain: when a person said that they name it no more. Whatever DNS says, it is so from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Timestamp>,
}

const fn grace() -> Span {
    GRACE
}

/// How far something that leaves has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Its records are to be changed.
    Withdrawing,
    /// They were changed; senders may still have the old ones. Mail is taken.
    Waiting,
    /// The relay is to answer 451.
    Closing,
    /// It does; what it holds is being delivered.
    Draining,
    /// Nothing is held; 451 goes on for those who ask still, as long as there are records that lead them here.
    Fading,
    /// Nothing is left to do.
    Gone,
}

/// What is known of what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its records in the cluster.
    pub records: Records,
    /// Whether the relay answers 451.
    pub door: Door,
    /// What the relay holds for it.
    pub held: Held,
    /// What is to become of what is held.
    pub order: Order,
}

/// The records of what leaves, as they were last applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// They still name it.
    Standing,
    /// They do not.
    Changed,
}

/// Whether the relay takes mail for what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It does, or it is not known.
    Open,
    /// It reports a config in which it does not.
    Closed,
}

/// What a relay holds for what leaves: mail, reports, parked mail and damaged parts alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The relay does not say. It may hold any number.
    Unknown,
    /// So many.
    Some(u64),
    /// Nothing.
    Nothing,
}

/// What is to become of held mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All of it is delivered first.
    Drain,
    /// It stays in its claim.
    Retain,
    /// It goes.
    Discard,
    /// A person said in an annotation that it goes, now.
    CutShort,
    /// The same of a domain, where the relay can be told to discard what it holds for that.
    Clear,
}

impl Retirement {
    /// The beginning. Caches are waited for as long as the largest TTL (in seconds) and `grace` together.
    #[must_use]
    pub const fn new(domain: Option<DomainName>, now: Timestamp, ttl: u32, grace: Span) -> Self {
        Self {
            domain,
            phase: Phase::Withdrawing,
            since: now,
            ttl,
            grace,
            ordered: None,
            changed: None,
            withdrawn: None,
        }
    }

    /// The same, with the largest TTL that was seen so far: until the records are changed, more may come to light.
    #[must_use]
    pub fn published_with(self, ttl: u32) -> Self {
        match self.phase {
            Phase::Withdrawing => Self { ttl: self.ttl.max(ttl), ..self },
            Phase::Waiting | Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone => self,
        }
    }

    /// The same, when a person says that what is held goes. What holds nothing any more needs no order.
    #[must_use]
    pub fn ordered(self, now: Timestamp) -> Self {
        match self.phase {
            Phase::Withdrawing | Phase::Waiting | Phase::Closing | Phase::Draining => {
                Self { ordered: self.ordered.or(Some(now)), ..self }
            }
            Phase::Fading | Phase::Gone => self,
        }
    }

    /// The same, when a person says that no record names the relay any more.
    #[must_use]
    pub fn withdrawn(self, now: Timestamp) -> Self {
        Self { withdrawn: self.withdrawn.or(Some(now)), ..self }
    }

    /// Whether it waits for records to be changed.
    #[must_use]
    pub fn awaits_records(&self) -> bool {
        match self.domain {
            Some(_) => self.changed.is_none(),
            None => self.phase == Phase::Withdrawing,
        }
    }

    /// One step, if there is one to take. A phase that begins farther in the future than any wait is long was begun by a
    /// clock that ran ahead: it begins now, as nobody would wait for that day. What is nearer is waited for, as it may be
    /// this clock that is slow, and a wait too short gives an address away that senders still have.
    #[must_use]
    pub fn step(&self, now: Timestamp, seen: Observed) -> Self {
        if SignedDuration::try_from(self.wait() + FADING).is_ok_and(|most| self.since.duration_since(now) > most) {
            return Self { since: now, ..self.clone() }.step(now, seen);
        }
        let changed = self.changed_by(now, seen.records);
        let next = match (self.phase, seen) {
            (Phase::Gone, _) => Phase::Gone,
            (_, Observed { order: Order::CutShort, .. }) if self.domain.is_none() => Phase::Gone,
            (Phase::Fading, _) if self.faded(now, changed) => Phase::Gone,
            // What is held for a domain is not waited for. Its records may be out there still: it is no stranger's yet.
            (Phase::Fading, _) | (_, Observed { order: Order::CutShort, .. }) => Phase::Fading,
            // Nothing is taken that would be discarded.
            (Phase::Withdrawing | Phase::Waiting, Observed { order: Order::Clear, .. }) => Phase::Closing,
            (Phase::Withdrawing, Observed { records: Records::Changed, .. }) => Phase::Waiting,
            // They are back, or never went: the wait was for nothing.
            (Phase::Waiting, Observed { records: Records::Standing, .. }) => Phase::Withdrawing,
            (Phase::Waiting, Observed { order: Order::Retain | Order::Discard, .. }) if self.waited(now) => Phase::Gone,
            (Phase::Closing | Phase::Draining, Observed { order: Order::Retain | Order::Discard, .. }) => Phase::Gone,
            (Phase::Waiting, _) if self.waited(now) => Phase::Closing,
            (Phase::Closing, Observed { door: Door::Closed, .. }) => Phase::Draining,
            (Phase::Draining, Observed { held: Held::Nothing, .. }) => match self.domain {
                Some(_) => Phase::Fading,
                None => Phase::Gone,
            },
            (phase, _) => phase,
        };
        let since = if next == self.phase { self.since } else { now };
        Self { phase: next, since, changed, ..self.clone() }
    }

    /// Since when the records of a domain are changed, by what is seen now. As of a phase, a time too far in the future
    /// is of a clock that ran ahead.
    fn changed_by(&self, now: Timestamp, records: Records) -> Option<Timestamp> {
        let most = SignedDuration::try_from(self.wait() + FADING).unwrap_or(SignedDuration::MAX);
        match (&self.domain, records) {
            (None, _) | (Some(_), Records::Standing) => None,
            (Some(_), Records::Changed) => {
                self.changed.filter(|changed| changed.duration_since(now) <= most).or(Some(now))
            }
        }
    }

    /// Whether nobody asks any more: the last records have run out a day ago.
    fn faded(&self, now: Timestamp, changed: Option<Timestamp>) -> bool {
        let faded = Self { changed, ..self.clone() }.due();
        faded.is_some_and(|due| due <= now)
    }

    /// What the relay is to answer. Nothing is taken that would not be delivered.
    #[must_use]
    pub const fn accept(&self, order: Order) -> AcceptMode {
        match (self.phase, order) {
            (Phase::Withdrawing | Phase::Waiting, Order::Drain) => AcceptMode::Active,
            (Phase::Withdrawing | Phase::Waiting, Order::Retain | Order::Discard | Order::CutShort | Order::Clear)
            | (Phase::Closing | Phase::Draining | Phase::Fading | Phase::Gone, _) => AcceptMode::Defer,
        }
    }

    /// When the next step is due by time alone. None: something must happen first.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let after = |begin: Timestamp, wait| begin.checked_add(SignedDuration::try_from(wait).ok()?).ok();
        match self.phase {
            Phase::Waiting => after(self.since, self.wait()),
            Phase::Fading => after(self.since, FADING).max(Some(after(self.changed?, self.wait() + FADING)?)),
            Phase::Withdrawing | Phase::Closing | Phase::Draining | Phase::Gone => None,
        }
    }

    const fn wait(&self) -> Duration {
        Duration::from_secs(self.ttl as u64).saturating_add(self.grace.as_duration())
    }

    fn waited(&self, now: Timestamp) -> bool {
        self.passed(now, self.wait())
    }

    fn passed(&self, now: Timestamp, wait: Duration) -> bool {
        SignedDuration::try_from(wait).is_ok_and(|wait| now.duration_since(self.since) >= wait)
    }
}

#[cfg(test)]
mod tests;
