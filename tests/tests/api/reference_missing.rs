//! A ConfigMap that the spec refers to and that is not there, or may not be read: the relays go on as they are, and
//! nobody's mail is refused for it.

use backupmx_tests::{
    LONG,
    cluster::{condition, proxy::Fault, reason},
};
use k8s_openapi::api::core::v1::{ConfigMap, Service};

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

#[test]
fn one_that_may_not_be_read_is_told_and_its_relays_are_looked_after() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(PEOPLE);
    let (relay, _pod) = stage.ready(&resource("example", "example.org", LIST));
    stage.proxy.inject_always(Fault::Status(403), |call| call.verb == "get" && call.resource == "configmaps");
    stage.mail.apply(&PEOPLE.replace("list: ann", "list: bob"));
    let seen = stage.mail.wait_condition("example", "Stalled", "True", "ReferenceNotFound", LONG);
    let message = condition(&seen, "Stalled").unwrap().message;
    let wanted =
        "spec.acceptance.recipients.configMapRef: expected to be allowed to read it: failed to read ConfigMap people";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(reason(&seen, "RelaysReady"), ("True".into(), "AllReady".into()));
    stage.mail.delete::<Service>(&relay);
    stage.mail.wait(&relay, "is made again", LONG, |_: &Service| true);
    stage.proxy.heal();
    stage.look_at("example");
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
}
