//! The listening sockets and the tasks behind them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use backupmx_relay_config::Listener;
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Bounds, Context, Store, connection::Connection};

/// Connections that the kernel completes while none is accepted.
const BACKLOG: i32 = 1024;

/// How long nothing is accepted after accepting failed (no file descriptors left, say).
const PAUSE: Duration = Duration::from_millis(50);

/// How often the certificate's files are looked at.
const CERTIFICATE: Duration = Duration::from_secs(1);

/// Opens the listening sockets; must be called in a tokio runtime. `[::]` takes IPv4 too, unless `0.0.0.0` is listed
/// with the same port.
///
/// # Errors
/// An address can't be listened on; the error names it.
pub fn bind(listeners: &[Listener]) -> io::Result<Vec<TcpListener>> {
    listeners
        .iter()
        .map(|listener| {
            let address = listener.address;
            let v4_too = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && !listeners
                    .iter()
                    .any(|other| other.address == SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()));
            open(address, v4_too)
                .map_err(|error| io::Error::new(error.kind(), format!("failed to listen on {address}: {error}")))
        })
        .collect()
}

fn open(address: SocketAddr, v4_too: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!v4_too)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves all listeners until `shutdown`, then lets messages that are coming in end, for `limits.shutdownTimeout`.
pub async fn serve<S: Store>(listeners: Vec<TcpListener>, context: Arc<Context<S>>, shutdown: CancellationToken) {
    let bounds = Bounds::default();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&context), bounds.clone(), shutdown.clone()));
    }
    let watch = tokio::spawn(watch_certificate(Arc::clone(&context)));
    while let Some(ended) = accepting.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a listener ended");
        }
    }
    watch.abort();
}

/// Accepts until `shutdown`, then waits for the sessions.
async fn accept<S: Store>(
    listener: TcpListener,
    context: Arc<Context<S>>,
    bounds: Bounds,
    shutdown: CancellationToken,
) {
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer.ip(), &context, &bounds, &shutdown, &mut sessions),
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                sleep(PAUSE).await;
            }
        }
        while let Some(ended) = sessions.try_join_next() {
            report(ended);
        }
    }
    drop(listener);
    let patience = context.config.load().config.limits.shutdown_timeout.as_duration();
    let finish = async {
        while let Some(ended) = sessions.join_next().await {
            report(ended);
        }
    };
    if timeout(patience, finish).await.is_err() {
        tracing::warn!("sessions were cut off: they did not end in time");
    }
    sessions.shutdown().await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a session panicked");
    }
}

/// Starts a session, or sends the client away.
fn admit<S: Store>(
    stream: TcpStream,
    peer: IpAddr,
    context: &Arc<Context<S>>,
    bounds: &Bounds,
    shutdown: &CancellationToken,
    sessions: &mut JoinSet<()>,
) {
    let metrics = &context.metrics;
    // A person may change it while we run (prlimit), and asking costs less than accepting.
    let files = getrlimit(Resource::Nofile).current;
    let place = match bounds.admit(peer, &context.config.load().config.limits, files) {
        Ok(place) => place,
        Err(exceeded) => {
            metrics.connections_total.with_label_values(&[exceeded.reason()]).inc();
            tracing::debug!(client = %peer, reason = exceeded.reason(), "connection refused");
            // A new socket's buffer has room for a line; where it does not, the client just sees us close.
            let _ = stream.try_write(exceeded.greeting());
            return;
        }
    };
    metrics.connections_total.with_label_values(&["accepted"]).inc();
    let _ = stream.set_nodelay(true);
    let gauge = OpenGauge::new(metrics.connections.clone());
    let connection = Connection::new(Arc::clone(context), peer, shutdown.clone());
    sessions.spawn(async move {
        if let Err(error) = connection.run(stream).await {
            tracing::debug!(client = %peer, %error, "connection lost");
        }
        drop((place, gauge));
    });
}

/// Counts a session as open while it lives, however it ends.
struct OpenGauge(prometheus::IntGauge);

impl OpenGauge {
    fn new(gauge: prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Reads the certificate again whenever its files, or the config that names them, have changed.
async fn watch_certificate<S: Store>(context: Arc<Context<S>>) {
    loop {
        sleep(CERTIFICATE).await;
        let files = context.config.load().config.tls.clone();
        let tls = Arc::clone(&context.tls);
        if let Err(error) = tokio::task::spawn_blocking(move || tls.refresh(files.as_ref())).await {
            tracing::error!(%error, "failed to look at the certificate");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let any = [Listener { address: "127.0.0.1:0".parse().unwrap() }];
        let first = bind(&any).unwrap().remove(0);
        let address = first.local_addr().unwrap();
        let error = bind(&[Listener { address }]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
