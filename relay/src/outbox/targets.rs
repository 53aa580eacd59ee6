//! The servers that a route leads to now, as DNS names them.

use std::net::{IpAddr, SocketAddr};

use backupmx_relay_config::{DomainName, Host, RelayConfig};

use super::route::Route;
use crate::{
    deliver::Endpoint,
    resolve::{MxAnswer, ResolveError, Resolver, may_reach},
};

/// Mail exchangers of one domain that are tried.
const EXCHANGERS: usize = 8;
/// Addresses that are tried.
const ADDRESSES: usize = 16;

/// Why a route leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nowhere {
    /// It never will.
    #[error("{0}")]
    Ever(String),
    /// It may later.
    #[error("{0}")]
    Now(String),
}

impl From<ResolveError> for Nowhere {
    fn from(error: ResolveError) -> Self {
        if error.is_permanent() { Self::Ever(error.to_string()) } else { Self::Now(error.to_string()) }
    }
}

/// The servers that a route leads to, in the order to try them.
pub(super) async fn targets(
    resolver: &Resolver,
    config: &RelayConfig,
    route: &Route,
) -> Result<Vec<Endpoint>, Nowhere> {
    match route {
        // A person has named it: it may be anywhere, and a name that is missing is a mistake that is going to be mended.
        Route::Smarthost(smarthost) => {
            let addresses = resolver.addresses(&smarthost.host).await;
            let addresses = addresses.map_err(|error| Nowhere::Now(error.to_string()))?;
            let name = match &smarthost.host {
                Host::Name(name) => Some(name.clone()),
                Host::Address(_) => None,
            };
            let endpoint = |ip: IpAddr| Endpoint { name: name.clone(), address: SocketAddr::new(ip, smarthost.port) };
            Ok(addresses.into_iter().take(ADDRESSES).map(endpoint).collect())
        }
        Route::Exchangers(domain) => exchangers(resolver, config, domain).await,
    }
}

async fn exchangers(resolver: &Resolver, config: &RelayConfig, domain: &DomainName) -> Result<Vec<Endpoint>, Nowhere> {
    let hosts = match resolver.mx(domain).await? {
        MxAnswer::Null => return Err(Nowhere::Ever(format!("{domain} takes no mail (null MX)"))),
        MxAnswer::Implicit(host) => vec![host],
        MxAnswer::Hosts(hosts) => hosts,
    };
    let ours = own_addresses(resolver, config).await;
    let mut found = Found::default();
    for host in hosts.into_iter().take(EXCHANGERS) {
        if host == config.hostname {
            // Those after it are no nearer to the mailbox than we are (RFC 5321 5.1).
            found.refused = Some(format!("{host} is this relay"));
            break;
        }
        match resolver.addresses(&Host::Name(host.clone())).await {
            Ok(addresses) => found.add(&host, &addresses, &ours, config),
            Err(error) => found.error(error),
        }
    }
    found.finish(domain)
}

/// The addresses that are ours as far as DNS and the config say. A relay behind a load balancer has no other way to know.
async fn own_addresses(resolver: &Resolver, config: &RelayConfig) -> Vec<IpAddr> {
    let named = resolver.addresses(&Host::Name(config.hostname.clone())).await.unwrap_or_default();
    let listening = config.listeners.iter().map(|listener| listener.address.ip());
    named.into_iter().chain(listening.filter(|ip| !ip.is_unspecified())).map(|ip| ip.to_canonical()).collect()
}

/// What the look-ups have brought so far.
#[derive(Debug, Default)]
struct Found {
    endpoints: Vec<Endpoint>,
    /// An address was passed over, or a name that does not exist.
    refused: Option<String>,
    /// A look-up failed for now.
    failed: Option<String>,
}

impl Found {
    fn add(&mut self, host: &DomainName, addresses: &[IpAddr], ours: &[IpAddr], config: &RelayConfig) {
        for address in addresses {
            let allowed = &config.resolver.allow_private;
            let named = allowed.iter().any(|network| network.contains(&address.to_canonical()));
            if !may_reach(*address, allowed) {
                self.refused = Some(format!("{host} has the address {address}, which is not a public one"));
            } else if ours.contains(&address.to_canonical()) && !named {
                self.refused = Some(format!("{host} has the address {address}, which is our own"));
            } else if self.endpoints.len() < ADDRESSES {
                let address = SocketAddr::new(*address, config.reports.mx_port);
                self.endpoints.push(Endpoint { name: Some(host.clone()), address });
            }
        }
    }

    fn error(&mut self, error: ResolveError) {
        if error.is_permanent() {
            self.refused = Some(error.to_string());
        } else {
            self.failed = Some(error.to_string());
        }
    }

    fn finish(self, domain: &DomainName) -> Result<Vec<Endpoint>, Nowhere> {
        match self {
            Self { endpoints, .. } if !endpoints.is_empty() => Ok(endpoints),
            Self { failed: Some(problem), .. } => Err(Nowhere::Now(problem)),
            Self { refused: Some(problem), .. } => Err(Nowhere::Ever(problem)),
            _ => Err(Nowhere::Ever(format!("no MX record of {domain} names a host"))),
        }
    }
}
