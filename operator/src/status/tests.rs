use std::time::Duration;

use backupmx_relay_config::status::{Accepting, PrimaryState as Seen, RelayStatus as Report, StorageStatus};

use super::*;
use crate::{
    apply::AppliedRelay,
    desired::fixture,
    plan::{Live, tests::Cluster},
    validate::{Place, Problem},
    validated::Owner,
};

pub(super) const START: &str = "2027-01-15T08:00:00Z";

pub(super) fn status_of(cluster: &Cluster, before: &BackupMXStatus, now: &str) -> BackupMXStatus {
    let before = Before { status: before, generation: cluster.resource.generation, now: now.parse().unwrap() };
    status_by(cluster, before, Hindered::default())
}

/// The status of what is in place, with what keeps the rest from it.
pub(super) fn status_by(cluster: &Cluster, before: Before<'_>, hindered: Hindered<'_>) -> BackupMXStatus {
    applied(before, &cluster.resource, &cluster.facts, &applied_of(cluster), &fixture::settings(), hindered)
}

/// What is in place when all could be written.
pub(super) fn applied_of(cluster: &Cluster) -> Applied {
    let planned = cluster.plan();
    let relays = planned
        .serving
        .iter()
        .map(|relay| AppliedRelay {
            growth: None,
            name: relay.name.clone(),
            deployment: relay.deployment.as_ref().and(cluster.facts.relays[&relay.name].deployment.clone()),
            claim: Some(relay.claim.clone()),
            failed: None,
            revision: relay.document.revision,
        })
        .collect();
    let leaving = planned
        .leaving
        .iter()
        .map(|relay| crate::apply::AppliedLeaving {
            name: relay.name.clone(),
            phase: relay.retirement.phase,
            due: relay.retirement.due(),
        })
        .collect();
    Applied { relays, leaving, mx: planned.mx, mx_missing: Vec::new() }
}

/// The relays as they run, of a resource of which no more is known.
pub(super) fn running(cluster: &Cluster) -> Running {
    let live = || cluster.facts.relays.iter();
    let ready =
        |live: &crate::plan::Live| live.deployment.as_ref().is_some_and(|one| readiness(one) == Readiness::Ready);
    Running {
        owner: cluster.resource.owner.clone(),
        heard: live().filter_map(|(name, live)| Some((name.clone(), live.heard?))).collect(),
        reports: live().map(|(name, live)| (name.clone(), live.report.clone())).collect(),
        ready: live().filter(|(_, live)| ready(live)).map(|(name, _)| name.clone()).collect(),
        hold: cluster.resource.hold,
    }
}

pub(super) fn fresh(cluster: &Cluster) -> BackupMXStatus {
    status_of(cluster, &BackupMXStatus::default(), START)
}

pub(super) fn condition(status: &BackupMXStatus, kind: ConditionType) -> String {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
    found.map(|condition| format!("{} {}", condition.status, condition.reason)).unwrap_or_default()
}

pub(super) fn published() -> Cluster {
    Cluster::published()
}

pub(super) fn first(cluster: &mut Cluster) -> &mut Report {
    cluster.facts.relays.values_mut().next().unwrap().report.as_mut().unwrap()
}

#[test]
fn golden() {
    let mut cluster = published();
    first(&mut cluster).queue.messages = 12;
    first(&mut cluster).queue.oldest_message_time = Some("2027-01-15T07:00:00Z".into());
    insta::assert_snapshot!(fixture::yaml(&fresh(&cluster)));
}

#[test]
fn ready_is_relays_and_publication_and_nothing_else() {
    let mut cluster = published();
    for live in cluster.facts.relays.values_mut() {
        let report = live.report.as_mut().unwrap();
        report.tenants[0].primary.state = Seen::Down;
        report.queue.held = 9;
    }
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Ready), "True Available");
    assert_eq!(condition(&status, ConditionType::PrimaryReachable), "False Down");
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "False NeedsDecision");
}

