//! A resource that is being deleted while its spec cannot be used. What its relays need to drain is in their own
//! objects; of the spec only that counts which can be read.

use backupmx_crds::{BackupMX, OnRelease};
use backupmx_relay_config::{Acceptance, Bounce, ByteSize, Delivery, DomainName, HoldTimes, Primary, PrimaryTls};

use crate::validated::{Dns, Mx, Storage, Validated};

/// What can be said of it. `published` are its records as they stand in the cluster, `ours` the host names of its
/// relays: the others are the primary's, and stay.
#[must_use]
pub fn leaving(resource: &BackupMX, published: &[Mx], ours: &[DomainName]) -> Validated {
    let spec = &resource.spec;
    let is_ours = |host: &DomainName| {
        ours.contains(host) || spec.relays.iter().any(|relay| relay.hostname.parse().is_ok_and(|name| *host == name))
    };
    let mut primary_mx: Vec<Mx> = published.iter().filter(|mx| !is_ours(&mx.host)).cloned().collect();
    primary_mx.sort();
    primary_mx.dedup();
    // Where no host of the primary is left, there is nothing that could be kept.
    let on_release = if primary_mx.is_empty() { OnRelease::Delete } else { spec.dns.on_release };
    Validated {
        owner: super::owner(resource),
        generation: resource.metadata.generation,
        noted: String::new(),
        domains: spec.domains.iter().filter_map(|domain| domain.parse().ok()).collect(),
        primary: Primary { hosts: Vec::new(), tls: PrimaryTls::default() },
        primary_mx,
        // None of them serves any more.
        relays: Vec::new(),
        // A claim is never asked to be less than it is.
        storage: Storage { size: ByteSize::bytes(0), max_size: None, class: spec.storage.storage_class_name.clone() },
        activation: spec.acceptance.activation,
        acceptance: Acceptance::default(),
        hold: HoldTimes::default(),
        delivery: Delivery::default(),
        bounce: Bounce::default(),
        dns: Dns { mode: spec.dns.mode, ttl: spec.dns.ttl, addresses: spec.dns.addresses, on_release },
        tls_secret: None,
        resources: super::resources::of_unusable(&spec.resources),
        deletion: spec.deletion_policy,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource() -> BackupMX {
        let document = json!({
            "apiVersion": "backupmx.io/v1alpha1",
            "kind": "BackupMX",
            "metadata": {"namespace": "mail", "name": "x", "uid": "u"},
            "spec": {
                "domains": ["example.org"],
                "primary": {"hosts": [{"host": "new.example.org"}]},
                "relays": [{"name": "a", "hostname": "mx1.example.net"}],
                "hold": {"maxAge": "a while"},
            },
        });
        serde_json::from_value(document).unwrap()
    }

    fn mx(preference: u16, host: &str) -> Mx {
        Mx { preference, host: host.parse().unwrap() }
    }

    #[test]
    fn the_primary_keeps_the_records_that_it_has() {
        let published = [
            mx(10, "mail.example.org"),
            mx(20, "mx1.example.net"),
            mx(30, "mx2.example.net"),
            mx(10, "mail.example.org"),
        ];
        let left = leaving(&resource(), &published, &["mx2.example.net".parse().unwrap()]);
        assert_eq!(left.primary_mx, [mx(10, "mail.example.org")], "what was published, not what the spec says now");
        assert_eq!(left.dns.on_release, OnRelease::KeepPrimary);
    }

    #[test]
    fn a_set_of_our_hosts_alone_goes() {
        let left = leaving(&resource(), &[mx(20, "mx1.example.net")], &[]);
        assert_eq!((left.primary_mx.as_slice(), left.dns.on_release), (&[][..], OnRelease::Delete));
    }
}
