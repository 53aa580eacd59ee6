//! A thousand messages while the primary is away and relays are killed: each one that got its 250 arrives.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use backupmx_tests::{Mail, Smtp, wait_until};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DeleteParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

const MESSAGES: usize = 1000;
const SENDERS: usize = 4;
/// After so many messages each a relay is killed.
const EVERY: usize = 200;

/// Sends a message as a mail server does: to the first relay that takes it, again and again.
fn deliver(relays: [SocketAddr; 2], mail: &Mail) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        for relay in relays {
            let reply = Smtp::try_open_within(relay, Duration::from_secs(2)).and_then(|mut session| {
                session.try_reply()?;
                session.try_send(b"EHLO client.sender.test\r\n")?;
                session.try_reply()?;
                session.try_mail(mail)
            });
            if reply.is_ok_and(|reply| reply.code == 250) {
                return;
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("no relay took a message for {} s", PATIENCE.as_secs());
}

/// `kill -9` of a relay's program, which runs or is about to.
fn kill_program(stage: &Stage, relay: &str) {
    wait_until(&format!("the program of relay {relay} is killed"), PATIENCE, || {
        stage.pod(relay).is_some_and(|pod| programs(&pod).into_iter().any(|id| kill_process(id, Signal::KILL).is_ok()))
    });
}

/// The processes of the relay's program in a pod.
fn programs(pod: &Pod) -> Vec<Pid> {
    let group = format!("pod{}", pod.uid().unwrap());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = ids.filter(|id| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        read("comm").trim() == "backupmx-relay" && read("cgroup").contains(&group)
    });
    ours.filter_map(Pid::from_raw).collect()
}

/// The pod as it is taken by a node that dies: nobody is asked to finish.
fn kill_pod(stage: &Stage, pod: &Pod) {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    stage.mail.kube().run(stage.mail.api::<Pod>().delete(&pod.name_any(), &now)).unwrap();
}

#[test]
fn none_is_lost() {
    let mut stage = Stage::new("failover");
    stage.publish(&json!({"relays": [stage.relay("a"), stage.relay("b")]}));
    let relays = [stage.smtp("a"), stage.smtp("b")];
    let (accepted, allowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(EVERY)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (accepted, allowed, recipient) = (accepted.clone(), allowed.clone(), stage.recipient());
            thread::spawn(move || {
                let mut sent = Vec::new();
                while sent.len() < MESSAGES / SENDERS {
                    // The next kill falls among messages that are on their way.
                    if accepted.load(Ordering::Relaxed) >= allowed.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(5));
                        continue;
                    }
                    let mail = Mail::to(&recipient);
                    deliver(relays, &mail);
                    accepted.fetch_add(1, Ordering::Relaxed);
                    sent.push(mail.id());
                }
                sent
            })
        })
        .collect();
    for round in 1..MESSAGES / EVERY {
        wait_until("the next messages are taken", PATIENCE, || {
            accepted.load(Ordering::Relaxed) + EVERY / 2 >= round * EVERY
        });
        let relay = ["a", "b"][round % 2];
        match round % 4 {
            0 | 1 => kill_program(&stage, relay),
            _ => kill_pod(&stage, &stage.pod(relay).expect("the relay has a pod")),
        }
        allowed.fetch_add(EVERY, Ordering::Relaxed);
    }
    let sent: BTreeSet<String> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
    assert_eq!(sent.len(), MESSAGES);
    assert_eq!(stage.primary.count(), 0);

    stage.primary.start();
    wait_until("the first hundred are there", PATIENCE, || stage.primary.count() >= 100);
    kill_program(&stage, "a");
    let arrived =
        || -> BTreeSet<String> { stage.primary.received().iter().map(backupmx_tests::Received::id).collect() };
    let start = Instant::now();
    while !sent.is_subset(&arrived()) {
        let missing = sent.difference(&arrived()).count();
        assert!(start.elapsed() < PATIENCE, "{missing} of {MESSAGES} messages are missing");
        thread::sleep(Duration::from_millis(200));
    }
    stage.wait_queued(0);
    let copies = stage.primary.count();
    eprintln!("{MESSAGES} messages were accepted, {copies} arrived, in {:?} from the primary's start", start.elapsed());
    assert_eq!(arrived(), sent, "nothing arrives that nobody sent");
}
