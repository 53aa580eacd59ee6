//! Whether what the statuses say of held mail was found out by this leader: each resource had a pass since all its relays
//! were heard. Who wants to know whether the operator may go reads it in the Lease.

use std::{future::pending, sync::Arc, time::Duration};

use kube::ResourceExt;
use tokio::time::{MissedTickBehavior, interval};

use super::Context;
use crate::{cache::Guarded, poll};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(500);

/// Whether what the statuses say was found out by this leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Some of it may be of the leader before.
    NotYet,
    /// It was.
    Yes,
}

/// Whether a pass knew of all relays of its resource what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Heard {
    /// Of some the first word was awaited.
    #[default]
    NotAll,
    /// Each had said something, or is silent.
    All,
}

/// What a pass that begins now knows of a resource's relays.
pub(super) fn heard(context: &Context, uid: &str) -> Heard {
    if *context.settled.borrow() == Settled::Yes {
        return Heard::All;
    }
    let targets = poll::targets(&context.cache.pods.state(), &context.cache.resources.state());
    let awaited = targets.iter().any(|target| target.owner.uid == uid && context.reports.awaits(&target.key()));
    if awaited { Heard::NotAll } else { Heard::All }
}

/// Looks until it is so, and says it. Never ends.
pub(super) async fn run(context: &Context) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if context.cache.resources.state().iter().all(|resource| is_settled(context, resource)) {
            tracing::info!("all relays were asked, and every status says what they said");
            context.settled.send_replace(Settled::Yes);
            return pending().await;
        }
    }
}

fn is_settled(context: &Context, resource: &Arc<Guarded>) -> bool {
    // Of one that cannot be read nothing is believed anyway.
    let uid = resource.uid().unwrap_or_default();
    resource.0.is_err() || context.memory.lock().get(&uid).is_some_and(|memory| memory.heard_all == Heard::All)
}
