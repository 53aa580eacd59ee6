//! The whole document that a relay runs on.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ByteSize, CONTRACT_VERSION, DomainName, Limits, MailAddress, ReportConfig, Tenant, Timeouts};

/// Everything that a relay runs on. `backupmx-relay config example` prints one with every field explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelayConfig {
    /// The version of this document's form; must be [`CONTRACT_VERSION`].
    #[serde(deserialize_with = "contract_version")]
    pub contract_version: u32,
    /// Rises with every change. `PUT /v1/config` refuses a document whose revision is not higher than the one in
    /// force, unless it is the very document in force. Default 0.
    #[serde(default)]
    pub revision: u64,
    /// The name that the relay gives itself in its greeting, EHLO and Received lines; should be the MX host's name.
    pub hostname: DomainName,
    /// Where mail is taken; one or more.
    pub listeners: Vec<Listener>,
    /// The relay's certificate. Without one it makes a self-signed certificate at every start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// The folder that holds accepted mail.
    pub spool: SpoolConfig,
    /// The administration interfaces.
    #[serde(default)]
    pub admin: AdminConfig,
    /// Who is asked for DNS. Default: the system's resolver.
    #[serde(default)]
    pub resolver: ResolverConfig,
    /// Where mail to the bare `<postmaster>` goes (RFC 5321 4.5.1); must be in a domain of a tenant. Default: that
    /// mailbox at the first tenant's first domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<MailAddress>,
    /// How reports to senders are sent.
    #[serde(default)]
    pub reports: ReportConfig,
    /// The bounds on clients, memory and time.
    #[serde(default)]
    pub limits: Limits,
    /// How long each step of handing mail over may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whose mail is taken. An empty list answers 451 to every recipient.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

/// One address on which mail is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Address and port, such as `0.0.0.0:2525` or `[::]:2525`. Changing it takes a restart.
    #[serde(deserialize_with = "socket_address")]
    pub address: SocketAddr,
}

/// The relay's own certificate; both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file with the certificate, then its chain.
    pub certificate: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
}

/// The folder that holds accepted mail. Changing it takes a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpoolConfig {
    /// The folder; made if it is missing. One relay a folder.
    pub path: PathBuf,
    /// What the relay may use of the volume. Default: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// The size at which a segment of the log is sealed, 1Mi to 1Gi. Default: 64Mi, less on a small volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_size: Option<ByteSize>,
}

/// The administration interfaces: a Unix socket for the command line, always; over TCP where it is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminConfig {
    /// The Unix socket, mode 0600. Default: `control.sock` in the spool folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// `/healthz`, `/readyz` and `/metrics` over TCP, without a token. Default: not served.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_socket_address")]
    pub health: Option<SocketAddr>,
    /// `/v1` over TCP, with a bearer token. Default: not served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiListener>,
}

/// `/v1` over TCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiListener {
    /// Address and port to listen on.
    #[serde(deserialize_with = "socket_address")]
    pub address: SocketAddr,
    /// The SHA-256 of the bearer token, 64 hexadecimal digits: the token itself is in no file.
    pub token_sha256: TokenHash,
}

/// The SHA-256 of a bearer token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The digest's octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TokenHash {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

/// What is wrong with a text that should be a [`TokenHash`]; the text is not repeated, it may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the SHA-256 of the bearer token: 64 hexadecimal digits (as sha256sum prints)")]
pub struct TokenHashError;

impl FromStr for TokenHash {
    type Err = TokenHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(TokenHashError);
        }
        let mut digest = [0; 32];
        for (octet, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |b: u8| char::from(b).to_digit(16).ok_or(TokenHashError);
            *octet = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).map_err(|_| TokenHashError)?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::load::scalar(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Who is asked for DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResolverConfig {
    /// Name servers with ports, such as `192.0.2.53:53`, asked in turn. Default: those of `/etc/resolv.conf`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "name_servers")]
    pub nameservers: Vec<SocketAddr>,
    /// Networks that a foreign MX may point at although they are loopback, private or link-local. Mail for senders
    /// never goes to such addresses otherwise: a stranger's MX record must not point us into our own network. Clients in
    /// these networks are looked up (reverse DNS and SPF) as public ones are.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "networks")]
    pub allow_private: Vec<IpNet>,
}

/// A value in its usual text form; an error repeats what it got and says the form.
fn parsed<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D, form: &str) -> Result<T, D::Error> {
    let text = crate::load::scalar(deserializer)?;
    text.parse().map_err(|_| de::Error::custom(format!("expected {form}; got {}", crate::wording::Got(&text))))
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parsed(deserializer, "an IP address and a port, such as 0.0.0.0:25 or '[::]:25'")
}

fn optional_socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    struct Address(SocketAddr);

    impl<'de> Deserialize<'de> for Address {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            socket_address(deserializer).map(Self)
        }
    }

    Ok(Option::<Address>::deserialize(deserializer)?.map(|address| address.0))
}

fn name_servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    struct NameServer(SocketAddr);

    impl<'de> Deserialize<'de> for NameServer {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let form = "a name server's IP address and port, such as 192.0.2.53:53 or '[2001:db8::53]:53'";
            parsed(deserializer, form).map(Self)
        }
    }

    Ok(Vec::<NameServer>::deserialize(deserializer)?.into_iter().map(|server| server.0).collect())
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    struct Network(IpNet);

    impl<'de> Deserialize<'de> for Network {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            parsed(deserializer, "a network, such as 10.0.0.0/8 or fd00::/8").map(Self)
        }
    }

    Ok(Vec::<Network>::deserialize(deserializer)?.into_iter().map(|network| network.0).collect())
}

fn contract_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version == CONTRACT_VERSION {
        Ok(version)
    } else {
        Err(de::Error::custom(format!("expected {CONTRACT_VERSION}, the form that this build reads; got {version}")))
    }
}
