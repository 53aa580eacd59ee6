//! The Service of a relay: port 25, with the client's own address.

use backupmx_crds::ServiceType;
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::of_relay;
use crate::{
    labels, names,
    validated::{Owner, Relay},
};

/// Builds it. The admin API is not behind it: the operator speaks to the pod.
#[must_use]
pub fn build(owner: &Owner, relay: &Relay) -> Service {
    let mut metadata = of_relay(owner, &relay.name, names::relay(owner, &relay.name));
    // Ours last: a user's annotation cannot change whose the object is.
    let mut annotations = relay.service.annotations.clone();
    annotations.extend(metadata.annotations.take().unwrap_or_default());
    metadata.annotations = Some(annotations);
    let outside = match relay.service.kind {
        ServiceType::LoadBalancer | ServiceType::NodePort => true,
        ServiceType::ClusterIP => false,
    };
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(kind(relay.service.kind).into()),
            // Without it every client looks like a node, and what is judged by the client's address harms everybody.
            external_traffic_policy: outside.then(|| "Local".into()),
            ip_family_policy: Some("PreferDualStack".into()),
            selector: Some(labels::select(owner, &relay.name)),
            ports: Some(vec![ServicePort {
                name: Some("smtp".into()),
                port: 25,
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::String("smtp".into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

const fn kind(kind: ServiceType) -> &'static str {
    match kind {
        ServiceType::LoadBalancer => "LoadBalancer",
        ServiceType::NodePort => "NodePort",
        ServiceType::ClusterIP => "ClusterIP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    #[test]
    fn golden() {
        let resource = fixture::validated();
        insta::assert_snapshot!(fixture::yaml(&build(&resource.owner, &resource.relays[0])));
    }

    #[test]
    fn inside_the_cluster_no_policy_for_traffic_from_outside_is_sent() {
        let mut resource = fixture::validated();
        resource.relays[0].service.kind = ServiceType::ClusterIP;
        let spec = build(&resource.owner, &resource.relays[0]).spec.unwrap();
        assert_eq!(spec.external_traffic_policy, None, "the API server refuses it on a ClusterIP");
    }

    #[test]
    fn annotations_of_the_user_come_along_and_never_replace_ours() {
        let mut resource = fixture::validated();
        let users = labels::strings([("example.test/pool", "mail"), (labels::OWNER, "another/one")]);
        resource.relays[0].service.annotations = users;
        let annotations = build(&resource.owner, &resource.relays[0]).metadata.annotations.unwrap();
        assert_eq!(annotations["example.test/pool"], "mail");
        assert_eq!(annotations[labels::OWNER], "mail/example-org");
    }
}
