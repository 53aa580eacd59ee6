//! The NetworkPolicy of a resource's relays: mail from anywhere, the admin API from the operator only, metrics
//! from scrapers only.
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
use crate::{labels, names, scraper::Scraper, settings::Settings, validated::Owner};

/// Builds it.
#[must_use]
pub fn build(owner: &Owner, settings: &Settings) -> NetworkPolicy {
    let operator = NetworkPolicyPeer {
        namespace_selector: selector(&labels::strings([("kubernetes.io/metadata.name", settings.namespace.as_str())])),
        pod_selector: selector(&settings.operator_labels),
        ..NetworkPolicyPeer::default()
    };
    let scrapers: Vec<NetworkPolicyPeer> = settings.metrics_from.iter().map(scraper).collect();
    // A rule from nobody would be one from anywhere.
    let metrics = (!scrapers.is_empty()).then(|| allow(HEALTH_PORT, Some(scrapers)));
    NetworkPolicy {
        metadata: of_all(owner, names::shared(owner)),
        spec: Some(NetworkPolicySpec {
            pod_selector: selector(&labels::select_all(owner)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(
                [allow(SMTP_PORT, None), allow(API_PORT, Some(vec![operator]))].into_iter().chain(metrics).collect(),
            ),
            egress: None,
        }),
    }
}

fn scraper(scraper: &Scraper) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: selector(&scraper.namespaces),
        pod_selector: selector(&scraper.pods),
        ..NetworkPolicyPeer::default()
    }
}

fn allow(port: u16, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from,
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
    use crate::{desired::fixture, settings::Settings};

    #[test]
    fn golden() {
        let policy = super::build(&fixture::validated().owner, &fixture::settings());
        insta::assert_snapshot!(fixture::yaml(&policy));
    }

    #[test]
    fn without_a_scraper_nobody_reads_metrics() {
        let settings = Settings { metrics_from: Vec::new(), ..fixture::settings() };
        let policy = super::build(&fixture::validated().owner, &settings);
        let rules = policy.spec.unwrap().ingress.unwrap();
        assert_eq!(rules.len(), 2, "no rule at all: one from nobody would be one from anywhere");
    }
}
