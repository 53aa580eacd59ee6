//! The primary: where held mail goes, and its part of the MX record set.

use backupmx_crds as crds;
use backupmx_relay_config::{Host, Primary, PrimaryHost, PrimaryTls, PrimaryTlsMode};

use super::Problems;
use crate::validated::Mx;

pub(super) fn check(
    spec: &crds::Primary,
    namespace: &str,
    cluster_domain: &str,
    problems: &mut Problems,
) -> (Primary, Vec<Mx>) {
    let mut hosts: Vec<PrimaryHost> = Vec::new();
    for (index, host) in spec.hosts.iter().enumerate() {
        if let Some(name) = problems.parse(format!("spec.primary.hosts[{index}].host"), &host.host) {
            hosts.push(PrimaryHost { host: name, port: host.port, preference: host.preference });
        }
    }
    if let Some(service) = &spec.service_ref {
        let name = service_host(&service.name, namespace, cluster_domain);
        if let Some(host) = problems.parse("spec.primary.serviceRef.name", &name) {
            hosts.push(PrimaryHost { host, port: service.port, preference: 10 });
        }
    }
    if hosts.is_empty() && problems.0.is_empty() {
        problems.add("spec.primary", "expected hosts or serviceRef");
    }
    let mx = mx(spec, &hosts, problems);
    (Primary { hosts, tls: PrimaryTls { mode: tls(spec.tls.mode) } }, mx)
}

/// The host name of a Service of that namespace.
#[must_use]
pub fn service_host(service: &str, namespace: &str, cluster_domain: &str) -> String {
    format!("{service}.{namespace}.svc.{cluster_domain}")
}

fn mx(spec: &crds::Primary, hosts: &[PrimaryHost], problems: &mut Problems) -> Vec<Mx> {
    if spec.mx.is_empty() && spec.service_ref.is_none() {
        let named: Vec<Mx> = hosts
            .iter()
            .filter(|host| host.port == 25)
            .filter_map(|host| match &host.host {
                Host::Name(name) => Some(Mx { preference: host.preference, host: name.clone() }),
                Host::Address(_) => None,
            })
            .collect();
        if named.is_empty() {
            problems.add("spec.primary.mx", "expected the primary's public name, as no host has a name and port 25");
        }
        return named;
    }
    let mut given = Vec::new();
    for (index, mx) in spec.mx.iter().enumerate() {
        if let Some(host) = problems.parse(format!("spec.primary.mx[{index}].host"), &mx.host) {
            given.push(Mx { preference: mx.preference, host });
        }
    }
    if spec.mx.is_empty() {
        problems.add("spec.primary.mx", "expected the primary's public name, as serviceRef has none");
    }
    given
}

const fn tls(mode: crds::PrimaryTlsMode) -> PrimaryTlsMode {
    match mode {
        crds::PrimaryTlsMode::None => PrimaryTlsMode::None,
        crds::PrimaryTlsMode::Opportunistic => PrimaryTlsMode::Opportunistic,
        crds::PrimaryTlsMode::Require => PrimaryTlsMode::Require,
        crds::PrimaryTlsMode::Verify => PrimaryTlsMode::Verify,
    }
}
