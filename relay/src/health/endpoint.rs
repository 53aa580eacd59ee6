//! The addresses of a primary, each with its own back-off.

use std::{fmt, net::SocketAddr};

use backupmx_relay_config::DomainName;

/// One address of a primary, and the host name that it was found under (TLS may be judged by it).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    /// The host's name; none where the config gives an address.
    pub host: Option<DomainName>,
    /// The address and the port.
    pub address: SocketAddr,
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// An endpoint as the look-up found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The endpoint.
    pub key: EndpointKey,
    /// Lower is tried first.
    pub preference: u16,
}
