//! Which domain is whose, and which recipients a tenant has listed.

use std::collections::{HashMap, HashSet};

use backupmx_relay_config::{DomainName, RecipientMode, RelayConfig, Tenant};

use crate::smtp::ForwardPath;

/// Which domain is whose. Derived from one config, and used with that config only.
#[derive(Debug, Default)]
pub struct Directory {
    domains: HashMap<DomainName, usize>,
    /// For each tenant, its recipients in lower case; none where every local part is taken.
    listed: Vec<Option<HashSet<String>>>,
}

impl Directory {
    /// Derives the directory from a config.
    #[must_use]
    pub fn new(config: &RelayConfig) -> Self {
        let mut directory = Self::default();
        for (position, tenant) in config.tenants.iter().enumerate() {
            for domain in &tenant.domains {
                directory.domains.entry(domain.clone()).or_insert(position);
            }
            let recipients = &tenant.acceptance.recipients;
            directory.listed.push(match recipients.mode {
                RecipientMode::Any => None,
                RecipientMode::List => Some(recipients.list.iter().map(|entry| fold(entry)).collect()),
            });
        }
        directory
    }

    /// The position in `config.tenants` of the tenant that a domain belongs to.
    #[must_use]
    pub fn tenant_of(&self, domain: &DomainName) -> Option<usize> {
        self.domains.get(domain).copied()
    }

    /// The tenant that a domain belongs to.
    #[must_use]
    pub fn tenant<'a>(&self, config: &'a RelayConfig, domain: &DomainName) -> Option<&'a Tenant> {
        self.tenant_of(domain).and_then(|position| config.tenants.get(position))
    }

    /// Whether a tenant takes mail for a recipient, as far as its list says. `postmaster` is always taken
    /// (RFC 5321 4.5.1).
    #[must_use]
    pub fn takes(&self, tenant: usize, recipient: &ForwardPath) -> bool {
        let Some(listed) = self.listed.get(tenant).and_then(Option::as_ref) else { return true };
        let local = fold(recipient.local());
        local == "postmaster" || listed.contains(&local) || listed.contains(&format!("{local}@{}", recipient.domain()))
    }
}

/// An entry or a local part without quotes that it does not need, in lower case; the domain of an entry as A-labels.
fn fold(entry: &str) -> String {
    let (local, domain) = match entry.rsplit_once('@') {
        Some((local, domain)) if !entry.ends_with('"') => (local, Some(domain)),
        _ => (entry, None),
    };
    let local = match local.strip_prefix('"').and_then(|local| local.strip_suffix('"')) {
        Some(quoted) => unquote(quoted),
        None => local.to_owned(),
    };
    let local = local.to_lowercase();
    match domain.map(str::parse::<DomainName>) {
        Some(Ok(domain)) => format!("{local}@{domain}"),
        Some(Err(_)) => entry.to_lowercase(),
        None => local,
    }
}

fn unquote(quoted: &str) -> String {
    let mut characters = quoted.chars();
    let mut local = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        local.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    local
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::tests::config;

    #[test]
    fn domains_belong_to_tenants() {
        let config = config("{name: a, domains: [example.org, bücher.example], primary: {hosts: [{host: h.test}]}}");
        let directory = Directory::new(&config);
        let owner = |domain: &str| directory.tenant(&config, &domain.parse().unwrap()).map(|tenant| &*tenant.name);
        assert_eq!(owner("EXAMPLE.org"), Some("a"));
        assert_eq!(owner("xn--bcher-kva.example"), Some("a"));
        assert_eq!(owner("sub.example.org"), None);
    }

    #[test]
    fn a_list_is_matched_without_case_or_needless_quotes() {
        let config = config(
            "{name: a, domains: [example.org, example.net], primary: {hosts: [{host: h.test}]},
              acceptance: {recipients: {mode: List, list: [Info, ops@Example.ORG, Ünal]}}}",
        );
        let directory = Directory::new(&config);
        for (path, taken) in [
            ("info@example.org", true),
            ("INFO@example.net", true),
            ("\"info\"@example.net", true),
            ("\"in\\fo\"@example.net", true),
            ("ops@example.org", true),
            ("ops@example.net", false),
            ("ünal@example.org", true),
            ("PostMaster@example.net", true),
            ("infos@example.org", false),
        ] {
            assert_eq!(directory.takes(0, &path.parse().unwrap()), taken, "{path}");
        }
        assert!(directory.takes(7, &"x@example.org".parse().unwrap()));
    }
}
