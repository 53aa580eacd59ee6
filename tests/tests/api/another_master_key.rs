//! An operator whose master key is not the one that the relays' tokens are of says so, and not that a network is shut.

use backupmx_tests::{
    LONG,
    cluster::{PodRelay, condition},
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::common::{Stage, resource};

#[test]
fn a_relay_that_refuses_the_token_is_told_as_that_and_answers_again_when_it_is_restarted() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", ""));
    let relay = stage.relay("example", "a");
    let pod = PodRelay::start(&stage.mail, &relay);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    operator.stop();

    // Its Secret was lost, and the next operator made another.
    let mut options = stage.options();
    options.master_key = "another key than the one that the relays know".to_owned();
    let _operator = stage.operator_by(options);
    let told = stage.mail.wait_condition("example", "RelaysReady", "False", "RelayRefusesToken", LONG);
    let message = condition(&told, "RelaysReady").unwrap().message;
    assert!(message.starts_with("relay a refuses the operator's token, as the master key is another "), "{message}");
    let uid = told.uid().unwrap();
    let restart =
        format!("kubectl delete pod -n {} -l backupmx.io/owner-uid={uid},backupmx.io/relay=a", stage.mail.name());
    assert!(message.ends_with(&restart), "{message}");
    let selected = stage.mail.get::<Pod>(pod.pod()).unwrap();
    assert_eq!(selected.labels().get("backupmx.io/owner-uid"), Some(&uid), "the command selects its pod");
    assert_eq!(selected.labels().get("backupmx.io/relay").map(String::as_str), Some("a"));
    assert!(pod.is_ready(), "it takes mail as before");

    // What the command leads to: a pod on the ConfigMap of now.
    let _pod = pod.next(&stage.mail, &relay);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
}
