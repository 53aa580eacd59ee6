//! An order to let go does not outlive what it was for: it must not meet what leaves another day.

use backupmx_tests::LONG;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;

use crate::common::Stage;

const RELEASE: &str = "backupmx.io/release";

#[test]
fn where_nothing_leaves_it_is_taken_off() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let claim = stage.settled();
    let uid = stage.mail.get::<PersistentVolumeClaim>(&claim).unwrap().uid();
    let order = json!({"metadata": {"annotations": {RELEASE: "discard"}}});
    let ordered = stage.mail.merge::<PersistentVolumeClaim>(&claim, &order);
    assert_eq!(ordered.annotations()[RELEASE], "discard");
    let forgotten = |claim: &PersistentVolumeClaim| !claim.annotations().contains_key(RELEASE);
    let after = stage.mail.wait(&claim, "bears no order", LONG, forgotten);
    assert_eq!((after.uid(), after.metadata.deletion_timestamp), (uid, None), "nothing was let go");
}
