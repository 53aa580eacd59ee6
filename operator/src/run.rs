//! The `run` command: all of the operator's wiring, from top to bottom.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{Client, Config, client::ClientBuilder};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    args::RunArgs,
    cache::{Cache, Scope},
    controller::{
        Context, Role,
        settled::Settled,
        watches::{self, Endpoints, Watch},
    },
    dns::{asker::Asker, authority::Authority, lookup::Lookup},
    events::publish::Publisher,
    http::{self, Filled},
    lease::{Election, decide::WRITE_TIMEOUT},
    metrics::Metrics,
    open_files,
    open_writes::{Ended, OpenWrites},
    poll::Reports,
    recipients::Recipients,
};

/// How often it is looked whether the cluster serves an optional API.
const LOOK: Duration = Duration::from_secs(60);

/// A connection on which nothing comes for so long, though nothing may be asked on it, is not used again.
const SILENT: Duration = Duration::from_secs(30);

/// Runs until SIGTERM, or until the lease is lost.
///
/// # Errors
/// The command line names what cannot be read, the API server cannot be reached at all, or the lease was lost.
pub async fn run(args: RunArgs) -> anyhow::Result<()> {
    open_files::raise();
    let allowed = args.allowed()?;
    let metrics = Metrics::new()?;
    let Clients { election, writes, open_writes, watching } = clients().await?;
    let settings = args.settings(args.master_key(&writes).await?);
    let (leads, role) = watch::channel(Role::Standby);
    let (fills, filled) = watch::channel(Filled::NotYet);
    let fills = Arc::new(fills);
    let (settles, settled) = watch::channel(Settled::NotYet);
    let settles = Arc::new(settles);
    let mut election = Election::new(election, &args.namespace, args.identity.clone(), settled);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let authority = Authority::new(args.nameservers.clone())?;
    let dns = Asker::new(Lookup { authority, external_dns: settings.external_dns.clone() });

    let (events, telling) = Publisher::new(writes.clone(), &args.identity, metrics.clone());

    let work = async {
        loop {
            let endpoints = known(&watching).await;
            tracing::info!(?endpoints, "watching");
            let context = |cache: Cache, reports: Reports| {
                let (ready, fills) = (cache.clone(), fills.clone());
                tokio::spawn(async move {
                    if ready.ready().await.is_ok() {
                        fills.send_replace(Filled::Yes);
                    }
                });
                Context {
                    client: writes.clone(),
                    open_writes: open_writes.clone(),
                    cache,
                    settings: settings.clone(),
                    allowed: allowed.clone(),
                    registry: Default::default(),
                    terms: Default::default(),
                    max_rollouts: args.max_rollouts.into(),
                    rollouts: Default::default(),
                    recipients: Recipients::default(),
                    events: events.clone(),
                    reports,
                    role: role.clone(),
                    settled: settles.clone(),
                    metrics: metrics.clone(),
                    dns: dns.clone(),
                    memory: Default::default(),
                }
            };
            let watch =
                Watch { scope: Scope::new(&args.watch_namespaces), namespace: settings.namespace.clone(), endpoints };
            tokio::select! {
                () = watches::run(watching.clone(), watch, role.clone(), dns.news(), context) => {}
                () = changed(&watching, endpoints) => tracing::info!("the DNSEndpoint API came or went"),
            }
        }
    };
    let lead = async {
        election.won().await;
        tracing::info!("leading");
        metrics.leader.set(1);
        leads.send_replace(Role::Leader);
        election.lost().await
    };
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        timeout(WRITE_TIMEOUT, open_writes.end()).await.unwrap_or(Ended::InDoubt)
    };
    let writes_ended: anyhow::Result<Ended> = tokio::select! {
        // Whatever is being written ends with this future.
        () = work => Ok(Ended::InDoubt),
        () = dns.run() => Ok(Ended::InDoubt),
        () = telling => Ok(Ended::InDoubt),
        lost = lead => Err(lost.into()),
        served = http::serve(args.http, metrics.clone(), filled) => {
            served.map(|()| Ended::InDoubt).with_context(|| format!("failed to serve on {}", args.http))
        }
        ended = stopped => Ok(ended),
    };
    let leads = *leads.borrow() == Role::Leader;
    match writes_ended? {
        Ended::Answered if leads => {
            election.hand_over().await;
            tracing::info!("handed the lease over");
        }
        // It may be carried out yet, and the next leader must come after it.
        Ended::InDoubt if leads => tracing::warn!("a write has no answer; the leader lease runs out by itself"),
        Ended::Answered | Ended::InDoubt => {}
    }
    Ok(())
}

/// The ways to the API server.
struct Clients {
    /// For the Lease.
    election: Client,
    /// For reads and writes, whose requests end before a lost lease can be another's.
    writes: Client,
    /// Those of its writes that are under way; what relays are told counts among them.
    open_writes: OpenWrites,
    /// For watches, which last.
    watching: Client,
}

async fn clients() -> anyhow::Result<Clients> {
    let config = Config::infer().await.context("failed to find the API server")?;
    let mut short = config.clone();
    short.connect_timeout = Some(WRITE_TIMEOUT);
    // It counts from the answer before: a request has a limit of its own.
    short.read_timeout = Some(SILENT);
    short.write_timeout = Some(WRITE_TIMEOUT);
    let failed = "failed to set the client of the API server up";
    let open_writes = OpenWrites::default();
    Ok(Clients {
        election: Client::try_from(short.clone()).context(failed)?,
        writes: ClientBuilder::try_from(short).context(failed)?.with_layer(&open_writes).build(),
        open_writes,
        watching: Client::try_from(config).context(failed)?,
    })
}

/// Looks until the API server says: records that cannot be seen must not be taken for records that were changed.
async fn known(client: &Client) -> Endpoints {
    loop {
        match watches::endpoints(client).await {
            Some(endpoints) => return endpoints,
            None => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// Waits until the cluster begins or ends to serve DNSEndpoints.
async fn changed(client: &Client, known: Endpoints) {
    loop {
        sleep(LOOK).await;
        if watches::endpoints(client).await.is_some_and(|now| now != known) {
            return;
        }
    }
}
