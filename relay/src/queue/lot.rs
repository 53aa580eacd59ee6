//! What one tenant's task and its workers share.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::route::Route;
use crate::{
    deliver::{Capabilities, Session},
    health::{EndpointKey, Event},
    message::MessageId,
};

/// How many delivered messages may wait for their done record at once. It is in the commit after the one that is under way:
/// well within 100 ms of the primary's answer, where a commit takes some milliseconds.
pub(super) const UNRECORDED: u32 = 64;

/// What one tenant's task and its workers share.
pub(super) struct Lot {
    /// The tenant's name.
    pub(super) tenant: String,
    /// How many workers may run; the task writes it after each step.
    pub(super) allowed: AtomicU32,
    /// How many workers run, and so at most how many sessions there are.
    pub(super) sessions: AtomicU32,
    /// How many of the running workers have nothing to do.
    pub(super) idle: AtomicU32,
    /// Wakes idle workers: mail is ready, or they are to go.
    pub(super) news: Notify,
    /// Where deliveries go now; the task replaces it whole.
    route: Mutex<Arc<Route>>,
    /// The session that the last successful probe opened, for the next worker.
    spare: Mutex<Option<(EndpointKey, Session)>>,
    /// Permits for deliveries whose record is not durable yet.
    pub(super) unrecorded: Arc<Semaphore>,
}

/// What workers and probes tell the tenant's task.
pub(super) enum Note {
    /// Something for the state machine.
    Event(Event),
    /// What the primary offers.
    Offers(Capabilities),
    /// A probe succeeded; its session is left for a worker.
    Probed(EndpointKey, Box<Session>),
    /// What a look-up brought, and for which hosts: those of that generation.
    Looked(u64, Event),
    /// Whether a message's sender is warned of the delay can't be decided now.
    Undecided(MessageId),
    /// A message was withheld, durably.
    Withheld,
    /// The spool can't record deliveries now.
    CannotRecord,
}

impl Lot {
    pub(super) fn new(tenant: String, route: Route) -> Self {
        Self {
            tenant,
            allowed: AtomicU32::new(0),
            sessions: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            news: Notify::new(),
            route: Mutex::new(Arc::new(route)),
            spare: Mutex::default(),
            unrecorded: Arc::new(Semaphore::new(UNRECORDED as usize)),
        }
    }

    /// Where deliveries go now.
    pub(super) fn route(&self) -> Arc<Route> {
        Arc::clone(&self.route.lock())
    }

    /// Changes where deliveries go.
    pub(super) fn reroute(&self, route: Route) {
        *self.route.lock() = Arc::new(route);
    }

    /// Leaves an open session for the next worker, and returns the one that it takes the place of.
    pub(super) fn leave_session(&self, endpoint: EndpointKey, session: Session) -> Option<Session> {
        self.spare.lock().replace((endpoint, session)).map(|(_, old)| old)
    }

    /// Takes the session that was left.
    pub(super) fn take_session(&self) -> Option<(EndpointKey, Session)> {
        self.spare.lock().take()
    }

    /// Other sessions with the primary, beside the one that asks.
    pub(super) fn others(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// Whether the worker of that rank may go on.
    pub(super) fn may_work(&self, rank: u32) -> bool {
        rank < self.allowed.load(Ordering::Relaxed)
    }
}
