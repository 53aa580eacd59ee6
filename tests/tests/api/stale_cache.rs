//! What is gone is not made anew by an operator that has not seen that it is gone.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::proxy::{Answer, Call, Fault},
    stays, wait_until,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::json;
use std::time::Duration;

use crate::common::Stage;

fn of_claims(call: &Call) -> bool {
    call.resource == "persistentvolumeclaims"
}

#[test]
fn makes_nothing_anew() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let claim = stage.settled();
    // From here on the operator hears nothing of claims.
    stage.proxy.inject_always(Fault::Hang, |call| of_claims(call) && !call.writes());
    stage.proxy.forget();
    stage.proxy.drop_watches();
    wait_until("it asks for news of claims in vain", LONG, || stage.proxy.calls().iter().any(of_claims));
    stage.mail.delete::<PersistentVolumeClaim>(&claim);
    stage.mail.merge::<PersistentVolumeClaim>(&claim, &json!({"metadata": {"finalizers": null}}));
    stage.mail.wait_gone::<PersistentVolumeClaim>(&claim, LONG);

    // The claim names the domains, so it is written.
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"domains": ["example.org", "example.net"]}}));
    let refused = |call: &Call| of_claims(call) && call.writes() && call.answer == Some(Answer::Real(409));
    wait_until("its write is refused", LONG, || stage.proxy.calls().iter().any(refused));
    stays("none is made", Duration::from_secs(3), || stage.mail.get::<PersistentVolumeClaim>(&claim).is_none());
}
