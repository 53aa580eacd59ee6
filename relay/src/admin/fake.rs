//! A relay that is a fake, for tests of the API and of the command line.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use backupmx_relay_config::{
    DomainName, RelayConfig, examples, from_yaml,
    status::{Discarded, RelayStatus},
};
use bytes::Bytes;
use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::json;
use tokio::{net::UnixStream, time::timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use super::scrape::tests::status;
use super::{Control, MessageVerb, TenantVerb, bind, serve};
use crate::{
    active::Active,
    cli::{Client, RelayArgs, Surroundings},
    clock::Timestamp,
    engine::EngineError,
    message::{Envelope, MessageId, MessageState, Observed, SpfVerdict, Standing},
    spool::{Content, Held, Maker, ReadError, SetAside, Summary},
};

/// The octets of what is set aside: more than one answer holds.
pub(crate) const SET_ASIDE: usize = (5 << 20) / 2;

const ARRIVED: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A relay that holds `count` messages with the ids 1, 2, 3, …: every tenth is rejected, number 7 is damaged, number 8 is
/// gone when it is looked at.
pub(super) struct Fake {
    count: u64,
    /// The config in force.
    pub(super) active: Arc<Active>,
    registry: Registry,
    /// The generation of its status.
    pub(super) generation: AtomicU64,
    /// What it was told to do.
    pub(super) calls: Mutex<Vec<String>>,
}

impl Fake {
    /// With one of the example configs.
    pub(super) fn new(count: u64) -> Arc<Self> {
        Self::with(count, from_yaml(examples::HOLD_7_DAYS).unwrap())
    }

    /// With that config.
    pub(super) fn with(count: u64, config: RelayConfig) -> Arc<Self> {
        let active = Arc::new(Active::new(config));
        Arc::new(Self {
            count,
            active,
            registry: Registry::new(),
            generation: AtomicU64::default(),
            calls: Mutex::default(),
        })
    }

    fn note(&self, call: String) -> Result<(), EngineError> {
        self.calls.lock().push(call);
        Ok(())
    }
}

/// A message from a client, for one recipient.
pub(super) fn envelope() -> Envelope {
    serde_json::from_value(json!({
        "arrived": ARRIVED,
        "origin": { "Client": {
            "address": "192.0.2.7", "helo": "client.example", "esmtp": true, "tls": null,
        }},
        "sender": { "text": "ann@sender.example", "domain": "sender.example" },
        "body": "SevenBit",
        "smtputf8": false,
        "ret": null,
        "envid": null,
        "recipients": [
            { "path": { "text": "bob@example.org", "domain": "example.org" }, "notify": null, "orcpt": null },
        ],
        "size": 42,
    }))
    .expect("an envelope")
}

impl Control for Fake {
    fn status(&self) -> RelayStatus {
        let generation = Some(self.generation.load(Ordering::Relaxed).to_string());
        RelayStatus { generation, ..status() }
    }

    fn is_ready(&self) -> bool {
        self.count > 0
    }

    fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active)
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    async fn apply(&self, document: &str) -> Result<u64, EngineError> {
        match document {
            "old" => Err(EngineError::OldRevision { offered: 1, in_force: 2 }),
            "wrong" => Err(EngineError::Refused("line 1: hostname: expected a domain name".to_owned())),
            _ => Ok(3),
        }
    }

    async fn for_tenant(&self, verb: TenantVerb, tenant: Option<&str>) -> Result<(), EngineError> {
        match tenant {
            Some("none") => Err(EngineError::NoTenant("none".to_owned())),
            tenant => self.note(format!("{} {tenant:?}", verb.name())),
        }
    }

    async fn for_message(&self, verb: MessageVerb, id: MessageId) -> Result<(), EngineError> {
        match id.as_u64() {
            1 => Err(EngineError::Busy(id)),
            number if number > self.count => Err(EngineError::NoMessage(id)),
            number => self.note(format!("{} {number}", verb.name())),
        }
    }

    async fn discard_domain(&self, domain: &DomainName) -> Result<Discarded, EngineError> {
        self.note(format!("discard {domain}"))?;
        Ok(Discarded { discarded: 3, left: 1 })
    }

    fn list(&self, _: Option<&DomainName>, after: Option<MessageId>, limit: usize) -> Vec<Summary> {
        let summary = |number| Summary {
            id: MessageId::from_u64(number),
            arrived: ARRIVED,
            domain: "example.org".parse().expect("a domain"),
            size: 42,
            standing: if number % 10 == 0 { Standing::Rejected } else { Standing::Queued },
            due: None,
            attempts: 1,
            busy: false,
            maker: Maker::Client,
        };
        (after.map_or(1, |after| after.as_u64() + 1)..=self.count).take(limit).map(summary).collect()
    }

    fn peek(&self, id: MessageId) -> Result<(Envelope, MessageState), ReadError> {
        match id.as_u64() {
            7 => Err(ReadError::Damaged { id, problem: "bad checksum".to_owned() }),
            8 => Err(ReadError::Unknown(id)),
            _ => {
                let observed = Observed { spf: Some(SpfVerdict::Pass), ..Observed::default() };
                Ok((envelope(), MessageState { observed, ..MessageState::new(1) }))
            }
        }
    }

    fn read(&self, id: MessageId) -> Result<Held, ReadError> {
        let (envelope, state) = self.peek(id)?;
        let content = match id.as_u64() {
            2 => &b"\r\nno header"[..],
            3 => b"Subject: no end",
            _ => b"Subject: hello\r\nFrom: ann\r\n\r\nSecret: text\r\n\r\n",
        };
        Ok(Held { envelope, state, content: Content::Memory(Bytes::from_static(content)) })
    }

    fn set_aside(&self) -> io::Result<Vec<SetAside>> {
        let part = |name: &str, torn| SetAside { name: name.to_owned(), size: SET_ASIDE as u64, since: ARRIVED, torn };
        Ok(vec![part("0000000001-512.batch", false), part("0000000002.torn", true)])
    }

    fn read_set_aside(&self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let known = self.set_aside()?.iter().any(|part| part.name == name);
        let left = SET_ASIDE.saturating_sub(usize::try_from(offset).unwrap_or(usize::MAX));
        if known { Ok(vec![b'x'; left.min(limit)]) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn discard_set_aside(&self, name: &str) -> io::Result<()> {
        self.read_set_aside(name, 0, 0)?;
        self.calls.lock().push(format!("discard {name}"));
        Ok(())
    }
}

/// A fake relay behind a real Unix socket.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    /// What is served.
    pub(super) fake: Arc<Fake>,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Serves a relay that holds so many messages.
    pub(crate) async fn start(count: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listeners = bind(&backupmx_relay_config::AdminConfig::default(), folder.path()).await.unwrap();
        let (fake, shutdown) = (Fake::new(count), CancellationToken::new());
        let server = tokio::spawn(serve(Arc::clone(&fake), listeners, shutdown.clone()));
        Self { folder, fake, shutdown, server }
    }

    /// The command line's client for it.
    pub(crate) fn client(&self) -> Client {
        let args = RelayArgs { spool: Some(self.folder.path().into()), ..RelayArgs::default() };
        Client::new(&args, &Surroundings::default()).unwrap()
    }

    /// A connection to it.
    pub(super) async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join("control.sock")).await.unwrap()
    }

    /// Shuts it down, and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(Duration::from_secs(10), self.server).await.expect("it ends").unwrap();
    }
}
