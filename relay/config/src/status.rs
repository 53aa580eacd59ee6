//! What a relay says of itself: `GET /v1/status`. The operator reads it, `backupmx-relay status` prints it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A relay's own account of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayStatus {
    /// The program's version.
    pub version: String,
    /// A short text that is another one whenever something changes that a person would see at a glance: whether mail
    /// waits, a primary's state, the config, how full the volume is. None: the relay is too old to wait for a change.
    #[serde(default)]
    pub generation: Option<String>,
    /// The contract version that it reads.
    pub contract_version: u32,
    /// The revision of the config in force.
    pub config_revision: u64,
    /// The revision that is kept beside the mail: whatever starts on that folder runs on this one, or on a later one,
    /// however old the file is that it finds. It is written before `configRevision` says the same, and lags behind only
    /// while it cannot be written. None: nothing is kept, as where there is no admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_kept: Option<u64>,
    /// Why the last config that was offered was refused; none after one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// The relay's name.
    pub hostname: String,
    /// When the program started, RFC 3339.
    pub started: String,
    /// The addresses that take mail, with the ports that were really bound.
    pub listeners: Vec<SocketAddr>,
    /// Whether mail is taken now, over all.
    pub accepting: Accepting,
    /// All held mail together.
    pub queue: QueueStatus,
    /// Transactions that may still become held mail: from the first recipient taken until the message is held or
    /// refused. Counted after `configRevision` was read and before what is held, so that a status with none here and none
    /// held says: no mail taken under an older config is held, or will be. None: the relay is too old to say.
    #[serde(default)]
    pub in_flight: Option<u64>,
    /// The spool volume.
    pub storage: StorageStatus,
    /// Each tenant.
    pub tenants: Vec<TenantStatus>,
    /// Held mail whose domain is no longer any tenant's; kept until a person decides.
    pub orphaned: QueueStatus,
    /// Reports to senders that wait to be sent.
    pub reports: QueueStatus,
    /// Set while the wall clock is not believed: nothing expires until a person confirms it.
    pub clock_jumped: bool,
    /// It discards all that it holds for a domain when it is told to (`POST /v1/discard?domain=`). False: it is too old to.
    #[serde(default)]
    pub discards_domains: bool,
}

/// What came of `POST /v1/discard?domain=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discarded {
    /// Messages that were discarded.
    pub discarded: u64,
    /// Messages that are held for the domain still: those that were being delivered, and those for which one request has
    /// no time.
    pub left: u64,
}

/// Whether mail is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Accepting {
    /// Yes.
    Yes,
    /// 452: the volume is full up to its reserve.
    StorageFull,
    /// 421: the program is leaving.
    ShuttingDown,
}

/// A count of held mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStatus {
    /// Messages, whatever they wait for.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of them, held for a person: rejected by a primary, or in a loop. What a primary refused while it was on trial
    /// waits for the end of that, or of a storm of rejects; it counts where the primary refused all in a whole trial.
    pub held: u64,
    /// Of them, parked: undeliverable, and their sender may not be told.
    pub parked: u64,
    /// When the oldest arrived, RFC 3339; none where nothing is held.
    pub oldest_message_time: Option<String>,
    /// When the oldest arrived of those that are not parked, RFC 3339: the end of its hold time is still to come. Where more
    /// than a thousand older ones are parked it is their age. None: nothing but parked mail is held, or the relay is too
    /// old to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_time: Option<String>,
}

/// The spool volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// Bytes that the spool takes.
    pub used: u64,
    /// Bytes that it may still take before mail is refused with 452.
    pub available: u64,
    /// Its size: the configured one or the volume's, the smaller.
    pub size: u64,
    /// Damaged parts that were set aside, in files.
    pub quarantined: u64,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// Its name.
    pub name: String,
    /// Its domains, as A-labels.
    pub domains: Vec<String>,
    /// Its primary.
    pub primary: PrimaryStatus,
    /// Its held mail.
    pub queue: QueueStatus,
    /// Transactions for its domains that may still become held mail; see [`RelayStatus::in_flight`].
    #[serde(default)]
    pub in_flight: Option<u64>,
    /// Deliveries are switched off by the config or by a person.
    pub suspended: bool,
}

/// How the primary looks from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrimaryStatus {
    /// Its state.
    pub state: PrimaryState,
    /// Since when, RFC 3339.
    pub since: String,
    /// When it is tried next, RFC 3339; none where nothing is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_probe: Option<String>,
    /// The last failure, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Set while a storm of rejects is on: nothing is delivered or bounced until one is accepted or a person resumes.
    pub reject_storm: bool,
    /// Set while the primary's host turns out to be this relay itself: mail for it would go in a circle and is held.
    #[serde(default)]
    pub looping: bool,
}

/// The state of a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PrimaryState {
    /// Not looked at yet.
    Unknown,
    /// It takes mail.
    Up,
    /// A session failed; a probe decides.
    Suspect,
    /// Every host fails.
    Down,
    /// It answers, but takes no message (4.3.x or 4.4.x to all).
    Deferring,
    /// Back, and still on trial: no reject is final.
    Recovering,
}

impl PrimaryState {
    /// Every one of them.
    pub const ALL: [Self; 6] = [Self::Unknown, Self::Up, Self::Suspect, Self::Down, Self::Deferring, Self::Recovering];
}
