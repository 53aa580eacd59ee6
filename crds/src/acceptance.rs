//! Which mail is taken.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Which mail is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acceptance {
    /// `Immediate`: mail is taken as soon as a relay is ready. `WhenPublished`: relays answer 451 (try again later)
    /// until the MX records are seen in DNS. Default `Immediate`.
    #[serde(default)]
    pub activation: Activation,
    /// What happens to mail that arrives while the primary is up. `Hold`: it is taken and handed over at once.
    /// `Defer`: it is answered 451, so that the sender goes to the primary, which is then always the one who judges
    /// the sender's address. Default `Hold`.
    #[serde(default)]
    pub when_primary_up: WhenPrimaryUp,
    /// Which recipients there are.
    #[serde(default)]
    pub recipients: Recipients,
    /// The largest message that is taken, such as `50Mi`; a larger one is refused. Default 50Mi.
    #[serde(default = "default_message_size")]
    #[schemars(schema_with = "schema::quantity")]
    pub max_message_size: String,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self {
            activation: Activation::default(),
            when_primary_up: WhenPrimaryUp::default(),
            recipients: Recipients::default(),
            max_message_size: default_message_size(),
        }
    }
}

/// From when on mail is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Activation {
    /// As soon as a relay is ready.
    #[default]
    Immediate,
    /// When the MX records are seen in DNS.
    WhenPublished,
}

/// What happens to mail that arrives while the primary is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenPrimaryUp {
    /// It is taken and handed over at once.
    #[default]
    Hold,
    /// It is answered 451, so that the sender goes to the primary.
    Defer,
}

/// Which recipients there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.mode != 'List' || has(self.list) || has(self.configMapRef)",
        "acceptance.recipients.list: must be given, or configMapRef, where mode is List; otherwise all mail would be \
         refused",
    ),
    validation = (
        "self.mode == 'List' || !has(self.list) && !has(self.configMapRef)",
        "acceptance.recipients.mode: must be List where list or configMapRef is given",
    ),
)]
pub struct Recipients {
    /// `Any`: mail for every local part of the domains is taken, and the primary judges later. `List`: only
    /// recipients that are listed, and `postmaster`; others are refused. Default `Any`.
    #[serde(default)]
    pub mode: RecipientMode,
    /// With `List`: at most 1000 local parts (`info`, which counts in every domain of the resource) or addresses
    /// (`info@example.org`). Case is ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::recipients")]
    pub list: Vec<String>,
    /// With `List`: more recipients, in a ConfigMap in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
}

/// How it is known whether a recipient exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecipientMode {
    /// Every local part is taken; the primary judges later.
    #[default]
    Any,
    /// Only what is listed is taken.
    List,
}

/// One key of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// The name of the ConfigMap.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// The key whose text holds one recipient a line; empty lines and lines that start with `#` do not count. Default
    /// `recipients`.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_message_size() -> String {
    "50Mi".to_owned()
}

fn default_key() -> String {
    "recipients".to_owned()
}
