//! One tenant's task: it owns the state of the primary, and executes what the state machine asks for.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use backupmx_relay_config::{
    OnReject, Tenant, WhenPrimaryUp,
    status::{PrimaryState, PrimaryStatus},
};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::{Id, JoinError, JoinHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    Command, Context, Shared,
    lot::{Lot, Note, Route},
    probe,
    settle::OnPermanent,
    sweep::{self, Sweeper},
    verdicts,
    worker::{self, Tools},
};
use crate::{
    board::PrimaryView,
    clock::{Moment, Timestamp},
    deliver::{self, Capabilities, Session, Timeouts},
    health::{Backlog, Effect, EndpointKey, Event, Health, Now},
    message::Standing,
    schedule::{ClockTrust, Handover, Jitter},
    spool::Claim,
};

/// Notes of workers that may wait; a worker waits when there are more.
const NOTES: usize = 1024;
/// Notes taken up before the workers are looked after again.
const BATCH: usize = 256;
/// Where no message is due, the one for a trial is chosen among so many of a lane.
const TRIED_AMONG: usize = 1000;
/// How long deliveries pause when the spool can't record them.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(1);
/// How long all sessions may be silent, while mail waits, before the primary is asked beside them.
const SILENCE: Duration = Duration::from_secs(30);
/// How old the primary's addresses may be before they are looked up again, while mail goes out.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);

/// The handle to a tenant's task.
pub(super) struct Handle {
    commands: UnboundedSender<Command>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    /// Tells the task something. Commands are few and small, and a person or the dispatcher may not wait for one tenant.
    pub(super) fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Whether the task has ended, or could not be started.
    pub(super) fn has_ended(&self) -> bool {
        self.task.lock().as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the task has ended.
    pub(super) async fn ended(self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

/// Starts the task of a tenant that is in the config.
pub(super) fn start(context: Arc<Context>, shared: Arc<Shared>, name: &str) -> Handle {
    let (commands, inbox) = mpsc::unbounded_channel();
    let task = context.tenant(name).and_then(|tenant| match Task::new(context, shared, tenant) {
        Ok(task) => Some(tokio::spawn(task.run(inbox))),
        Err(problem) => {
            error!(tenant = name, "its deliveries can't be started: {problem}");
            None
        }
    });
    Handle { commands, task: Mutex::new(task) }
}

struct Task {
    tools: Tools,
    notes: mpsc::Receiver<Note>,
    health: Health,
    tenant: Tenant,
    /// The workers and the trial that run.
    crew: JoinSet<()>,
    /// The ranks of the workers that run.
    workers: HashMap<Id, u32>,
    trial: Option<Id>,
    /// Counts the changes of the primary's hosts.
    generation: u64,
    capabilities: Option<Capabilities>,
    sweeper: Sweeper,
    next_sweep: Instant,
    resolved: Instant,
    /// When a worker last had something to say, or its silence was last looked into.
    heard: Instant,
    paused_until: Option<Instant>,
    posted: Option<PrimaryView>,
    leaving: bool,
}

impl Task {
    fn new(context: Arc<Context>, shared: Arc<Shared>, tenant: Tenant) -> Result<Self, crate::schedule::BackoffError> {
        let (sender, notes) = mpsc::channel(NOTES);
        let held = tenant.domains.iter().any(|lane| context.spool.lane(lane).messages > 0);
        let backlog = if held { Backlog::Held } else { Backlog::Empty };
        let settings = crate::health::Settings::new(&tenant.delivery)?;
        let health = Health::new(settings, backlog, now(&context));
        let route = route(&context, &shared, &tenant, &health);
        let lot = Arc::new(Lot::new(tenant.name.clone(), route));
        let now = Instant::now();
        Ok(Self {
            tools: Tools { context, shared, lot, notes: sender },
            notes,
            health,
            tenant,
            crew: JoinSet::new(),
            workers: HashMap::new(),
            trial: None,
            generation: 0,
            capabilities: None,
            sweeper: Sweeper::default(),
            next_sweep: now,
            resolved: now,
            heard: now,
            paused_until: None,
            posted: None,
            leaving: false,
        })
    }

    async fn run(mut self, mut inbox: UnboundedReceiver<Command>) {
        if self.tools.shared.suspended.contains(&self.tenant.name) {
            self.step(Event::Suspend).await;
        }
        self.step(Event::Tick).await;
        loop {
            self.look_after_workers();
            if self.leaving && self.crew.is_empty() {
                break;
            }
            if !self.leaving {
                self.post();
            }
            let wake = self.wake();
            tokio::select! {
                // What a worker had to say comes before its end.
                biased;
                command = inbox.recv(), if !self.leaving => match command {
                    Some(command) => self.command(command).await,
                    None => self.leaving = true,
                },
                note = self.notes.recv() => {
                    let mut note = note;
                    for _ in 0..BATCH {
                        let Some(taken) = note else { break };
                        self.note(taken).await;
                        note = self.notes.try_recv().ok();
                    }
                }
                Some(ended) = self.crew.join_next_with_id() => self.ended(ended),
                () = sleep_until(wake) => self.awake().await,
            }
        }
        verdicts::all_recorded(&self.tools.lot).await;
    }

    /// A worker or the trial has ended.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(problem) => {
                error!(tenant = %self.tenant.name, "a delivery failed: {problem}");
                problem.id()
            }
        };
        if self.trial == Some(id) {
            self.trial = None;
        }
        self.workers.remove(&id);
    }

