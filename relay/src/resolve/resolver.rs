//! The look-ups themselves, each within a time.

use std::{net::IpAddr, sync::Arc, time::Duration};

use backupmx_relay_config::{DomainName, Host, ResolverConfig};
use hickory_resolver::{
    TokioResolver,
    config::{self as dns, NameServerConfig, ResolveHosts, ResolverOpts},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::{MxAnswer, mx};

/// How long one look-up may take, with all its tries.
const LIMIT: Duration = Duration::from_secs(5);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);
/// How long an answer is believed at most: a primary that has moved is found within an hour whatever its TTL says.
const BELIEVED: Duration = Duration::from_secs(3600);
/// How long a "no" is believed at most: a record that was forgotten and added is seen soon.
const DENIED: Duration = Duration::from_secs(60);

/// Why a look-up brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name does not exist (NXDOMAIN).
    #[error("the name {0} does not exist in DNS")]
    NotFound(DomainName),
    /// The name exists and has no address.
    #[error("the name {0} has no address in DNS")]
    NoAddress(DomainName),
    /// DNS did not answer, or said that it cannot now.
    #[error("DNS does not answer for {name}: {problem}")]
    Temporary {
        /// The name asked for.
        name: DomainName,
        /// What happened.
        problem: String,
    },
    /// DNS did not answer for an address, or said that it cannot now.
    #[error("DNS does not answer for the name of {address}: {problem}")]
    Reverse {
        /// The address asked for.
        address: IpAddr,
        /// What happened.
        problem: String,
    },
    /// It is read, and no resolver can be made of it.
    #[error("failed to set up the resolver: {0}")]
    Setup(String),
    /// The system's resolver configuration cannot be read.
    #[error("failed to read the system's resolver configuration: {0}; name servers can be listed in the config")]
    System(String),
}

impl ResolveError {
    /// Whether asking again is of no use: DNS has said no.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::NoAddress(_))
    }
}

/// Looks up names. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    limit: Duration,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

/// Whom to ask, and how patiently, in hickory's terms.
fn hickory(config: &ResolverConfig) -> Result<(dns::ResolverConfig, ResolverOpts), ResolveError> {
    let (servers, mut options) = if config.nameservers.is_empty() {
        read_system_conf().map_err(|error| ResolveError::System(error.to_string()))?
    } else {
        let servers = config.nameservers.iter().map(|address| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        });
        (dns::ResolverConfig::from_name_servers(servers.collect()), ResolverOpts::default())
    };
    options.timeout = TRY;
    options.attempts = 2;
    options.positive_max_ttl = Some(BELIEVED);
    options.negative_max_ttl = Some(DENIED);
    Ok((servers, options))
}

