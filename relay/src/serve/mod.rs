//! A relay from start to end: all wiring, top to bottom, in one place.

mod process;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use backupmx_relay_config::RelayConfig;
use parking_lot::Mutex;
use tokio::{signal::unix::SignalKind, sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    active::{Active, SharedConfig},
    admin,
    board::Board,
    clock::Clock,
    engine::Engine,
    in_flight::InFlight,
    ingress,
    metrics::Metrics,
    observe, outbox,
    queue::{self, Command, Queue},
    resolve::SharedResolver,
    spool::{self, Spool},
};

/// What sessions and deliveries get beyond `limits.shutdownTimeout` before they are cut off.
const MARGIN: Duration = Duration::from_millis(500);

/// Runs a relay until SIGTERM or SIGINT. `file` is where the config came from: it is watched, and read again on SIGHUP.
///
/// # Errors
/// The spool can't be opened, or an address can't be bound.
pub async fn run(config: RelayConfig, file: Option<PathBuf>) -> anyhow::Result<()> {
    process::keep_files_private();
    process::raise_open_files(config.limits.connections);
    let clock = Clock::start();
    let metrics = Arc::new(Metrics::new()?);
    let spool_path = config.spool.path.clone();
    let spool = open_spool(&config, &metrics, clock).await?;

    let sockets = ingress::bind(&config.listeners).context("failed to listen for mail")?;
    let admin_sockets = admin::bind(&config.admin, &spool_path).await.context("failed to listen for administration")?;
    let listening = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect::<Vec<_>>();

    let resolver = SharedResolver::new(&config.resolver).context("failed to set up the resolver")?;
    let clients_resolver = SharedResolver::of_strangers(&config.resolver).context("failed to set up the resolver")?;
    let tls = ingress::Tls::new(&config.hostname, config.tls.as_ref()).context("failed to set up TLS")?;
    metrics.begin(config.tenants.iter().map(|tenant| tenant.name.as_str()));
    let shared: SharedConfig = Arc::new(ArcSwap::from_pointee(Active::new(config)));
    let board = Arc::new(Board::default());
    let reports_ready = Arc::new(Notify::new());
    let queue = Queue::start(queue::Context {
        config: Arc::clone(&shared),
        spool: Arc::clone(&spool),
        board: Arc::clone(&board),
        metrics: Arc::clone(&metrics),
        resolver: Arc::clone(&resolver),
        clock,
        reports_ready: Arc::clone(&reports_ready),
    })
    .context("failed to start the queue")?;

    let in_flight = InFlight::default();
    let engine = Arc::new(Engine {
        config: Arc::clone(&shared),
        spool: Arc::clone(&spool),
        metrics: Arc::clone(&metrics),
        board: Arc::clone(&board),
        clock,
        queue: Arc::clone(&queue),
        in_flight: in_flight.clone(),
        started: clock.now(),
        listeners: listening.clone(),
        leaving: Default::default(),
        offers: Mutex::default(),
        on_config: on_config(&shared, &queue, &spool, &metrics, [&resolver, &clients_resolver]),
    });

    // Cancelled first: nothing new is begun. The rest goes on until what is under way has ended.
    let door = CancellationToken::new();
    let leaving = CancellationToken::new();
    let servants = TaskTracker::new();
    servants.spawn(admin::serve(Arc::clone(&engine), admin_sockets, leaving.clone()));
    servants.spawn(outbox::run(
        outbox::Context {
            config: Arc::clone(&shared),
            spool: Arc::clone(&spool),
            resolver: Arc::clone(&resolver),
            metrics: Arc::clone(&metrics),
            clock,
            trust: queue.clock(),
            wake: reports_ready,
        },
        door.clone(),
    ));
    let (observer, inbox) = observe::observer(Arc::clone(&shared), Arc::clone(&metrics));
    servants.spawn(observe::run(
        inbox,
        observe::Context {
            config: Arc::clone(&shared),
            spool: Arc::clone(&spool),
            resolver: clients_resolver,
            metrics: Arc::clone(&metrics),
            clock,
        },
        leaving.clone(),
    ));
    if let Some(file) = file {
        servants.spawn(watch::run(Arc::clone(&engine), file, leaving.clone()));
    }
    servants.close();

    let etrn_queue = Arc::clone(&queue);
    let context = Arc::new(ingress::Context {
        config: Arc::clone(&shared),
        spool: Arc::clone(&spool),
        board,
        metrics,
        clock,
        tls: Arc::new(tls),
        observer,
        in_flight,
        budget: ingress::Budget::default(),
        rates: Mutex::default(),
        etrn: Box::new(move |tenant| etrn_queue.send(tenant, Command::Etrn)),
    });
    let mut taking = tokio::spawn(ingress::serve(sockets, context, door.clone()));
    info!(listeners = ?listening, version = env!("CARGO_PKG_VERSION"), "taking mail");

    let signal = tokio::select! {
        signal = wait_for_end() => signal?,
        ended = &mut taking => anyhow::bail!("the listeners ended: {ended:?}"),
    };
    info!(signal, "leaving: no new mail is taken, what is in transfer is finished");
    engine.leave();
    door.cancel();
    let grace = shared.load().config.limits.shutdown_timeout.as_duration();
    // What is being taken and what is being handed over end side by side, so that all is done within ten seconds.
    let (taken, ()) = tokio::join!(timeout(grace + MARGIN, taking), queue.stop(grace + MARGIN));
    if taken.is_err() {
        warn!("some sessions did not end in time and were cut off; nothing of theirs had been answered 250");
    }
    leaving.cancel();
    if timeout(Duration::from_millis(500), servants.wait()).await.is_err() {
        warn!("some background work did not end in time");
    }
    spool.close().await;
    info!("left");
    Ok(())
}

