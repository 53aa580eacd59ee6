//! A change of the config reaches a running relay within five seconds, without a restart.

use std::time::Duration;

use backupmx_tests::{Smtp, wait_until, wait_value};
use k8s_openapi::{
    api::core::v1::Pod,
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage};

/// What users are promised.
const LIMIT: Duration = Duration::from_secs(5);

/// The revisions that a relay says it put in force, and when each, by its own log.
fn in_force(stage: &Stage, pod: &Pod) -> Vec<(i64, Timestamp)> {
    let log = stage.kubectl(&["logs", &pod.name_any()]);
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.filter(|line| line["message"] == "config in force");
    told.map(|line| {
        let at = line["timestamp"].as_str().expect("a line of the log says when").parse().unwrap();
        (line["revision"].as_i64().expect("it says which revision"), at)
    })
    .collect()
}

#[test]
fn it_reaches_the_running_relay() {
    let stage = Stage::new("config");
    stage.publish(&json!({}));
    let (relay, pod) = (stage.smtp("a"), stage.pod("a").unwrap());
    let mut took = Vec::new();
    for mebibytes in [60, 70, 80, 90, 100] {
        let before = in_force(&stage, &pod).len();
        stage.change(&json!({"acceptance": {"maxMessageSize": format!("{mebibytes}Mi")}}));
        // The API server has taken it; how long this test then takes to look is not counted.
        let accepted = Timestamp::now();
        let wanted = format!("SIZE {}", mebibytes << 20);
        wait_until(&format!("the relay says {wanted}"), PATIENCE, || {
            Smtp::connect(relay).command("EHLO client.sender.test").text.lines().any(|line| line == wanted)
        });
        let (revision, at) =
            wait_value("its log says since when", PATIENCE, || in_force(&stage, &pod).into_iter().nth(before));
        took.push(at.duration_since(accepted).max(SignedDuration::ZERO).unsigned_abs());
        wait_until("the status has the revision", PATIENCE, || {
            let relays = stage.live().status.map(|status| status.relays).unwrap_or_default();
            relays.iter().any(|relay| relay.name == "a" && relay.config_revision == Some(revision))
        });
    }
    eprintln!("a config was in force after {took:?}");
    assert!(took.iter().all(|took| *took < LIMIT), "{took:?}");
    let after = stage.pod("a").unwrap();
    assert_eq!(after.uid(), pod.uid());
    let restarts = after.status.and_then(|status| status.container_statuses).unwrap_or_default();
    assert!(restarts.iter().all(|container| container.restart_count == 0));
}
