//! The PodDisruptionBudget over all relays of a resource.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::of_all;
use crate::{labels, names, validated::Validated};

/// Builds it where there are two relays or more: over a single one it would only stop nodes from being drained.
#[must_use]
pub fn build(resource: &Validated) -> Option<PodDisruptionBudget> {
    let owner = &resource.owner;
    (resource.relays.len() > 1).then(|| PodDisruptionBudget {
        metadata: of_all(owner, names::shared(owner)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(labels::select_all(owner)), ..LabelSelector::default() }),
            // A relay that cannot start may be moved: waiting for it would block the node and help nobody.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    #[test]
    fn golden() {
        insta::assert_snapshot!(fixture::yaml(&build(&fixture::validated())));
    }

    #[test]
    fn a_single_relay_has_none() {
        let mut resource = fixture::validated();
        resource.relays.truncate(1);
        assert_eq!(build(&resource), None);
    }
}
