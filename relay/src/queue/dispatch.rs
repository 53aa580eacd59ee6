//! Wakes the tenants whose lanes have new mail, and does what concerns all tenants together.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tracing::error;

use super::{Command, Queue, sweep};
use crate::schedule::ClockTrust;

/// How often the clock, the tenants' tasks and parked mail are looked at.
const EVERY: Duration = Duration::from_secs(30);

/// Runs until it is aborted; starts anew should it fail, as without it no mail would wake anybody.
pub(super) async fn run_for_ever(queue: Arc<Queue>) {
    let mut tasks = JoinSet::new();
    loop {
        tasks.spawn(run(Arc::clone(&queue)));
        if let Some(Err(problem)) = tasks.join_next().await {
            error!("the dispatcher failed and is started anew: {problem}");
        }
    }
}

async fn run(queue: Arc<Queue>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trust = queue.shared.clock.trust();
    loop {
        tokio::select! {
            lanes = queue.context.spool.changed() => {
                for lane in lanes {
                    match queue.tenant_of(&lane) {
                        Some(tenant) => queue.send(&tenant, Command::MailReady),
                        None => queue.context.reports_ready.notify_one(),
                    }
                }
            }
            _ = ticks.tick() => {
                let now = queue.context.clock.now();
                let before = std::mem::replace(&mut trust, queue.shared.clock.trust());
                if before != trust {
                    // Due times were set by another clock; nobody is to wait for them.
                    queue.flush_all();
                }
                queue.revive();
                if trust == ClockTrust::Believed {
                    let context = Arc::clone(&queue.context);
                    tokio::spawn(async move { sweep::remove_parked(&context, now).await });
                }
            }
        }
    }
}
