//! One operator leads at a time, and another does soon after it, whatever happens to the one that does.

use std::time::{Duration, Instant};

use backupmx_tests::{
    LONG,
    cluster::{Cluster, Operator, Proxy, proxy::Fault},
    wait_until,
};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;

use crate::common::{Stage, resource};

/// A lease holds that long; a hand-over is quicker.
const HOLDS: Duration = Duration::from_secs(15);

/// A second operator with a proxy of its own, which stands by.
pub(crate) struct Second {
    pub(crate) operator: Operator,
    pub(crate) proxy: Proxy,
}

pub(crate) fn second(stage: &Stage) -> Second {
    let proxy = Proxy::start(Cluster::control_plane());
    let mut options = stage.options();
    options.identity = "operator-b".into();
    options.kubeconfig = proxy.kubeconfig();
    let operator = Operator::start(options);
    assert!(!operator.leads());
    Second { operator, proxy }
}

#[track_caller]
pub(crate) fn assert_works(stage: &Stage, name: &str, domain: &str) {
    stage.mail.apply(&resource(name, domain, ""));
    stage.wait_observed(name);
    stage.relay(name, "a");
}

#[test]
fn sigterm_hands_over_at_once() {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    assert_works(&stage, "one", "example.org");
    assert_eq!(second.proxy.writes(), [], "a standby writes nothing");
    let (status, took) = first.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let start = Instant::now();
    second.operator.wait_leads();
    assert!(start.elapsed() < HOLDS - Duration::from_secs(4), "it waited for the lease to run out");
    assert_works(&stage, "two", "example.net");
}

#[test]
fn kill_9_lets_the_lease_run_out() {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    assert_works(&stage, "one", "example.org");
    let start = Instant::now();
    first.kill();
    second.operator.wait_leads();
    // The last renewal was at most a few seconds before the kill.
    assert!(start.elapsed() > HOLDS - Duration::from_secs(6), "it did not wait: {:?}", start.elapsed());
    assert_works(&stage, "two", "example.net");
}

#[test]
fn a_leader_whose_lease_was_taken_ends() {
    let stage = Stage::new();
    let mut first = stage.operator();
    stage.home.merge::<Lease>("backupmx-operator", &json!({"spec": {"holderIdentity": "somebody else"}}));
    wait_until("it has ended", LONG, || first.ended().is_some());
    assert!(first.log().contains("another operator has the leader lease"));
}

#[test]
fn a_leader_rides_out_a_short_outage() {
    let stage = Stage::new();
    let mut first = stage.operator();
    assert_works(&stage, "one", "example.org");
    stage.proxy.inject(Fault::Status(503), 6, |_| true);
    wait_until("the outage is over", LONG, || stage.proxy.left() == 0);
    assert_works(&stage, "two", "example.net");
    assert!(first.ended().is_none() && first.leads());
}

#[test]
fn a_process_that_follows_another_in_its_pod_leads_anew() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    let since = || stage.home.get::<Lease>("backupmx-operator").and_then(|lease| lease.spec?.acquire_time);
    let first = since().expect("it says since when it leads");
    operator.kill();
    operator.start_again();
    operator.wait_leads();
    assert!(since() > Some(first), "what the relays hold it has still to ask");
}
