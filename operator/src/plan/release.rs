//! What a resource gives up though its spec cannot be used: a name that another has now, or that its namespace may not have
//! any more. Its relays go on as they are; but the records that name them are another's to write, and a stranger's mail
//! must not come here. All that it takes is in the record sets and in the relays' own documents.

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_relay_config::{DomainName, RelayConfig};
use k8s_openapi::api::core::v1::ConfigMap;

use super::{Facts, Live};
use crate::{
    desired::{
        config_map::{self, Claim},
        document, mx,
    },
    settings::Settings,
    validated::{Mx, RelayName, Validated},
};

/// What is given up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Released {
    /// The record sets that go back to the primary, or lose a relay.
    pub mx: Vec<DNSEndpoint>,
    /// Domains whose record set names nobody else, and goes.
    pub mx_deleted: Vec<DomainName>,
    /// The addresses of host names.
    pub addresses_deleted: Vec<DNSEndpoint>,
    /// The relays that answer 451 for what they have lost, with their documents.
    pub configs: Vec<(RelayName, ConfigMap, RelayConfig)>,
}

/// Says what is given up. `resource` is what is known without its spec.
///
/// # Errors
/// A document cannot be written as YAML.
pub fn released(resource: &Validated, facts: &Facts, settings: &Settings) -> Result<Released, serde_yaml::Error> {
    let mut released = Released::default();
    for (domain, set) in &facts.mx {
        let named = mx::read(set);
        let stays = |record: &&Mx| match facts.has_domain(domain) {
            true => facts.has_host(&record.host),
            false => resource.primary_mx.iter().any(|mx| mx.host == record.host),
        };
        let kept: Vec<Mx> = named.iter().filter(stays).cloned().collect();
        match kept.as_slice() {
            kept if kept == named => {}
            [] => released.mx_deleted.push(domain.clone()),
            kept => released.mx.push(mx::build(&resource.owner, domain, kept, resource.dns.ttl, settings)),
        }
    }
    for (name, live) in &facts.relays {
        let Some(stored) = &live.document else { continue };
        if !facts.has_host(&stored.hostname) {
            released.addresses_deleted.extend(live.addresses.clone());
        }
        if let Some(document) = next(resource, live, stored, facts) {
            let built = config_map::build(&resource.owner, name, &document, live.noted.unwrap_or(Claim::Held))?;
            released.configs.push((name.clone(), built, document));
        }
    }
    Ok(released)
}

/// The document of a relay that has lost a name; none where it has it already, or has lost none.
fn next(resource: &Validated, live: &Live, stored: &RelayConfig, facts: &Facts) -> Option<RelayConfig> {
    let wanted = match facts.has_host(&stored.hostname) {
        true => document::without(stored.clone(), &resource.owner, |domain| !facts.has_domain(domain)),
        false => document::closed(stored.clone()),
    };
    if wanted == *stored {
        return None;
    }
    let reported = live.report.as_ref().map(|report| report.config_revision);
    let revision = document::revision(Some(stored), reported, &wanted);
    Some(RelayConfig { revision, ..wanted })
}
