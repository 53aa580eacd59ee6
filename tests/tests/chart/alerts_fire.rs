//! Alerts fire on what a relay and an operator really say, looked at by Prometheus' own engine.

use std::{collections::BTreeSet, net::SocketAddr};

use backupmx_crds::BackupMX;
use backupmx_tests::{Admin, LONG, Mail, Smtp, cluster::Namespace, wait_value};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::{
    common::{Release, alert_rules, cluster, fed, go, resource},
    runbooks,
};

/// The port of `/metrics` in the pods of both.
const METRICS: u16 = 8080;

/// What one pod says, and the labels that Prometheus gives it.
#[derive(Clone)]
struct Scrape {
    labels: Value,
    text: String,
}

impl Scrape {
    #[track_caller]
    fn of(namespace: &Namespace, app: &str) -> Self {
        let pods = namespace.list::<Pod>();
        let pod = pods.iter().find(|pod| pod.labels().get("app.kubernetes.io/name").is_some_and(|name| name == app));
        let pod = pod.unwrap_or_else(|| panic!("no pod of {app}"));
        let address = pod.status.clone().unwrap().pod_ip.unwrap().parse().unwrap();
        let answer = Admin::tcp(SocketAddr::new(address, METRICS)).get("/metrics").expect("metrics are served");
        let labels = json!({"namespace": namespace.name(), "pod": pod.name_any(), "job": app});
        Self { labels, text: answer.body }
    }

    /// As it would be with another value of those series whose line begins so.
    #[track_caller]
    fn with(&self, series: &str, value: &str) -> Self {
        let mut changed = 0;
        let line = |line: &str| {
            if !line.starts_with(series) {
                return line.to_owned();
            }
            changed += 1;
            format!("{} {value}", line.rsplit_once(' ').unwrap().0)
        };
        let text = self.text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n";
        assert!(changed > 0, "there is no {series} in\n{}", self.text);
        Self { labels: self.labels.clone(), text }
    }

    /// As it would be with another status and reason of a condition.
    #[track_caller]
    fn saying(&self, condition: &str, status: &str, reason: &str) -> Self {
        let series = format!("backupmx_operator_status_condition{{condition=\"{condition}\",");
        let mut changed = 0;
        let line = |line: &str| {
            let Some((_, resource)) = line.split_once("resource=").filter(|_| line.starts_with(&series)) else {
                return line.to_owned();
            };
            changed += 1;
            let (resource, _) = resource.split_once("status=").unwrap();
            format!("{series}reason=\"{reason}\",resource={resource}status=\"{status}\"}} 1")
        };
        let text = self.text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(changed, 1, "of {condition} there is one in\n{}", self.text);
        Self { labels: self.labels.clone(), text }
    }

    /// As it would be with the values of these series that are its own: the operator's, or a relay's.
    #[track_caller]
    fn troubled(&self, figures: Figures) -> Self {
        let operator = |series: &str| series.starts_with("backupmx_operator_");
        let own = figures.iter().filter(|(series, _)| operator(series) == self.text.contains("backupmx_operator_"));
        own.fold(self.clone(), |scrape, (series, value)| scrape.with(series, value))
    }

    /// For the engine: that it says so at every minute from one to another.
    fn between(&self, from: u32, to: u32) -> Value {
        json!({"from": from, "to": to, "labels": self.labels, "text": self.text})
    }
}

/// The alerts that fire in the last of so many minutes, by name, with all that they say.
#[track_caller]
fn firing(minutes: u32, scrapes: &[Value]) -> (BTreeSet<String>, String) {
    let situation = json!({"rules": alert_rules(), "minutes": minutes, "scrapes": scrapes});
    let output = fed(go("rules").arg("fire"), &situation.to_string());
    assert!(output.ok, "{}", output.text);
    let alerts: Vec<Value> = serde_json::from_str(&output.out).unwrap();
    let names = alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
    (names, output.out)
}

fn only(alert: &str) -> BTreeSet<String> {
    BTreeSet::from([alert.to_owned()])
}

