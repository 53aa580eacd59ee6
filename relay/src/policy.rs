//! Who may send what to whom. Pure. (stub: the owner of this module replaces it)

use backupmx_relay_config::{DomainName, RelayConfig, Tenant};

/// Which domain is whose.
#[derive(Debug)]
pub struct Directory;

impl Directory {
    /// Derives the directory from a config.
    #[must_use]
    pub fn new(_config: &RelayConfig) -> Self {
        Self
    }

    /// The position in `config.tenants` of the tenant that a domain belongs to.
    #[must_use]
    pub fn tenant_of(&self, _domain: &DomainName) -> Option<usize> {
        None
    }

    /// The tenant that a domain belongs to.
    #[must_use]
    pub fn tenant<'a>(&self, config: &'a RelayConfig, domain: &DomainName) -> Option<&'a Tenant> {
        self.tenant_of(domain).and_then(|position| config.tenants.get(position))
    }
}
