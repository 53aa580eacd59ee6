//! The annotation `backupmx.io/flush` counts as acted on only when every relay that may hold mail has heard of it.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Place, ScriptedPrimary, cluster::condition, stays};
use serde_json::json;

use crate::common::{Stage, resource_for};

fn handled(resource: &BackupMX) -> Option<&str> {
    resource.status.as_ref()?.last_handled_flush.as_deref()
}

#[test]
fn a_relay_that_restarts_is_told_when_it_is_back() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let mut primary = ScriptedPrimary::down(&place);
    // Its next try of itself is an hour away.
    let more = "  delivery: {retry: {min: 1h, max: 1h}}\n";
    let (_, mut pod) = stage.holding(&resource_for("example", "example.org", place.primary(), more));
    stage.mail.wait_condition("example", "PrimaryReachable", "False", "Down", LONG);
    let flush = |value: &str| {
        stage.mail.merge::<BackupMX>("example", &json!({"metadata": {"annotations": {"backupmx.io/flush": value}}}));
    };
    flush("one");
    stage.mail.wait("example", "has heard of it", LONG, |object: &BackupMX| handled(object) == Some("one"));

    pod.kill();
    flush("two");
    // The relay is found to be silent, and passes are made: none of them may take the value for handled.
    stage.mail.wait_condition("example", "RelaysReady", "False", "RelayUnreachable", LONG);
    let unheard = stage.mail.wait_condition("example", "QueueHealthy", "Unknown", "NotReported", LONG);
    let message = condition(&unheard, "QueueHealthy").unwrap().message;
    assert!(
        message.starts_with("relay a does not say what it holds, and held 1 message when it last did"),
        "{message}"
    );
    stage.look_at("example");
    stays("it has not heard of it", Duration::from_secs(3), || {
        handled(&stage.mail.get("example").unwrap()) == Some("one")
    });
    pod.start_again();
    stage.mail.wait("example", "has heard of it", LONG, |object: &BackupMX| handled(object) == Some("two"));
    // And it does what it was told.
    primary.start();
    flush("three");
    primary.wait_count(1, LONG);
    stage.mail.wait("example", "has heard of it", LONG, |object: &BackupMX| handled(object) == Some("three"));
}
