//! How long mail is held, how it is handed over, and what senders are told.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// How long mail is held. Nothing expires without a last attempt to deliver it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// How long mail is held from its arrival, such as `7d`: an integer and s, m, h or d. Then it goes back to its
    /// sender. Default 7d.
    #[serde(default = "default_max_age")]
    #[schemars(schema_with = "schema::duration")]
    pub max_age: String,
    /// No mail expires before this moment, whatever its age, such as `2026-12-24T18:00:00Z`: for an outage that will
    /// last longer than `maxAge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extend_until: Option<Time>,
    /// The sender is told once that the mail is late, after this time, such as `4h`. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub warn_sender_after: Option<String>,
}

impl Default for Hold {
    fn default() -> Self {
        Self { max_age: default_max_age(), extend_until: None, warn_sender_after: None }
    }
}

/// How mail is handed over to the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// How often a primary that is down is tried.
    #[serde(default)]
    pub retry: Retry,
    /// Sessions with the primary at once, for each relay: 1 to 100. Default 10.
    #[serde(default = "default_max_connections")]
    #[schemars(range(min = 1, max = 100))]
    pub max_connections: u32,
    /// Keep taking mail, deliver none: for work on the primary. Nothing expires meanwhile. Default false.
    #[serde(default)]
    pub suspended: bool,
    /// What follows when the primary, fully back, refuses held mail for good (5xx). `Bounce`: the sender is told, as
    /// `bounce.policy` allows. `Hold`: it is kept until a person releases, bounces or discards it, or its time ends.
    /// Default `Bounce`.
    #[serde(default)]
    pub on_reject: OnReject,
    /// When so many refusals mean that the primary is broken rather than the mail: then nothing is bounced, delivery
    /// stops, and a person is told.
    #[serde(default)]
    pub reject_storm: RejectStorm,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            max_connections: default_max_connections(),
            suspended: false,
            on_reject: OnReject::default(),
            reject_storm: RejectStorm::default(),
        }
    }
}

/// How often a primary that is down is tried: the first time after `min`, sliding to every `max`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// The first wait, such as `30s`; at least 1s. Default 30s.
    #[serde(default = "default_retry_min")]
    #[schemars(schema_with = "schema::duration")]
    pub min: String,
    /// The longest wait, such as `5m`; at least `min`. Default 5m.
    #[serde(default = "default_retry_max")]
    #[schemars(schema_with = "schema::duration")]
    pub max: String,
}

impl Default for Retry {
    fn default() -> Self {
        Self { min: default_retry_min(), max: default_retry_max() }
    }
}

/// What follows a 5xx of a primary that is fully back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnReject {
    /// The sender is told, as `bounce.policy` allows.
    #[default]
    Bounce,
    /// The mail is held until a person decides, or its hold time ends.
    Hold,
}

/// Refusals after a recovery that mean a broken primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RejectStorm {
    /// So many refusals of distinct recipients at least: 1 or more. Default 5.
    #[serde(default = "default_min_messages")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_messages: u32,
    /// So many in a hundred of all verdicts at least: 1 to 100. Default 50.
    #[serde(default = "default_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
}

impl Default for RejectStorm {
    fn default() -> Self {
        Self { min_messages: default_min_messages(), percent: default_percent() }
    }
}

/// What senders are told about mail that could not be delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bounce {
    /// Who is told. `Always`: every sender. `UnlessForged`: only senders whose domain vouches for the address that
    /// the mail came from (SPF); other mail is parked, that is kept and listed, until its hold time ends. `Never`:
    /// nobody, all of it is parked. Default `UnlessForged`.
    #[serde(default)]
    pub policy: BouncePolicy,
    /// The server that reports are sent through, such as `smtp.example.net` or `smtp.example.net:587`. Default: the
    /// MX hosts of the sender's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::host_port")]
    pub smarthost: Option<String>,
}

/// Which senders are told that their mail was not delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BouncePolicy {
    /// All but the null sender.
    Always,
    /// Those whose domain names the client's address in its SPF record; other mail is parked.
    #[default]
    UnlessForged,
    /// None; all undeliverable mail is parked.
    Never,
}

fn default_max_age() -> String {
    "7d".to_owned()
}

fn default_retry_min() -> String {
    "30s".to_owned()
}

fn default_retry_max() -> String {
    "5m".to_owned()
}

const fn default_max_connections() -> u32 {
    10
}

const fn default_min_messages() -> u32 {
    5
}

const fn default_percent() -> u8 {
    50
}
