//! A ConfigMap that the spec refers to and that is not there: the relays go on as they are, and nobody's mail is refused
//! for it.

use backupmx_tests::{
    LONG,
    cluster::{condition, reason},
};
use k8s_openapi::api::core::v1::ConfigMap;

use crate::common::{Stage, config, resource};

const LIST: &str = "  acceptance: {recipients: {mode: List, configMapRef: {name: people, key: list}}}\n";
const PEOPLE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: people}, data: {list: ann}}";

#[test]
fn it_is_named_and_waited_for() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", LIST));
    let seen = stage.mail.wait_condition("example", "Stalled", "True", "ReferenceNotFound", LONG);
    let message = condition(&seen, "Stalled").unwrap().message;
    assert_eq!(
        message,
        "spec.acceptance.recipients.configMapRef: expected ConfigMap people with the key list to exist; it does not"
    );
    assert_eq!(reason(&seen, "Ready"), ("False".into(), "ReferenceNotFound".into()));
    assert_eq!(stage.mail.wait_event("example", "Warning", "Stalled", LONG), message);

    stage.mail.apply(PEOPLE);
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    let listed = || config(&stage, "example", "a").unwrap()["tenants"][0]["acceptance"]["recipients"]["list"].clone();
    assert_eq!(listed()[0], "ann");

    stage.mail.delete::<ConfigMap>("people");
    stage.mail.wait_condition("example", "Stalled", "True", "ReferenceNotFound", LONG);
    assert_eq!(listed()[0], "ann", "its relays go on as they are");
}
