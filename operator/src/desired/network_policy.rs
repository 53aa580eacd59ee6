//! The NetworkPolicy of a resource's relays: mail from anywhere, the admin API from the operator only.
//!
//! Nothing is said of what leaves a relay: it talks to any mail server and to its name servers.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{API_PORT, HEALTH_PORT, SMTP_PORT, of_all};
use crate::{labels, names, settings::Settings, validated::Owner};

/// Builds it.
#[must_use]
pub fn build(owner: &Owner, settings: &Settings) -> NetworkPolicy {
    let operator = NetworkPolicyPeer {
        namespace_selector: selector(&labels::strings([("kubernetes.io/metadata.name", settings.namespace.as_str())])),
        pod_selector: selector(&settings.operator_labels),
        ..NetworkPolicyPeer::default()
    };
    let scraper =
        NetworkPolicyPeer { namespace_selector: selector(&settings.metrics_from), ..NetworkPolicyPeer::default() };
    NetworkPolicy {
        metadata: of_all(owner, names::shared(owner)),
        spec: Some(NetworkPolicySpec {
            pod_selector: selector(&labels::select_all(owner)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(vec![
                allow(SMTP_PORT, None),
                allow(API_PORT, Some(operator)),
                allow(HEALTH_PORT, Some(scraper)),
            ]),
            egress: None,
        }),
    }
}

fn allow(port: u16, from: Option<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: from.map(|peer| vec![peer]),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port.into())),
            protocol: Some("TCP".into()),
            end_port: None,
        }]),
    }
}

fn selector(labels: &BTreeMap<String, String>) -> Option<LabelSelector> {
    let match_labels = (!labels.is_empty()).then(|| labels.clone());
    Some(LabelSelector { match_labels, match_expressions: None })
}

#[cfg(test)]
mod tests {
    use crate::desired::fixture;

    #[test]
    fn golden() {
        let policy = super::build(&fixture::validated().owner, &fixture::settings());
        insta::assert_snapshot!(fixture::yaml(&policy));
    }
}
