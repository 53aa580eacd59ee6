//! The smallest resource becomes a relay, and then nothing more is written.

use std::time::Duration;

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG,
    cluster::{condition, reason},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::ResourceExt;
use serde_json::json;

use crate::common::{Stage, resource};

#[test]
fn becomes_these_objects_and_no_others() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    let seen = stage.wait_observed("example");
    let relay = stage.relay("example", "a");
    assert_eq!(stage.mail.names::<Deployment>(), std::slice::from_ref(&relay));
    assert_eq!(stage.mail.names::<Service>(), std::slice::from_ref(&relay));
    assert_eq!(stage.mail.names::<PersistentVolumeClaim>(), std::slice::from_ref(&relay));
    assert_eq!(stage.mail.names::<ConfigMap>(), [format!("{relay}-config-v1")]);
    assert_eq!(stage.mail.names::<ServiceAccount>().len(), 1);
    assert_eq!(stage.mail.names::<ServiceAccount>(), stage.mail.names::<NetworkPolicy>());
    assert_eq!(stage.mail.names::<PodDisruptionBudget>().len(), 0, "one relay has nothing to be kept apart from");
    assert_eq!(stage.mail.names::<Secret>().len(), 0);
    assert_eq!(stage.mail.names::<Pod>().len(), 0);
    assert_eq!(stage.home.names::<DNSEndpoint>().len(), 0, "nothing is published before a relay can take mail");
    let claim: PersistentVolumeClaim = stage.mail.get(&relay).unwrap();
    assert!(claim.finalizers().contains(&"backupmx.io/held-mail".to_owned()));
    assert_eq!(claim.owner_references(), []);
    assert!(seen.finalizers().contains(&"backupmx.io/retire".to_owned()));
}

#[test]
fn says_at_once_that_nobody_has_looked() {
    let stage = Stage::new();
    stage.mail.apply(&resource("example", "example.org", ""));
    let object: BackupMX = stage.mail.get("example").unwrap();
    assert_eq!(reason(&object, "Ready"), ("Unknown".into(), "Pending".into()));
    assert_eq!(object.status.unwrap().observed_generation, None);
}

#[test]
fn nothing_is_written_once_all_is_right() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    stage.wait_observed("example");
    stage.proxy.wait_quiet(Duration::from_secs(3), LONG);
    // A watch that begins anew lists everything again, and a pass follows each object.
    stage.proxy.drop_watches();
    stage.proxy.stays_quiet(Duration::from_secs(5));
    // So does another operator's start, which remembers nothing.
    operator.stop();
    stage.proxy.forget();
    operator.start_again();
    operator.wait_leads();
    let passes = r#"backupmx_operator_passes_total{result="ok"}"#;
    backupmx_tests::wait_until("the resource was looked at", LONG, || operator.metric(passes).unwrap_or(0.0) >= 1.0);
    // Longer than the ten seconds after which a resource is looked at by itself while its relays are silent.
    stage.proxy.stays_quiet(Duration::from_secs(12));
    assert!(operator.metric(passes).unwrap() >= 2.0, "no pass followed by itself");
}

#[test]
fn conditions_are_of_the_generation_that_was_seen() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    stage.wait_observed("example");
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"hold": {"maxAge": "3d"}}}));
    let seen = stage.wait_observed("example");
    assert_eq!(seen.metadata.generation, Some(2));
    for kind in ["Ready", "Reconciling", "Stalled", "RelaysReady", "DomainConflict", "HostnameConflict"] {
        let condition = condition(&seen, kind).unwrap_or_else(|| panic!("no condition {kind}"));
        assert_eq!(condition.observed_generation, Some(2), "{kind}");
        assert!(!condition.message.is_empty(), "{kind}");
    }
    assert_eq!(reason(&seen, "Ready"), ("False".into(), "NoRelayAvailable".into()));
    assert_eq!(reason(&seen, "PrimaryReachable"), ("Unknown".into(), "NotReported".into()));
    assert_eq!(
        seen.status.unwrap().mx_records,
        ["example.org. 300 IN MX 10 mail.example.org.", "example.org. 300 IN MX 20 mx1.example.org."]
    );
}
