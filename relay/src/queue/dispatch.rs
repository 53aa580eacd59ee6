//! Wakes the tenants whose lanes have new mail, and does what concerns all tenants together.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{Command, Queue, sweep};
use crate::schedule::ClockTrust;

/// How often parked mail is looked through.
const PARKED_EVERY: Duration = Duration::from_secs(30);

/// Runs until it is aborted.
pub(super) async fn run(queue: Arc<Queue>) {
    let mut parked = interval(PARKED_EVERY);
    parked.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
            _ = parked.tick() => {
                if queue.shared.clock.trust() == ClockTrust::Believed {
                    sweep::remove_parked(&queue.context).await;
                }
            }
        }
    }
}
