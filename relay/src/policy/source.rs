//! Where a client is, for counting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one client has to itself: an IPv4 address, or the /64 of an IPv6 one, in which a host picks its addresses freely
/// (RFC 6177, RFC 8981). The first address of it.
#[must_use]
pub fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// The network of an address: its /24, or its /48 of IPv6. The first address of it.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_counted_together() {
        for (address, alone, together) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.0"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(host(address), alone.parse::<IpAddr>().unwrap());
            assert_eq!(network(address), together.parse::<IpAddr>().unwrap());
        }
    }
}
