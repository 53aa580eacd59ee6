//! Names of the objects that the operator makes.
//!
//! A child's name says whose it is to a person, and carries a hash so that two owners never meet: `mail/a-b` with
//! relay `c` and `mail/a` with relay `b-c` would otherwise both be `a-b-c`.

use backupmx_relay_config::{CONTRACT_VERSION, DomainName};
use sha2::{Digest, Sha256};

use crate::validated::{Owner, RelayName};

/// Octets that a base name may take. A Service's name ends at 63 (RFC 1035 2.3.4); the rest is room for the longest
/// suffix, `-config-v` and a version of two digits.
const BASE: usize = 52;

/// Octets that an object's name may take where the kind asks for a subdomain only (RFC 1123).
const SUBDOMAIN: usize = 253;

/// The name of a relay's Deployment, Service and PersistentVolumeClaim: a DNS-1035 label.
#[must_use]
pub fn relay(owner: &Owner, relay: &RelayName) -> String {
    based(&format!("{}-{relay}", owner.name), &[&owner.namespace, &owner.name, relay.as_str()])
}

/// The name of what all relays of a resource share (ServiceAccount, NetworkPolicy, PodDisruptionBudget).
#[must_use]
pub fn shared(owner: &Owner) -> String {
    based(&owner.name, &[&owner.namespace, &owner.name])
}

/// The name of a relay's ConfigMap: one for each contract version, so that in an upgrade half done no relay starts
/// on a document that it cannot read.
#[must_use]
pub fn config_map(owner: &Owner, name: &RelayName) -> String {
    format!("{}-config-v{CONTRACT_VERSION}", relay(owner, name))
}

/// The name of the DNSEndpoint that holds a domain's MX records.
#[must_use]
pub fn mx_records(domain: &DomainName) -> String {
    for_domain("mx", domain)
}

/// The name of the DNSEndpoint that holds the addresses of a relay's host name.
#[must_use]
pub fn address_records(hostname: &DomainName) -> String {
    for_domain("address", hostname)
}

fn for_domain(kind: &str, domain: &DomainName) -> String {
    let plain = format!("{kind}-{domain}");
    // An underscore is good in a domain and not in an object's name.
    if plain.len() <= SUBDOMAIN && !plain.contains('_') {
        return plain;
    }
    let mut name = plain.replace('_', "-");
    name.truncate(SUBDOMAIN - 9);
    format!("{}-{}", name.trim_end_matches(['-', '.']), hash(&[domain.as_str()]))
}

fn based(readable: &str, identity: &[&str]) -> String {
    let mut base: String = readable
        .bytes()
        .map(|b| if b.is_ascii_lowercase() || b.is_ascii_digit() { char::from(b) } else { '-' })
        .collect();
    if !base.starts_with(|c: char| c.is_ascii_lowercase()) {
        base.insert_str(0, "bmx-");
    }
    base.truncate(BASE - 9);
    format!("{}-{}", base.trim_end_matches('-'), hash(identity))
}

/// Eight hexadecimal digits. NUL cannot occur in a name, so no two identities give one input.
fn hash(identity: &[&str]) -> String {
    let digest = Sha256::digest(identity.join("\0"));
    digest.iter().take(4).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(namespace: &str, name: &str) -> Owner {
        Owner { namespace: namespace.into(), name: name.into(), uid: "u".into() }
    }

    fn named(name: &str) -> RelayName {
        name.parse().unwrap()
    }

    fn is_dns_1035(name: &str) -> bool {
        name.len() <= 63
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    #[test]
    fn says_whose_it_is() {
        let name = relay(&owner("mail", "example-org"), &named("a"));
        assert!(name.starts_with("example-org-a-"), "{name}");
        assert_eq!(name, relay(&owner("mail", "example-org"), &named("a")), "a name must be the same at every pass");
    }

    #[test]
    fn owners_that_read_alike_do_not_meet() {
        assert_ne!(relay(&owner("mail", "a-b"), &named("c")), relay(&owner("mail", "a"), &named("b-c")));
        assert_ne!(relay(&owner("one", "a"), &named("b")), relay(&owner("two", "a"), &named("b")));
        assert_ne!(shared(&owner("mail", "a-b")), relay(&owner("mail", "a"), &named("b")));
    }

    #[test]
    fn domains_name_their_records() {
        assert_eq!(mx_records(&"example.org".parse().unwrap()), "mx-example.org");
        assert_ne!(address_records(&"example.org".parse().unwrap()), mx_records(&"example.org".parse().unwrap()));
        let odd = mx_records(&"_x.example.org".parse().unwrap());
        assert!(!odd.contains('_') && odd != mx_records(&"-x.example.org".replace('-', "a").parse().unwrap()), "{odd}");
    }

    proptest! {
        #[test]
        fn every_name_is_a_label(
            namespace in "[a-z][a-z0-9-]{0,61}[a-z0-9]",
            name in "[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?",
            relay_name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        ) {
            let owner = owner(&namespace, &name);
            let relay_name = named(&relay_name);
            for name in [relay(&owner, &relay_name), shared(&owner), config_map(&owner, &relay_name)] {
                prop_assert!(is_dns_1035(&name), "{}", name);
            }
        }

        #[test]
        fn every_records_name_fits(label in "[a-z0-9_]{1,60}", count in 1usize..5) {
            let domain: DomainName = format!("{}.test", vec![label; count].join(".")).parse().unwrap();
            let name = address_records(&domain);
            prop_assert!(name.len() <= 253 && !name.contains('_'), "{}", name);
        }
    }
}
