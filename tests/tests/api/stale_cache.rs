//! An operator that has not seen that something is gone: it makes nothing anew, and what it would delete is gone, as it
//! should be.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::proxy::{Answer, Call, Fault},
    stays, wait_until,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use serde_json::json;
use std::time::Duration;

use crate::common::{Stage, resource};

/// From here on the operator hears nothing of what happens to objects of that kind.
fn deafen(stage: &Stage, kind: &'static str) {
    stage.proxy.inject_always(Fault::Hang, move |call| call.resource == kind && !call.writes());
    stage.proxy.forget();
    stage.proxy.drop_watches();
    wait_until("it asks for news in vain", LONG, || stage.proxy.calls().iter().any(|call| call.resource == kind));
}

#[test]
fn makes_nothing_anew() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let claim = stage.settled();
    deafen(&stage, "persistentvolumeclaims");
    stage.mail.delete::<PersistentVolumeClaim>(&claim);
    stage.mail.merge::<PersistentVolumeClaim>(&claim, &json!({"metadata": {"finalizers": null}}));
    stage.mail.wait_gone::<PersistentVolumeClaim>(&claim, LONG);

    // The claim names the domains, so it is written.
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"domains": ["example.org", "example.net"]}}));
    let refused = |call: &Call| {
        call.resource == "persistentvolumeclaims" && call.writes() && call.answer == Some(Answer::Real(409))
    };
    wait_until("its write is refused", LONG, || stage.proxy.calls().iter().any(refused));
    stays("none is made", Duration::from_secs(3), || stage.mail.get::<PersistentVolumeClaim>(&claim).is_none());
}

#[test]
fn what_another_has_deleted_is_as_good_as_deleted() {
    let stage = Stage::new();
    let operator = stage.operator();
    stage.mail.apply(&resource("example", "example.org", "  deletionPolicy: Discard\n"));
    let relay = stage.relay("example", "a");
    stage.mail.wait(&relay, "is there", LONG, |_: &Service| true);
    stage.proxy.wait_quiet(Duration::from_secs(2), LONG);
    deafen(&stage, "services");
    stage.mail.delete::<Service>(&relay);
    stage.mail.wait_gone::<Service>(&relay, LONG);

    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    let in_vain = |call: &Call| {
        (call.resource.as_str(), call.verb) == ("services", "delete") && call.answer == Some(Answer::Real(404))
    };
    assert!(stage.proxy.calls().iter().any(in_vain), "it was deleted in vain");
    for failure in ["passing", "refused", "internal"] {
        let passes = format!(r#"backupmx_operator_passes_total{{result="{failure}"}}"#);
        assert_eq!(operator.metric(&passes), Some(0.0), "{failure}");
    }
}
