//! What the admin API may ask of the relay: the seam between HTTP and the rest, so that each is tested alone.

use std::{io, sync::Arc};

use backupmx_relay_config::{
    DomainName,
    status::{Discarded, RelayStatus},
};
use prometheus::Registry;

use crate::{
    active::Active,
    engine::{ConfigSource, Engine, EngineError},
    message::{Envelope, MessageId, MessageState},
    spool::{Held, ReadError, SetAside, Summary},
};

/// What can be asked for a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantVerb {
    /// Try the primary at once and make all its mail due.
    Flush,
    /// Stop deliveries.
    Suspend,
    /// Start them again.
    Resume,
}

impl TenantVerb {
    /// Every verb.
    pub const ALL: [Self; 3] = [Self::Flush, Self::Suspend, Self::Resume];

    /// Its name in paths and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }
}

/// What can be asked for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageVerb {
    /// Put it in the queue again.
    Release,
    /// Give it up and tell its sender.
    Bounce,
    /// Remove it without a word.
    Discard,
}

impl MessageVerb {
    /// Every verb.
    pub const ALL: [Self; 3] = [Self::Release, Self::Bounce, Self::Discard];

    /// Its name in paths and commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Bounce => "bounce",
            Self::Discard => "discard",
        }
    }
}

/// What the admin API may ask of the relay.
pub trait Control: Send + Sync + 'static {
    /// What the relay says of itself.
    fn status(&self) -> RelayStatus;

    /// Whether mail can be taken.
    fn is_ready(&self) -> bool;

    /// The config in force.
    fn active(&self) -> Arc<Active>;

    /// The counters.
    fn registry(&self) -> &Registry;

    /// Puts a document in force that came over the API; returns the revision in force.
    fn apply(&self, document: &str) -> impl Future<Output = Result<u64, EngineError>> + Send;

    /// Does something for one tenant, or all.
    fn for_tenant(
        &self,
        verb: TenantVerb,
        tenant: Option<&str>,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Does something to one message.
    fn for_message(&self, verb: MessageVerb, id: MessageId) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Discards all that is held for a domain whose mail is not taken any more.
    fn discard_domain(&self, domain: &DomainName) -> impl Future<Output = Result<Discarded, EngineError>> + Send;

    /// A page of held mail, oldest first.
    fn list(&self, domain: Option<&DomainName>, after: Option<MessageId>, limit: usize) -> Vec<Summary>;

    /// A held message's envelope and state. Blocks on the disk.
    ///
    /// # Errors
    /// It is not held, or damaged.
    fn peek(&self, id: MessageId) -> Result<(Envelope, MessageState), ReadError>;

    /// A held message with its content. Blocks on the disk.
    ///
    /// # Errors
    /// It is not held, or damaged.
    fn read(&self, id: MessageId) -> Result<Held, ReadError>;

    /// The damaged parts of the spool that were set aside, the oldest first. Blocks on the disk.
    ///
    /// # Errors
    /// The folder cannot be read.
    fn set_aside(&self) -> io::Result<Vec<SetAside>>;

    /// At most `limit` octets of one of them; none behind its end. Blocks on the disk.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be read.
    fn read_set_aside(&self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>>;

    /// Removes one of them for ever. Blocks on the disk.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be removed.
    fn discard_set_aside(&self, name: &str) -> io::Result<()>;
}

impl Control for Engine {
    fn status(&self) -> RelayStatus {
        self.status()
    }

    fn is_ready(&self) -> bool {
        self.is_ready()
    }

    fn active(&self) -> Arc<Active> {
        self.config.load_full()
    }

    fn registry(&self) -> &Registry {
        &self.metrics.registry
    }

    async fn apply(&self, document: &str) -> Result<u64, EngineError> {
        self.apply_config(document, ConfigSource::Api).await
    }

    async fn for_tenant(&self, verb: TenantVerb, tenant: Option<&str>) -> Result<(), EngineError> {
        match verb {
            TenantVerb::Flush => self.flush(tenant).await,
            TenantVerb::Suspend => self.suspend(tenant).await,
            TenantVerb::Resume => self.resume(tenant).await,
        }
    }

    async fn for_message(&self, verb: MessageVerb, id: MessageId) -> Result<(), EngineError> {
        match verb {
            MessageVerb::Release => self.release(id).await,
            MessageVerb::Bounce => self.bounce(id).await,
            MessageVerb::Discard => self.discard(id).await,
        }
    }

    async fn discard_domain(&self, domain: &DomainName) -> Result<Discarded, EngineError> {
        self.discard_domain(domain).await
    }

    fn list(&self, domain: Option<&DomainName>, after: Option<MessageId>, limit: usize) -> Vec<Summary> {
        self.spool.list(domain, after, limit)
    }

    fn peek(&self, id: MessageId) -> Result<(Envelope, MessageState), ReadError> {
        self.spool.peek(id)
    }

    fn read(&self, id: MessageId) -> Result<Held, ReadError> {
        self.spool.read(id)
    }

    fn set_aside(&self) -> io::Result<Vec<SetAside>> {
        self.spool.set_aside()
    }

    fn read_set_aside(&self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        self.spool.read_set_aside(name, offset, limit)
    }

    fn discard_set_aside(&self, name: &str) -> io::Result<()> {
        self.spool.discard_set_aside(name)
    }
}
