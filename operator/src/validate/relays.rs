//! The relays.

use std::collections::BTreeMap;

use backupmx_crds::BackupMXSpec;
use backupmx_relay_config::DomainName;

use super::Problems;
use crate::validated::{Mx, Relay, RelayName, Scheduling, Service};

pub(super) fn check(spec: &BackupMXSpec, primary: &[Mx], problems: &mut Problems) -> Vec<Relay> {
    let mut relays: Vec<Relay> = Vec::new();
    for (index, relay) in spec.relays.iter().enumerate() {
        let at = format!("spec.relays[{index}]");
        let name: Option<RelayName> = problems.parse(format!("{at}.name"), &relay.name);
        let hostname: Option<DomainName> = problems.parse(format!("{at}.hostname"), &relay.hostname);
        let addresses = relay
            .addresses
            .iter()
            .enumerate()
            .filter_map(|(place, text)| {
                let field = format!("{at}.addresses[{place}]");
                text.parse().map_err(|_| problems.add(field, format!("expected an IP address; got {text:?}"))).ok()
            })
            .collect();
        let (Some(name), Some(hostname)) = (name, hostname) else { continue };
        if !hostname.is_host() {
            problems
                .add(format!("{at}.hostname"), format!("expected letters, digits, hyphens and dots; got {hostname}"));
        }
        if relays.iter().any(|other| other.name == name) {
            problems.add(format!("{at}.name"), format!("{name} is another relay's name already"));
        }
        if relays.iter().any(|other| other.hostname == hostname) {
            problems.add(format!("{at}.hostname"), format!("{hostname} is another relay's host name already"));
        }
        if primary.iter().any(|mx| mx.host == hostname) {
            problems.add(format!("{at}.hostname"), format!("{hostname} is the primary: mail would go in a circle"));
        }
        relays.push(Relay {
            name,
            hostname,
            preference: relay.preference,
            service: service(spec, relay),
            addresses,
            scheduling: scheduling(relay),
        });
    }
    if spec.relays.is_empty() {
        problems.add("spec.relays", "expected at least one relay");
    }
    relays
}

/// The resource's Service with the relay's own settings over it.
fn service(spec: &BackupMXSpec, relay: &backupmx_crds::Relay) -> Service {
    let own = relay.service.clone().unwrap_or_default();
    let mut annotations: BTreeMap<String, String> = spec.service.annotations.clone();
    annotations.extend(own.annotations);
    Service { kind: own.type_.unwrap_or(spec.service.type_), annotations }
}

fn scheduling(relay: &backupmx_crds::Relay) -> Scheduling {
    let given = relay.scheduling.clone().unwrap_or_default();
    Scheduling { node_selector: given.node_selector, tolerations: given.tolerations, affinity: given.affinity }
}