async fn open_spool(config: &RelayConfig, metrics: &Arc<Metrics>, clock: Clock) -> anyhow::Result<Arc<Spool>> {
    let options = spool::Options {
        path: config.spool.path.clone(),
        size: config.spool.size.map(|size| size.as_u64()),
        segment_size: config.spool.segment_size.map(|size| size.as_u64()),
    };
    let metrics = Arc::clone(metrics);
    let opening = tokio::task::spawn_blocking(move || Spool::open(&options, metrics, clock.now()));
    let (spool, recovery) = opening.await.context("failed to open the spool")??;
    for damage in &recovery.damage {
        error!("the spool was damaged: {damage}");
    }
    info!(messages = recovery.messages, bytes = recovery.bytes, "spool open");
    Ok(spool)
}

/// What is renewed when a config has been put in force.
fn on_config(
    shared: &SharedConfig,
    queue: &Arc<Queue>,
    spool: &Arc<Spool>,
    metrics: &Arc<Metrics>,
    resolvers: [&Arc<SharedResolver>; 2],
) -> Vec<Box<dyn Fn() + Send + Sync>> {
    let (spool, sizes) = (Arc::clone(spool), shared.clone());
    let (metrics, counted) = (Arc::clone(metrics), shared.clone());
    let (shared, queue, resolvers) = (Arc::clone(shared), Arc::clone(queue), resolvers.map(Arc::clone));
    vec![
        Box::new(move || metrics.begin(counted.load().config.tenants.iter().map(|tenant| tenant.name.as_str()))),
        Box::new(move || spool.resize(sizes.load().config.spool.size.map(|size| size.as_u64()))),
        Box::new(move || {
            for resolver in &resolvers {
                if let Err(problem) = resolver.renew(&shared.load().config.resolver) {
                    error!("the new resolver can't be set up, the old one stays: {problem}");
                }
            }
        }),
        Box::new(move || queue.reconfigure()),
    ]
}

/// Waits for SIGTERM or SIGINT and names it.
async fn wait_for_end() -> anyhow::Result<&'static str> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
