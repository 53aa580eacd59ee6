//! One tenant's task: it owns the state of the primary, and executes what the state machine asks for.

mod changes;
mod crew;
mod effects;

use std::{collections::HashMap, sync::Arc, time::Duration};

use backupmx_relay_config::{Tenant, WhenPrimaryUp, status::PrimaryStatus};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::{Id, JoinHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    Command, Context, Shared,
    lot::{Lot, Note},
    route::{Plan, Route},
    sweep::{self, Sweeper},
    verdicts,
    worker::Tools,
};
use crate::{
    board::PrimaryView,
    clock::Moment,
    deliver::Capabilities,
    health::{Backlog, Event, Health, Now, Party, StormRecord},
    schedule::Jitter,
};

/// Notes of workers that may wait; a worker waits when there are more.
const NOTES: usize = 1024;
/// Notes taken up before the workers are looked after again.
const BATCH: usize = 256;
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
    /// What its config says of deliveries.
    plan: Arc<Plan>,
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
    /// The storm of rejects as it is noted on disk.
    storm: Option<StormRecord>,
    leaving: bool,
}

impl Task {
    fn new(context: Arc<Context>, shared: Arc<Shared>, tenant: Tenant) -> Result<Self, crate::schedule::BackoffError> {
        let (sender, notes) = mpsc::channel(NOTES);
        let storm = shared.storms.of(&tenant.domains);
        let health = first_health(&context, &tenant, storm)?;
        let plan = Arc::new(Plan::new(&context, &shared, &tenant));
        let route = Route::new(&plan, &health, shared.clock.trust());
        let lot = Arc::new(Lot::new(tenant.name.clone(), route));
        let now = Instant::now();
        Ok(Self {
            tools: Tools { context, shared, lot, notes: sender },
            notes,
            health,
            tenant,
            plan,
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
            storm,
            leaving: false,
        })
    }

    async fn run(mut self, mut inbox: UnboundedReceiver<Command>) {
        if self.tools.shared.suspended.holds(&self.tenant.domains) {
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
            Command::Flush => {
                info!(tenant = %self.tenant.name, "all its mail is tried at once, as was asked");
                self.plan.settings.hurry.now();
                self.step(Event::Flush).await;
            }
            Command::Etrn => self.step(Event::Etrn).await,
            Command::Resume => {
                self.plan.settings.hurry.now();
                self.step(Event::Resume).await;
            }
            Command::Reconfigure => self.reconfigure().await,
            Command::Stop => self.leaving = true,
        }
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

    /// Tells the workers where deliveries go now, where that changed.
    fn reroute(&self) {
        let (lot, trust) = (&self.tools.lot, self.tools.shared.clock.trust());
        if !lot.route().still_holds(&self.plan, &self.health, trust) {
            lot.reroute(Route::new(&self.plan, &self.health, trust));
        }
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
            looping: self.health.is_looping(),
        };
        // Only for those who ask for it: it changes with every answer of the primary.
        let defers = self.tenant.acceptance.when_primary_up == WhenPrimaryUp::Defer;
        let defer_until = self.health.ingress_may_defer_until().filter(|_| defers);
        let view = PrimaryView {
            status,
            capabilities: self.capabilities.clone(),
            suspended: self.health.is_suspended(),
            withheld: self.health.withheld(),
            defer_until,
        };
        if self.posted.as_ref() != Some(&view) {
            context.board.post(&self.tenant.name, view.clone());
            self.posted = Some(view);
        }
    }
}

/// What is known of a primary at the start: whether mail is held for it, and whether a storm of rejects was on.
fn first_health(
    context: &Context,
    tenant: &Tenant,
    storm: Option<StormRecord>,
) -> Result<Health, crate::schedule::BackoffError> {
    let held = tenant.domains.iter().any(|lane| context.spool.lane(lane).messages > 0);
    let backlog = if held { Backlog::Held } else { Backlog::Empty };
    let settings = crate::health::Settings::new(&tenant.delivery)?;
    let Some(storm) = storm else { return Ok(Health::new(settings, backlog, now(context))) };
    warn!(tenant = %tenant.name, "the reject storm of the last run goes on");
    let withheld = tenant.domains.iter().flat_map(|lane| sweep::withheld(&context.spool, lane));
    let refused = withheld.filter_map(|id| context.spool.peek(id).ok()).flat_map(|(envelope, state)| {
        let pending: Vec<usize> = state.pending().collect();
        pending.into_iter().filter_map(move |position| {
            envelope.recipients.get(position).map(|recipient| Party::of(recipient.path.as_str()))
        })
    });
    Ok(Health::in_storm_since_before(settings, storm, refused, now(context)))
}

fn now(context: &Context) -> Now {
    Now { moment: context.clock.moment(), wall: context.clock.now(), jitter: Jitter::from_random(rand::random()) }
}
