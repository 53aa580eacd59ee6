//! The addresses of a primary, each with its own back-off.

use std::{fmt, net::SocketAddr, time::Duration};

use backupmx_relay_config::DomainName;

use super::{Now, OpenFailure};
use crate::{clock::Moment, schedule::Backoff};

/// Addresses that are kept of one primary, at most.
const MOST: usize = 64;

/// A probe that has not ended after this time has failed. Longer than the client's own time-outs.
const PROBE_PATIENCE: Duration = Duration::from_secs(120);

/// Endpoints due this soon are probed with those that are due: one look-up, one round.
const TOGETHER: Duration = Duration::from_secs(1);

/// One address of a primary, and the host name that it was found under (TLS may be judged by it).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    /// The host's name; none where the config gives an address.
    pub host: Option<DomainName>,
    /// The address and the port.
    pub address: SocketAddr,
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// An endpoint as the look-up found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The endpoint.
    pub key: EndpointKey,
    /// Lower is tried first.
    pub preference: u16,
}

/// What is known of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Untested,
    /// A session failed, and no probe has ended since.
    Doubted,
    /// It answered.
    Good,
    /// It did not.
    Failed,
    /// It is this relay itself, which is as good as no answer.
    Ourselves,
}

#[derive(Clone, Debug)]
struct Endpoint {
    listed: Listed,
    standing: Standing,
    backoff: Backoff,
    /// When it is to be probed.
    due: Option<Moment>,
    /// Since when it is being probed.
    probing: Option<Moment>,
    again: Again,
}

/// When an endpoint is probed again, should the probe that is under way fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// After its back-off.
    InTime,
    /// At once: somebody asked for it since that probe began, and what has changed meanwhile it may have come too early
    /// to see.
    AtOnce,
}

/// Every endpoint of a primary, lowest preference first.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    list: Vec<Endpoint>,
    backoff: Backoff,
}

impl Endpoints {
    pub(super) const fn new(backoff: Backoff) -> Self {
        Self { list: Vec::new(), backoff }
    }

    /// Takes over a look-up's result. What is known of an endpoint that stays is kept.
    pub(super) fn replace(&mut self, listed: Vec<Listed>) {
        let mut list: Vec<Endpoint> = Vec::with_capacity(listed.len().min(MOST));
        for listed in listed {
            if list.len() == MOST {
                break;
            }
            if list.iter().any(|known| known.listed.key == listed.key) {
                continue;
            }
            let known = self.list.iter().position(|known| known.listed.key == listed.key);
            list.push(match known.map(|position| self.list.swap_remove(position)) {
                Some(known) => Endpoint { listed, ..known },
                None => Endpoint::new(listed, self.backoff),
            });
        }
        list.sort_by_key(|endpoint| endpoint.listed.preference);
        self.list = list;
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn knows(&self, key: &EndpointKey) -> bool {
        self.list.iter().any(|endpoint| endpoint.listed.key == *key)
    }

    fn find(&mut self, key: &EndpointKey) -> Option<&mut Endpoint> {
        self.list.iter_mut().find(|endpoint| endpoint.listed.key == *key)
    }

    /// It answered. Its back-off starts over, unless the answer is worth little.
    pub(super) fn good(&mut self, key: &EndpointKey, backoff: BackoffThen) {
        if let Some(endpoint) = self.find(key) {
            endpoint.standing = Standing::Good;
            endpoint.due = None;
            endpoint.probing = None;
            if backoff == BackoffThen::Restart {
                endpoint.backoff.reset();
            }
        }
    }

    /// It did not answer: it is tried again after its back-off.
    pub(super) fn failed(&mut self, key: &EndpointKey, failure: &OpenFailure, now: Now) {
        if let Some(endpoint) = self.find(key) {
            endpoint.fail(now);
            if matches!(failure, OpenFailure::Ourselves(_)) {
                endpoint.standing = Standing::Ourselves;
            }
        }
    }

    /// Whether one of them is this relay itself.
    pub(super) fn one_is_ourselves(&self) -> bool {
        self.list.iter().any(|endpoint| endpoint.standing == Standing::Ourselves)
    }

    /// None of them is any good; each is tried again after its back-off.
    pub(super) fn all_fail(&mut self, now: Now) {
        for endpoint in &mut self.list {
            endpoint.fail(now);
        }
    }

    /// Its probe is over.
    pub(super) fn probe_ended(&mut self, key: &EndpointKey) {
        if let Some(endpoint) = self.find(key) {
            endpoint.probing = None;
        }
    }

    /// A session with it failed: it is looked at anew, now.
    pub(super) fn doubt(&mut self, key: &EndpointKey, now: Moment) {
        if let Some(endpoint) = self.find(key) {
            endpoint.doubt(now);
        }
    }

    /// All are looked at anew, now.
    pub(super) fn doubt_all(&mut self, now: Moment) {
        for endpoint in &mut self.list {
            endpoint.doubt(now);
        }
    }

    /// All are probed now; what is known of them stands meanwhile.
    pub(super) fn check_all(&mut self, now: Moment) {
        for endpoint in &mut self.list {
            endpoint.due = Some(now);
        }
    }

    /// Those of which nothing is known are probed now.
    pub(super) fn check_untested(&mut self, now: Moment) {
        for endpoint in &mut self.list {
            if endpoint.standing == Standing::Untested && endpoint.due.is_none() && endpoint.probing.is_none() {
                endpoint.due = Some(now);
            }
        }
    }

    /// Those that failed are probed now.
    pub(super) fn check_failed(&mut self, now: Moment, backoff: BackoffThen) {
        for endpoint in &mut self.list {
            if endpoint.has_failed() {
                endpoint.due = Some(now);
                endpoint.again = if endpoint.probing.is_some() { Again::AtOnce } else { Again::InTime };
                if backoff == BackoffThen::Restart {
                    endpoint.backoff.reset();
                }
            }
        }
    }

    /// The endpoints to probe now; they count as being probed from here on.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<EndpointKey> {
        let mut taken = Vec::new();
        if self.next_due().is_none_or(|due| due > now) {
            return taken;
        }
        for endpoint in &mut self.list {
            if endpoint.probing.is_none() && endpoint.due.is_some_and(|due| due <= now + TOGETHER) {
                endpoint.due = None;
                endpoint.probing = Some(now);
                endpoint.again = Again::InTime;
                taken.push(endpoint.listed.key.clone());
            }
        }
        taken
    }

