//! The shell around a session: reads, writes, keeps time, stores what is complete.

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::{
    Content, Context, Store,
    session::{Awaits, Complete, Effect, Piece, Session, Whole},
};
use crate::{
    message::{Origin, TlsUsed},
    spool::StoreError,
};

/// Octets read at once; a session that waits keeps no more.
const READ: usize = 8 << 10;

/// Octets read at once from a client that fills every read.
const READ_MOST: usize = 64 << 10;

/// Octets of replies that are gathered before they are written although more input is at hand.
const REPLIES: usize = 16 << 10;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long a client may take to close its side after our last reply. Closing at once could lose the reply: a reset
/// follows where unread octets are thrown away.
const LINGER: Duration = Duration::from_secs(2);

/// One connection.
pub(super) struct Connection<S: Store> {
    context: Arc<Context<S>>,
    session: Session,
    shutdown: CancellationToken,
    input: Vec<u8>,
    /// Octets of `input` that are used up.
    start: usize,
    read: usize,
    out: Vec<u8>,
    large: Option<S::Large>,
    ends: Instant,
}

/// Why the loop over one stream ended.
enum Ended {
    /// The client has nothing more to say.
    Gone,
    /// We ended the session; the client may still be talking.
    Closed,
    /// The client wants TLS.
    StartTls,
}

/// What came while input was waited for.
enum Woken {
    Read(usize),
    Timer,
    Shutdown,
}

impl<S: Store> Connection<S> {
    /// A connection whose greeting is not written yet.
    pub(super) fn new(context: Arc<Context<S>>, peer: IpAddr, shutdown: CancellationToken) -> Self {
        let active = context.config.load();
        let mut out = Vec::with_capacity(256);
        let session = Session::open(peer, &active, &mut out);
        let ends = Instant::now() + active.config.limits.session_timeout.as_duration();
        drop(active);
        Self { context, session, shutdown, input: Vec::new(), start: 0, read: READ, out, large: None, ends }
    }

    /// Serves the client to the end.
    pub(super) async fn run(mut self, mut stream: TcpStream) -> io::Result<()> {
        match self.serve(&mut stream).await? {
            Ended::Gone => Ok(()),
            Ended::Closed => linger(&mut stream).await,
            Ended::StartTls => {
                let (tls, used) = self.secure(stream).await?;
                self.session.secured(used);
                // The TLS state is large: it goes on the heap rather than into every connection's task.
                let mut tls = Box::new(tls);
                Box::pin(async move {
                    match self.serve(&mut *tls).await? {
                        // TLS has a goodbye of its own (RFC 8446 6.1).
                        Ended::Gone => timeout(LINGER, tls.shutdown()).await.unwrap_or(Ok(())),
                        Ended::Closed | Ended::StartTls => linger(&mut *tls).await,
                    }
                })
                .await
            }
        }
    }

