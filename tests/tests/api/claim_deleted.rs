//! That a claim was deleted while mail is on it is told with how much that is, and what to do.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Place, ScriptedPrimary, Smtp, cluster::condition};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::common::{Stage, queued, resource_for};

#[test]
fn the_event_counts_the_messages() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let mut primary = ScriptedPrimary::down(&place);
    let (claim, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), ""));
    let mut session = Smtp::session(pod.smtp());
    for _ in 0..3 {
        session.mail(&Mail::to("bob@example.org")).expect(250);
    }
    stage.mail.wait("example", "says that three are held", 2 * LONG, |object: &BackupMX| queued(object) == Some(3));
    stage.mail.delete::<PersistentVolumeClaim>(&claim);
    let note = stage.mail.wait_event("example", "Warning", "ClaimDeleted", LONG);
    assert!(note.contains("It is kept until its 3 messages are delivered"), "{note}");
    let discard = format!("kubectl annotate pvc -n {} {claim} backupmx.io/release=discard", stage.mail.name());
    assert!(note.contains(&discard), "{note}");
    let seen = stage.mail.wait_condition("example", "StorageHealthy", "False", "DeletedWhileHolding", LONG);
    assert_eq!(condition(&seen, "StorageHealthy").unwrap().message, note);

    primary.start();
    primary.wait_count(3, LONG);
    stage.wait_let_go(&claim);
}
