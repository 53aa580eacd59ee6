//! The handle to a running relay: what the admin API and the signal handlers may ask of it.

mod config;
mod kept;
mod outline;
mod status;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use backupmx_relay_config::{
    DomainName,
    status::{Discarded, RelayStatus},
};
use parking_lot::Mutex;

use crate::{
    active::SharedConfig,
    board::Board,
    clock::{Clock, Timestamp},
    in_flight::InFlight,
    message::MessageId,
    metrics::Metrics,
    queue::{Command, Queue, Verdict},
    spool::Spool,
};

pub use config::ConfigSource;
pub(crate) use config::Offers;
pub(crate) use kept::Keeper;

/// Why a request to the relay failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No tenant has that name or domain.
    #[error("no tenant is named {0:?} or has that domain; `backupmx-relay status` lists them")]
    NoTenant(String),
    /// No such message is held.
    #[error("no message {0} is held")]
    NoMessage(MessageId),
    /// The message is being delivered right now.
    #[error("message {0} is being delivered right now; try again in a moment")]
    Busy(MessageId),
    /// The config offered is older than the one in force.
    #[error("revision {offered} is not higher than {in_force}, which is in force; nothing was changed")]
    OldRevision {
        /// The revision of the document.
        offered: u64,
        /// The revision in force.
        in_force: u64,
    },
    /// The request does not fit the message or the config.
    #[error("{0}")]
    Refused(String),
    /// The spool failed.
    #[error("{0}")]
    Spool(String),
}

/// The handle to a running relay. Cheap to share.
pub struct Engine {
    /// The config in force.
    pub config: SharedConfig,
    /// The spool.
    pub spool: Arc<Spool>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// What is known of the primaries.
    pub board: Arc<Board>,
    /// The clocks.
    pub clock: Clock,
    pub(crate) queue: Arc<Queue>,
    pub(crate) in_flight: InFlight,
    pub(crate) started: Timestamp,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) leaving: AtomicBool,
    pub(crate) offers: Mutex<Offers>,
    pub(crate) keeper: Keeper,
    /// Runs whenever a config has been put in force: what keeps derived state elsewhere renews it.
    pub(crate) on_config: Vec<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// What the relay says of itself.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        status::status(self)
    }

    /// Whether the spool is open and mail can be taken (a full disk or a primary that is away do not matter).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.leaving.load(Ordering::Relaxed)
    }

    /// Says that the program is leaving: no longer ready.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Puts a new config (YAML or JSON) in force, or keeps the old one. Returns the revision now in force.
    ///
    /// # Errors
    /// The document is wrong (line, path, expected form), too old, or changes what takes a restart.
    pub async fn apply_config(&self, document: &str, source: ConfigSource<'_>) -> Result<u64, EngineError> {
        config::apply(self, document, source)
    }

    /// Tries once more to keep the config in force, where that failed.
    pub(crate) fn keep_config(&self) {
        self.keeper.keep(&self.config.load().config);
    }

    /// Says that the config file can't be read, in the log and in the status; the old config stays in force.
    pub(crate) fn config_unreadable(&self, file: &Path, problem: &io::Error) {
        config::unreadable(self, file, problem);
    }

    /// Tries the primary of a tenant (its name or one of its domains) at once and makes all its mail due; none: of all.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn flush(&self, tenant: Option<&str>) -> Result<(), EngineError> {
        self.command(tenant, Command::Flush)
    }

    /// Stops deliveries to a tenant's primary until [`Self::resume`]; none: to all. Survives a restart.
    ///
    /// # Errors
    /// There is no such tenant, or the spool folder can't be written.
    pub async fn suspend(&self, tenant: Option<&str>) -> Result<(), EngineError> {
        let names = self.names(tenant)?;
        self.queue.suspend(&names).map_err(|error| EngineError::Spool(error.to_string()))
    }

    /// Undoes [`Self::suspend`], ends a reject storm, confirms a wall clock that jumped.
    ///
    /// # Errors
    /// There is no such tenant, or the spool folder can't be written.
    pub async fn resume(&self, tenant: Option<&str>) -> Result<(), EngineError> {
        let names = self.names(tenant)?;
        self.queue.confirm_clock();
        self.queue.resume(&names).map_err(|error| EngineError::Spool(error.to_string()))
    }

    /// Queues a held or parked message for delivery again.
    ///
    /// # Errors
    /// It is not held, or busy.
    pub async fn release(&self, id: MessageId) -> Result<(), EngineError> {
        self.queue.judge(id, Verdict::Release).await
    }

    /// Gives a message up and tells its sender, whatever `bounce.policy` says (but never the null sender).
    ///
    /// # Errors
    /// It is not held, busy, or has no sender.
    pub async fn bounce(&self, id: MessageId) -> Result<(), EngineError> {
        self.queue.judge(id, Verdict::Bounce).await
    }

    /// Removes a message without a word to its sender; logged.
    ///
    /// # Errors
    /// It is not held, or busy.
    pub async fn discard(&self, id: MessageId) -> Result<(), EngineError> {
        self.queue.judge(id, Verdict::Discard).await
    }

    /// Removes all that is held for a domain whose mail is not taken any more, without a word to the senders; each message
    /// is logged. It goes on for some seconds at most: the answer says what is left.
    ///
    /// # Errors
    /// Mail for the domain is taken, or the spool failed.
    pub async fn discard_domain(&self, domain: &DomainName) -> Result<Discarded, EngineError> {
        self.queue.discard(domain).await
    }

    fn command(&self, tenant: Option<&str>, command: Command) -> Result<(), EngineError> {
        for name in self.names(tenant)? {
            self.queue.send(&name, command);
        }
        Ok(())
    }

    /// The names of the tenants meant: the one of that name or with that domain, or all.
    fn names(&self, tenant: Option<&str>) -> Result<Vec<String>, EngineError> {
        let active = self.config.load();
        let tenants = &active.config.tenants;
        let Some(wanted) = tenant else { return Ok(tenants.iter().map(|tenant| tenant.name.clone()).collect()) };
        let domain = wanted.parse().ok();
        tenants
            .iter()
            .find(|tenant| tenant.name == wanted)
            .or_else(|| tenants.iter().find(|tenant| domain.as_ref().is_some_and(|d| tenant.domains.contains(d))))
            .map(|tenant| vec![tenant.name.clone()])
            .ok_or_else(|| EngineError::NoTenant(wanted.to_owned()))
    }
}
