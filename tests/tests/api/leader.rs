//! One operator writes at a time, whatever happens to the one that does.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{
        Cluster, Operator, Proxy,
        proxy::{Call, Fault},
    },
    wait_until,
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use serde_json::json;

use crate::common::{Stage, resource};

/// A lease holds that long; a hand-over is quicker.
const HOLDS: Duration = Duration::from_secs(15);

/// A second operator with a proxy of its own, which stands by.
struct Second {
    operator: Operator,
    proxy: Proxy,
}

fn second(stage: &Stage) -> Second {
    let proxy = Proxy::start(Cluster::control_plane());
    let mut options = stage.options();
    options.identity = "operator-b".into();
    options.kubeconfig = proxy.kubeconfig();
    let operator = Operator::start(options);
    assert!(!operator.leads());
    Second { operator, proxy }
}

#[track_caller]
fn assert_works(stage: &Stage, name: &str, domain: &str) {
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
    let new = second.proxy.writes().first().expect("the new leader has made something").at;
    let late = |call: &Call| call.at >= new;
    assert!(!stage.proxy.writes().iter().any(late), "the old leader wrote on");
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

/// Gives the operators something to write all the time, until the guard is dropped.
fn with_work<T>(stage: &Stage, test: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for days in (1..).take_while(|_| !over.load(Ordering::Relaxed)) {
                let change = json!({"spec": {"hold": {"maxAge": format!("{}d", days % 20 + 1)}}});
                stage.mail.merge::<BackupMX>("work", &change);
                thread::sleep(Duration::from_millis(200));
            }
        });
        // Also where the test fails: the thread must end.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn no_write_of_the_old_leader(cut: impl Fn(&Proxy)) {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    stage.mail.apply(&resource("work", "example.org", ""));
    stage.wait_observed("work");
    with_work(&stage, || {
        wait_until("the leader writes", LONG, || stage.proxy.writes().len() > 20);
        cut(&stage.proxy);
        second.operator.wait_leads();
        wait_until("the new leader writes", LONG, || second.proxy.writes().len() > 5);
    });
    let status = first.ended().expect("the old leader has ended by itself");
    assert!(!status.success());
    assert!(first.log().contains("leader lease"), "it says why");
    let (last, next) = (stage.proxy.writes().last().unwrap().clone(), second.proxy.writes()[0].clone());
    assert!(last.at < next.at, "the old leader wrote {last} after the new one wrote {next}");
    let (kept, _) = (stage.mail.list::<ConfigMap>(), first);
    assert_eq!(kept.len(), 1);
}

#[test]
fn a_leader_that_is_cut_off_ends_before_another_writes() {
    no_write_of_the_old_leader(Proxy::cut);
}

#[test]
fn a_leader_that_cannot_renew_ends_before_another_writes() {
    no_write_of_the_old_leader(|proxy| proxy.inject_always(Fault::Hang, Call::is_election));
}

#[test]
fn a_leader_whose_renewals_fail_ends_before_another_writes() {
    no_write_of_the_old_leader(|proxy| proxy.inject_always(Fault::Status(500), Call::is_election));
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
