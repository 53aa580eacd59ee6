//! An annotation has held mail tried at once, long before its next try is due.

use backupmx_crds::BackupMX;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

/// The next try of itself is an hour away.
const SELDOM: &str = "1h";

#[test]
fn the_annotation_does() {
    let mut stage = Stage::new("flush");
    stage.publish(&json!({"delivery": {"retry": {"min": SELDOM, "max": SELDOM}}}));
    let held = stage.send("a", 2);
    stage.wait_reason("PrimaryReachable", "False", "Down");
    stage.primary.start();
    stage.mail.merge::<BackupMX>(NAME, &json!({"metadata": {"annotations": {"backupmx.io/flush": "now"}}}));
    stage.wait_arrived(&held);
    stage.mail.wait(NAME, "says that it has flushed", PATIENCE, |resource: &BackupMX| {
        resource.status.as_ref().is_some_and(|status| status.last_handled_flush.as_deref() == Some("now"))
    });
}