#[test]
fn ready_waits_for_publication_once() {
    let mut cluster = Cluster::settled();
    assert_eq!(condition(&fresh(&cluster), ConditionType::Ready), "False NotPublishedYet");
    cluster.dns_follows();
    let before = fresh(&cluster);
    assert_eq!(condition(&before, ConditionType::Ready), "True Available");
    cluster.pass();
    cluster.facts.dns = crate::plan::Seen::default();
    let later = status_of(&cluster, &before, "2027-01-15T09:00:00Z");
    assert_eq!(later.conditions, before.conditions, "an operator that has just started has seen nothing yet");
    assert_eq!(condition(&fresh(&cluster), ConditionType::Ready), "True Available", "even if the status was lost");
}

#[test]
fn what_keeps_a_relay_from_being_ready_is_named() {
    type Change = fn(&mut Cluster);
    let cases: [(Change, &str); 4] = [
        (|cluster| cluster.facts.relays.values_mut().next().unwrap().report = None, "False RelayUnreachable"),
        (|cluster| first(cluster).config_error = Some("no".into()), "False ConfigRefused"),
        (|cluster| first(cluster).config_revision -= 1, "False RollingOut"),
        (
            |cluster| {
                let live = cluster.facts.relays.values_mut().next().unwrap();
                live.deployment.as_mut().unwrap().status = None;
            },
            "False PodNotReady",
        ),
    ];
    for (change, wanted) in cases {
        let mut cluster = published();
        change(&mut cluster);
        let status = fresh(&cluster);
        assert_eq!(condition(&status, ConditionType::RelaysReady), wanted);
        assert_eq!(condition(&status, ConditionType::Ready), "True Available", "the other relay serves");
    }
}

#[test]
fn no_relay_no_ready() {
    let mut cluster = published();
    for live in cluster.facts.relays.values_mut() {
        live.deployment.as_mut().unwrap().status = None;
    }
    assert_eq!(condition(&fresh(&cluster), ConditionType::Ready), "False NoRelayAvailable");
}

#[test]
fn conflicts_name_the_owner() {
    let mut cluster = published();
    let other = Owner { namespace: "n".into(), name: "o".into(), uid: "v".into() };
    cluster.facts.lost.domains.insert("example.net".parse().unwrap(), other);
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::DomainConflict), "True OwnedByAnother");
    assert!(status.conditions.iter().any(|known| known.message.starts_with("example.net is n/o's: take it out")));
    assert_eq!(status.domains, ["example.org"]);
}

#[test]
fn a_drain_says_what_it_waits_for() {
    let mut cluster = published();
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Draining), "True WaitingForCaches");
    assert_eq!(condition(&status, ConditionType::Ready), "False Deleting");
    assert_eq!(condition(&status, ConditionType::DNSPublished), "False StillPublished");
    cluster.dns_follows();
    assert_eq!(condition(&fresh(&cluster), ConditionType::DNSPublished), "False Withdrawn");
}

#[test]
fn an_invalid_spec_takes_nothing_back_that_was_said_of_the_relays() {
    let cluster = published();
    let before = fresh(&cluster);
    let now = START.parse().unwrap();
    let problem = Problem { field: "spec.x".into(), problem: "expected y".into(), place: Place::Spec };
    let problems = Problems(vec![problem]);
    let running = running(&cluster);
    let status = invalid(Before { status: &before, generation: Some(4), now }, &problems, &running);
    assert_eq!(condition(&status, ConditionType::Stalled), "True InvalidSpec");
    assert_eq!(condition(&status, ConditionType::RelaysReady), "True AllReady");
    assert_eq!(status.relays, before.relays);
    assert_eq!(status.observed_generation, Some(4));
}

