//! The queue: which held message goes to its primary when. The shell around [`crate::health`] and [`crate::schedule`].
//!
//! One task a tenant ([`tenant`]) owns that primary's state and decides; workers ([`worker`]) each have one session and
//! deliver message after message; what comes of a transaction is worked out by [`settle`], which is pure, and made
//! durable by [`verdicts`]. The dispatcher here wakes the tenants whose lanes have new mail.

mod answers;
mod circle;
mod clock_check;
mod discard;
mod dispatch;
mod lot;
mod probe;
mod route;
mod settle;
mod storms;
mod suspended;
mod sweep;
mod tenant;
mod verdicts;
mod worker;

pub use clock_check::ClockCheck;

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use backupmx_relay_config::{DomainName, ResolverConfig, Tenant, status::Discarded};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tracing::error;

use crate::{
    active::SharedConfig,
    board::Board,
    bounce::{
        Bouncer,
        spf::{SpfChecker, SpfError},
    },
    clock::{Clock, Timestamp},
    deliver::{ClientTls, ClientTlsError, Quirks},
    engine::EngineError,
    message::MessageId,
    metrics::Metrics,
    resolve::SharedResolver,
    spool::{Reach, Spool},
};

use storms::Storms;
use suspended::Suspended;

/// What the queue works with.
pub struct Context {
    /// The config in force.
    pub config: SharedConfig,
    /// Where the mail is.
    pub spool: Arc<Spool>,
    /// Where each primary's state is put up.
    pub board: Arc<Board>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Who is asked for the primaries' addresses.
    pub resolver: Arc<SharedResolver>,
    /// The clocks.
    pub clock: Clock,
    /// Told when a lane that is no tenant's has new mail: reports for the outside.
    pub reports_ready: Arc<Notify>,
}

impl Context {
    /// A tenant's config now; none where it was removed.
    fn tenant(&self, name: &str) -> Option<Tenant> {
        self.config.load().config.tenants.iter().find(|tenant| tenant.name == name).cloned()
    }
}

/// What a tenant's task may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Its lanes have mail that can be claimed.
    MailReady,
    /// A person wants the primary tried now, and all mail due.
    Flush,
    /// A client said ETRN (RFC 1985): as a flush, but at most once in 30 s.
    Etrn,
    /// The config or the list of suspended tenants changed.
    Reconfigure,
    /// A person ended a reject storm or a suspension.
    Resume,
    /// The program leaves.
    Stop,
}

/// What a person decides on one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try it again.
    Release,
    /// Give it up and tell its sender.
    Bounce,
    /// Remove it.
    Discard,
}