/// A relay that holds a message for a primary that is down, and the operator that made it.
fn scraped() -> (Scrape, Scrape) {
    let (cluster, _mine) = cluster();
    cluster.define();
    let release = Release::install(cluster, &["crds.enabled=false", "replicas=1"]);
    let mail = cluster.namespace("mail");
    mail.apply(&resource("example", "example.org"));
    mail.wait("example", "has a relay", LONG, |object: &BackupMX| {
        object.status.as_ref().is_some_and(|status| status.relays.iter().any(|relay| relay.ready))
    });
    let pod = mail.list::<Pod>().remove(0).status.unwrap().pod_ip.unwrap();
    let door = SocketAddr::new(pod.parse().unwrap(), 2525);
    assert_eq!(Smtp::session(door).mail(&Mail::to("bob@example.org")).code, 250);
    let relay = wait_value("the relay says that it holds mail for a primary that is down", LONG, || {
        let relay = Scrape::of(&mail, "backupmx-relay");
        let says = |series: &str| relay.text.lines().any(|line| line.starts_with(series) && line.ends_with(" 1"));
        let both = says("backupmx_held_messages{") && says(r#"backupmx_primary_state{state="Down""#);
        both.then_some(relay)
    });
    runbooks::assert_run(cluster, &release, &mail);
    let mut operator = Scrape::of(&release.home, "backupmx-operator");
    // Where the rules that are looked at here were rendered for.
    operator.labels["namespace"] = "system".into();
    (relay, operator)
}

/// Series, and the value that they have.
type Figures = &'static [(&'static str, &'static str)];

/// Of each alert: how many minutes it takes, and the figures that it stands for.
const TROUBLES: &[(&str, u32, Figures)] = &[
    ("BackupMXPrimaryDown", 60, &[(r#"backupmx_primary_state{state="Down""#, "1")]),
    ("BackupMXPrimaryTakesNoMail", 60, &[(r#"backupmx_primary_state{state="Deferring""#, "1")]),
    ("BackupMXPrimaryLoop", 5, &[("backupmx_primary_loop{", "1")]),
    (
        "BackupMXQueueNearlyFull",
        5,
        &[(r#"backupmx_spool_bytes{kind="size""#, "1000"), (r#"backupmx_spool_bytes{kind="used""#, "801")],
    ),
    (
        "BackupMXMailNearExpiry",
        5,
        &[("backupmx_hold_seconds{", "604800"), ("backupmx_hold_remaining_seconds{", "120959")],
    ),
    (
        "BackupMXDeliveriesSuspended",
        60,
        &[(r#"backupmx_held_messages{standing="queued""#, "2"), ("backupmx_suspended{", "1")],
    ),
    ("BackupMXMailHeld", 15, &[(r#"backupmx_held_messages{standing="held""#, "2")]),
    ("BackupMXMailParked", 15, &[(r#"backupmx_held_messages{standing="parked""#, "2")]),
    ("BackupMXRejectStorm", 1, &[("backupmx_reject_storm{", "1")]),
    ("BackupMXDiskFails", 0, &[("backupmx_quarantined_files ", "1")]),
    ("BackupMXConfigRefused", 5, &[("backupmx_config_error ", "1")]),
    ("BackupMXClockJumped", 5, &[("backupmx_clock_jumped ", "1")]),
    ("BackupMXOperatorHasNoLeader", 5, &[("backupmx_operator_leader ", "0")]),
    ("BackupMXRelaySilent", 10, &[(r#"backupmx_operator_relays{state="silent""#, "1")]),
    ("BackupMXResourceNotReady", 120, &[(r#"backupmx_operator_resources{state="not_ready""#, "1")]),
];
/// Of each alert on a condition: how many minutes it takes, and what the condition says.
const CONDITIONS: &[(&str, u32, [&str; 3])] = &[
    ("BackupMXRelayNotServing", 30, ["RelaysReady", "false", "PodNotReady"]),
    ("BackupMXResourceStalled", 15, ["Stalled", "true", "InvalidSpec"]),
    ("BackupMXResourceMalformed", 15, ["Stalled", "true", "Malformed"]),
    ("BackupMXRecordsWrong", 120, ["DNSPublished", "false", "WrongRecords"]),
    ("BackupMXVolumeTrouble", 15, ["StorageHealthy", "false", "ClaimLost"]),
    ("BackupMXDrainStuck", 30, ["Draining", "true", "Stuck"]),
];
/// Those that look at how a figure rises.
const RISING: &[&str] = &["BackupMXPassesRefused"];

/// It fires when these have said so for so many minutes, by itself and not before. What it says.
#[track_caller]
fn comes(alert: &str, minutes: u32, relay: &Scrape, operator: &Scrape) -> String {
    let scrapes = [relay.between(0, minutes), operator.between(0, minutes)];
    let (names, text) = firing(minutes, &scrapes);
    assert_eq!(names, only(alert), "{text}");
    assert!(!text.contains("<no value>"), "{text}");
    if let Some(before) = minutes.checked_sub(1) {
        assert!(firing(before, &scrapes).0.is_empty(), "{alert} comes too soon");
    }
    text
}

#[test]
fn each_at_its_own_trouble_and_none_without() {
    let (relay, operator) = scraped();
    let (names, text) = firing(61, &[relay.between(0, 61), operator.between(0, 61)]);
    assert_eq!(names, only("BackupMXPrimaryDown"), "as it was scraped: {text}");
    assert!(text.contains("has been down for 1 h") && !text.contains("{{"), "{text}");

    let relay = relay
        .with("backupmx_primary_state{", "0")
        .with(r#"backupmx_primary_state{state="Up""#, "1")
        .with("backupmx_held_messages{", "0");
    // Of records that were never there the resource is not ready, which is told of by itself.
    let waits = operator.with(r#"backupmx_operator_resources{state="not_ready""#, "1");
    let waits = waits.saying("DNSPublished", "false", "WrongRecords").saying("Ready", "false", "NotPublishedYet");
    let (names, text) = firing(180, &[relay.between(0, 180), waits.between(0, 180)]);
    assert_eq!(names, only("BackupMXResourceNotReady"), "{text}");

    let operator = operator.with(r#"backupmx_operator_resources{state="not_ready""#, "0");
    let operator = operator.saying("Ready", "true", "Available").saying("DNSPublished", "true", "Published");
    let (names, text) = firing(180, &[relay.between(0, 180), operator.between(0, 180)]);
    assert!(names.is_empty(), "all is well: {text}");

    for (alert, minutes, figures) in TROUBLES {
        comes(alert, *minutes, &relay.troubled(figures), &operator.troubled(figures));
    }
    for (alert, minutes, [condition, status, reason]) in CONDITIONS {
        let text = comes(alert, *minutes, &relay, &operator.saying(condition, status, reason));
        assert!(text.contains("/example"), "it names the resource: {text}");
    }
    // What stops the clock of expiry is told in place of it.
    let expiring = [("backupmx_hold_seconds{", "604800"), ("backupmx_hold_remaining_seconds{", "120959")];
    let expiring = expiring.iter().fold(relay.clone(), |relay, (series, value)| relay.with(series, value));
    for (series, told) in [
        ("backupmx_suspended{", None),
        ("backupmx_reject_storm{", Some("BackupMXRejectStorm")),
        ("backupmx_clock_jumped ", Some("BackupMXClockJumped")),
    ] {
        let stopped = expiring.with(series, "1");
        let (names, text) = firing(6, &[stopped.between(0, 6), operator.between(0, 6)]);
        assert_eq!(names, told.map(only).unwrap_or_default(), "{series}: {text}");
    }
    let stuck = operator.saying("Draining", "true", "Stuck").saying("Stalled", "true", "Stuck");
    comes("BackupMXDrainStuck", 30, &relay, &stuck);
    let (names, text) = firing(5, &[relay.between(0, 5)]);
    assert_eq!(names, only("BackupMXOperatorHasNoLeader"), "there is no operator at all: {text}");

    let failing = relay.with("backupmx_commit_failures_total ", "1");
    let scrapes = [relay.between(0, 9), failing.between(10, 11), operator.between(0, 11)];
    let (names, text) = firing(11, &scrapes);
    assert_eq!(names, only("BackupMXDiskFails"), "{text}");

    // No pass has been refused yet, so there is no figure of them.
    let refused = Scrape { text: operator.text.replace(r#"result="ok""#, r#"result="refused""#), ..operator.clone() };
    let rising = |series: &str, minute: u32| refused.with(series, &minute.to_string()).between(minute, minute);
    let mut scrapes: Vec<Value> =
        (0..=40).map(|minute| rising(r#"backupmx_operator_passes_total{result="refused""#, minute)).collect();
    scrapes.push(relay.between(0, 40));
    let (names, text) = firing(40, &scrapes);
    assert_eq!(names, only("BackupMXPassesRefused"), "{text}");
}

#[test]
fn each_is_looked_at_here() {
    let rules = alert_rules();
    let rules = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let there: BTreeSet<&str> = rules.map(|rule| rule["alert"].as_str().unwrap()).collect();
    let of_conditions = CONDITIONS.iter().map(|(alert, ..)| *alert);
    let here: BTreeSet<&str> =
        TROUBLES.iter().map(|(alert, ..)| *alert).chain(of_conditions).chain(RISING.iter().copied()).collect();
    assert_eq!(there, here);
}