#[test]
fn while_a_spec_is_invalid_what_its_relays_hold_is_told_on() {
    let mut cluster = published();
    let before = fresh(&cluster);
    first(&mut cluster).queue.messages = 7;
    first(&mut cluster).tenants[0].primary.state = Seen::Down;
    let silent = cluster.facts.relays.values_mut().last().unwrap();
    silent.report = None;
    silent.deployment.as_mut().unwrap().status = None;
    let running = running(&cluster);
    let now = START.parse().unwrap();
    let status = invalid(Before { status: &before, generation: Some(4), now }, &Problems::default(), &running);
    assert_eq!(status.queue.as_ref().unwrap().messages, 7);
    assert_eq!(status.primary.as_ref().unwrap().state, backupmx_crds::PrimaryState::Down);
    assert_eq!(condition(&status, ConditionType::PrimaryReachable), "False Down");
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "True Holding");
    assert_eq!(status.relays.iter().map(|relay| relay.ready).collect::<Vec<_>>(), [true, false]);
    assert_eq!(status.relays[1].queue, before.relays[1].queue, "held mail is on disk, whoever is silent");
    let kinds: std::collections::BTreeSet<_> = status.conditions.iter().map(|known| &known.type_).collect();
    assert_eq!(kinds.len(), status.conditions.len(), "each once");
    assert_eq!(status.mx_records, before.mx_records);
}

#[test]
fn a_primary_that_leads_back_to_a_relay_is_named_for_what_it_is() {
    let mut cluster = published();
    first(&mut cluster).tenants[0].primary.state = Seen::Down;
    first(&mut cluster).tenants[0].primary.looping = true;
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::PrimaryReachable), "False Looping");
    let known = status.conditions.iter().find(|known| known.reason == "Looping").unwrap();
    assert!(known.message.contains("mx1.backup.example.net") && known.message.contains("primary.hosts"), "{known:?}");
}

#[test]
fn mail_that_expires_is_told_though_the_volume_is_full_as_well() {
    let mut cluster = published();
    let report = first(&mut cluster);
    report.accepting = Accepting::StorageFull;
    report.storage = StorageStatus { used: 90 << 20, available: 0, size: 100 << 20, quarantined: 0 };
    assert_eq!(condition(&fresh(&cluster), ConditionType::QueueHealthy), "False Full");
    let report = first(&mut cluster);
    (report.accepting, report.storage.available) = (Accepting::Yes, 9000);
    assert_eq!(
        condition(&fresh(&cluster), ConditionType::QueueHealthy),
        "False Full",
        "for a message that is not tiny"
    );
    first(&mut cluster).storage.available = 1 << 20;
    assert_eq!(condition(&fresh(&cluster), ConditionType::QueueHealthy), "False AlmostFull");
    first(&mut cluster).storage.available = 0;
    let report = first(&mut cluster);
    (report.queue.messages, report.queue.oldest_message_time) = (3, Some("2027-01-01T08:00:00Z".into()));
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "False ExpiringSoon");
    assert!(status.conditions.iter().any(|known| known.message.contains("keeps it; and the volume of")));
}

#[test]
fn what_can_still_be_done_something_about_is_told_before_damaged_parts() {
    let mut cluster = published();
    first(&mut cluster).storage.quarantined = 2;
    assert_eq!(condition(&fresh(&cluster), ConditionType::QueueHealthy), "False Quarantined");
    let report = first(&mut cluster);
    (report.queue.messages, report.queue.held) = (1, 1);
    assert_eq!(condition(&fresh(&cluster), ConditionType::QueueHealthy), "False NeedsDecision");
    let report = first(&mut cluster);
    (report.storage.used, report.storage.available, report.storage.size) = (95 << 20, 5 << 20, 100 << 20);
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "False AlmostFull");
    assert!(
        status.conditions.iter().any(|known| known.message.contains("; 2 damaged parts were of a queue set aside"))
    );
}

/// A resource that is being deleted and whose caches have been waited out.
fn draining() -> Cluster {
    let mut cluster = published();
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    cluster.pass();
    cluster.later(1000);
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().queue.messages = 1;
    }
    cluster.pass();
    cluster.pass();
    cluster
}

