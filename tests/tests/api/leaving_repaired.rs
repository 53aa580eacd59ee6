//! A relay that drains is kept up to date as those that serve are: a new image reaches it, and so does the repair of a
//! broken one.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{Operator, StandIn},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim};

use crate::common::{Stage, resource, retiring};

fn image(deployment: &Deployment) -> Option<&str> {
    deployment.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.as_deref()
}

/// Another operator takes over, which brings another image.
fn upgrade(operator: &mut Operator, image: &str) {
    operator.stop();
    operator.options().relay_image = image.to_owned();
    operator.start_again();
    operator.wait_leads();
}

#[test]
fn it_gets_a_new_image_and_the_repair_of_a_broken_one() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    let spec = "  tls: {secretName: mx-tls}\n";
    let text = resource("example", "example.org", spec);
    let text =
        text.replace("hostname: mx1.example.org", "hostname: mx1.example.org, scheduling: {nodeSelector: {x: y}}");
    let (relay, _pod) = stage.ready(&text);
    // Its spec cannot be used any more: all that its pod needs is known by what there is.
    stage.mail.apply(&text.replace("spec:", "spec:\n  hold: {maxAge: 1d, warnSenderAfter: 2d}"));
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    stage.mail.delete::<BackupMX>("example");
    let in_phase = |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["phase"] == "Waiting");
    stage.mail.wait(&relay, "is Waiting", LONG, in_phase);

    upgrade(&mut operator, "localhost/backupmx-relay:broken");
    let has = |wanted: &'static str| move |live: &Deployment| image(live) == Some(wanted);
    let broken = stage.mail.wait(&relay, "has the new image", LONG, has("localhost/backupmx-relay:broken"));
    let pod = broken.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.node_selector.unwrap()["x"], "y");
    assert!(pod.volumes.unwrap().iter().any(|volume| volume.secret.is_some()), "its certificate is mounted still");
    StandIn(&stage.mail).unavailable(&relay);
    upgrade(&mut operator, "localhost/backupmx-relay:mended");
    stage.mail.wait(&relay, "is repaired", LONG, has("localhost/backupmx-relay:mended"));

    // Nothing is made anew when it is gone.
    StandIn(&stage.mail).available(&relay);
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    stage.assert_nothing_left(&relay);
}
