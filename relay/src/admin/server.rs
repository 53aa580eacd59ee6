//! Serving the doors: a bounded number of connections at each, a bounded time for each request.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Control, Listeners, health_routes, routes::everything, token_routes};

/// Connections at once at one door; one more waits.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take for the head of a request, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long requests may go on after the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the API until the shutdown; then lets the requests that run come to their end, for at most 2 s.
pub async fn serve<C: Control>(control: Arc<C>, listeners: Listeners, shutdown: CancellationToken) {
    let Listeners { socket, health, api } = listeners;
    let tasks = TaskTracker::new();
    let doors = async {
        tokio::join!(
            door(Some(socket), everything(&control), &tasks, &shutdown),
            door(health, health_routes(&control), &tasks, &shutdown),
            door(api, token_routes(&control), &tasks, &shutdown),
        )
    };
    doors.await;
    tasks.close();
    if timeout(SHUTDOWN_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::debug!(requests = tasks.len(), "admin requests cut off by the shutdown");
    }
}

/// Something that connections come from.
trait Accept {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next one.
    async fn accept_stream(&self) -> io::Result<Self::Stream>;
}

impl Accept for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept_stream(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Accept for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept_stream(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

async fn door<L: Accept>(listener: Option<L>, routes: Router, tasks: &TaskTracker, shutdown: &CancellationToken) {
    let Some(listener) = listener else { return };
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, listener.accept_stream().await)
        };
        let (seat, stream) = tokio::select! {
            next = next => next,
            () = shutdown.cancelled() => return,
        };
        match stream {
            Ok(stream) => {
                let connection = connection(stream, routes.clone(), shutdown.clone());
                tasks.spawn(async move {
                    connection.await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to take an admin connection");
                // Out of file descriptors, most likely: trying again at once would only burn the processor.
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    routes: Router,
    shutdown: CancellationToken,
) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut serving = std::pin::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an admin connection ended early");
    }
}