fn drain(cluster: &Cluster) -> (String, String) {
    let status = fresh(cluster);
    let known = status.conditions.iter().find(|known| known.type_ == "Draining").unwrap();
    (known.reason.clone(), known.message.clone())
}

#[test]
fn a_drain_names_all_that_keeps_a_relay() {
    let mut cluster = draining();
    assert_eq!(drain(&cluster), ("Delivering".into(), "relay a holds 1 message; relay b holds 1 message".into()));
    let report = first(&mut cluster);
    (report.queue.messages, report.queue.held, report.queue.parked) = (15, 2, 3);
    (report.orphaned.messages, report.reports.messages, report.storage.quarantined) = (4, 5, 1);
    let (reason, message) = drain(&cluster);
    assert_eq!(reason, "Delivering");
    assert_eq!(
        message,
        "relay a holds 15 messages (2 waiting for a person, 3 parked), among them 4 messages for domains that it does not \
         serve any more, among them 5 reports to senders, 1 damaged part set aside; relay b holds 1 message"
    );
}

#[test]
fn a_drain_of_what_is_never_tried_by_itself_is_stuck() {
    let mut cluster = draining();
    let report = first(&mut cluster);
    (report.queue.parked, report.tenants[0].queue.parked) = (1, 1);
    let (reason, message) = drain(&cluster);
    assert_eq!(reason, "Stuck");
    assert!(message.contains("1 message (1 parked)") && message.contains("release=discard"), "{message}");
    assert!(!message.contains("quarantine"), "{message}");
    first(&mut cluster).reports.messages = 1;
    assert_eq!(drain(&cluster).0, "Delivering", "a report goes out still");
    // Mail that is nobody's any more is tried by nothing either.
    let report = first(&mut cluster);
    (report.reports.messages, report.queue.parked) = (0, 0);
    let queue = std::mem::take(&mut report.tenants[0].queue);
    report.orphaned.messages = queue.messages;
    assert_eq!(drain(&cluster).0, "Stuck");
    // A tenant's mail goes out, however much there is that does not.
    let report = first(&mut cluster);
    (report.queue.messages, report.queue.held, report.orphaned.held) = (2, 1, 1);
    report.tenants[0].queue.messages = 1;
    assert_eq!(drain(&cluster).0, "Delivering");
    first(&mut cluster).tenants[0].queue.messages = 0;
    // Parts that are damaged are in no queue.
    let report = first(&mut cluster);
    (report.queue.messages, report.orphaned.messages, report.storage.quarantined) = (0, 0, 1);
    let (reason, message) = drain(&cluster);
    assert_eq!(reason, "Stuck");
    assert!(
        message.contains("backupmx-relay quarantine list shows damaged parts") && !message.contains("queue list"),
        "{message}"
    );
}

/// A domain has left, whose mail a person has ordered to go, and whose relay takes no more of it.
fn clearing() -> Cluster {
    let mut cluster = published();
    cluster.resource.domains.pop();
    cluster.pass();
    for live in cluster.facts.relays.values_mut() {
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(crate::labels::RELEASE.into(), crate::labels::DISCARD.into());
    }
    cluster.pass();
    cluster.pass();
    first(&mut cluster).tenants.last_mut().unwrap().queue.messages = 2;
    cluster
}

#[test]
fn a_discard_that_does_not_go_on_is_stuck() {
    let mut cluster = clearing();
    let (reason, message) = drain(&cluster);
    assert!(reason == "Delivering" && message.contains("and discards it, as was ordered"), "{reason}: {message}");
    cluster.later(301);
    let (reason, message) = drain(&cluster);
    assert_eq!(reason, "Stuck");
    assert!(message.contains("2 messages for example.net, and has not discarded it since 2027-01-15T08:00:00Z"));
    assert!(message.contains("kubectl logs -n mail deploy/") && message.contains("queue discard ID"), "{message}");
    first(&mut cluster).tenants.last_mut().unwrap().in_flight = Some(1);
    assert_eq!(drain(&cluster).0, "Delivering", "it waits for what still comes in");
}

