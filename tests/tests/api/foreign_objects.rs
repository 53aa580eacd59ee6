//! An object of a name that the operator needs, and that belongs to somebody else, is not touched; the resource says so.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{condition, shown},
    wait_until,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::common::{Stage, config, resource};

fn service(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "of-a-person"}},
    })
}

/// The name of the objects of relay `a`, all of which are gone again, and no operator runs.
fn free_name(stage: &Stage) -> String {
    let mut operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    stage.wait_observed("example");
    let relay = stage.relay("example", "a");
    stage.proxy.wait_quiet(Duration::from_secs(2), LONG);
    operator.stop();
    stage.mail.delete::<Service>(&relay);
    relay
}

#[track_caller]
fn stays_as_it_is(stage: &Stage, name: &str) {
    let before: Service = stage.mail.get(name).unwrap();
    let _operator = stage.operator();
    let seen = stage.mail.wait_condition("example", "Stalled", "True", "ApplyFailed", LONG);
    let message = condition(&seen, "Stalled").unwrap().message;
    assert!(message.contains(&format!("Service {name} exists and belongs to another")), "{message}");
    let after: Service = stage.mail.get(name).unwrap();
    assert_eq!(shown(&before), shown(&after));
    assert_eq!(stage.mail.names::<PersistentVolumeClaim>(), [name], "the others go on");
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"delivery": {"maxConnections": 3}}}));
    let told =
        || config(stage, "example", "a").is_some_and(|config| config.to_string().contains("\"maxConnections\":3"));
    wait_until("its relay's config follows", LONG, told);
    // Its owner gives the name free.
    stage.mail.delete::<Service>(name);
    // By now it is tried again by itself once a minute.
    stage.look_at("example");
    stage.mail.wait(name, "is ours", LONG, |service: &Service| service.labels().contains_key("backupmx.io/relay"));
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
}

#[test]
fn of_a_person() {
    let stage = Stage::new();
    let name = free_name(&stage);
    stage.mail.create::<Service>(&service(&name, &json!({})));
    stays_as_it_is(&stage, &name);
}

#[test]
fn of_another_resource() {
    let stage = Stage::new();
    let name = free_name(&stage);
    let labels = json!({
        "app.kubernetes.io/managed-by": "backupmx-operator",
        "backupmx.io/owner-uid": "00000000-0000-0000-0000-000000000000",
    });
    stage.mail.create::<Service>(&service(&name, &labels));
    stays_as_it_is(&stage, &name);
}
