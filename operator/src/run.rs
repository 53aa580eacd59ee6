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
        watches::{self, Endpoints, Watch},
    },
    dns::{asker::Asker, authority::Authority, lookup::Lookup},
    events::publish::Publisher,
    http::{self, Filled},
    lease::{Election, decide::WRITE_TIMEOUT},
    metrics::Metrics,
    open_files,
    open_writes::OpenWrites,
    poll::Reports,
    recipients::Recipients,
};

/// How often it is looked whether the cluster serves an optional API.
const LOOK: Duration = Duration::from_secs(60);

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
    let mut election = Election::new(election, &args.namespace, args.identity.clone());
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
                    cache,
                    settings: settings.clone(),
                    allowed: allowed.clone(),
                    registry: Default::default(),
                    max_rollouts: args.max_rollouts.into(),
                    rollouts: Default::default(),
                    recipients: Recipients::default(),
                    events: events.clone(),
                    reports,
                    role: role.clone(),
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
        if timeout(WRITE_TIMEOUT, open_writes.end()).await.is_err() {
            tracing::warn!("a write has no answer yet, and is given up");
        }
    };
    let ended: anyhow::Result<()> = tokio::select! {
        // Whatever is being written ends with this future.
        () = work => Ok(()),
        () = dns.run() => Ok(()),
        () = telling => Ok(()),
        lost = lead => Err(lost.into()),
        served = http::serve(args.http, metrics.clone(), filled) => {
            served.with_context(|| format!("failed to serve on {}", args.http))
        }
        () = stopped => Ok(()),
    };
    if ended.is_ok() && *leads.borrow() == Role::Leader {
        election.hand_over().await;
        tracing::info!("handed the lease over");
    }
    ended
}

/// The ways to the API server.
struct Clients {
    /// For the Lease.
    election: Client,
    /// For reads and writes, whose requests end before a lost lease can be another's.
    writes: Client,
    /// Those of its writes that are under way.
    open_writes: OpenWrites,
    /// For watches, which last.
    watching: Client,
}

async fn clients() -> anyhow::Result<Clients> {
    let config = Config::infer().await.context("failed to find the API server")?;
    let mut short = config.clone();
    short.connect_timeout = Some(WRITE_TIMEOUT);
    short.read_timeout = Some(WRITE_TIMEOUT);
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
