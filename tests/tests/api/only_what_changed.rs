//! Of all that a resource has become, only what a change is about is written.

use std::{collections::BTreeSet, time::Duration};

use backupmx_crds::BackupMX;
use backupmx_tests::LONG;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::json;

use crate::common::Stage;

#[test]
fn is_written() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let relay = stage.settled();
    stage.proxy.forget();
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"delivery": {"maxConnections": 3}}}));
    stage.wait_observed("example");
    stage.proxy.wait_quiet(Duration::from_secs(2), LONG);
    let written: BTreeSet<String> = stage.proxy.writes().iter().map(ToString::to_string).collect();
    let shared = stage.mail.names::<NetworkPolicy>().remove(0);
    let wanted = [
        "patch backupmxes/status example (200)".to_owned(),
        format!("patch configmaps {relay}-config-v1 (200)"),
        // The spec is noted there, for an operator that starts while a later one cannot be used.
        format!("patch serviceaccounts {shared} (200)"),
    ];
    assert_eq!(written, BTreeSet::from(wanted));
}
