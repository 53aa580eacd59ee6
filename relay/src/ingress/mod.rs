//! Taking mail: the listeners, one task for each connection, and the session that runs in it.
//!
//! [`session`] is a state machine without I/O: octets go in, replies and effects come out. [`connection`] executes the
//! effects. Nothing here asks DNS: a resolver that does not answer never delays taking mail. What DNS says of a client
//! is looked up later, by [`crate::observe`].

mod bounds;
mod budget;
mod connection;
mod listener;
pub mod session;
mod store;
mod tls;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use bounds::{Bounds, connections_within};
pub use budget::{Budget, Reservation};
pub use listener::{bind, serve};
pub use store::{Content, Store};
pub use tls::{Tls, TlsError, check_certificate};

use parking_lot::Mutex;

use crate::{
    active::SharedConfig, board::Board, clock::Clock, in_flight::InFlight, metrics::Metrics, observe::Observer,
    policy::Rates, spool::Spool,
};

/// What every session works with.
pub struct Context<S = Spool> {
    /// The config in force; loaded anew for each decision.
    pub config: SharedConfig,
    /// Where taken mail goes.
    pub spool: Arc<S>,
    /// What is known of the primaries.
    pub board: Arc<Board>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clocks.
    pub clock: Clock,
    /// Our certificate.
    pub tls: Arc<Tls>,
    /// Called with a tenant's name when a client has asked for its mail with ETRN (RFC 1985). Must not block.
    pub etrn: Box<dyn Fn(&str) + Send + Sync>,
    /// Told of each message that is stored; never waits.
    pub observer: Observer,
    /// Counts what may become held mail, for the status.
    pub in_flight: InFlight,
    /// The memory of all messages in flight; [`Budget::default`] at the start.
    pub budget: Budget,
    /// How much has come from where; [`Rates::default`] at the start.
    pub rates: Mutex<Rates>,
}

impl<S> fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("budget", &self.budget).finish_non_exhaustive()
    }
}