    /// When something is to be done even if nothing happens.
    fn wake(&self) -> Instant {
        let clock = self.tools.context.clock;
        [
            self.health.next_wake().map(|moment| clock.instant(moment)),
            self.paused_until,
            self.next_due(),
            self.silence_ends(),
        ]
        .into_iter()
        .flatten()
        .fold(self.next_sweep, Instant::min)
    }

    /// When sessions that say nothing are looked into.
    fn silence_ends(&self) -> Option<Instant> {
        (!self.crew.is_empty()).then(|| self.heard + SILENCE)
    }

    /// When the next message with a due time of its own is due, where it could go out.
    fn next_due(&self) -> Option<Instant> {
        if self.health.concurrency() == 0 || self.leaving {
            return None;
        }
        let context = &self.tools.context;
        let due = self.tenant.domains.iter().filter_map(|lane| context.spool.lane(lane).next_due).min()?;
        Some(Instant::now() + due.since(context.clock.now()).max(Duration::from_millis(50)))
    }

    async fn awake(&mut self) {
        let instant = Instant::now();
        if self.paused_until.is_some_and(|until| until <= instant) {
            self.paused_until = None;
        }
        if self.health.next_wake().is_some_and(|moment| self.tools.context.clock.instant(moment) <= instant) {
            self.step(Event::Tick).await;
        }
        if self.next_sweep <= instant {
            self.sweep().await;
        }
        if self.silence_ends().is_some_and(|at| at <= instant) {
            self.heard = instant;
            if self.ready(self.tools.context.clock.now()) > 0 {
                self.step(Event::Stalled).await;
            }
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::MailReady => self.step(Event::ClientCame).await,
            Command::Flush => self.step(Event::Flush).await,
            Command::Etrn => self.step(Event::Etrn).await,
            Command::Resume => {
                self.step(Event::Resume).await;
            }
            Command::Reconfigure => self.reconfigure().await,
            Command::Stop => self.leaving = true,
        }
    }

