//! How many messages a client, a network and a tenant may bring. Pure.
//!
//! The generic cell rate algorithm: of each party one moment is remembered, that at which it will have used up nothing
//! any more. A message moves it on by the time that a message takes at the allowed rate, and is refused where that
//! would put it further ahead than [`BURST`]. It is written out here because a limiter from a library brings its own
//! clock, and a table by address that grows with every stranger; this one is handed the time, and forgets.

use std::{net::IpAddr, time::Duration};

use backupmx_relay_config::Limits;

use super::source::{host, network};
use crate::{clock::Moment, recent::Recent};

/// What may come at once: so long at the allowed rate. A provider whose own trouble is over brings the mail of hours in
/// minutes, and that is no attack.
pub const BURST: Duration = Duration::from_secs(600);

const MINUTE: Duration = Duration::from_secs(60);

/// Parties of each kind that are remembered at least. One that is forgotten starts anew with a full allowance: the
/// memory is bounded, and who has that many addresses is bounded by their networks and by the tenant's rate.
const REMEMBERED: usize = 16_384;

/// Which rate a message would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TooFast {
    /// That of the client's address.
    Address,
    /// That of its network.
    Network,
    /// That of the tenant.
    Tenant,
}

/// How many messages have come from where, and to whom, of late.
#[derive(Debug)]
pub struct Rates {
    addresses: Recent<IpAddr, Moment>,
    networks: Recent<IpAddr, Moment>,
    tenants: Recent<String, Moment>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { addresses: Recent::new(REMEMBERED), networks: Recent::new(REMEMBERED), tenants: Recent::new(REMEMBERED) }
    }
}

impl Rates {
    /// Counts a message for a tenant from a client, at the moment `now`. A rate of 0 is no limit.
    ///
    /// # Errors
    /// It would exceed a rate; it is not counted for any.
    pub fn admit(&mut self, client: IpAddr, tenant: &str, now: Moment, limits: &Limits) -> Result<(), TooFast> {
        let (host, network) = (host(client), network(client));
        let step = |last: Option<&Moment>, rate: u32, reason: TooFast| match rate {
            0 => Ok(None),
            rate => next(last.copied(), now, rate).map(Some).ok_or(reason),
        };
        let address = step(self.addresses.get(&host), limits.messages_per_minute_per_address, TooFast::Address)?;
        let nearby = step(self.networks.get(&network), limits.messages_per_minute_per_network, TooFast::Network)?;
        let served = step(self.tenants.get(tenant), limits.messages_per_minute_per_tenant, TooFast::Tenant)?;
        if let Some(moment) = address {
            self.addresses.insert(host, moment);
        }
        if let Some(moment) = nearby {
            self.networks.insert(network, moment);
        }
        if let Some(moment) = served {
            self.tenants.insert(tenant.to_owned(), moment);
        }
        Ok(())
    }
}

/// The moment to remember after one more message; none where it comes too early.
fn next(last: Option<Moment>, now: Moment, per_minute: u32) -> Option<Moment> {
    let next = last.map_or(now, |last| last.max(now)) + MINUTE / per_minute;
    (next.since(now) <= BURST).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn limits(address: u32, network: u32, tenant: u32) -> Limits {
        Limits {
            messages_per_minute_per_address: address,
            messages_per_minute_per_network: network,
            messages_per_minute_per_tenant: tenant,
            ..Limits::default()
        }
    }

    /// How many of `tries` messages are admitted at one moment.
    fn admitted(rates: &mut Rates, client: &str, tenant: &str, now: Moment, limits: &Limits, tries: u32) -> u32 {
        let client = client.parse().unwrap();
        (0..tries).map(|_| u32::from(rates.admit(client, tenant, now, limits).is_ok())).sum()
    }

    #[test]
    fn ten_minutes_worth_may_come_at_once_and_then_the_rate_holds() {
        let (mut rates, limits) = (Rates::default(), limits(60, 0, 0));
        assert_eq!(admitted(&mut rates, "192.0.2.1", "a", at(1000), &limits, 1000), 600);
        assert_eq!(admitted(&mut rates, "192.0.2.1", "a", at(1000), &limits, 10), 0);
        assert_eq!(admitted(&mut rates, "192.0.2.1", "a", at(1030), &limits, 100), 30);
        assert_eq!(admitted(&mut rates, "192.0.2.1", "a", at(1000 + 86_400), &limits, 1000), 600);
    }

    #[test]
    fn each_party_has_its_own_allowance() {
        let (mut rates, limits) = (Rates::default(), limits(1, 2, 3));
        let mut admit = |client: &str, tenant: &str| rates.admit(client.parse().unwrap(), tenant, at(1), &limits);
        for _ in 0..10 {
            assert_eq!(admit("192.0.2.1", "a"), Ok(()));
        }
        assert_eq!(admit("192.0.2.1", "b"), Err(TooFast::Address));
        for _ in 0..10 {
            assert_eq!(admit("192.0.2.2", "a"), Ok(()));
        }
        assert_eq!(admit("192.0.2.3", "b"), Err(TooFast::Network), "the /24 has brought 20");
        for _ in 0..10 {
            assert_eq!(admit("198.51.100.1", "a"), Ok(()));
        }
        assert_eq!(admit("203.0.113.1", "a"), Err(TooFast::Tenant), "it has got 30");
        assert_eq!(admit("203.0.113.1", "b"), Ok(()));
    }

    #[test]
    fn the_addresses_of_one_ipv6_host_are_counted_together() {
        let (mut rates, limits) = (Rates::default(), limits(1, 0, 0));
        let clients = (0..20).map(|n| format!("2001:db8::{n:x}"));
        assert_eq!(clients.map(|client| admitted(&mut rates, &client, "a", at(1), &limits, 1)).sum::<u32>(), 10);
        assert_eq!(admitted(&mut rates, "2001:db8:0:1::1", "a", at(1), &limits, 1), 1);
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = limits(0, 0, 0);
        assert_eq!(admitted(&mut Rates::default(), "192.0.2.1", "a", at(1), &limits, 50_000), 50_000);
    }

    #[test]
    fn a_refused_message_is_counted_for_nobody() {
        let (mut rates, limits) = (Rates::default(), limits(1, 2, 0));
        assert_eq!(admitted(&mut rates, "192.0.2.1", "a", at(1), &limits, 1000), 10);
        assert_eq!(admitted(&mut rates, "192.0.2.2", "a", at(1), &limits, 1000), 10, "the network has 10 left");
    }

    #[test]
    fn the_defaults_let_a_provider_bring_what_it_has_kept_back() {
        let (mut rates, limits) = (Rates::default(), Limits::default());
        assert_eq!(admitted(&mut rates, "192.0.2.1", "a", at(1), &limits, 10_000), 10_000);
    }

    proptest! {
        #[test]
        fn no_more_than_the_burst_and_the_rate_in_any_time(
            rate in 1u32..100, pauses in prop::collection::vec(0u64..20_000, 0..400)
        ) {
            let (mut rates, limits) = (Rates::default(), limits(rate, 0, 0));
            let mut millis = 0;
            let mut count = 0_u64;
            for pause in pauses {
                millis += pause;
                let now = Moment::after_start(Duration::from_millis(millis));
                count += u64::from(admitted(&mut rates, "192.0.2.1", "a", now, &limits, 3));
                let allowed = u64::from(rate) * (600_000 + millis) / 60_000;
                prop_assert!(count <= allowed + 1, "{} in {} ms", count, millis);
            }
        }
    }
}
