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
    validated::{Owner, PodResources, Relay, RelayName, Scheduling, Validated},
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

/// What of the pod the resource says.
struct Shape<'a> {
    owner: &'a Owner,
    relay: &'a RelayName,
    scheduling: &'a Scheduling,
    tls_secret: Option<&'a str>,
    resources: &'a PodResources,
}

/// Builds it.
#[must_use]
pub fn build(resource: &Validated, relay: &Relay, document: &RelayConfig, settings: &Settings) -> Deployment {
    let shape = Shape {
        owner: &resource.owner,
        relay: &relay.name,
        scheduling: &relay.scheduling,
        tls_secret: resource.tls_secret.as_deref(),
        resources: &resource.resources,
    };
    shaped(&shape, document, settings)
}

/// Builds it for a relay that leaves: the spec may not know it any more, so what the spec said is read from the live
/// one. `known` is the relay where the spec knows it still: a person may correct there where its pod runs.
#[must_use]
pub fn again(
    resource: &Validated,
    relay: &RelayName,
    known: Option<&Relay>,
    live: Option<&Deployment>,
    document: &RelayConfig,
    settings: &Settings,
) -> Deployment {
    let pod = live.and_then(|live| live.spec.as_ref()?.template.spec.as_ref());
    let scheduling = known.map(|relay| relay.scheduling.clone()).or_else(|| pod.map(scheduling)).unwrap_or_default();
    // The document is the one that it had, so the certificate must be where that looks for it.
    let tls_secret = match pod {
        Some(pod) => tls_secret(pod),
        None => resource.tls_secret.as_deref(),
    };
    let (owner, resources) = (&resource.owner, &resource.resources);
    shaped(&Shape { owner, relay, scheduling: &scheduling, tls_secret, resources }, document, settings)
}

fn scheduling(pod: &PodSpec) -> Scheduling {
    Scheduling {
        node_selector: pod.node_selector.clone().unwrap_or_default(),
        tolerations: pod.tolerations.clone().unwrap_or_default(),
        affinity: pod.affinity.clone(),
    }
}

fn tls_secret(pod: &PodSpec) -> Option<&str> {
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == container::TLS_VOLUME)?;
    volume.secret.as_ref()?.secret_name.as_deref()
}

fn shaped(shape: &Shape<'_>, document: &RelayConfig, settings: &Settings) -> Deployment {
    let (owner, relay) = (shape.owner, shape.relay);
    Deployment {
        metadata: of_relay(owner, relay, names::relay(owner, relay)),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE),
            min_ready_seconds: Some(MIN_READY),
            // Two pods cannot have one claim: a rolling update would wait for ever.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None }),
            selector: LabelSelector { match_labels: Some(labels::select(owner, relay)), ..LabelSelector::default() },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::relay(owner, relay)),
                    annotations: Some(labels::strings([
                        (labels::OWNER, owner.to_string().as_str()),
                        (labels::RESTART, &document::restart_key(document)),
                    ])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(shape, settings)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn pod(shape: &Shape<'_>, settings: &Settings) -> PodSpec {
    let (owner, scheduling) = (shape.owner, shape.scheduling);
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
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(|key| apart(owner, key)).into(),
        ),
        containers: vec![container::build(shape.tls_secret, shape.resources, settings)],
        volumes: Some(volumes(shape)),
        ..PodSpec::default()
    }
}

/// Relays of one resource keep apart where they can: on one node, all of them still run.
fn apart(owner: &Owner, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::select_all(owner)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn volumes(shape: &Shape<'_>) -> Vec<Volume> {
    let named = |name: &str| Volume { name: name.into(), ..Volume::default() };
    let (owner, relay) = (shape.owner, shape.relay);
    let spool = Volume {
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: names::relay(owner, relay),
            read_only: None,
        }),
        ..named(container::SPOOL_VOLUME)
    };
    let config = Volume {
        config_map: Some(ConfigMapVolumeSource {
            name: names::config_map(owner, relay),
            ..ConfigMapVolumeSource::default()
        }),
        ..named(container::CONFIG_VOLUME)
    };
    let tls = shape.tls_secret.map(|secret| Volume {
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
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
    fn of_a_relay_that_the_spec_forgot_only_what_is_the_operator_s_changes() {
        let mut resource = fixture::validated();
        let node = labels::strings([("disk", "fast")]);
        resource.relays[0].scheduling.node_selector = node.clone();
        let live = built(&resource);
        let document = fixture::document(&resource, &fixture::tenancy(&resource));
        let name = resource.relays.remove(0).name;
        resource.tls_secret = None;
        let settings = Settings { relay_image: "registry.test/backupmx-relay:0.2.0".into(), ..fixture::settings() };
        let again = |known| again(&resource, &name, known, Some(&live), &document, &settings);
        let old = fixture::yaml(&live).replace(":0.1.0", ":0.2.0");
        assert_eq!(fixture::yaml(&again(None)), old, "its nodes and its certificate stay");
        let corrected = fixture::relay("a", "mx1.backup.example.net", 20);
        let pod = again(Some(&corrected)).spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.node_selector, None, "a person has corrected it");
    }

    #[test]
    fn without_limits_it_has_none() {
        let mut resource = fixture::validated();
        resource.resources.limits = fixture::quantities(&[]);
        let pod = built(&resource).spec.unwrap().template.spec.unwrap();
        let resources = pod.containers[0].resources.clone().unwrap();
        assert_eq!((resources.requests, resources.limits), (Some(resource.resources.requests), None));
    }

    #[test]
    fn without_a_certificate_nothing_of_it_is_mounted() {
        let mut resource = fixture::validated();
        resource.tls_secret = None;
        let text = fixture::yaml(&built(&resource));
        assert!(!text.contains("tls"), "{text}");
    }
}
