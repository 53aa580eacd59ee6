//! What takes new pods takes the relays one at a time, each ready before the next.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use backupmx_tests::{
    Smtp,
    cluster::{Namespace, condition},
    wait_until,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{IMAGE, PATIENCE, Stage, cluster};

fn ready(namespace: &Namespace, relay: &str) -> bool {
    let of = |pod: &Pod| pod.labels().get("backupmx.io/relay").map(String::as_str) == Some(relay);
    namespace.list::<Pod>().iter().filter(|pod| of(pod)).any(|pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        pod.metadata.deletion_timestamp.is_none()
            && conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
    })
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

    // A client knocks at both doors all the time; at each moment one of them at least is open.
    let doors = [stage.smtp("a"), stage.smtp("b")];
    let (over, gaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let knocking = {
        let (over, gaps) = (over.clone(), gaps.clone());
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // The first door again at last: it may have opened while the second was tried.
                let open = doors.iter().chain(&doors[..1]).any(|door| {
                    Smtp::try_open_within(*door, Duration::from_secs(2))
                        .and_then(|mut session| session.try_reply())
                        .is_ok_and(|reply| reply.code == 220)
                });
                if !open {
                    gaps.store(true, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(50));
            }
        })
    };
    stage.operator().stop();
    stage.operator().options().relay_image = newer.clone();
    stage.operator().start_again();
    stage.operator().wait_leads();
    wait_until("the first relay is replaced", PATIENCE, || image(&stage.mail, "a").as_ref() == Some(&newer));
    assert_eq!(image(&stage.mail, "b").as_deref(), Some(IMAGE), "the second waits for the first");
    wait_until("the second is replaced", PATIENCE, || {
        // Looked at first: it may become so between the two.
        let first = ready(&stage.mail, "a");
        let second = image(&stage.mail, "b").as_ref() == Some(&newer);
        assert!(!second || first || ready(&stage.mail, "a"), "the second went before the first was ready");
        second
    });
    wait_until("both are ready", PATIENCE, || ready(&stage.mail, "a") && ready(&stage.mail, "b"));
    over.store(true, Ordering::Relaxed);
    knocking.join().unwrap();
    assert!(!gaps.load(Ordering::Relaxed), "there was a moment in which no relay took mail");
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
    let told = stage.wait_reason("RelaysReady", "False", "PodNotReady");
    let message = condition(&told, "RelaysReady").unwrap().message;
    assert!(message.contains("the pod of relay a is not ready"), "{message}");
    stage.change(&json!({"relays": [a, b]}));
    wait_until("it is repaired", PATIENCE, || ready(&stage.mail, "a"));
    stage.wait_reason("RelaysReady", "True", "AllReady");
}