/// Why the queue could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Senders' SPF records could not be asked for.
    #[error("failed to set up the look-up of SPF records")]
    Spf(#[from] SpfError),
    /// No session with a primary could be encrypted.
    #[error("failed to set up TLS for sessions with primaries")]
    Tls(#[from] ClientTlsError),
}

/// The queue of a running relay.
pub struct Queue {
    context: Arc<Context>,
    shared: Arc<Shared>,
    tenants: Mutex<HashMap<String, tenant::Handle>>,
    dispatcher: Mutex<Option<JoinHandle<()>>>,
}

/// What all tenants' tasks share beside the context.
struct Shared {
    suspended: Suspended,
    storms: Storms,
    clock: Arc<ClockCheck>,
    /// Decides what senders are told; made anew when the resolver's config changes.
    bouncer: ArcSwap<Bouncer>,
    resolver: Mutex<ResolverConfig>,
    /// Reports that are being worked out; bounded, as each may wait for DNS.
    reporting: Semaphore,
    /// Messages whose end is being decided, those that wait for their turn too.
    concluding: Arc<Semaphore>,
    /// The client's certificates and authorities.
    client_tls: Arc<ClientTls>,
    /// What is known of primaries that do not do what they say.
    quirks: Arc<Quirks>,
    /// When the program started.
    started: Timestamp,
}

/// How many SPF look-ups and reports are worked on at once.
const REPORTING: usize = 16;
/// How many messages may wait in memory for their end to be decided; others wait on disk.
const CONCLUDING: usize = 256;

impl Shared {
    fn renew_resolver(&self, config: &ResolverConfig) {
        let mut current = self.resolver.lock();
        if *current != *config {
            match SpfChecker::new(config) {
                Ok(checker) => self.bouncer.store(Arc::new(Bouncer::new(checker))),
                Err(problem) => error!("the new resolver can't be set up for SPF, the old one stays: {problem}"),
            }
            *current = config.clone();
        }
    }
}

impl Queue {
    /// Starts a task for each tenant, and the dispatcher.
    ///
    /// # Errors
    /// TLS or DNS can't be set up.
    pub fn start(context: Context) -> Result<Arc<Self>, StartError> {
        let active = context.config.load_full();
        let (spool_path, resolver) = (&active.config.spool.path, active.config.resolver.clone());
        let newest = context.spool.newest_arrival();
        let shared = Shared {
            suspended: Suspended::load(spool_path),
            storms: Storms::load(spool_path),
            clock: Arc::new(ClockCheck::new(context.clock, newest, spool_path)),
            bouncer: ArcSwap::from_pointee(Bouncer::new(SpfChecker::new(&resolver)?)),
            resolver: Mutex::new(resolver),
            reporting: Semaphore::new(REPORTING),
            concluding: Arc::new(Semaphore::new(CONCLUDING)),
            client_tls: Arc::new(ClientTls::new()?),
            quirks: Arc::default(),
            started: context.clock.now(),
        };
        let queue = Arc::new(Self {
            context: Arc::new(context),
            shared: Arc::new(shared),
            tenants: Mutex::default(),
            dispatcher: Mutex::default(),
        });
        queue.reconfigure();
        *queue.dispatcher.lock() = Some(tokio::spawn(dispatch::run_for_ever(Arc::clone(&queue))));
        Ok(queue)
    }

    /// Takes a changed config up: starts tasks of new tenants, stops those of removed ones, tells the others.
    pub fn reconfigure(&self) {
        let active = self.context.config.load();
        self.shared.renew_resolver(&active.config.resolver);
        let mut tenants = self.tenants.lock();
        let wanted: HashSet<&str> = active.config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        tenants.retain(|name, handle| {
            let stays = wanted.contains(name.as_str());
            if !stays {
                handle.send(Command::Stop);
            }
            stays
        });
        for name in &wanted {
            match tenants.get(*name) {
                Some(handle) => handle.send(Command::Reconfigure),
                None => {
                    let handle = tenant::start(Arc::clone(&self.context), Arc::clone(&self.shared), name);
                    tenants.insert((*name).to_owned(), handle);
                }
            }
        }
        self.context.board.retain(wanted);
    }

    /// Starts the tasks anew that have ended although nobody told them to.
    fn revive(&self) {
        let mut tenants = self.tenants.lock();
        let ended: Vec<String> =
            tenants.iter().filter(|(_, handle)| handle.has_ended()).map(|(name, _)| name.clone()).collect();
        for name in ended {
            error!(tenant = %name, "its task has failed and is started anew");
            tenants.insert(name.clone(), tenant::start(Arc::clone(&self.context), Arc::clone(&self.shared), &name));
        }
    }

    /// Makes all mail due, reports too.
    fn flush_all(&self) {
        let lanes: Vec<DomainName> = self.context.spool.lanes().into_iter().map(|(lane, _)| lane).collect();
        self.context.spool.flush(&lanes, Reach::Waiting);
        self.context.reports_ready.notify_one();
    }

    /// Tells a tenant's task something; nothing where there is no such tenant.
    pub fn send(&self, tenant: &str, command: Command) {
        if let Some(handle) = self.tenants.lock().get(tenant) {
            handle.send(command);
        }
    }

    /// Suspends tenants, durably.
    ///
    /// # Errors
    /// The list in the spool folder can't be written; nothing was changed.
    pub fn suspend(&self, names: &[String]) -> io::Result<()> {
        self.shared.suspended.change(&self.domains_of(names), true)?;
        names.iter().for_each(|name| self.send(name, Command::Reconfigure));
        Ok(())
    }

    /// Resumes tenants, durably, and ends their reject storms.
    ///
    /// # Errors
    /// The list in the spool folder can't be written; nothing was changed.
    pub fn resume(&self, names: &[String]) -> io::Result<()> {
        self.shared.suspended.change(&self.domains_of(names), false)?;
        names.iter().for_each(|name| self.send(name, Command::Resume));
        Ok(())
    }

    /// Who says whether the wall clock is believed.
    #[must_use]
    pub fn clock(&self) -> Arc<ClockCheck> {
        Arc::clone(&self.shared.clock)
    }

    /// Whether the wall clock jumped and no person has confirmed it.
    #[must_use]
    pub fn clock_jumped(&self) -> bool {
        self.shared.clock.jumped()
    }

    /// A person says that the wall clock is right.
    pub fn confirm_clock(&self) {
        self.shared.clock.confirm();
    }

    /// Carries a person's verdict on one message out.
    ///
    /// # Errors
    /// It is not held, busy, or can't be bounced.
    pub async fn judge(&self, id: MessageId, verdict: Verdict) -> Result<(), EngineError> {
        let (context, shared) = (Arc::clone(&self.context), Arc::clone(&self.shared));
        // In a task of its own: a person who hangs up must not stop it between two steps.
        let judged = tokio::spawn(async move { verdicts::judge(&context, &shared, id, verdict).await }).await;
        judged.unwrap_or_else(|problem| Err(EngineError::Spool(problem.to_string())))
    }

    /// Discards what is held for a domain whose mail is not taken any more.
    ///
    /// # Errors
    /// Its mail is taken, or the spool failed.
    pub async fn discard(&self, domain: &DomainName) -> Result<Discarded, EngineError> {
        let (context, domain) = (Arc::clone(&self.context), domain.clone());
        // In a task of its own, as a verdict on one message.
        let discarded = tokio::spawn(async move { discard::discard(&context, &domain).await }).await;
        discarded.unwrap_or_else(|problem| Err(EngineError::Spool(problem.to_string())))
    }

    /// Stops: no new delivery is begun, those under way have `grace` to end. Nothing is lost by cutting one off.
    pub async fn stop(&self, grace: Duration) {
        if let Some(dispatcher) = self.dispatcher.lock().take() {
            dispatcher.abort();
        }
        let handles: Vec<tenant::Handle> = self.tenants.lock().drain().map(|(_, handle)| handle).collect();
        handles.iter().for_each(|handle| handle.send(Command::Stop));
        let all = async {
            for handle in handles {
                handle.ended().await;
            }
        };
        let _ = tokio::time::timeout(grace, all).await;
    }

    /// The domains of those tenants.
    fn domains_of(&self, names: &[String]) -> Vec<DomainName> {
        let active = self.context.config.load();
        let tenants = active.config.tenants.iter().filter(|tenant| names.contains(&tenant.name));
        tenants.flat_map(|tenant| tenant.domains.iter().cloned()).collect()
    }

    /// The tenant's name whose lane that is; none for reports to the outside and for mail whose tenant is gone.
    fn tenant_of(&self, lane: &DomainName) -> Option<String> {
        let active = self.context.config.load();
        active.directory.tenant(&active.config, lane).map(|tenant| tenant.name.clone())
    }
}
