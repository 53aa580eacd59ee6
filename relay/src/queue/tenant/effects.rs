//! What a tenant's task does for the state machine.

use std::sync::Arc;

use backupmx_relay_config::status::PrimaryState;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{RESOLVE_EVERY, Task, now};
use crate::{
    deliver::Session,
    health::{Effect, EndpointKey, Event},
    queue::{probe, sweep, worker},
};

impl Task {
    /// Lets the state machine take a step, and does what it asks.
    pub(super) async fn step(&mut self, event: Event) {
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
        self.note_storm().await;
    }

    /// Keeps what is noted on disk of a storm true, where it changed.
    async fn note_storm(&mut self) {
        let storm = self.health.storm_record(self.tools.context.clock.moment());
        if storm == self.storm {
            return;
        }
        self.storm = storm;
        // The workers stop at once, and not when the disk has it.
        self.look_after_workers();
        let (shared, domains) = (Arc::clone(&self.tools.shared), self.tenant.domains.clone());
        let noted = tokio::task::spawn_blocking(move || shared.storms.note(&domains, storm)).await;
        if let Ok(Err(problem)) = noted {
            error!(tenant = %self.tenant.name, "the reject storm can't be noted on disk: {problem}");
        }
    }

    pub(super) async fn execute(&mut self, effect: Effect) {
        let tenant = self.tenant.name.as_str();
        let lanes = &self.tenant.domains;
        match effect {
            Effect::Resolve => self.resolve(),
            Effect::Probe(endpoint) => {
                let settings = self.plan.settings.clone();
                tokio::spawn(probe::probe(endpoint, settings, self.tools.notes.clone()));
            }
            Effect::StateChanged { from, to, why } => match to {
                PrimaryState::Up => info!(tenant, ?from, ?to, why, "the primary takes mail"),
                PrimaryState::Recovering => info!(tenant, ?from, ?to, why, "the primary is back"),
                _ => warn!(tenant, ?from, ?to, why, "the primary's state changed"),
            },
            Effect::MakeDue(reach) => self.tools.context.spool.flush(lanes, reach),
            Effect::TryOldest => {
                let claim = worker::to_try(&self.tools);
                self.try_one(claim);
            }
            Effect::RetryRefused { turn } => {
                let withheld: Vec<_> =
                    lanes.iter().flat_map(|lane| sweep::withheld(&self.tools.context.spool, lane)).collect();
                let chosen = withheld.get(turn as usize % withheld.len().max(1));
                let claim = chosen
                    .and_then(|id| self.tools.context.spool.claim_one(*id))
                    .or_else(|| worker::to_try(&self.tools));
                self.try_one(claim);
            }
            Effect::LoopFound => error!(
                tenant,
                why = self.health.last_error(),
                "loop: the primary is this relay itself; its mail is held until the config names another server"
            ),
            Effect::LoopGone => warn!(tenant, "the loop is over: the primary is no longer this relay itself"),
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

    pub(super) fn resolve(&mut self) {
        self.resolved = Instant::now();
        let hosts = self.tenant.primary.hosts.clone();
        let (context, notes) = (Arc::clone(&self.tools.context), self.tools.notes.clone());
        tokio::spawn(probe::resolve(context, hosts, self.generation, notes));
    }

    /// A probe's session is for the mail that waits; without mail it would only grow stale.
    pub(super) fn keep_or_quit(&self, endpoint: EndpointKey, session: Session) {
        let wanted = self.health.concurrency() > 0 && self.ready(self.tools.context.clock.now()) > 0;
        let left = if wanted { self.tools.lot.leave_session(endpoint, session) } else { Some(session) };
        if let Some(session) = left {
            tokio::spawn(session.quit());
        }
    }

    pub(super) fn probed(&self, result: &str) {
        self.tools.context.metrics.probes.with_label_values(&[self.tenant.name.as_str(), result]).inc();
    }

    pub(super) fn requeue_withheld(&self) {
        tokio::spawn(sweep::requeue_withheld(self.tools.clone(), self.tenant.domains.clone()));
    }

    pub(super) async fn sweep(&mut self) {
        self.next_sweep = Instant::now() + sweep::interval(&self.tenant.hold);
        if self.leaving {
            return;
        }
        let (context, shared) = (&self.tools.context, &self.tools.shared);
        let input = self.health.expiry_input(context.clock.now(), shared.clock.trust(), shared.started, None);
        self.sweeper.sweep(&self.tools, &self.tenant, &input, self.health.withheld_may_expire()).await;
        // Withheld mail is queued again when the trial ends; this finds what came late, or from another tenant.
        let holds = |lane| self.tools.context.spool.lane(lane).withheld > 0;
        if self.health.requeues_withheld() && self.tenant.domains.iter().any(holds) {
            self.requeue_withheld();
        }
        if !self.workers.is_empty() && self.resolved.elapsed() > RESOLVE_EVERY {
            self.resolve();
        }
    }
}