#[test]
fn what_is_discarded_is_not_taken_for_drained() {
    let clears = |cluster: &Cluster, status: &BackupMXStatus| crate::plan::is_clearing(&cluster.facts, status);
    let mut cluster = clearing();
    let before = fresh(&cluster);
    assert!(clears(&cluster, &BackupMXStatus::default()), "whether a status was written or not");
    first(&mut cluster).tenants.last_mut().unwrap().queue.messages = 0;
    cluster.pass();
    assert!(clears(&cluster, &before), "the status of the pass in which it was over could not be written");
    assert!(!clears(&cluster, &fresh(&cluster)), "what comes and goes after that is delivered");
    assert!(!clears(&published(), &before), "nothing was ordered");
}

#[test]
fn what_is_retained_or_discarded_is_said_to_be() {
    for (policy, wanted) in [
        (backupmx_crds::DeletionPolicy::Retain, "answers 451, and goes without its volume"),
        (backupmx_crds::DeletionPolicy::Discard, "answers 451, and goes with all that it holds"),
    ] {
        let mut cluster = published();
        cluster.resource.deletion = policy;
        cluster.facts.life = Life::Leaving;
        let (reason, message) = drain(&cluster);
        assert_eq!(reason, "WaitingForCaches");
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn figures_are_written_once_a_minute_and_their_beginning_at_once() {
    let mut cluster = published();
    let none = fresh(&cluster);
    let with = |cluster: &mut Cluster, messages| {
        first(cluster).queue.messages = messages;
        fresh(cluster)
    };
    let (one, two) = (with(&mut cluster, 1), with(&mut cluster, 2));
    let soon = Duration::from_secs(5);
    assert!(worth_writing(&none, &one, soon), "mail begins to be held");
    assert!(!worth_writing(&one, &two, soon));
    assert!(worth_writing(&one, &two, Duration::from_secs(60)));
    assert!(worth_writing(&two, &none, soon), "all of it is gone");
    assert!(!worth_writing(&two, &two, Duration::from_secs(3600)));
    assert_eq!(worth_later(&one, &two, soon), Some(Duration::from_secs(55)), "as soon as it is");
    assert_eq!(worth_later(&two, &two, soon), None);
}

/// Nobody says anything: it was not asked yet, or it is silent.
pub(super) fn hush(cluster: &mut Cluster, asked: Asked) {
    for live in cluster.facts.relays.values_mut() {
        (live.report, live.asked) = (None, asked);
    }
}

#[test]
fn an_operator_that_has_just_started_says_what_was_said_before() {
    let later = "2027-01-15T09:00:00Z";
    for held in [0, 12] {
        let mut cluster = published();
        for live in cluster.facts.relays.values_mut() {
            let report = live.report.as_mut().unwrap();
            report.tenants[0].primary.state = if held > 0 { Seen::Down } else { Seen::Up };
            report.queue.messages = held;
        }
        let before = fresh(&cluster);
        hush(&mut cluster, Asked::NotYet);
        assert_eq!(status_of(&cluster, &before, later), before);
        hush(&mut cluster, Asked::Yes);
        let silent = status_of(&cluster, &before, later);
        assert_eq!(condition(&silent, ConditionType::RelaysReady), "False RelayUnreachable");
        assert_eq!(condition(&silent, ConditionType::Ready), "False NoRelayAvailable");
        assert_eq!(condition(&silent, ConditionType::QueueHealthy), "Unknown NotReported");
    }
}

#[test]
fn a_pod_that_is_not_ready_is_said_though_it_was_not_asked_yet() {
    let mut cluster = published();
    let before = fresh(&cluster);
    hush(&mut cluster, Asked::NotYet);
    cluster.facts.relays.values_mut().for_each(|live| live.deployment.as_mut().unwrap().status = None);
    let status = status_of(&cluster, &before, START);
    assert_eq!(condition(&status, ConditionType::RelaysReady), "False PodNotReady");
    assert_eq!(condition(&status, ConditionType::Ready), "False NoRelayAvailable");
}

#[test]
fn of_a_new_spec_no_relay_has_said_that_it_runs_it() {
    let mut cluster = published();
    let mut before = fresh(&cluster);
    for known in &mut before.conditions {
        known.observed_generation = Some(2);
    }
    hush(&mut cluster, Asked::NotYet);
    let status = status_of(&cluster, &before, START);
    assert_eq!(condition(&status, ConditionType::RelaysReady), "False Pending");
    assert_eq!(condition(&status, ConditionType::Reconciling), "True Progressing");
    assert_eq!(condition(&status, ConditionType::Ready), "True Available", "their pods are ready");
    assert!(status.conditions.iter().all(|known| known.observed_generation == Some(3)));
}

#[test]
fn an_outage_lasts_until_a_relay_says_that_it_is_over() {
    let mut cluster = published();
    let say = |cluster: &mut Cluster, state: Seen| {
        cluster.pass();
        for live in cluster.facts.relays.values_mut() {
            live.report.as_mut().unwrap().tenants[0].primary.state = state;
        }
    };
    let state = |status: &BackupMXStatus| status.primary.as_ref().map(|primary| primary.state);
    say(&mut cluster, Seen::Down);
    let down = fresh(&cluster);
    hush(&mut cluster, Asked::Yes);
    let silent = status_of(&cluster, &down, START);
    assert_eq!(state(&silent), Some(backupmx_crds::PrimaryState::Down));
    assert_eq!(condition(&silent, ConditionType::PrimaryReachable), "Unknown NotReported");
    say(&mut cluster, Seen::Unknown);
    let restarted = status_of(&cluster, &silent, START);
    assert_eq!(state(&restarted), Some(backupmx_crds::PrimaryState::Down));
    // A first sign of life that was followed by a failure is no end either.
    say(&mut cluster, Seen::Suspect);
    let suspect = status_of(&cluster, &restarted, START);
    assert_eq!(state(&suspect), Some(backupmx_crds::PrimaryState::Down));
    assert_eq!(condition(&suspect, ConditionType::PrimaryReachable), "False Suspect");
    say(&mut cluster, Seen::Up);
    let back = status_of(&cluster, &suspect, START);
    let told: Vec<_> = crate::events::told(&cluster.resource.owner, &suspect, &back, crate::events::Less::Delivered)
        .into_iter()
        .map(|event| event.reason)
        .collect();
    assert!(told.contains(&crate::events::Reason::PrimaryBack), "{told:?}");
}

pub(super) fn said(status: &BackupMXStatus, kind: ConditionType) -> String {
    let found = status.conditions.iter().find(|known| known.type_ == kind.as_str());
    found.map(|known| known.message.clone()).unwrap_or_default()
}

#[test]
fn a_stuck_drain_is_told_before_one_that_goes_on() {
    let mut cluster = draining();
    let report = cluster.live("b").report.as_mut().unwrap();
    (report.queue.parked, report.tenants[0].queue.parked) = (1, 1);
    let (reason, message) = drain(&cluster);
    assert_eq!(reason, "Stuck");
    assert!(message.starts_with("relay b holds 1 message (1 parked)"), "{message}");
    assert!(message.ends_with("; relay a holds 1 message"), "{message}");
}

#[test]
fn a_drain_that_waits_for_caches_says_what_is_held_and_until_when() {
    let mut cluster = published();
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    cluster.dns_follows();
    cluster.pass();
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().queue.messages = 3;
    }
    let (reason, message) = drain(&cluster);
    assert_eq!(reason, "WaitingForCaches");
    assert!(message.contains("records are gone, at 2027-01-15T08:15:00Z; it holds 3 messages"), "{message}");
}

/// Relay a holds mail and falls silent.
fn falls_silent(oldest: &str) -> (Cluster, BackupMXStatus) {
    let mut cluster = published();
    let report = first(&mut cluster);
    (report.queue.messages, report.queue.oldest_message_time) = (500, Some(oldest.into()));
    let before = fresh(&cluster);
    first_live(&mut cluster).report = None;
    (cluster, before)
}

fn first_live(cluster: &mut Cluster) -> &mut Live {
    cluster.facts.relays.values_mut().next().unwrap()
}

#[test]
fn mail_on_a_relay_that_is_silent_is_never_called_none() {
    let (mut cluster, before) = falls_silent("2027-01-15T07:00:00Z");
    let status = status_of(&cluster, &before, START);
    assert_eq!(status.queue.as_ref().unwrap().messages, 500);
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "Unknown NotReported");
    let message = said(&status, ConditionType::QueueHealthy);
    assert!(
        message.starts_with("relay a does not say what it holds, and held 500 messages when it last did"),
        "{message}"
    );
    cluster.live("b").report.as_mut().unwrap().queue.messages = 2;
    let message = said(&status_of(&cluster, &before, START), ConditionType::QueueHealthy);
    assert!(message.ends_with("; 2 messages are held by the others"), "{message}");
}

