//! Where a report goes. Pure.

use std::fmt;

use backupmx_relay_config::{DomainName, HostPort, RelayConfig};

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Route {
    /// To a server that the config names.
    Smarthost(HostPort),
    /// To the mail exchangers of a domain.
    Exchangers(DomainName),
}

impl Route {
    /// The tenant's smarthost comes first, then the one for all, then the domain's own exchangers. A tenant that is gone
    /// has no smarthost any more.
    pub(super) fn choose(config: &RelayConfig, tenant: &str, domain: &DomainName) -> Self {
        config
            .tenants
            .iter()
            .find(|candidate| candidate.name == tenant)
            .and_then(|tenant| tenant.bounce.smarthost.as_ref())
            .or(config.reports.smarthost.as_ref())
            .map_or_else(|| Self::Exchangers(domain.clone()), |smarthost| Self::Smarthost(smarthost.clone()))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Smarthost(host) => write!(f, "smarthost {host}"),
            Self::Exchangers(domain) => write!(f, "MX of {domain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::tests::config;

    #[test]
    fn the_nearest_smarthost_wins() {
        let domain: DomainName = "sender.example".parse().unwrap();
        let smarthost = |text: &str| Route::Smarthost(text.parse().unwrap());
        let mut config = config();
        assert_eq!(Route::choose(&config, "t", &domain), Route::Exchangers(domain.clone()));
        config.reports.smarthost = Some("all.example:587".parse().unwrap());
        assert_eq!(Route::choose(&config, "t", &domain), smarthost("all.example:587"));
        config.tenants[0].bounce.smarthost = Some("own.example".parse().unwrap());
        assert_eq!(Route::choose(&config, "t", &domain), smarthost("own.example:25"));
        assert_eq!(Route::choose(&config, "gone", &domain), smarthost("all.example:587"));
    }
}
