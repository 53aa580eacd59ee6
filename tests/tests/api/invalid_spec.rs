//! A spec that the API server takes and that cannot work: it says so, its relays go on, and it can be mended or deleted.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{condition, reason, shown},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};

use crate::common::{Stage, resource, resource_for};

/// A duration is compared with another only by the operator.
const WRONG: &str = "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n";

#[test]
fn says_which_field_and_goes_on_when_it_is_mended() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    let before = stage.mail.list::<ConfigMap>();
    stage.mail.apply(&resource("example", "example.org", WRONG));
    let seen = stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    let message = condition(&seen, "Stalled").unwrap().message;
    assert!(message.starts_with("spec.hold.warnSenderAfter: expected"), "{message}");
    assert_eq!(reason(&seen, "Ready"), ("False".into(), "NoRelayAvailable".into()), "by its own rule");
    assert_eq!(reason(&seen, "Reconciling").0, "False");
    assert_eq!(seen.status.as_ref().unwrap().observed_generation, seen.metadata.generation);
    let after = stage.mail.list::<ConfigMap>();
    assert_eq!(shown(&before[0]), shown(&after[0]), "its relays go on as they are");
    assert!(stage.mail.get::<Deployment>(&relay).is_some());

    stage.mail.apply(&resource("example", "example.org", "  hold: {maxAge: 3d, warnSenderAfter: 2d}\n"));
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    let mended = &stage.mail.list::<ConfigMap>()[0];
    assert!(mended.data.as_ref().unwrap()["relay.yaml"].contains("3d"), "{}", shown(mended));
}

#[test]
fn what_its_relays_hold_is_told_on() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let mut primary = ScriptedPrimary::down(&place);
    let retry = "  delivery: {retry: {min: 1s, max: 1s}}\n";
    let spec = |more: &str| resource_for("example", "example.org", place.primary(), &[retry, more].concat());
    let (_, pod) = stage.ready(&spec(""));
    stage.mail.apply(&spec(WRONG));
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);

    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    let queue = |object: &BackupMX| object.status.as_ref().and_then(|status| status.queue.clone()).unwrap_or_default();
    let seen = stage.mail.wait("example", "says what is held", LONG + LONG, |object: &BackupMX| {
        queue(object).messages == 1 && reason(object, "PrimaryReachable") == ("False".into(), "Down".into())
    });
    assert!(queue(&seen).oldest_message_time.is_some() && queue(&seen).bytes > 0, "{}", shown(&seen));
    assert_eq!(reason(&seen, "QueueHealthy"), ("True".into(), "Holding".into()));
    assert_eq!(reason(&seen, "Stalled"), ("True".into(), "InvalidSpec".into()));
    stage.mail.wait_event("example", "Warning", "PrimaryDown", LONG);

    primary.start();
    stage
        .mail
        .wait("example", "says that nothing is held", LONG + LONG, |object: &BackupMX| queue(object).messages == 0);
    stage.mail.wait_event("example", "Normal", "Drained", LONG);
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
}

#[test]
fn from_the_first_day_makes_nothing() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", WRONG));
    let seen = stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    assert_eq!(reason(&seen, "Ready"), ("False".into(), "InvalidSpec".into()));
    assert_eq!(stage.mail.names::<Deployment>().len(), 0);
    assert_eq!(stage.mail.names::<PersistentVolumeClaim>().len(), 0);
    stage.mail.delete::<BackupMX>("example");
    stage.mail.wait_gone::<BackupMX>("example", LONG);
}
