//! What a message says to whoever reads it at three in the morning: the cause, the figure, and a command to paste.

use k8s_openapi::api::apps::v1::DeploymentCondition;

use super::{
    tests::{condition, first, fresh, published, running, said, status_of},
    *,
};
use crate::plan::tests::leave;

const LATER: &str = "2027-01-15T09:00:00Z";

/// The command that runs this in the pod of the first relay.
fn in_first(words: &str) -> String {
    format!("kubectl exec -n mail deploy/example-org-a-3db8c9aa -- /usr/bin/backupmx-relay {words}")
}

#[test]
fn why_a_pod_is_not_ready_is_told_in_the_words_of_who_knows() {
    let mut cluster = published();
    let pulls = "ImagePullBackOff: Back-off pulling image \"registry.test/x\"";
    let live = cluster.live("a");
    live.deployment.as_mut().unwrap().status = None;
    live.trouble = Some(pulls.into());
    let message = said(&fresh(&cluster), ConditionType::RelaysReady);
    assert!(
        message.starts_with(&format!("the pod of relay a is not ready: {pulls}; to see more: kubectl")),
        "{message}"
    );

    let live = cluster.live("a");
    live.trouble = None;
    let failed = DeploymentCondition {
        type_: "ReplicaFailure".into(),
        status: "True".into(),
        message: Some("exceeded quota: pods".into()),
        ..DeploymentCondition::default()
    };
    live.deployment.as_mut().unwrap().status.get_or_insert_default().conditions = Some(vec![failed]);
    let message = said(&fresh(&cluster), ConditionType::RelaysReady);
    assert!(message.contains("relay a is not ready: none is made: exceeded quota: pods;"), "{message}");
}

#[test]
fn what_a_person_decides_comes_with_the_command_for_that_relay() {
    type Change = fn(&mut Report);
    let cases: [(Change, ConditionType, &str, &str); 3] = [
        (|report| report.config_error = Some("no".into()), ConditionType::RelaysReady, "False ConfigRefused", "status"),
        (
            |report| (report.queue.messages, report.queue.held) = (3, 2),
            ConditionType::QueueHealthy,
            "False NeedsDecision",
            "queue list --state held",
        ),
        (|report| report.clock_jumped = true, ConditionType::QueueHealthy, "False ClockJumped", "queue resume --all"),
    ];
    for (change, kind, wanted, words) in cases {
        let mut cluster = published();
        change(first(&mut cluster));
        let status = fresh(&cluster);
        assert_eq!(condition(&status, kind), wanted);
        let message = said(&status, kind);
        assert!(message.contains(&in_first(words)), "{message}");
        assert!(!message.contains("deploy/example-org-b"), "the other is well: {message}");
    }
}

#[test]
fn of_a_silent_relay_it_is_said_when_it_was_heard_last() {
    let mut cluster = published();
    first(&mut cluster).queue.messages = 500;
    let before = fresh(&cluster);
    let live = cluster.live("a");
    (live.report, live.heard) = (None, Some("2027-01-15T08:30:00Z".parse().unwrap()));
    let status = status_of(&cluster, &before, LATER);
    let message = said(&status, ConditionType::QueueHealthy);
    let wanted = "relay a does not say what it holds, and held 500 messages when it last did, at 2027-01-15T08:30:00Z";
    assert!(message.starts_with(wanted), "{message}");
    let message = said(&status, ConditionType::RelaysReady);
    assert!(message.contains("relay a does not answer the operator since 2027-01-15T08:30:00Z:"), "{message}");
    // So it is under a spec that cannot be used, and of which no other is known.
    let running = running(&cluster);
    let told = Before { status: &before, generation: Some(4), now: LATER.parse().unwrap() };
    let status = stalled(told, Reason::InvalidSpec, "no", &running);
    assert!(said(&status, ConditionType::QueueHealthy).starts_with(wanted), "{status:?}");
    // An operator that has started since does not know.
    cluster.live("a").heard = None;
    let message = said(&status_of(&cluster, &before, LATER), ConditionType::QueueHealthy);
    assert!(
        message.starts_with("relay a does not say what it holds, and held 500 messages when it last did; RelaysReady"),
        "{message}"
    );
}

#[test]
fn a_domain_that_waits_says_what_is_held_for_it() {
    let mut cluster = published();
    cluster.resource.domains.pop();
    cluster.pass();
    let waits = |cluster: &crate::plan::tests::Cluster| said(&fresh(cluster), ConditionType::Draining);
    for live in cluster.facts.relays.values_mut() {
        for tenant in live.report.as_mut().unwrap().tenants.iter_mut().filter(|one| one.name.contains("example.net")) {
            tenant.queue.messages = 4;
        }
    }
    let message = waits(&cluster);
    assert!(message.contains("mail for example.net is taken by relay a until senders have noticed"), "{message}");
    assert!(message.contains("; it holds 4 messages for it; mail for example.net is taken by relay b"), "{message}");
    cluster.live("b").report = None;
    assert!(waits(&cluster).ends_with("; what it holds for it is not known"), "{}", waits(&cluster));
}

#[test]
fn a_stuck_drain_says_how_to_look_at_it_and_a_silent_one_why() {
    let mut cluster = published();
    cluster.resource.relays.remove(0);
    cluster.live("a").report.as_mut().unwrap().queue.messages = 1;
    cluster.pass();
    cluster.dns_follows();
    leave(&mut cluster);
    let report = cluster.live("a").report.as_mut().unwrap();
    (report.queue.parked, report.tenants[0].queue.parked) = (1, 1);
    let message = said(&fresh(&cluster), ConditionType::Draining);
    assert!(message.contains(&format!("{} shows it", in_first("queue list"))), "{message}");
    let live = cluster.live("a");
    (live.report, live.trouble) = (None, Some("Unschedulable: 0/1 nodes are available".into()));
    let message = said(&fresh(&cluster), ConditionType::Draining);
    assert!(message.contains("what it holds, as its pod is not ready: Unschedulable: 0/1 nodes"), "{message}");
}
