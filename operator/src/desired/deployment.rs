//! The Deployment of a relay: one pod on one claim.

use backupmx_relay_config::RelayConfig;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            ConfigMapVolumeSource, LocalObjectReference, PersistentVolumeClaimVolumeSource, PodSecurityContext,
            PodSpec, PodTemplateSpec, SeccompProfile, SecretVolumeSource, TopologySpreadConstraint, Volume,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};

use super::{container, document, of_relay};
use crate::{
    labels, names,
    settings::Settings,
    validated::{Relay, Validated},
};

/// How long a pod is ready before it counts as available, in seconds. The load balancer and the nodes' proxies learn of it
/// a moment after it is ready; the next relay is not replaced before they have.
const MIN_READY: i32 = 5;
/// The user and group of the relay: those of "nonroot" in many minimal images.
const USER: i64 = 65532;
/// Seconds: a start may take 30 minutes of replay, and a pod must be given up only after that.
const PROGRESS_DEADLINE: i32 = 2100;
/// Seconds: the relay leaves within 10.
const GRACE: i64 = 30;

/// Builds it.
#[must_use]
pub fn build(resource: &Validated, relay: &Relay, document: &RelayConfig, settings: &Settings) -> Deployment {
    let owner = &resource.owner;
    Deployment {
        metadata: of_relay(owner, &relay.name, names::relay(owner, &relay.name)),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE),
            min_ready_seconds: Some(MIN_READY),
            // Two pods cannot have one claim: a rolling update would wait for ever.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None }),
            selector: LabelSelector {
                match_labels: Some(labels::select(owner, &relay.name)),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::relay(owner, &relay.name)),
                    annotations: Some(labels::strings([
                        (labels::OWNER, owner.to_string().as_str()),
                        (labels::RESTART, &document::restart_key(document)),
                    ])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(resource, relay, settings)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn pod(resource: &Validated, relay: &Relay, settings: &Settings) -> PodSpec {
    let owner = &resource.owner;
    let scheduling = &relay.scheduling;
    let secrets: Vec<LocalObjectReference> =
        settings.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    PodSpec {
        service_account_name: Some(names::shared(owner)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE),
        image_pull_secrets: (!secrets.is_empty()).then_some(secrets),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // A large spool takes long to walk, and it is ours already.
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        node_selector: (!scheduling.node_selector.is_empty()).then(|| scheduling.node_selector.clone()),
        tolerations: (!scheduling.tolerations.is_empty()).then(|| scheduling.tolerations.clone()),
        affinity: scheduling.affinity.clone(),
        topology_spread_constraints: Some(
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(|key| apart(resource, key)).into(),
        ),
        containers: vec![container::build(resource, settings)],
        volumes: Some(volumes(resource, relay)),
        ..PodSpec::default()
    }
}

/// Relays of one resource keep apart where they can: on one node, all of them still run.
fn apart(resource: &Validated, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::select_all(&resource.owner)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn volumes(resource: &Validated, relay: &Relay) -> Vec<Volume> {
    let named = |name: &str| Volume { name: name.into(), ..Volume::default() };
    let owner = &resource.owner;
    let spool = Volume {
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: names::relay(owner, &relay.name),
            read_only: None,
        }),
        ..named(container::SPOOL_VOLUME)
    };
    let config = Volume {
        config_map: Some(ConfigMapVolumeSource {
            name: names::config_map(owner, &relay.name),
            ..ConfigMapVolumeSource::default()
        }),
        ..named(container::CONFIG_VOLUME)
    };
    let tls = resource.tls_secret.as_ref().map(|secret| Volume {
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.clone()),
            // A Secret that is missing must not keep the pod, and the mail in it, from starting.
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..named(container::TLS_VOLUME)
    });
    [spool, config].into_iter().chain(tls).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{document::Tenancy, fixture};

    fn built(resource: &Validated) -> Deployment {
        let document = fixture::document(resource, &fixture::tenancy(resource));
        build(resource, &resource.relays[0], &document, &fixture::settings())
    }

    #[test]
    fn golden() {
        insta::assert_snapshot!(fixture::yaml(&built(&fixture::validated())));
    }

    #[test]
    fn a_change_of_tenants_does_not_touch_the_pod() {
        let resource = fixture::validated();
        let document = fixture::document(&resource, &Tenancy::default());
        let other = build(&resource, &resource.relays[0], &document, &fixture::settings());
        assert_eq!(other, built(&resource));
    }

    #[test]
    fn without_a_certificate_nothing_of_it_is_mounted() {
        let mut resource = fixture::validated();
        resource.tls_secret = None;
        let text = fixture::yaml(&built(&resource));
        assert!(!text.contains("tls"), "{text}");
    }
}
