//! From `kubectl apply` to delivered mail: a relay runs, external-dns publishes it, mail that comes while the primary is
//! down is held, and is there when the primary is back.

use backupmx_tests::{Mail, wait_until};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

#[test]
fn a_domain_gets_its_backup() {
    let mut stage = Stage::new("first");
    stage.publish(&json!({}));
    let domain = stage.domain().to_owned();
    assert_eq!(stage.zones.ask(&stage.hostname("a"), "A"), Some(vec![stage.smtp("a").ip().to_string()]));
    let pod: Pod = stage.pod("a").expect("a pod that is ready is there");
    assert_eq!(pod.spec.unwrap().automount_service_account_token, Some(false));

    let held = [Mail::to(&stage.recipient()), Mail::to(&stage.recipient()).with_body(b"..\r\n.\r\nend\r\n")];
    let mut session = stage.session("a");
    for mail in &held {
        session.mail(mail).expect(250);
    }
    stage.wait_queued(2);
    stage.wait_reason("PrimaryReachable", "False", "Down");
    stage.wait_reason("DNSPublished", "True", "Published");
    stage.wait_reason("Ready", "True", "Available");
    stage.mail.wait_event(NAME, "Normal", "DNSPublished", PATIENCE);
    stage.mail.wait_event(NAME, "Warning", "PrimaryDown", PATIENCE);
    let shown = stage.kubectl(&["get", "bmx"]);
    let mut lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["NAME", "DOMAINS", "PRIMARY", "QUEUED", "OLDEST", "READY", "AGE"]);
    let row = lines.next().unwrap();
    assert_eq!(row[..4], [NAME, &domain, "Down", "2"], "{shown}");
    assert_eq!(row[5], "True", "{shown}");

    stage.primary.start();
    let mut arrived = stage.primary.wait_count(2, PATIENCE);
    arrived.sort_by_key(|mail| held.iter().position(|sent| sent.id() == mail.id()));
    for (arrived, sent) in arrived.iter().zip(&held) {
        assert!(arrived.content.ends_with(&sent.content), "{}", String::from_utf8_lossy(&arrived.content));
    }
    stage.wait_queued(0);
    stage.mail.wait_event(NAME, "Normal", "PrimaryBack", PATIENCE);
    stage.mail.wait_event(NAME, "Normal", "Drained", PATIENCE);
    wait_until("the columns say that the primary is back", PATIENCE, || {
        let shown = stage.kubectl(&["get", "bmx", "--no-headers"]);
        let row: Vec<_> = shown.split_whitespace().collect();
        (row[2] == "Up" || row[2] == "Recovering") && row[3] == "0"
    });
}
