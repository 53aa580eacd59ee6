//! external-dns does what the operator asks: records are made, changed and taken away, as a DNS query sees it.

use backupmx_crds::BackupMX;
use backupmx_tests::wait_until;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

#[test]
fn records_come_change_and_go() {
    let stage = Stage::new("cycle");
    stage.publish(&json!({"deletionPolicy": "Discard", "dns": {"onRelease": "Delete"}}));
    let domain = stage.domain().to_owned();
    let owned = stage.zones.ask(&format!("_extdns-mx.{domain}"), "TXT").expect("the server answers");
    assert!(owned.len() == 1 && owned[0].contains("external-dns/owner=backupmx-test"), "{owned:?}");
    let mut relay = stage.relay("a");
    relay["preference"] = json!(25);
    stage.change(&json!({"relays": [relay]}));
    stage.wait_mx(&[format!("10 mail.{domain}"), format!("25 mx1.{domain}")]);
    stage.mail.delete::<BackupMX>(NAME);
    stage.wait_mx(&[""; 0]);
    wait_until("its ownership is gone", PATIENCE, || {
        stage.zones.ask(&format!("_extdns-mx.{domain}"), "TXT") == Some(Vec::new())
    });
}
