//! What takes new pods takes the relays one at a time, each ready before the next.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use backupmx_tests::{
    Smtp,
    cluster::{Change, History, Namespace, condition},
    wait_until,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{IMAGE, PATIENCE, Stage, cluster, is_ready};

/// How long a knock at a door may take. While a door is shut for that long, the other must be seen to be open.
const KNOCK: Duration = Duration::from_secs(1);

fn of(pod: &Pod) -> Option<String> {
    pod.labels().get("backupmx.io/relay").cloned()
}

fn ready(namespace: &Namespace, relay: &str) -> bool {
    namespace.list::<Pod>().iter().any(|pod| of(pod).as_deref() == Some(relay) && is_ready(pod))
}

/// The relays that had a ready pod after each change, in the order of the changes.
fn ready_relays(history: &History<Pod>) -> Vec<Vec<String>> {
    let mut pods: BTreeMap<String, (String, bool)> = BTreeMap::new();
    let mut take = |pod: &Pod, there: bool| {
        if let (Some(uid), Some(relay)) = (pod.uid(), of(pod)) {
            pods.insert(uid, (relay, there && is_ready(pod)));
        }
        pods.values().filter(|(_, ready)| *ready).map(|(relay, _)| relay.clone()).collect()
    };
    let mut moments: Vec<Vec<String>> = history.first().iter().map(|pod| take(pod, true)).collect();
    // Only the last of them is a moment: they were all there at once.
    moments = moments.pop().into_iter().collect();
    moments.extend(history.changes().iter().map(|change| match change {
        Change::Is(pod) => take(pod, true),
        Change::Gone(pod) => take(pod, false),
    }));
    moments
}

/// A client that knocks at a door, one session after the other, until it is over. When each began and ended, and whether
/// it was let in.
fn knock(door: SocketAddr, over: &AtomicBool) -> Vec<(Instant, Instant, bool)> {
    let mut knocks = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let greeted = Smtp::try_open_within(door, KNOCK).and_then(|mut session| session.try_reply());
        knocks.push((begun, Instant::now(), greeted.is_ok_and(|reply| reply.code == 220)));
        thread::sleep(Duration::from_millis(10));
    }
    knocks
}

/// The longest time between two moments in which a client was let in at one of the doors.
fn longest_gap(knocks: &[Vec<(Instant, Instant, bool)>]) -> Duration {
    let mut open: Vec<Instant> = knocks.iter().flatten().filter(|knock| knock.2).map(|knock| knock.1).collect();
    open.sort();
    open.windows(2).map(|pair| pair[1] - pair[0]).max().expect("a door was open twice")
}

fn image(namespace: &Namespace, relay: &str) -> Option<String> {
    let of = |one: &Deployment| one.labels().get("backupmx.io/relay").map(String::as_str) == Some(relay);
    let found = namespace.list::<Deployment>().into_iter().find(of)?;
    found.spec?.template.spec?.containers.first()?.image.clone()
}

#[test]
fn an_upgrade_leaves_one_ready_at_every_moment() {
    let mut stage = Stage::new("upgrade");
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    let newer = format!("{IMAGE}-newer");
    cluster().script("images", &["--tag", "test-newer", "relay"]);

    // The API server tells every state of every pod; and clients knock at each door all the time.
    let history = stage.mail.history::<Pod>();
    let doors = [stage.smtp("a"), stage.smtp("b")];
    let over = AtomicBool::new(false);
    let knocks: Vec<_> = thread::scope(|scope| {
        let over = &over;
        let clients = doors.map(|door| scope.spawn(move || knock(door, over)));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| upgrade(&mut stage, &newer)));
        // Also where that fails: the clients must end.
        over.store(true, Ordering::Relaxed);
        let knocks = clients.map(|client| client.join().unwrap());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        knocks.into()
    });
    wait_until("the watch tells that both are ready", PATIENCE, || {
        ready_relays(&history).last().is_some_and(|ready| *ready == ["a", "b"] || *ready == ["b", "a"])
    });
    let moments = ready_relays(&history);
    assert!(moments.iter().any(|ready| ready.len() == 1), "each was away once, and the watch told of it: {moments:?}");
    assert!(moments.iter().all(|ready| !ready.is_empty()), "there was a moment with no relay ready: {moments:?}");
    let gap = longest_gap(&knocks);
    eprintln!("{} sessions, at most {gap:?} between two", knocks.iter().flatten().filter(|knock| knock.2).count());
    assert!(gap < KNOCK, "for {gap:?} no client was let in at either door");
}

/// Starts the operator with another image of the relay, and waits until both relays run on it.
fn upgrade(stage: &mut Stage, newer: &str) {
    stage.operator().stop();
    stage.operator().options().relay_image = newer.to_owned();
    stage.operator().start_again();
    stage.operator().wait_leads();
    wait_until("the first relay is replaced", PATIENCE, || image(&stage.mail, "a").as_deref() == Some(newer));
    assert_eq!(image(&stage.mail, "b").as_deref(), Some(IMAGE), "the second waits for the first");
    wait_until("the second is replaced", PATIENCE, || {
        // Looked at first: it may become so between the two.
        let first = ready(&stage.mail, "a");
        let second = image(&stage.mail, "b").as_deref() == Some(newer);
        assert!(!second || first || ready(&stage.mail, "a"), "the second went before the first was ready");
        second
    });
    wait_until("both are ready", PATIENCE, || ready(&stage.mail, "a") && ready(&stage.mail, "b"));
}

#[test]
fn a_broken_relay_does_not_block_its_own_repair() {
    let stage = Stage::new("broken");
    let (a, b) = (stage.relay("a"), stage.relay("b"));
    stage.publish(&json!({"relays": [a, b]}));
    let elsewhere = |mut relay: serde_json::Value| {
        relay["scheduling"] = json!({"nodeSelector": {"example.test/nowhere": "true"}});
        relay
    };
    stage.change(&json!({"relays": [elsewhere(a.clone()), elsewhere(b.clone())]}));
    wait_until("the first relay's pod can't run", PATIENCE, || {
        stage.pod("a").is_some_and(|pod| pod.status.is_some_and(|status| status.phase.as_deref() == Some("Pending")))
    });
    assert!(ready(&stage.mail, "b"), "the other one is left as it is");
    wait_until("it is said in the scheduler's words", PATIENCE, || {
        let told = condition(&stage.wait_reason("RelaysReady", "False", "PodNotReady"), "RelaysReady").unwrap();
        told.message.contains("the pod of relay a is not ready: Unschedulable: 0/")
    });
    stage.change(&json!({"relays": [a, b]}));
    wait_until("it is repaired", PATIENCE, || ready(&stage.mail, "a"));
    stage.wait_reason("RelaysReady", "True", "AllReady");
}
