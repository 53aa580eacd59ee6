//! How many connections there may be: in all, from one address, from one network.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use backupmx_relay_config::Limits;
use parking_lot::Mutex;

use crate::policy::network;

/// Open files that are kept for other things than connections, where there are enough.
const RESERVE: u64 = 200;

/// Counts the connections that are open. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Bounds(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    addresses: HashMap<IpAddr, u32>,
    networks: HashMap<IpAddr, u32>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    bounds: Bounds,
    address: IpAddr,
}

/// Which bound a connection would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Connections in all.
    Total,
    /// Connections from one address.
    Address,
    /// Connections from one network.
    Network,
}

impl Exceeded {
    /// A word for logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Total => "too_many",
            Self::Address => "too_many_from_address",
            Self::Network => "too_many_from_network",
        }
    }

    /// The answer in place of a greeting, with its CRLF.
    #[must_use]
    pub const fn greeting(self) -> &'static [u8] {
        match self {
            Self::Total => b"421 4.7.0 Too many connections; try again later\r\n",
            Self::Address => b"421 4.7.0 Too many connections from your address; try again later\r\n",
            Self::Network => b"421 4.7.0 Too many connections from your network; try again later\r\n",
        }
    }
}

/// How many connections there may be where the process may have so many files open (none: any number). The rest, a
/// quarter but at least 200, is for the spool, for deliveries and for administration; of few files it is half.
#[must_use]
pub fn connections_within(files: Option<u64>) -> u32 {
    let Some(files) = files else { return u32::MAX };
    let reserve = (files / 4).max(RESERVE).min(files / 2);
    u32::try_from(files - reserve).unwrap_or(u32::MAX)
}

impl Bounds {
    /// Gives a connection a place within the limits, of which `files` is how many files may be open.
    ///
    /// # Errors
    /// A bound would be exceeded.
    pub fn admit(&self, address: IpAddr, limits: &Limits, files: Option<u64>) -> Result<Place, Exceeded> {
        let address = address.to_canonical();
        let network = network(address);
        let mut counts = self.0.lock();
        if counts.total >= limits.connections.min(connections_within(files)) {
            return Err(Exceeded::Total);
        }
        if counts.addresses.get(&address).is_some_and(|count| *count >= limits.connections_per_address) {
            return Err(Exceeded::Address);
        }
        if counts.networks.get(&network).is_some_and(|count| *count >= limits.connections_per_network) {
            return Err(Exceeded::Network);
        }
        counts.total += 1;
        *counts.addresses.entry(address).or_default() += 1;
        *counts.networks.entry(network).or_default() += 1;
        drop(counts);
        Ok(Place { bounds: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.bounds.0.lock();
        counts.total = counts.total.saturating_sub(1);
        leave(&mut counts.addresses, self.address);
        leave(&mut counts.networks, network(self.address));
    }
}

fn leave(counts: &mut HashMap<IpAddr, u32>, key: IpAddr) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_holds_and_places_come_back() {
        let limits =
            Limits { connections: 4, connections_per_address: 2, connections_per_network: 3, ..Limits::default() };
        let bounds = Bounds::default();
        let admit = |address: &str| bounds.admit(address.parse().unwrap(), &limits, None);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), Exceeded::Address);
        let _third = admit("192.0.2.2").unwrap();
        assert_eq!(admit("192.0.2.3").unwrap_err(), Exceeded::Network);
        let fourth = admit("2001:db8::1").unwrap();
        assert_eq!(admit("2001:db8:1::1").unwrap_err(), Exceeded::Total);
        drop((first, fourth));
        let _again = admit("192.0.2.1").unwrap();
        let counts = bounds.0.lock();
        assert_eq!((counts.total, counts.addresses.len(), counts.networks.len()), (3, 2, 1));
    }

    #[test]
    fn files_are_kept_for_other_things() {
        let table = [(0, 0), (64, 32), (400, 200), (600, 400), (1024, 768), (4096, 3072), (1 << 40, u32::MAX)];
        for (files, connections) in table {
            assert_eq!(connections_within(Some(files)), connections, "{files}");
        }
        assert_eq!(connections_within(None), u32::MAX);
        let bounds = Bounds::default();
        let admit = |address: &str| bounds.admit(address.parse().unwrap(), &Limits::default(), Some(2));
        let _only = admit("192.0.2.1").unwrap();
        assert_eq!(admit("198.51.100.1").unwrap_err(), Exceeded::Total);
    }
}
