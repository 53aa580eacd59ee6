//! The server that mail is held for.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// The server that the mail is for: either `hosts` or `serviceRef`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "has(self.hosts) != has(self.serviceRef)",
        "primary: must have either hosts (names or addresses) or serviceRef (a Service in this namespace)",
    ),
    validation = (
        "has(self.mx) || !has(self.serviceRef)",
        "primary.mx: must be given together with serviceRef: the public name of the primary, as it is in DNS",
    ),
    validation = (
        "has(self.mx) || !has(self.hosts) || \
         self.hosts.exists(h, h.port == 25 && !isIP(h.host))",
        "primary.mx: must be given where no host has a name and port 25: the public name of the primary, as it is in \
         DNS",
    ),
    validation = (
        "self.tls.mode != 'Verify' || \
         has(self.hosts) && self.hosts.all(h, !isIP(h.host))",
        "primary.tls.mode: Verify needs host names, because a certificate is issued for a name; use Require for \
         addresses and serviceRef",
    ),
)]
pub struct Primary {
    /// The mail servers to hand the mail to, or the filtering proxies in front of them: 1 to 10. The lowest
    /// preference is tried first, equal ones at random.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(validation = (
        "self.all(h, self.exists_one(g, g.host == h.host && g.port == h.port))",
        "primary.hosts: must not name the same host and port twice",
    ))]
    pub hosts: Vec<PrimaryHost>,
    /// The primary is a Service in this namespace. Held mail is handed over within seconds of one of its pods
    /// becoming ready. Needs `mx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceRef>,
    /// The primary's MX records, 1 to 10: they are published together with the relays' own, because an MX record set
    /// is owned whole. Default: those of `hosts` that have a name and port 25; must be given where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(validation = (
        "self.all(m, self.exists_one(n, n.host == m.host))",
        "primary.mx: must not name the same host twice",
    ))]
    pub mx: Vec<MxHost>,
    /// How the way to the primary is encrypted.
    #[serde(default)]
    pub tls: PrimaryTls,
}

/// One server of the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrimaryHost {
    /// A host name, looked up whenever mail is due, or an IP address.
    #[schemars(schema_with = "schema::host")]
    pub host: String,
    /// Its SMTP port, 1 to 65535. Default 25.
    #[serde(default = "smtp_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Lower is tried first, 0 to 65535; also the preference of its MX record where `mx` is not given. Default 10.
    #[serde(default = "default_preference")]
    pub preference: u16,
}

/// A primary in this namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// The name of the Service.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// The port of the Service, 1 to 65535. Default 25.
    #[serde(default = "smtp_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
}

/// One MX record of the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MxHost {
    /// The public host name of the primary: not an address, and not an alias (CNAME), which an MX record must not
    /// point at.
    #[schemars(schema_with = "schema::hostname")]
    pub host: String,
    /// The preference of the record, 0 to 65535; senders try the lowest first. Default 10.
    #[serde(default = "default_preference")]
    pub preference: u16,
}

/// How the way to the primary is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrimaryTls {
    /// `None`: STARTTLS is not used. `Opportunistic`: it is used where it is offered, with any certificate, and mail
    /// goes in the clear where it fails. `Require`: no delivery without it, any certificate will do. `Verify`: no
    /// delivery without a certificate for the host's name from a public authority. Default `Opportunistic`.
    #[serde(default)]
    pub mode: PrimaryTlsMode,
}

/// How much encryption a session with the primary must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PrimaryTlsMode {
    /// STARTTLS is not used.
    None,
    /// STARTTLS where it is offered, with any certificate; in the clear where it fails.
    #[default]
    Opportunistic,
    /// STARTTLS with any certificate, or no delivery.
    Require,
    /// STARTTLS with a certificate for the host's name from a public authority, or no delivery.
    Verify,
}

const fn smtp_port() -> u16 {
    25
}

const fn default_preference() -> u16 {
    10
}
