//! An operator that is killed while it tells an Event tells it when it is back: the status does not say what changed before
//! the Event does.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{
        proxy::{Call, Fault},
        reason,
    },
    wait_until,
};
use k8s_openapi::api::events::v1::Event;

use crate::common::{Stage, resource};

#[test]
fn it_is_told_by_the_next_one() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    stage.settled();
    let event = |call: &Call| call.verb == "create" && call.resource == "events";
    stage.proxy.forget();
    stage.proxy.inject_always(Fault::Hang, event);
    stage.mail.apply(&resource("example", "example.org", "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n"));
    wait_until("an Event is on its way", LONG, || stage.proxy.calls().iter().any(event));
    operator.kill();
    let object: BackupMX = stage.mail.get("example").unwrap();
    assert_eq!(reason(&object, "Stalled").0, "False", "the status waits for the Event");
    let stalled = |event: &Event| event.reason.as_deref() == Some("Stalled");
    assert!(!stage.mail.events("example").iter().any(stalled), "the write never arrived");
    stage.proxy.heal();
    operator.start_again();
    let note = stage.mail.wait_event("example", "Warning", "Stalled", LONG);
    assert!(note.contains("spec.hold.warnSenderAfter"), "{note}");
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
}

#[test]
fn a_status_that_is_not_taken_has_it_told_once() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.settled();
    let status = |call: &Call| call.writes() && call.resource == "backupmxes" && call.subresource == "status";
    stage.proxy.inject(Fault::Status(500), 3, status);
    stage.mail.apply(&resource("example", "example.org", "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n"));
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    assert_eq!(stage.proxy.left(), 0, "the status was refused three times");
    let told: Vec<Event> = stage.mail.events("example");
    let stalled: Vec<&Event> = told.iter().filter(|event| event.reason.as_deref() == Some("Stalled")).collect();
    assert_eq!(stalled.len(), 1);
    assert_eq!(stalled[0].series, None, "once");
}

#[test]
fn where_no_event_is_taken_the_status_says_it_all_the_same() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.settled();
    stage.proxy.inject_always(Fault::Hang, |call: &Call| call.verb == "create" && call.resource == "events");
    stage.mail.apply(&resource("example", "example.org", "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n"));
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
}
