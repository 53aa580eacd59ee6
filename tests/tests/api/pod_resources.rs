//! What a relay's pod asks for and may have is what the resource says, in whatever form that is written, and what comes in is
//! bounded by it.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::LONG;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ResourceRequirements};
use serde_json::{Value, json};

use crate::common::{Stage, config, resource};

fn pod(deployment: &Deployment) -> ResourceRequirements {
    let pod = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    pod.containers[0].resources.clone().unwrap_or_default()
}

fn bound(stage: &Stage) -> Value {
    config(stage, "example", "a").unwrap()["limits"]["memory"].clone()
}

#[test]
fn are_those_of_the_resource() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    let deployment: Deployment = stage.mail.get(&relay).unwrap();
    let wanted = json!({"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}});
    assert_eq!(json!(pod(&deployment)), wanted, "the defaults");
    assert_eq!(bound(&stage), "128Mi");
    // The API server keeps these in another form than they are written here.
    let given = json!({"requests": {"cpu": 1, "memory": "0.5Gi"}, "limits": {"cpu": "2000m", "memory": "2048Mi"}});
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"resources": given}}));
    let wanted = json!({"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}});
    stage.mail.wait(&relay, "has them", LONG, |live: &Deployment| json!(pod(live)) == wanted);
    stage.wait_observed("example");
    // Of the pod that there was, until there is the next one.
    let eighth = |_: &BackupMX| bound(&stage) == "256Mi";
    stage.mail.wait("example", "bounds what comes in by an eighth of the memory", LONG, eighth);
    stage.proxy.wait_quiet(Duration::from_secs(3), LONG);
    stage.look_at("example");
    stage.proxy.forget();
    stage.proxy.stays_quiet(Duration::from_secs(3));
    let none = json!({"spec": {"resources": {"limits": {"cpu": null, "memory": null}}}});
    stage.mail.merge::<BackupMX>("example", &none);
    stage.mail.wait(&relay, "has no limits", LONG, |live: &Deployment| pod(live).limits.is_none());
    stage.mail.wait("example", "was observed", LONG, |_: &BackupMX| bound(&stage) == "128Mi");
}

#[test]
fn are_refused_by_name_where_they_cannot_work() {
    let stage = Stage::new();
    let text = resource("example", "example.org", "  resources: {limits: {memory: \"1e9\"}}\n");
    let document = &backupmx_tests::cluster::documents(&text)[0];
    let refused = stage.mail.kube().try_apply(stage.mail.name(), document).unwrap_err();
    assert!(refused.message.contains("spec.resources.limits"), "{}", refused.message);
    assert!(refused.message.contains("512Mi or 2Gi of memory"), "{}", refused.message);
}