    /// Endpoints whose probe should have ended long ago.
    pub(super) fn overdue(&self, now: Moment) -> Vec<EndpointKey> {
        let overdue = |endpoint: &&Endpoint| endpoint.probing.is_some_and(|since| since + PROBE_PATIENCE <= now);
        self.list.iter().filter(overdue).map(|endpoint| endpoint.listed.key.clone()).collect()
    }

    /// When the next endpoint is to be probed.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.list.iter().filter(|endpoint| endpoint.probing.is_none()).filter_map(|endpoint| endpoint.due).min()
    }

    /// When the next probe that is under way is given up.
    pub(super) fn next_overdue(&self) -> Option<Moment> {
        self.list.iter().filter_map(|endpoint| endpoint.probing).min().map(|since| since + PROBE_PATIENCE)
    }

    pub(super) fn is_probing(&self) -> bool {
        self.list.iter().any(|endpoint| endpoint.probing.is_some())
    }

    /// Whether all were tried and none answers.
    pub(super) fn all_failed(&self) -> bool {
        !self.is_empty() && !self.is_probing() && self.list.iter().all(Endpoint::has_failed)
    }

    /// Whether an endpoint other than this answers.
    pub(super) fn another_is_good(&self, key: &EndpointKey) -> bool {
        self.list.iter().any(|endpoint| endpoint.standing == Standing::Good && endpoint.listed.key != *key)
    }

    /// Those that a delivery may go to, lowest preference first. One that is being looked at for the first time only
    /// where there is no better.
    pub(super) fn usable(&self) -> impl Iterator<Item = &Listed> {
        let any_good = self.list.iter().any(|endpoint| endpoint.standing == Standing::Good);
        let usable = move |endpoint: &&Endpoint| match endpoint.standing {
            Standing::Good => true,
            Standing::Untested => !any_good || endpoint.probing.is_none() && endpoint.due.is_none(),
            Standing::Doubted | Standing::Failed | Standing::Ourselves => false,
        };
        self.list.iter().filter(usable).map(|endpoint| &endpoint.listed)
    }

    /// Puts another back-off in force: nothing waits longer than its longest delay.
    pub(super) fn set_backoff(&mut self, backoff: Backoff, now: Moment) {
        self.backoff = backoff;
        for endpoint in &mut self.list {
            endpoint.backoff = endpoint.backoff.with_bounds_of(&backoff);
            endpoint.due = endpoint.due.map(|due| due.min(now + backoff.max()));
        }
    }
}

/// What becomes of a back-off when an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackoffThen {
    /// It starts over.
    Restart,
    /// It goes on where it was.
    GoOn,
}

impl Endpoint {
    const fn new(listed: Listed, backoff: Backoff) -> Self {
        Self { listed, standing: Standing::Untested, backoff, due: None, probing: None, again: Again::InTime }
    }

    fn fail(&mut self, now: Now) {
        self.standing = Standing::Failed;
        self.probing = None;
        self.due = Some(match std::mem::replace(&mut self.again, Again::InTime) {
            Again::InTime => now.moment + self.backoff.next(now.jitter),
            Again::AtOnce => now.moment,
        });
    }

    const fn has_failed(&self) -> bool {
        matches!(self.standing, Standing::Failed | Standing::Ourselves)
    }

    const fn doubt(&mut self, now: Moment) {
        self.standing = Standing::Doubted;
        self.due = Some(now);
    }
}