/// What the resolver would make connections over TLS with. It makes none: name servers are asked in the clear. Without a
/// configuration of ours it would look for the system's certificates, and a system without any would have no resolver.
fn unused_tls() -> Result<ClientConfig, rustls::Error> {
    Ok(ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

enum Failure {
    NoName,
    NoData,
    Temporary(String),
}

impl Resolver {
    /// A resolver as configured. Asks nothing yet.
    ///
    /// # Errors
    /// No name servers are listed, and the system's configuration cannot be read.
    pub fn new(config: &ResolverConfig) -> Result<Self, ResolveError> {
        Self::with_limit(config, LIMIT)
    }

    /// A resolver for what strangers say of themselves: their names and their SPF records. The machine's own hosts file,
    /// which the other one follows for primaries, has no say in that.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_strangers(config: &ResolverConfig) -> Result<Self, ResolveError> {
        let (servers, mut options) = hickory(config)?;
        options.use_hosts_file = ResolveHosts::Never;
        Self::build(servers, options, LIMIT)
    }

    /// A resolver whose look-ups take at most that long.
    pub(super) fn with_limit(config: &ResolverConfig, limit: Duration) -> Result<Self, ResolveError> {
        let (servers, options) = hickory(config)?;
        Self::build(servers, options, limit)
    }

    fn build(servers: dns::ResolverConfig, options: ResolverOpts, limit: Duration) -> Result<Self, ResolveError> {
        TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
            .with_options(options)
            .with_tls_config(unused_tls().map_err(|error| ResolveError::Setup(error.to_string()))?)
            .build()
            .map(|inner| Self { inner, limit })
            .map_err(|error| ResolveError::Setup(error.to_string()))
    }

    /// The addresses of a host (A, then AAAA; CNAMEs followed, SRV not), none twice. An address literal is itself.
    ///
    /// # Errors
    /// The name does not exist, has no address, or DNS did not answer. Where one of A and AAAA is found, the other's
    /// failure does not matter; where none is, "no" is believed only if both said so.
    pub async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, ResolveError> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        let (v4, v6) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let mut addresses = Vec::new();
        for data in [&v4, &v6].into_iter().flatten().flatten() {
            match data.ip_addr() {
                Some(address) if !addresses.contains(&address) => addresses.push(address),
                _ => {}
            }
        }
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        Err(match (v4.err(), v6.err()) {
            (Some(Failure::Temporary(problem)), _) | (_, Some(Failure::Temporary(problem))) => {
                ResolveError::Temporary { name: name.clone(), problem }
            }
            (Some(Failure::NoName), _) | (_, Some(Failure::NoName)) => ResolveError::NotFound(name.clone()),
            _ => ResolveError::NoAddress(name.clone()),
        })
    }

    /// Where a domain takes its mail: by preference, at random among equals.
    ///
    /// # Errors
    /// The domain does not exist, or DNS did not answer.
    pub async fn mx(&self, domain: &DomainName) -> Result<MxAnswer, ResolveError> {
        let records = match self.ask(domain, RecordType::MX).await {
            Ok(records) => records,
            Err(Failure::NoData) => return Ok(MxAnswer::Implicit(domain.clone())),
            Err(Failure::NoName) => return Err(ResolveError::NotFound(domain.clone())),
            Err(Failure::Temporary(problem)) => {
                return Err(ResolveError::Temporary { name: domain.clone(), problem });
            }
        };
        let records: Vec<(u16, String)> = records
            .iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii().trim_end_matches('.').to_owned())),
                _ => None,
            })
            .collect();
        if records.is_empty() {
            return Ok(MxAnswer::Implicit(domain.clone()));
        }
        Ok(mx::order(&records, rand::random))
    }

    /// The names of an address in reverse DNS, at most `limit`; what is no domain name is left out. None where the
    /// address has none.
    ///
    /// # Errors
    /// DNS did not answer.
    pub async fn names(&self, address: IpAddr, limit: usize) -> Result<Option<Vec<DomainName>>, ResolveError> {
        let records = match self.ask_absolute(Name::from(address), RecordType::PTR).await {
            Ok(records) => records,
            Err(Failure::NoData | Failure::NoName) => return Ok(None),
            Err(Failure::Temporary(problem)) => return Err(ResolveError::Reverse { address, problem }),
        };
        let mut pointers = records.iter().filter(|data| matches!(data, RData::PTR(_))).peekable();
        if pointers.peek().is_none() {
            return Ok(None);
        }
        let name = |data: &RData| match data {
            RData::PTR(name) => name.to_ascii().trim_end_matches('.').parse().ok(),
            _ => None,
        };
        Ok(Some(pointers.filter_map(name).take(limit).collect()))
    }

    /// The same resolver for those who speak hickory's terms.
    pub(crate) fn inner(&self) -> TokioResolver {
        self.inner.clone()
    }

    /// The records of a name, absolute: no search list of the system turns it into another.
    async fn ask(&self, name: &DomainName, kind: RecordType) -> Result<Vec<RData>, Failure> {
        let mut absolute = Name::from_ascii(name.as_str()).map_err(|error| Failure::Temporary(error.to_string()))?;
        absolute.set_fqdn(true);
        self.ask_absolute(absolute, kind).await
    }

    async fn ask_absolute(&self, absolute: Name, kind: RecordType) -> Result<Vec<RData>, Failure> {
        match tokio::time::timeout(self.limit, self.inner.lookup(absolute, kind)).await {
            Ok(Ok(found)) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Err(error)) => Err(judge(&error)),
            Err(_) => Err(Failure::Temporary(format!("no answer in {} s", self.limit.as_secs()))),
        }
    }
}

fn judge(error: &NetError) -> Failure {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => match *response_code {
            ResponseCode::NXDomain => Failure::NoName,
            ResponseCode::NoError => Failure::NoData,
            other => Failure::Temporary(other.to_string()),
        },
        other => Failure::Temporary(other.to_string()),
    }
}
