//! The one container of a relay's pod.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, HTTPGetAction, Probe, ResourceRequirements, SecurityContext,
        VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};

use super::{API_PORT, HEALTH_PORT, SMTP_PORT, config_map, document};
use crate::{settings::Settings, validated::PodResources};

/// The volume of accepted mail.
pub const SPOOL_VOLUME: &str = "spool";
/// The volume of the document.
pub const CONFIG_VOLUME: &str = "config";
/// The volume of the certificate.
pub const TLS_VOLUME: &str = "tls";

/// A folder mount: a file mounted by `subPath` is never updated.
const CONFIG: &str = "/etc/backupmx/config";
/// Seconds between probes.
const PERIOD: i32 = 5;
/// Seconds that a start may take: a long queue is read again first.
const STARTUP: i32 = 1800;

/// Builds it. `tls_secret` is the Secret with the certificate, where there is one.
#[must_use]
pub fn build(tls_secret: Option<&str>, resources: &PodResources, settings: &Settings) -> Container {
    Container {
        name: "relay".into(),
        image: Some(settings.relay_image.clone()),
        image_pull_policy: Some(settings.image_pull_policy.clone()),
        args: Some(vec!["serve".into(), "--config".into(), format!("{CONFIG}/{}", config_map::KEY)]),
        ports: Some(vec![port("smtp", SMTP_PORT), port("health", HEALTH_PORT), port("api", API_PORT)]),
        startup_probe: Some(Probe { failure_threshold: Some(STARTUP / PERIOD), ..probe("/readyz") }),
        // Ready is a spool that is open. A full disk, or a primary that is away, is no reason to be taken out of the
        // Service: a sender that finds no one is worse off than one that is told 452.
        readiness_probe: Some(Probe { failure_threshold: Some(2), ..probe("/readyz") }),
        liveness_probe: Some(Probe { failure_threshold: Some(6), ..probe("/healthz") }),
        resources: Some(ResourceRequirements {
            requests: given(&resources.requests),
            limits: given(&resources.limits),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".into()]) }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(tls_secret)),
        ..Container::default()
    }
}

fn mounts(tls_secret: Option<&str>) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only,
        ..VolumeMount::default()
    };
    let tls = tls_secret.map(|_| mount(TLS_VOLUME, document::TLS, Some(true)));
    [mount(SPOOL_VOLUME, document::SPOOL, None), mount(CONFIG_VOLUME, CONFIG, Some(true))]
        .into_iter()
        .chain(tls)
        .collect()
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("health".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(PERIOD),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

fn given(amounts: &BTreeMap<String, Quantity>) -> Option<BTreeMap<String, Quantity>> {
    (!amounts.is_empty()).then(|| amounts.clone())
}
