//! A change of the config reaches a running relay within seconds, without a restart.

use std::time::{Duration, Instant};

use backupmx_crds::BackupMX;
use backupmx_tests::{Smtp, wait_until};
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{NAME, PATIENCE, Stage};

#[test]
fn it_reaches_the_running_relay() {
    let stage = Stage::new("config");
    stage.publish(&json!({}));
    let (relay, pod) = (stage.smtp("a"), stage.pod("a").unwrap());
    let revision = |resource: &BackupMX| {
        let status = resource.status.as_ref()?;
        status.relays.iter().find(|relay| relay.name == "a")?.config_revision
    };
    let mut took = Vec::new();
    for mebibytes in [60, 70, 80] {
        let before = revision(&stage.live()).expect("a relay that is ready says what it runs on");
        let start = Instant::now();
        stage.change(&json!({"acceptance": {"maxMessageSize": format!("{mebibytes}Mi")}}));
        let wanted = format!("SIZE {}", mebibytes << 20);
        wait_until(&format!("the relay says {wanted}"), PATIENCE, || {
            Smtp::connect(relay).command("EHLO client.sender.test").text.lines().any(|line| line == wanted)
        });
        took.push(start.elapsed());
        stage.mail.wait(NAME, "has the revision in its status", PATIENCE, |resource: &BackupMX| {
            revision(resource).is_some_and(|now| now > before)
        });
    }
    eprintln!("a config was in force after {took:?}");
    // A machine that is busy with other tests may be slow once, but not three times.
    assert!(took.iter().min().is_some_and(|best| *best < Duration::from_secs(5)), "{took:?}");
    let after = stage.pod("a").unwrap();
    assert_eq!(after.uid(), pod.uid());
    let restarts = after.status.and_then(|status| status.container_statuses).unwrap_or_default();
    assert!(restarts.iter().all(|container| container.restart_count == 0));
}