    /// Takes up TLS. What was read in the clear is dropped: it may be anybody's (RFC 3207 6).
    async fn secure(&mut self, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, TlsUsed)> {
        self.input = Vec::new();
        self.start = 0;
        let accept = self.context.tls.acceptor().accept(stream);
        let tls =
            timeout(HANDSHAKE, Box::pin(accept)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (_, session) = tls.get_ref();
        let version = session.protocol_version().map_or_else(String::new, |version| format!("{version:?}"));
        let cipher = session.negotiated_cipher_suite().map_or_else(String::new, |suite| format!("{:?}", suite.suite()));
        let used = TlsUsed { version: version.replace('_', "."), cipher: cipher.replacen("TLS13_", "TLS_", 1) };
        Ok((tls, used))
    }

    /// Serves over one stream. Replies to commands that came together are written together.
    async fn serve<T: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut T) -> io::Result<Ended> {
        let mut waiting_since = Instant::now();
        let mut timer = pin!(sleep_until(self.deadline(waiting_since)));
        let shutdown = self.shutdown.clone();
        let mut leaving = pin!(shutdown.cancelled());
        loop {
            if let Some(ended) = self.work(stream, &mut waiting_since).await? {
                return Ok(ended);
            }
            self.flush(stream).await?;
            if shutdown.is_cancelled() && self.session.shut_down(&mut self.out).is_some() {
                self.flush(stream).await?;
                return Ok(Ended::Closed);
            }
            let woken = loop {
                let deadline = self.deadline(waiting_since);
                if deadline < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(deadline);
                }
                self.make_room();
                let woken = tokio::select! {
                    biased;
                    read = stream.read_buf(&mut self.input) => Woken::Read(read?),
                    () = timer.as_mut() => Woken::Timer,
                    () = leaving.as_mut(), if !shutdown.is_cancelled() => Woken::Shutdown,
                };
                // The timer is set late: it was due for an earlier wait, unless this one's time is up too.
                if !matches!(woken, Woken::Timer) || self.deadline(waiting_since) <= Instant::now() {
                    break woken;
                }
            };
            match woken {
                Woken::Read(0) => return Ok(Ended::Gone),
                Woken::Read(read) => {
                    if self.session.awaits() == Awaits::Content {
                        waiting_since = Instant::now();
                        self.read = if read >= self.read { (2 * self.read).min(READ_MOST) } else { self.read };
                    }
                }
                Woken::Timer => {
                    let _ = self.session.timed_out(&mut self.out);
                    self.flush(stream).await?;
                    return Ok(Ended::Closed);
                }
                Woken::Shutdown => {}
            }
        }
    }

    /// Lets the session work on what was read, until it wants more or is over.
    async fn work<T: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut T,
        waiting_since: &mut Instant,
    ) -> io::Result<Option<Ended>> {
        loop {
            let (used, effect) = self.session.advance(&self.input[self.start..], &self.context, &mut self.out);
            self.start += used;
            if used > 0 {
                *waiting_since = Instant::now();
            }
            if !self.session.is_receiving() {
                // A message that was streamed in part has been refused: its file goes now.
                self.large = None;
            }
            match effect {
                Effect::Read => return Ok(None),
                Effect::Etrn(tenant) => {
                    tracing::info!(tenant, "ETRN");
                    (self.context.etrn)(&tenant);
                }
                Effect::Spill(piece) => self.spill(piece).await,
                Effect::Store(complete) => {
                    self.store(*complete).await;
                    *waiting_since = Instant::now();
                }
                Effect::StartTls => {
                    self.flush(stream).await?;
                    return Ok(Some(Ended::StartTls));
                }
                Effect::Quit => {
                    self.flush(stream).await?;
                    return Ok(Some(Ended::Gone));
                }
                Effect::Close => {
                    self.flush(stream).await?;
                    return Ok(Some(Ended::Closed));
                }
            }
            if self.out.len() > REPLIES {
                self.flush(stream).await?;
            }
        }
    }

    /// Streams a piece of a content to the store.
    async fn spill(&mut self, piece: Piece) {
        if let Err(error) = self.stream(piece).await {
            tracing::warn!(%error, "failed to stream a message to the spool");
            self.large = None;
            self.session.spoil(&error);
        }
    }

    async fn stream(&mut self, piece: Piece) -> Result<(), StoreError> {
        let store = &self.context.spool;
        let octets = match piece {
            Piece::First(octets) => {
                self.large = None;
                self.large = Some(store.large().await?);
                octets
            }
            Piece::Next(octets) => octets,
        };
        match &mut self.large {
            Some(large) => store.write(large, octets).await,
            None => Err(StoreError::Closed),
        }
    }

    /// Stores a complete message, and lets the session answer for it.
    async fn store(&mut self, complete: Complete) {
        let Complete { mut envelope, tenant, content, reservation, passage } = complete;
        envelope.arrived = self.context.clock.now();
        let (size, recipients) = (envelope.size, envelope.recipients.len());
        let sender = envelope.sender.as_str().to_owned();
        let client = match &envelope.origin {
            Origin::Client(client) => Some(client.address),
            Origin::Report { .. } => None,
        };
        let subject = self.context.observer.subject(&envelope);
        let result = match self.whole(content).await {
            Ok(content) => self.context.spool.store(envelope, content, passage).await,
            Err(error) => Err(error),
        };
        drop(reservation);
        match &result {
            Ok(id) => {
                self.context.metrics.taken.with_label_values(&[&tenant]).inc();
                if let Some(subject) = subject {
                    self.context.observer.notice(*id, subject);
                }
                tracing::info!(%id, tenant, client = client.map(tracing::field::display), sender, recipients, size, "message taken");
            }
            Err(error) => {
                tracing::warn!(tenant, client = client.map(tracing::field::display), sender, recipients, size, %error, "message not stored");
            }
        }
        self.session.stored(&result, &self.context, &mut self.out);
    }

    /// A complete content as the store takes it.
    async fn whole(&mut self, content: Whole) -> Result<Content<S::Large>, StoreError> {
        match content {
            Whole::Here(octets) => Ok(Content::Memory(octets)),
            Whole::Rest(octets) => {
                self.stream(Piece::Next(octets)).await?;
                self.large.take().map(Content::Large).ok_or(StoreError::Closed)
            }
        }
    }

    /// When the client must have said something.
    fn deadline(&self, waiting_since: Instant) -> Instant {
        let active = self.context.config.load();
        let limits = &active.config.limits;
        let patience = match self.session.awaits() {
            Awaits::Command => limits.command_timeout,
            Awaits::Content => limits.data_timeout,
        };
        (waiting_since + patience.as_duration()).min(self.ends)
    }

    /// Drops what is used up of the input, and makes room for the next read.
    fn make_room(&mut self) {
        if self.start == self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..self.start);
        }
        self.start = 0;
        if self.input.is_empty() && self.session.awaits() == Awaits::Command {
            self.read = READ;
            if self.input.capacity() > READ {
                self.input = Vec::new();
            }
        }
        let room = self.read.saturating_sub(self.input.len()).max(READ / 2);
        self.input.reserve(room);
    }

    async fn flush<T: AsyncWrite + Unpin>(&mut self, stream: &mut T) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let patience = self.context.config.load().config.limits.command_timeout.as_duration();
        let written = async {
            stream.write_all(&self.out).await?;
            stream.flush().await
        };
        timeout(patience, written).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if self.out.capacity() > REPLIES {
            self.out = Vec::new();
        }
        self.out.clear();
        Ok(())
    }
}

/// Ends our side, then waits a little for the client to end its own.
async fn linger<T: AsyncRead + AsyncWrite + Unpin>(stream: &mut T) -> io::Result<()> {
    let drained = async {
        stream.shutdown().await?;
        let mut waste = [0; 512];
        for _ in 0..2048 {
            if stream.read(&mut waste).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    timeout(LINGER, drained).await.unwrap_or(Ok(()))
}
