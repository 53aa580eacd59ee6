//! An order to discard what is held for a domain is for that domain, however long it takes, and for nothing else.

use std::collections::BTreeMap;

use backupmx_relay_config::AcceptMode;

use super::super::*;
use super::cluster::{Cluster, name};
use crate::labels;

/// The domain that leaves while the order is given.
const ORDERED: &str = "example.net";
/// One that leaves on another day.
const LATER: &str = "example.com";

/// How far the writes were that note the order, when the operator was killed.
#[derive(Clone, Copy, Debug)]
enum Written {
    /// The note only.
    Note,
    /// All of them.
    All,
}

fn annotations(cluster: &mut Cluster) -> &mut BTreeMap<String, String> {
    cluster.live("a").claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap()
}

fn order(cluster: &mut Cluster) {
    annotations(cluster).insert(labels::RELEASE.into(), labels::DISCARD.into());
}

/// Relay `a` answers nobody any more, and a person has ordered what it holds for a domain that leaves to go.
fn silent(written: Written) -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.push(LATER.parse().unwrap());
    cluster.pass();
    cluster.resource.domains.retain(|domain| domain.as_str() != ORDERED);
    cluster.pass();
    order(&mut cluster);
    let passes = match written {
        Written::Note => 1,
        Written::All => 2,
    };
    for _ in 0..passes {
        cluster.live("a").report = None;
        cluster.pass();
    }
    cluster.live("a").report = None;
    cluster.live("a").known_held = Some(3);
    cluster.later(24 * 3600);
    cluster
}

/// What leaves relay `a`, how far it is, and whether an order is for it.
fn leaving(planned: &Resources) -> Vec<(Option<String>, Phase, bool)> {
    let serving = planned.serving.iter().map(|relay| (&relay.name, &relay.claim));
    let mut all = serving.chain(planned.leaving.iter().map(|relay| (&relay.name, &relay.claim)));
    let (_, claim) = all.find(|(relay, _)| **relay == name("a")).unwrap();
    let of = |one: Retirement| (one.domain.map(|domain| domain.to_string()), one.phase, one.ordered.is_some());
    retirements(Some(claim)).into_iter().map(of).collect()
}

fn closing() -> (Option<String>, Phase, bool) {
    (Some(ORDERED.into()), Phase::Closing, true)
}

#[test]
fn the_note_and_the_end_of_the_annotation_are_one_write() {
    let mut cluster = silent(Written::Note);
    assert_eq!(annotations(&mut cluster)[labels::RELEASE], labels::NOTED);
    assert_eq!(leaving(&cluster.plan()), [closing()]);
    cluster.pass();
    cluster.live("a").report = None;
    assert_eq!(annotations(&mut cluster).get(labels::RELEASE), None);
    assert_eq!(leaving(&cluster.plan()), [closing()]);
}

