//! A server over a store in memory, and a client that speaks raw octets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use backupmx_relay_config::{DomainName, RelayConfig, status::PrimaryState};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    active::Active,
    board::{Board, PrimaryView, Withheld},
    clock::{Clock, Moment},
    deliver::Capabilities,
    in_flight::{InFlight, Passage},
    ingress::{Budget, Content, Context, Store, Tls, bind, serve},
    message::{Envelope, MessageId},
    metrics::Metrics,
    observe::{Inbox, observer},
    policy::Held,
    smtp::{Reply, ReplyParser},
    spool::StoreError,
};

/// Two tenants that take mail, and one that does not.
pub(super) const TENANTS: &str = "
    {name: a, domains: [example.org, bücher.example], primary: {hosts: [{host: h.test}]}},
    {name: b, domains: [example.net], primary: {hosts: [{host: h.test}]}, acceptance: {maxMessageSize: 64Ki}},
    {name: c, domains: [example.com], primary: {hosts: [{host: h.test}]}, accept: Defer}";

/// A config with limits and tenants as YAML flow collections.
pub(super) fn config(limits: &str, tenants: &str) -> RelayConfig {
    let mut config = backupmx_relay_config::from_yaml(&format!(
        "{{contractVersion: 1, hostname: mx1.example.net, listeners: [{{address: '127.0.0.1:25'}}],
          spool: {{path: /nonexistent}}, limits: {{{limits}}}, tenants: [{tenants}]}}"
    ))
    .unwrap();
    // Any that is free, which no document may ask for.
    config.listeners[0].address.set_port(0);
    config
}

/// What was stored, and what the store is to answer.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) taken: Mutex<Vec<(Envelope, Vec<u8>, bool)>>,
    pub(super) error: Mutex<Option<StoreError>>,
    pub(super) full: AtomicBool,
    /// Storing takes a permit: a test can hold it up.
    pub(super) gate: Semaphore,
}

impl Store for Memory {
    type Large = Vec<u8>;

    fn has_room(&self, _octets: u64) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    fn held(&self, _domains: &[DomainName]) -> Held {
        Held { messages: self.taken.lock().len() as u64, octets: 0 }
    }

    async fn large(&self) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }

    async fn write(&self, large: &mut Vec<u8>, octets: Bytes) -> Result<(), StoreError> {
        if let Some(error) = self.error.lock().clone() {
            return Err(error);
        }
        large.extend_from_slice(&octets);
        Ok(())
    }

    async fn store(
        &self,
        envelope: Envelope,
        content: Content<Vec<u8>>,
        _passage: Option<Passage>,
    ) -> Result<MessageId, StoreError> {
        let _permit = self.gate.acquire().await.unwrap();
        if let Some(error) = self.error.lock().clone() {
            return Err(error);
        }
        let (content, large) = match content {
            Content::Memory(octets) => (octets.to_vec(), false),
            Content::Large(octets) => (octets, true),
        };
        let mut taken = self.taken.lock();
        taken.push((envelope, content, large));
        Ok(MessageId::from_u64(taken.len() as u64))
    }
}

/// The tenants that were asked for with ETRN.
type Flushed = Arc<Mutex<Vec<String>>>;

/// A context over a store in memory, the tenants that were asked for with ETRN, and the messages to be looked into.
pub(super) fn context(config: RelayConfig) -> (Arc<Context<Memory>>, Flushed, Inbox) {
    let flushed = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&flushed);
    let tls = Tls::new(&config.hostname, config.tls.as_ref()).unwrap();
    let config = Arc::new(ArcSwap::from_pointee(Active::new(config)));
    let metrics = Arc::new(Metrics::new().unwrap());
    let (observer, inbox) = observer(Arc::clone(&config), Arc::clone(&metrics));
    let context = Context {
        config,
        spool: Arc::new(Memory {
            taken: Mutex::default(),
            error: Mutex::default(),
            full: AtomicBool::new(false),
            gate: Semaphore::new(1000),
        }),
        board: Arc::new(Board::default()),
        metrics,
        clock: Clock::start(),
        tls: Arc::new(tls),
        etrn: Box::new(move |tenant| hook.lock().push(tenant.to_owned())),
        observer,
        in_flight: InFlight::default(),
        budget: Budget::default(),
        rates: Mutex::default(),
    };
    (Arc::new(context), flushed, inbox)
}

