//! Our reports on their way to senders: mail in lanes that are no tenant's.
//!
//! A report goes to the tenant's smarthost, else to the smarthost for all, else to the mail exchangers of its domain.
//! A stranger's DNS names those, so addresses that are not public, or our own, are passed over unless the config allows
//! them. A destination that fails rests for a minute, then twice as long each time up to an hour; a report that is
//! refused, that nobody takes, or that has been tried for `reports.giveUpAfter`, is removed with a log line and a metric:
//! there is never a report about a report.
//!
//! Other mail in such lanes (its tenant was removed from the config) is left alone.

mod lanes;
mod pass;
mod rest;
mod route;
mod settle;
mod targets;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use backupmx_relay_config::DomainName;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    active::SharedConfig,
    clock::Clock,
    deliver::ClientTls,
    metrics::Metrics,
    queue::ClockCheck,
    resolve::SharedResolver,
    spool::{LaneStatus, Spool},
};
use lanes::{Lanes, Pause};
use pass::Runner;
use rest::Routes;

/// How often the lanes are looked at when nothing calls.
const TICK: Duration = Duration::from_secs(60);
/// How long a pass goes on after the relay was told to leave.
const GRACE: Duration = Duration::from_secs(5);
/// The least time between two looks at the lanes: a burst of reports is one look, not hundreds.
const BREATH: Duration = Duration::from_millis(20);

/// What the outbox works with.
#[derive(Debug)]
pub struct Context {
    /// The config in force.
    pub config: SharedConfig,
    /// The spool.
    pub spool: Arc<Spool>,
    /// The resolver in use.
    pub resolver: Arc<SharedResolver>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clocks.
    pub clock: Clock,
    /// Whether the wall clock is believed: while it is not, no report's time is over.
    pub trust: Arc<ClockCheck>,
    /// Notified when a lane that is no tenant's may have become ready, and when the config changes.
    pub wake: Arc<Notify>,
}

/// Delivers reports until the relay leaves.
pub async fn run(context: Context, leaving: CancellationToken) {
    let client_tls = match ClientTls::new() {
        Ok(client_tls) => Arc::new(client_tls),
        Err(problem) => {
            tracing::error!(%problem, "no report can be sent");
            return leaving.cancelled().await;
        }
    };
    let runner = Arc::new(Runner {
        context,
        client_tls,
        quirks: Arc::default(),
        routes: Routes::default(),
        leaving: leaving.clone(),
    });
    let mut lanes = Lanes::default();
    let mut passes = JoinSet::new();
    let mut running: HashMap<tokio::task::Id, DomainName> = HashMap::new();
    while !leaving.is_cancelled() {
        let context = &runner.context;
        let active = context.config.load_full();
        let most = usize::try_from(active.config.reports.max_connections).unwrap_or(usize::MAX);
        let foreign = foreign(&context.spool, |domain| active.directory.tenant_of(domain).is_some());
        let room = most.saturating_sub(passes.len());
        for (domain, rate) in lanes.pick(&foreign, context.clock.moment(), room) {
            let runner = Arc::clone(&runner);
            let lane = domain.clone();
            let handle = passes.spawn(async move { runner.pass(&lane, rate).await });
            running.insert(handle.id(), domain);
        }
        let next = lanes.next(&foreign, context.clock.now(), context.clock.moment()).unwrap_or(TICK).min(TICK);
        tokio::select! {
            () = leaving.cancelled() => break,
            () = context.wake.notified() => {}
            () = tokio::time::sleep(next.max(BREATH)) => {}
            Some(ended) = passes.join_next_with_id(), if !passes.is_empty() => {
                let now = context.clock.moment();
                match ended {
                    Ok((id, (pause, rate))) => {
                        if let Some(domain) = running.remove(&id) {
                            lanes.ended(&domain, pause, rate, now);
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "a pass over a lane of reports failed");
                        if let Some(domain) = running.remove(&error.id()) {
                            lanes.ended(&domain, Pause::For(TICK), rest::Rate::default(), now);
                        }
                    }
                }
            }
        }
    }
    let _ = tokio::time::timeout(GRACE, async { while passes.join_next().await.is_some() {} }).await;
    passes.shutdown().await;
}

/// The lanes that are no tenant's and hold reports.
fn foreign(spool: &Spool, is_tenants: impl Fn(&DomainName) -> bool) -> Vec<(DomainName, LaneStatus)> {
    spool.lanes().into_iter().filter(|(domain, lane)| lane.reports > 0 && !is_tenants(domain)).collect()
}