#[test]
fn an_order_that_an_older_operator_left_standing_is_noted() {
    let mut cluster = silent(Written::All);
    let noted = annotations(&mut cluster)[labels::RETIRING].clone();
    let (older, rest) = noted.split_once(r#","ordered":""#).unwrap();
    let older = format!("{older}{}", rest.split_once('"').unwrap().1);
    annotations(&mut cluster).insert(labels::RETIRING.into(), older);
    assert_eq!(leaving(&cluster.plan()), [(Some(ORDERED.into()), Phase::Closing, false)]);
    order(&mut cluster);
    assert_eq!(leaving(&cluster.plan()), [closing()]);
}

#[test]
fn a_relay_that_leaves_the_spec_keeps_what_else_it_holds() {
    for written in [Written::Note, Written::All] {
        let mut cluster = silent(written);
        cluster.resource.relays.retain(|relay| relay.name != name("a"));
        let planned = cluster.plan();
        assert!(leaving(&planned).contains(&(None, Phase::Withdrawing, false)), "{written:?}");
        assert_eq!(let_go(&planned, &cluster.facts), [], "{written:?}");
    }
}

#[test]
fn a_resource_that_is_deleted_drains() {
    for written in [Written::Note, Written::All] {
        let mut cluster = silent(written);
        cluster.facts.life = Life::Leaving;
        let planned = cluster.plan();
        assert!(leaving(&planned).contains(&(None, Phase::Withdrawing, false)), "{written:?}");
        assert_eq!(let_go(&planned, &cluster.facts), [], "{written:?}");
    }
}

#[test]
fn a_claim_that_is_deleted_is_kept() {
    for written in [Written::Note, Written::All] {
        let mut cluster = silent(written);
        let now = cluster.facts.now;
        let claim = cluster.live("a").claim.as_mut().unwrap();
        claim.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        let planned = cluster.plan();
        assert_eq!(planned.renewing, [], "{written:?}");
        assert_eq!(leaving(&planned), [closing()], "{written:?}");
    }
}

#[test]
fn a_domain_that_leaves_later_is_delivered() {
    for written in [Written::Note, Written::All] {
        let mut cluster = silent(written);
        cluster.resource.domains.retain(|domain| domain.as_str() != LATER);
        let planned = cluster.plan();
        assert_eq!(
            leaving(&planned),
            [(Some(LATER.into()), Phase::Withdrawing, false), closing()],
            "{written:?}: they leave by their names"
        );
        let tenants = &planned.serving.iter().find(|relay| relay.name == name("a")).unwrap().document.tenants;
        let accept = |domain: &str| {
            tenants.iter().find(|tenant| tenant.domains.iter().any(|one| one.as_str() == domain)).unwrap().accept
        };
        assert_eq!([accept(LATER), accept(ORDERED)], [AcceptMode::Active, AcceptMode::Defer], "{written:?}");
    }
}

#[test]
fn a_person_who_says_it_again_of_the_whole_relay_is_obeyed() {
    let mut cluster = silent(Written::All);
    cluster.resource.relays.retain(|relay| relay.name != name("a"));
    cluster.pass();
    cluster.live("a").report = None;
    order(&mut cluster);
    let planned = cluster.plan();
    assert_eq!(planned.leaving.iter().map(|relay| relay.retirement.phase).collect::<Vec<_>>(), [Phase::Gone]);
    assert_eq!(let_go(&planned, &cluster.facts), [(name("a"), Some(3))]);
}

#[test]
fn a_relay_that_answers_again_is_told_to_discard() {
    let mut cluster = silent(Written::All);
    cluster.pass();
    let tenant = |cluster: &mut Cluster, messages| {
        cluster.live("a").report.as_mut().unwrap().tenants.last_mut().unwrap().queue.messages = messages;
    };
    tenant(&mut cluster, 2);
    let planned = cluster.plan();
    assert_eq!(leaving(&planned), [(Some(ORDERED.into()), Phase::Draining, true)]);
    let told = cleared(&cluster.resource, &planned, &cluster.facts);
    let told: Vec<_> = told.iter().map(|one| (one.domain.as_str(), one.messages, one.by)).collect();
    assert_eq!(told, [(ORDERED, 2, ClearedBy::Relay)]);
    cluster.pass();
    tenant(&mut cluster, 0);
    assert_eq!(leaving(&cluster.plan()), [(Some(ORDERED.into()), Phase::Fading, true)]);
}

/// Two domains leave, and words stand on the claim of relay `a`.
fn two_leave(words: &str) -> Cluster {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.push(LATER.parse().unwrap());
    cluster.pass();
    cluster.resource.domains.retain(|domain| ![ORDERED, LATER].contains(&domain.as_str()));
    cluster.pass();
    annotations(&mut cluster).insert(labels::RELEASE.into(), words.into());
    cluster
}

fn ordered(planned: &Resources) -> Vec<String> {
    leaving(planned).into_iter().filter(|(_, _, ordered)| *ordered).filter_map(|(domain, _, _)| domain).collect()
}

#[test]
fn an_order_for_one_domain_is_for_none_that_leaves_beside_it() {
    let mut cluster = two_leave("discard:Example.NET");
    let planned = cluster.plan();
    assert_eq!(ordered(&planned), [ORDERED]);
    assert!(leaving(&planned).contains(&(Some(LATER.into()), Phase::Waiting, false)), "{:?}", leaving(&planned));
    assert_eq!(disobeyed(&planned, &cluster.facts), []);
    cluster.pass();
    assert_eq!(annotations(&mut cluster)[labels::RELEASE], labels::NOTED, "in the very write that notes it");
    assert_eq!(ordered(&cluster.plan()), [ORDERED]);
    let mut all = two_leave(labels::DISCARD);
    assert_eq!(ordered(&all.pass()), [LATER, ORDERED], "the other form is for all that leave");
}

#[test]
fn an_order_for_one_domain_lets_nothing_else_go_meanwhile() {
    let given = || {
        let mut cluster = two_leave("discard:example.net");
        cluster.live("a").known_held = Some(3);
        cluster.live("a").report = None;
        cluster
    };
    let mut deleted = given();
    deleted.facts.life = Life::Leaving;
    let mut removed = given();
    removed.resource.relays.retain(|relay| relay.name != name("a"));
    for (what, gone) in [("the resource is deleted", deleted), ("the relay is removed", removed)] {
        let planned = gone.plan();
        let relay = planned.leaving.iter().find(|relay| relay.name == name("a")).unwrap();
        assert_eq!(relay.retirement.phase, Phase::Withdrawing, "{what}");
        assert_eq!(let_go(&planned, &gone.facts), [], "{what}");
        let claim = gone.facts.relays[&name("a")].claim.as_ref();
        assert_eq!(unheard(claim), Some("discard:example.net"), "{what}");
    }
    let mut cluster = given();
    let now = cluster.facts.now;
    let claim = cluster.live("a").claim.as_mut().unwrap();
    claim.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    let planned = cluster.plan();
    assert_eq!(planned.renewing, [], "the claim is deleted");
    assert_eq!(let_go(&planned, &cluster.facts), [], "the claim is deleted");
}

#[test]
fn words_that_are_no_order_for_what_leaves_are_told_and_taken_off() {
    for words in ["discard:example.org", "discard:", "discard:not a domain", "discrad", "Discard"] {
        let mut cluster = two_leave(words);
        let planned = cluster.plan();
        assert_eq!(ordered(&planned), Vec::<String>::new(), "{words}");
        let told = disobeyed(&planned, &cluster.facts);
        let told: Vec<_> = told.iter().map(|order| (order.value.as_str(), order.leaving.len())).collect();
        assert_eq!(told, [(words, 2)]);
        cluster.pass();
        assert_eq!(annotations(&mut cluster)[labels::RELEASE], labels::NOTED, "{words}: or it meets what leaves later");
    }
    let cluster = two_leave(labels::WITHDRAWN);
    assert_eq!(disobeyed(&cluster.plan(), &cluster.facts), []);
}