    async fn reconfigure(&mut self) {
        let Some(tenant) = self.tools.context.tenant(&self.tenant.name) else { return };
        let suspended = self.tools.shared.suspended.contains(&tenant.name);
        match crate::health::Settings::new(&tenant.delivery) {
            Ok(settings) if tenant.primary != self.tenant.primary || self.gains_mail(&tenant) => {
                // Another server, another way to it, or mail that it has never been asked about: nothing that is known
                // holds, and its first words are weighed.
                self.generation += 1;
                self.health = Health::new(settings, Backlog::Held, now(&self.tools.context));
                self.tools.lot.take_session();
                self.tenant = tenant;
                self.step(Event::Tick).await;
            }
            Ok(settings) => {
                self.tenant = tenant;
                self.step(Event::Configured(settings)).await;
            }
            Err(problem) => error!(tenant = %tenant.name, "its new delivery settings can't be used: {problem}"),
        }
        if suspended {
            self.step(Event::Suspend).await;
        }
        self.next_sweep = Instant::now();
    }

    /// Whether a new config gives this tenant domains for which mail is held.
    fn gains_mail(&self, new: &Tenant) -> bool {
        let mut gained = new.domains.iter().filter(|lane| !self.tenant.domains.contains(lane));
        gained.any(|lane| self.tools.context.spool.lane(lane).messages > 0)
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Event(event) => {
                self.heard = Instant::now();
                self.step(event).await;
            }
            Note::Looked(generation, event) if generation == self.generation => self.step(event).await,
            // For hosts that are no longer the primary's.
            Note::Looked(..) => {}
            Note::Offers(capabilities) => self.capabilities = Some(capabilities),
            Note::Probed(endpoint, session) => {
                self.capabilities = Some(session.capabilities().clone());
                self.probed("ok");
                self.step(Event::Probed(endpoint.clone(), Ok(()))).await;
                self.keep_or_quit(endpoint, *session);
            }
            Note::Undecided(id) => self.sweeper.undecided(id, self.tools.context.clock.now()),
            // The trial ended while this one was being recorded.
            Note::Withheld if self.health.requeues_withheld() => self.requeue_withheld(),
            Note::Withheld => {}
            Note::CannotRecord => {
                if self.paused_until.is_none() {
                    warn!(tenant = %self.tenant.name, "deliveries pause: the spool has no room to record them");
                }
                self.paused_until = Some(Instant::now() + NO_ROOM_PAUSE);
            }
        }
    }

    /// A probe's session is for the mail that waits; without mail it would only grow stale.
    fn keep_or_quit(&self, endpoint: EndpointKey, session: Session) {
        let wanted = self.health.concurrency() > 0 && self.ready(self.tools.context.clock.now()) > 0;
        let left = if wanted { self.tools.lot.leave_session(endpoint, session) } else { Some(session) };
        if let Some(session) = left {
            tokio::spawn(session.quit());
        }
    }

    fn probed(&self, result: &str) {
        self.tools.context.metrics.probes.with_label_values(&[self.tenant.name.as_str(), result]).inc();
    }

    /// Lets the state machine take a step, and does what it asks.
    async fn step(&mut self, event: Event) {
        if matches!(event, Event::Probed(_, Err(_))) {
            self.probed("failed");
        }
        let now = now(&self.tools.context);
        let effects = self.health.step(event, now);
        if !effects.is_empty() {
            self.reroute();
        }
        for effect in effects {
            self.execute(effect).await;
        }
    }

    async fn execute(&mut self, effect: Effect) {
        let tenant = self.tenant.name.as_str();
        let lanes = &self.tenant.domains;
        match effect {
            Effect::Resolve => self.resolve(),
            Effect::Probe(endpoint) => {
                let settings = self.tools.lot.route().settings.clone();
                tokio::spawn(probe::probe(endpoint, settings, self.tools.notes.clone()));
            }
            Effect::StateChanged { from, to, why } => match to {
                PrimaryState::Up => info!(tenant, ?from, ?to, why, "the primary takes mail"),
                PrimaryState::Recovering => info!(tenant, ?from, ?to, why, "the primary is back"),
                _ => warn!(tenant, ?from, ?to, why, "the primary's state changed"),
            },
            Effect::MakeDue => self.tools.context.spool.flush(lanes),
            Effect::TryOldest => {
                let claim = self.oldest();
                self.try_one(claim);
            }
            Effect::RetryRefused { turn } => {
                let withheld: Vec<_> = lanes.iter().flat_map(|lane| sweep::withheld(&self.tools, lane)).collect();
                let chosen = withheld.get(turn as usize % withheld.len().max(1));
                let claim = chosen.and_then(|id| self.tools.context.spool.claim_one(*id)).or_else(|| self.oldest());
                self.try_one(claim);
            }
            Effect::StormBegan { refused, verdicts } => error!(
                tenant,
                refused,
                verdicts,
                "reject storm: the primary refuses too many recipients; nothing bounces and delivery stops until it \
                 accepts one or `backupmx-relay queue resume` says to go on"
            ),
            Effect::StormEnded(why) => warn!(tenant, ?why, "the reject storm is over"),
            Effect::RequeueWithheld | Effect::FinaliseWithheld => self.requeue_withheld(),
            Effect::ReviewExpiry => self.next_sweep = Instant::now(),
        }
    }

    fn requeue_withheld(&self) {
        tokio::spawn(sweep::requeue_withheld(self.tools.clone(), self.tenant.domains.clone()));
    }

    fn resolve(&mut self) {
        self.resolved = Instant::now();
        let hosts = self.tenant.primary.hosts.clone();
        let (context, notes) = (Arc::clone(&self.tools.context), self.tools.notes.clone());
        tokio::spawn(probe::resolve(context, hosts, self.generation, notes));
    }

    /// The oldest message that is due, else the one that is due soonest: were it always the oldest, one bad message could
    /// stand for a bad primary for ever.
    fn oldest(&self) -> Option<Claim> {
        let context = &self.tools.context;
        let spool = &context.spool;
        spool.claim(&self.tenant.domains, context.clock.now()).or_else(|| {
            let queued = self.tenant.domains.iter().flat_map(|lane| spool.list(Some(lane), None, TRIED_AMONG));
            let queued = queued.filter(|summary| summary.standing == Standing::Queued && !summary.busy);
            queued.min_by_key(|summary| (summary.due, summary.id)).and_then(|summary| spool.claim_one(summary.id))
        })
    }

    fn try_one(&mut self, claim: Option<Claim>) {
        if self.trial.is_some() || self.leaving {
            return;
        }
        match claim {
            Some(claim) => {
                self.trial = Some(self.crew.spawn(worker::try_one(self.tools.clone(), claim)).id());
            }
            None => {
                let notes = self.tools.notes.clone();
                tokio::spawn(async move { notes.send(Note::Event(Event::NothingToTry)).await });
            }
        }
    }

    async fn sweep(&mut self) {
        self.next_sweep = Instant::now() + sweep::interval(&self.tenant.hold);
        if self.leaving {
            return;
        }
        let (context, shared) = (&self.tools.context, &self.tools.shared);
        let input = self.health.expiry_input(context.clock.now(), shared.clock.trust(), shared.started, None);
        self.sweeper.sweep(&self.tools, &self.tenant, &input, self.health.withheld_may_expire()).await;
        // Withheld mail is queued again when the trial ends; this finds what came late, or from another tenant.
        let holds = |lane| self.tools.context.spool.lane(lane).held > 0;
        if self.health.requeues_withheld() && self.tenant.domains.iter().any(holds) {
            self.requeue_withheld();
        }
        if !self.workers.is_empty() && self.resolved.elapsed() > RESOLVE_EVERY {
            self.resolve();
        }
    }

    /// Tells the workers where deliveries go now.
    fn reroute(&self) {
        self.tools.lot.reroute(route(&self.tools.context, &self.tools.shared, &self.tenant, &self.health));
    }

    /// Starts workers where there is mail, and wakes those that have nothing to do.
    fn look_after_workers(&mut self) {
        let lot = &self.tools.lot;
        self.reroute();
        let paused = self.leaving || self.paused_until.is_some();
        let allowed =
            if paused { 0 } else { self.health.concurrency().saturating_sub(u32::from(self.trial.is_some())) };
        let before = lot.allowed.swap(allowed, Ordering::Relaxed);
        let context = &self.tools.context;
        let ready = if allowed == 0 { 0 } else { self.ready(context.clock.now()) };
        if ready > 0 || allowed < before {
            lot.news.notify_waiters();
        }
        let idle = lot.idle.load(Ordering::Relaxed);
        let wanted = usize::try_from(ready.saturating_sub(u64::from(idle))).unwrap_or(usize::MAX);
        let busy: HashSet<u32> = self.workers.values().copied().collect();
        for rank in (0..allowed).filter(|rank| !busy.contains(rank)).take(wanted) {
            let id = self.crew.spawn(worker::work(self.tools.clone(), rank)).id();
            self.workers.insert(id, rank);
        }
        let sessions = self.crew.len();
        lot.sessions.store(u32::try_from(sessions).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// How many messages can be claimed now, at least.
    fn ready(&self, now: Timestamp) -> u64 {
        let spool = &self.tools.context.spool;
        let lanes = self.tenant.domains.iter().map(|lane| spool.lane(lane));
        lanes.map(|lane| lane.ready + u64::from(lane.next_due.is_some_and(|due| due <= now))).sum()
    }

    /// Puts up what is known of the primary, where that changed.
    fn post(&mut self) {
        let context = &self.tools.context;
        let wall = |moment: Moment| (context.clock.now() + moment.since(context.clock.moment())).rfc3339();
        let status = PrimaryStatus {
            state: self.health.state(),
            since: self.health.since().rfc3339(),
            next_probe: self.health.next_probe().map(wall),
            last_error: self.health.last_error().map(str::to_owned),
            reject_storm: self.health.in_storm(),
        };
        // Only for those who ask for it: it changes with every answer of the primary.
        let defers = self.tenant.acceptance.when_primary_up == WhenPrimaryUp::Defer;
        let defer_until = self.health.ingress_may_defer_until().filter(|_| defers);
        let view = PrimaryView {
            status,
            capabilities: self.capabilities.clone(),
            suspended: self.health.is_suspended(),
            defer_until,
        };
        if self.posted.as_ref() != Some(&view) {
            context.board.post(&self.tenant.name, view.clone());
            self.posted = Some(view);
        }
    }
}

fn now(context: &Context) -> Now {
    Now { moment: context.clock.moment(), wall: context.clock.now(), jitter: Jitter::from_random(rand::random()) }
}

fn route(context: &Context, shared: &Shared, tenant: &Tenant, health: &Health) -> Route {
    let on_permanent = match (health.reject_is_final(), tenant.delivery.on_reject) {
        (false, _) => OnPermanent::Withhold,
        (true, OnReject::Bounce) => OnPermanent::Report,
        (true, OnReject::Hold) => OnPermanent::Hold,
    };
    Route {
        lanes: tenant.domains.clone(),
        endpoints: health.usable_endpoints().cloned().collect(),
        settings: deliver::Settings {
            helo: context.config.load().config.hostname.clone(),
            tls: tenant.primary.tls.mode,
            timeouts: Timeouts::delivery(),
            client_tls: Arc::clone(&shared.client_tls),
        },
        on_permanent,
        hold: tenant.hold,
        may_expire: health.handover() == Handover::Running && shared.clock.trust() == ClockTrust::Believed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_never_late_by_more_than_a_twentieth() {
        let hold = |seconds| backupmx_relay_config::HoldTimes {
            max_age: backupmx_relay_config::Span::seconds(seconds),
            ..Default::default()
        };
        for (seconds, every) in [(1, 1), (100, 5), (604_800, 30)] {
            assert_eq!(sweep::interval(&hold(seconds)), Duration::from_secs(every));
        }
    }
}
