//! One checked resource for the tests of this folder.

use std::collections::BTreeMap;

use backupmx_crds::{Activation, AddressRecords, DeletionPolicy, DnsMode, OnRelease};
use backupmx_relay_config::{
    Acceptance, Bounce, ByteSize, Delivery, HoldTimes, Primary, PrimaryHost, PrimaryTls, RelayConfig,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;

use super::document::{self, Tenancy};
use crate::{
    dns::ownership::{ExternalDns, Registry},
    labels,
    settings::Settings,
    token::MasterKey,
    validated::{Dns, Mx, Owner, PodResources, Relay, Scheduling, Service, Storage, Validated},
};

/// Two domains, one primary, two relays.
pub fn validated() -> Validated {
    Validated {
        owner: Owner { namespace: "mail".into(), name: "example-org".into(), uid: "6b1f".into() },
        generation: Some(3),
        noted: "{\"generation\":3,\"spec\":{}}".into(),
        domains: ["example.org", "example.net"].map(|domain| domain.parse().unwrap()).into(),
        primary: Primary {
            hosts: vec![PrimaryHost { host: "mail.example.org".parse().unwrap(), port: 25, preference: 10 }],
            tls: PrimaryTls::default(),
        },
        primary_mx: vec![Mx { preference: 10, host: "mail.example.org".parse().unwrap() }],
        relays: vec![relay("a", "mx1.backup.example.net", 20), relay("b", "mx2.backup.example.net", 30)],
        storage: Storage { size: ByteSize::mebibytes(10 << 10), max_size: None, class: Some("fast".into()) },
        activation: Activation::Immediate,
        acceptance: Acceptance::default(),
        hold: HoldTimes::default(),
        delivery: Delivery::default(),
        bounce: Bounce::default(),
        dns: Dns {
            mode: DnsMode::ExternalDNS,
            ttl: 300,
            addresses: AddressRecords::Publish,
            on_release: OnRelease::KeepPrimary,
        },
        tls_secret: Some("mx-tls".into()),
        resources: PodResources {
            requests: quantities(&[("cpu", "50m"), ("memory", "128Mi")]),
            limits: quantities(&[("memory", "1Gi")]),
            memory: Some(ByteSize::mebibytes(1024)),
        },
        deletion: DeletionPolicy::Drain,
    }
}

/// Amounts by their names.
pub fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
}

/// A relay of that resource.
pub fn relay(name: &str, hostname: &str, preference: u16) -> Relay {
    Relay {
        name: name.parse().unwrap(),
        hostname: hostname.parse().unwrap(),
        preference,
        service: Service::default(),
        addresses: Vec::new(),
        scheduling: Scheduling::default(),
    }
}

/// An operator's settings.
pub fn settings() -> Settings {
    Settings {
        namespace: "backupmx".into(),
        relay_image: "registry.test/backupmx-relay:0.1.0".into(),
        cluster_domain: "cluster.local".into(),
        image_pull_policy: "IfNotPresent".into(),
        image_pull_secrets: Vec::new(),
        operator_labels: labels::strings([("app.kubernetes.io/name", "backupmx-operator")]),
        metrics_from: vec!["app.kubernetes.io/name=prometheus".parse().unwrap()],
        external_dns: ExternalDns {
            registry: Registry::Txt,
            owner_id: "backupmx".into(),
            prefix: "_extdns-%{record_type}.".into(),
        },
        patience: "5m".parse().unwrap(),
        retire_grace: crate::lifecycle::GRACE,
        master_key: MasterKey::new(&[b'k'; 32]).unwrap(),
    }
}

/// All domains served.
pub fn tenancy(resource: &Validated) -> Tenancy {
    Tenancy { serving: resource.domains.clone(), ..Tenancy::default() }
}

/// The document of the first relay.
pub fn document(resource: &Validated, tenancy: &Tenancy) -> RelayConfig {
    let relay = &resource.relays[0];
    let input = document::Input {
        tenancy,
        size: resource.storage.size,
        token: settings().master_key.token(&resource.owner, &relay.name).hash(),
    };
    document::build(resource, relay, &input)
}

/// An object as a person reads it.
pub fn yaml(object: &impl Serialize) -> String {
    serde_yaml::to_string(object).unwrap()
}
