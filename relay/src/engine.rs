//! The handle to a running relay: what the admin API and the signal handlers may ask of it. (stub)

use std::sync::Arc;

use backupmx_relay_config::status::RelayStatus;

use crate::{active::SharedConfig, message::MessageId, metrics::Metrics, spool::Spool};

/// Why a request to the relay failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No tenant has that name or domain.
    #[error("no tenant is named {0:?} or has that domain; `backupmx-relay status` lists them")]
    NoTenant(String),
    /// No such message is held.
    #[error("no message {0} is held")]
    NoMessage(MessageId),
    /// The message is being delivered right now.
    #[error("message {0} is being delivered right now; try again in a moment")]
    Busy(MessageId),
    /// The config offered over the API is not newer than the one in force.
    #[error("revision {offered} is not higher than {in_force}, which is in force; nothing was changed")]
    OldRevision {
        /// The revision of the document.
        offered: u64,
        /// The revision in force.
        in_force: u64,
    },
    /// The request does not fit the message or the config.
    #[error("{0}")]
    Refused(String),
    /// The spool failed.
    #[error("{0}")]
    Spool(String),
}

/// Where a new config came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The file changed, or SIGHUP came: any revision is taken.
    File,
    /// `PUT /v1/config`: the revision must be higher than the one in force.
    Api,
}

/// The handle to a running relay. Cheap to share.
#[derive(Debug)]
pub struct Engine {
    /// The config in force.
    pub config: SharedConfig,
    /// The spool.
    pub spool: Arc<Spool>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Engine {
    /// What the relay says of itself.
    #[must_use]
    pub fn status(&self) -> RelayStatus {
        unimplemented!("stub")
    }

    /// Whether the spool is open and mail can be taken (a full disk or a primary that is away do not matter).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        false
    }

    /// Puts a new config (YAML or JSON) in force, or keeps the old one. Returns the revision now in force.
    ///
    /// # Errors
    /// The document is wrong (line, path, expected form), too old, or changes what takes a restart.
    pub async fn apply_config(&self, _document: &str, _source: ConfigSource) -> Result<u64, EngineError> {
        Err(EngineError::Refused("stub".to_owned()))
    }

    /// Tries the primary of a tenant (its name or one of its domains) at once and makes all its mail due; none: of all.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn flush(&self, _tenant: Option<&str>) -> Result<(), EngineError> {
        Ok(())
    }

    /// Stops deliveries to a tenant's primary until [`Self::resume`]; none: to all. Survives a restart.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn suspend(&self, _tenant: Option<&str>) -> Result<(), EngineError> {
        Ok(())
    }

    /// Undoes [`Self::suspend`], ends a reject storm, confirms a wall clock that jumped.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn resume(&self, _tenant: Option<&str>) -> Result<(), EngineError> {
        Ok(())
    }

    /// Queues a held or parked message for delivery again.
    ///
    /// # Errors
    /// It is not held, or busy.
    pub async fn release(&self, _id: MessageId) -> Result<(), EngineError> {
        Ok(())
    }

    /// Gives a message up and tells its sender, whatever `bounce.policy` says (but never the null sender).
    ///
    /// # Errors
    /// It is not held, busy, or has no sender.
    pub async fn bounce(&self, _id: MessageId) -> Result<(), EngineError> {
        Ok(())
    }

    /// Removes a message without a word to its sender; logged.
    ///
    /// # Errors
    /// It is not held, or busy.
    pub async fn discard(&self, _id: MessageId) -> Result<(), EngineError> {
        Ok(())
    }
}