/// A running listener.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) store: Arc<Memory>,
    pub(super) context: Arc<Context<Memory>>,
    pub(super) flushed: Arc<Mutex<Vec<String>>>,
    pub(super) inbox: Inbox,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl Server {
    /// Serves [`TENANTS`] within limits given as the inside of a YAML flow mapping.
    pub(super) fn start(limits: &str) -> Self {
        Self::with(config(limits, TENANTS))
    }

    pub(super) fn with(config: RelayConfig) -> Self {
        let listeners = bind(&config.listeners).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let (context, flushed, inbox) = context(config);
        let store = Arc::clone(&context.spool);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listeners, Arc::clone(&context), shutdown.clone()));
        Self { address, store, context, flushed, inbox, shutdown, task }
    }

    pub(super) fn reload(&self, config: RelayConfig) {
        self.context.config.store(Arc::new(Active::new(config)));
    }

    /// Puts up what is known of a tenant's primary.
    pub(super) fn post(&self, tenant: &str, state: PrimaryState, capabilities: Option<Capabilities>) {
        let status = backupmx_relay_config::status::PrimaryStatus {
            state,
            since: String::new(),
            next_probe: None,
            last_error: None,
            reject_storm: false,
            looping: false,
        };
        let (withheld, defer_until) = (Withheld::ForItsTrial, Some(Moment::MAX));
        let view = PrimaryView { status, capabilities, suspended: false, withheld, defer_until };
        self.context.board.post(tenant, view);
    }

    /// A client that has read the greeting.
    pub(super) async fn connect(&self) -> Client<TcpStream> {
        let mut client = self.connect_raw().await;
        client.expect("220 mx1.example.net ESMTP").await;
        client
    }

    pub(super) async fn connect_raw(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client that has said EHLO.
    pub(super) async fn hello(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        client.ask("EHLO client.example", "250 ").await;
        client
    }

    pub(super) fn taken(&self) -> Vec<(Envelope, Vec<u8>, bool)> {
        self.store.taken.lock().clone()
    }

    pub(super) fn refused(&self, reason: &str) -> u64 {
        self.context.metrics.refused.with_label_values(&[reason]).get()
    }
}

/// A client.
pub(super) struct Client<T> {
    pub(super) stream: T,
    parser: ReplyParser,
    buffer: Vec<u8>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    pub(super) fn new(stream: T) -> Self {
        Self { stream, parser: ReplyParser::new(), buffer: Vec::new() }
    }

    /// Sends octets as they are.
    pub(super) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one reply; none where the connection was closed.
    pub(super) async fn reply(&mut self) -> Option<Reply> {
        loop {
            let (used, reply) = self.parser.push(&self.buffer).unwrap();
            self.buffer.drain(..used);
            if reply.is_some() {
                return reply;
            }
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_buf(&mut self.buffer));
            if read.await.expect("no reply came").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads one reply that must begin so.
    pub(super) async fn expect(&mut self, beginning: &str) -> Reply {
        let reply = self.reply().await.unwrap_or_else(|| panic!("expected {beginning:?}; the connection was closed"));
        assert!(reply.to_string().starts_with(beginning), "expected {beginning:?}; got {reply}");
        reply
    }

    /// Sends a line, and reads its reply.
    pub(super) async fn ask(&mut self, line: &str, beginning: &str) -> Reply {
        self.send(format!("{line}\r\n")).await;
        self.expect(beginning).await
    }

    /// Expects the connection to be closed without another word.
    pub(super) async fn expect_close(&mut self) {
        let reply = self.reply().await;
        assert!(reply.is_none(), "expected the connection to be closed; got {reply:?}");
    }

    /// Sends a message to `user@example.org` up to 354.
    pub(super) async fn begin(&mut self) {
        self.ask("MAIL FROM:<sender@example.test>", "250 2.1.0").await;
        self.ask("RCPT TO:<user@example.org>", "250 2.1.5").await;
        self.ask("DATA", "354").await;
    }

    /// Sends a whole message to `user@example.org`, and reads its reply.
    pub(super) async fn mail(&mut self, content: impl AsRef<[u8]>, beginning: &str) -> Reply {
        self.begin().await;
        self.send(content).await;
        self.expect(beginning).await
    }
}