#[test]
fn mail_near_its_expiry_is_told_though_its_relay_is_silent() {
    let (cluster, before) = falls_silent("2027-01-01T08:00:00Z");
    let status = status_of(&cluster, &before, START);
    assert_eq!(condition(&status, ConditionType::QueueHealthy), "False ExpiringSoon");
    let message = said(&status, ConditionType::QueueHealthy);
    assert!(message.contains("relay a does not say what it holds"), "{message}");
}

#[test]
fn nothing_is_said_to_expire_while_deliveries_are_stopped() {
    type Change = fn(&mut Report);
    let changes: [(Change, &str); 3] = [
        (|report| report.tenants[0].suspended = true, "False ExpiringSoon"),
        (|report| report.tenants[0].primary.reject_storm = true, "False ExpiringSoon"),
        (|report| report.clock_jumped = true, "False ClockJumped"),
    ];
    for (stop, wanted) in changes {
        let mut cluster = published();
        let report = first(&mut cluster);
        (report.queue.messages, report.queue.oldest_message_time) = (3, Some("2027-01-01T08:00:00Z".into()));
        assert_eq!(condition(&fresh(&cluster), ConditionType::QueueHealthy), "False ExpiringSoon");
        stop(first(&mut cluster));
        let status = fresh(&cluster);
        assert_eq!(condition(&status, ConditionType::QueueHealthy), wanted);
        let message = said(&status, ConditionType::QueueHealthy);
        assert!(message.contains("nothing expires while deliveries are stopped"), "{message}");
        assert!(!message.contains("message expires at"), "{message}");
    }
}

#[test]
fn all_relays_and_names_that_are_wrong_are_named_with_what_to_do() {
    let mut cluster = published();
    for live in cluster.facts.relays.values_mut() {
        live.deployment.as_mut().unwrap().status = None;
    }
    let message = said(&fresh(&cluster), ConditionType::RelaysReady);
    for relay in ["a", "b"] {
        assert!(message.contains(&format!("the pod of relay {relay} is not ready")), "{message}");
        assert!(message.contains(&format!("backupmx.io/relay={relay}")), "{message}");
    }
    cluster.facts.not_allowed = cluster.resource.domains.clone();
    let message = said(&fresh(&cluster), ConditionType::DomainConflict);
    assert!(message.contains("have example.org, example.net: take it out of spec.domains"), "{message}");
    let many: Vec<String> = (1..=7).map(|count| count.to_string()).collect();
    assert_eq!(some(&many, ", "), "1, 2, 3, 4, 5, and 2 more");
}
