//! An API server that is busy, slow, inconsistent or away for a moment: the operator gets there all the same, and is
//! quiet then.

use std::time::Duration;

use backupmx_tests::{
    LONG,
    cluster::proxy::{Call, Fault},
    wait_until,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service},
};
use kube::ResourceExt;

use crate::common::{Stage, resource};

/// Twice as long: back-off comes on top.
const PATIENCE: Duration = LONG.saturating_mul(2);

fn writes(call: &Call) -> bool {
    call.writes() && !call.is_election()
}

/// A resource comes while requests meet a fault; in the end all is there, and nothing more is written.
#[track_caller]
fn gets_there(fault: Fault, times: usize, meets: fn(&Call) -> bool) {
    let stage = Stage::new();
    let mut operator = stage.operator();
    stage.proxy.inject(fault, times, meets);
    stage.mail.apply(&resource("example", "example.org", ""));
    wait_until("every fault was met", PATIENCE, || stage.proxy.left() == 0);
    stage.mail.wait("example", "was observed", PATIENCE, |object: &backupmx_crds::BackupMX| {
        object.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation
    });
    let relay = stage.relay("example", "a");
    stage.mail.wait(&relay, "is there", PATIENCE, |_: &Service| true);
    stage.mail.wait(&relay, "is there", PATIENCE, |_: &PersistentVolumeClaim| true);
    stage.mail.wait(&format!("{relay}-config-v1"), "is there", PATIENCE, |_: &ConfigMap| true);
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", PATIENCE);
    stage.proxy.wait_quiet(Duration::from_secs(2), PATIENCE);
    stage.proxy.stays_quiet(Duration::from_secs(3));
    assert!(operator.ended().is_none() && operator.leads());
}

/// Watches meet a fault; a change that comes afterwards is seen.
#[track_caller]
fn sees_on(disturb: impl Fn(&Stage)) {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    disturb(&stage);
    let before: Deployment = stage.mail.get(&relay).unwrap();
    stage.mail.delete::<Deployment>(&relay);
    stage.mail.wait(&relay, "is made anew", PATIENCE, |object: &Deployment| object.uid() != before.uid());
    stage.mail.apply(&resource("other", "example.net", ""));
    stage.mail.wait("other", "was observed", PATIENCE, |object: &backupmx_crds::BackupMX| {
        object.status.as_ref().and_then(|status| status.observed_generation).is_some()
    });
}

#[test]
fn a_conflict_409() {
    gets_there(Fault::Status(409), 4, writes);
}

#[test]
fn too_many_requests_429() {
    gets_there(Fault::TooManyRequests { retry_after: 1 }, 6, writes);
}

#[test]
fn an_internal_error_500() {
    gets_there(Fault::Status(500), 5, writes);
}

#[test]
fn an_answer_that_never_comes() {
    gets_there(Fault::Hang, 2, writes);
}

#[test]
fn a_connection_that_ends() {
    gets_there(Fault::Disconnect, 4, writes);
}

#[test]
fn a_write_that_was_done_without_an_answer() {
    gets_there(Fault::LoseAnswer, 4, writes);
}

#[test]
fn a_status_that_is_not_taken() {
    gets_there(Fault::Status(500), 3, |call| call.subresource == "status");
}

#[test]
fn a_watch_that_is_dropped() {
    sees_on(|stage| stage.proxy.drop_watches());
}

#[test]
fn a_watch_that_is_refused_with_410() {
    sees_on(|stage| {
        stage.proxy.inject(Fault::Status(410), 5, |call| call.verb == "watch");
        stage.proxy.drop_watches();
        wait_until("every fault was met", PATIENCE, || stage.proxy.left() == 0);
    });
}

#[test]
fn a_watch_whose_version_has_expired() {
    sees_on(|stage| {
        stage.proxy.inject(Fault::Expired, 5, |call| call.verb == "watch");
        stage.proxy.drop_watches();
        wait_until("every fault was met", PATIENCE, || stage.proxy.left() == 0);
    });
}

#[test]
fn a_list_that_fails_with_500() {
    sees_on(|stage| {
        stage.proxy.inject(Fault::Expired, 5, |call| call.verb == "watch");
        stage.proxy.inject(Fault::Status(500), 5, |call| call.verb == "list");
        stage.proxy.drop_watches();
        wait_until("every fault was met", PATIENCE, || stage.proxy.left() == 0);
    });
}
