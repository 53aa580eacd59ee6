//! An operator that is killed at every step of a retirement: the next one goes on where it was, as that is kept in the
//! claim.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Place, ScriptedPrimary, Smtp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::common::{Stage, resource_for, retiring};

#[test]
fn the_next_operator_goes_on() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let (relay, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), ""));
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    stage.mail.delete::<BackupMX>("example");

    let phase = |wanted: &'static str| {
        move |claim: &PersistentVolumeClaim| retiring(claim).iter().any(|one| one["phase"] == wanted)
    };
    let waiting = stage.mail.wait(&relay, "is Waiting", LONG, phase("Waiting"));
    operator.kill();
    operator.start_again();
    operator.wait_leads();
    let still = stage.mail.wait(&relay, "is Waiting", LONG, phase("Waiting"));
    assert_eq!(retiring(&still), retiring(&waiting), "the wait does not begin anew");
    operator.kill();
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    operator.start_again();
    stage.mail.wait(&relay, "is Draining", LONG, phase("Draining"));
    operator.kill();
    primary.start();
    primary.wait_count(1, LONG);
    operator.start_again();
    stage.wait_let_go(&relay);
    stage.assert_nothing_left(&relay);
    stage.mail.wait_gone::<BackupMX>("example", LONG);
    assert_eq!(primary.count(), 1);
}
