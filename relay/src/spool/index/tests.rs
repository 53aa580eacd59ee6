//! What the index promises.

use std::time::Duration;

use super::{
    listing::{PARKED, YOUNGER},
    *,
};
use crate::spool::{
    model::{LaneStatus, Reach},
    record::Maker,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn domain(name: &str) -> DomainName {
    name.parse().unwrap()
}

fn at(offset: u32) -> Extent {
    Extent { spot: Spot { segment: 1, offset }, length: 10 }
}

fn insert(index: &mut Index, id: u64, lane: &str) -> MessageId {
    insert_at(index, id, lane, NOW)
}

fn insert_at(index: &mut Index, id: u64, lane: &str, arrived: Timestamp) -> MessageId {
    let id = MessageId::from_u64(id);
    let note = MessageNote {
        id,
        arrived,
        size: 100,
        place: Place::Inline,
        maker: Maker::Client,
        crc: 0,
        domains: domain(lane).into(),
    };
    assert!(index.insert(&note, at(0)));
    id
}

fn set(index: &mut Index, id: MessageId, standing: Standing, due: Option<Timestamp>, lane: &str) {
    let note = StateNote { id, standing, due, attempts: 1, domains: domain(lane).into() };
    index.set_state(&note, at(1)).unwrap();
}

#[test]
fn a_held_message_takes_at_most_96_octets() {
    assert_eq!(size_of::<Entry>(), 56);
    let mut index = Index::default();
    let count = 50_000;
    for id in 1..=count {
        let id = insert(&mut index, id, "example.org");
        set(
            &mut index,
            id,
            Standing::Queued,
            Some(NOW + Duration::from_millis(id.as_u64() * 7919 % 10_007)),
            "example.org",
        );
    }
    // What is left after most mail was delivered out of order is what could waste most.
    for (kept, each) in [(count, 1), (count / 3, 3), (count / 30, 10)] {
        for id in (1..=count).filter(|id| id % each != 0) {
            index.remove(MessageId::from_u64(id));
        }
        let held = usize::try_from(index.len()).unwrap();
        assert!(held as u64 <= kept + 1);
        // One chunk of each list may be on its way to be filled.
        assert!(index.memory() <= 96 * held + 128 * 78, "{} octets for {held} messages", index.memory());
    }
}

#[test]
fn claims_the_oldest_that_is_due_over_lanes() {
    let mut index = Index::default();
    let [a, b, c, d] = [(3, "a.example"), (1, "b.example"), (2, "a.example"), (4, "b.example")]
        .map(|(id, lane)| insert(&mut index, id, lane));
    set(&mut index, b, Standing::Queued, Some(NOW), "b.example");
    set(&mut index, d, Standing::Rejected, None, "b.example");
    let lanes = [domain("a.example"), domain("b.example"), domain("none.example")];
    let before = Timestamp::from_millis(NOW.as_millis() - 1);
    assert_eq!(index.claim(&lanes, before), Some(c));
    assert_eq!(index.lane(&lanes[1]).next_due, Some(NOW));
    assert_eq!(index.claim(&lanes, NOW), Some(b));
    assert_eq!(index.claim(&lanes, NOW), Some(a));
    assert_eq!(index.claim(&lanes, NOW), None);
    assert!(!index.claim_one(a) && index.claim_one(d));
    assert!(index.release(c) && !index.release(c) && !index.release(d));
    assert_eq!(index.claim(&lanes[1..], NOW), None);
    assert_eq!(index.claim(&lanes, NOW), Some(c));
}

#[test]
fn a_flush_makes_all_due_that_are_queued() {
    let mut index = Index::default();
    let lane = [domain("a.example")];
    let [late, held] = [1, 2].map(|id| insert(&mut index, id, "a.example"));
    set(&mut index, late, Standing::Queued, Some(NOW + Duration::from_secs(60)), "a.example");
    set(&mut index, held, Standing::Parked, Some(NOW), "a.example");
    index.take_changed();
    assert_eq!(index.claim(&lane, NOW), None);
    index.flush(&lane, Reach::Waiting);
    assert_eq!(index.take_changed(), lane);
    assert_eq!((index.lane(&lane[0]).ready, index.lane(&lane[0]).next_due), (1, None));
    assert_eq!(index.claim(&lane, NOW), Some(late));
    assert_eq!(index.claim(&lane, NOW), None);
}

#[test]
fn a_flush_reaches_what_is_being_tried_where_it_is_to() {
    for (reach, due_again) in [(Reach::Waiting, false), (Reach::Underway, true)] {
        let mut index = Index::default();
        let lane = [domain("a.example")];
        let tried = insert(&mut index, 1, "a.example");
        assert_eq!(index.claim(&lane, NOW), Some(tried));
        index.flush(&lane, reach);
        set(&mut index, tried, Standing::Queued, Some(NOW + Duration::from_secs(60)), "a.example");
        assert_eq!(index.claim(&lane, NOW), None);
        assert!(index.release(tried));
        assert_eq!(index.claim(&lane, NOW), due_again.then_some(tried));
    }
}

#[test]
fn tells_which_lanes_changed_and_forgets_empty_ones() {
    let mut index = Index::default();
    let [a, b] = [(1, "a.example"), (2, "b.example")].map(|(id, lane)| insert(&mut index, id, lane));
    let mut changed = index.take_changed();
    changed.sort();
    assert_eq!(changed, [domain("a.example"), domain("b.example")]);
    assert_eq!(index.take_changed(), []);
    assert_eq!(index.claim(&[domain("a.example")], NOW), Some(a));
    assert!(!index.has_changed());
    index.release(a);
    assert_eq!(index.take_changed(), [domain("a.example")]);
    index.claim_one(b);
    set(&mut index, b, Standing::Queued, None, "c.example");
    assert_eq!(index.take_changed(), [], "it is claimed");
    index.release(b);
    assert_eq!(index.take_changed(), [domain("c.example")]);
    index.remove(b);
    assert_eq!(index.lanes().len(), 1);
    assert_eq!(index.lane(&domain("b.example")), LaneStatus::default());
    insert(&mut index, 9, "d.example");
    assert_eq!(index.lanes.len(), 2, "the place of a lane that is gone is used again");
}

#[test]
fn counts_what_a_lane_holds() {
    let mut index = Index::default();
    let ids = [1, 2, 3, 4, 5].map(|id| insert(&mut index, id, "a.example"));
    set(&mut index, ids[0], Standing::Looping, None, "a.example");
    set(&mut index, ids[1], Standing::Rejected, None, "a.example");
    set(&mut index, ids[2], Standing::Parked, None, "a.example");
    set(&mut index, ids[3], Standing::Withheld, None, "a.example");
    let status = LaneStatus {
        messages: 5,
        bytes: 500,
        held: 2,
        withheld: 1,
        parked: 1,
        oldest: Some(NOW),
        oldest_waiting: Some(NOW),
        ready: 1,
        ..LaneStatus::default()
    };
    assert_eq!(index.lane(&domain("a.example")), status);
    for id in ids {
        index.remove(id);
    }
    assert_eq!((index.len(), index.bytes(), index.lanes().len()), (0, 0, 0));
}

#[test]
fn the_oldest_that_waits_is_not_parked() {
    let mut index = Index::default();
    let arrived = |number: u64| NOW + Duration::from_secs(number);
    let many = PARKED as u64 + 10;
    let ids: Vec<MessageId> =
        (0..many).map(|number| insert_at(&mut index, number + 1, "a.example", arrived(number))).collect();
    let seen = |index: &Index| index.lane(&domain("a.example")).oldest_waiting;
    assert_eq!(seen(&index), Some(arrived(0)));
    for id in &ids[..3] {
        set(&mut index, *id, Standing::Parked, None, "a.example");
    }
    assert_eq!(seen(&index), Some(arrived(3)));
    assert_eq!(index.lane(&domain("a.example")).oldest, Some(arrived(0)));
    let (last, others) = ids.split_last().unwrap();
    for id in others {
        set(&mut index, *id, Standing::Parked, None, "a.example");
    }
    assert_eq!(seen(&index), Some(arrived(PARKED as u64 - 1)), "earlier than it is, and never later");
    set(&mut index, *last, Standing::Parked, None, "a.example");
    assert_eq!(seen(&index), None);
}

#[test]
fn pages_are_in_order_and_bounded() {
    let mut index = Index::default();
    for id in 1..=300 {
        insert(&mut index, id, if id % 3 == 0 { "a.example" } else { "b.example" });
    }
    let page = |lane: Option<&str>, after, limit| -> Vec<u64> {
        let lane = lane.map(domain);
        let after = Some(MessageId::from_u64(after));
        index.list(lane.as_ref(), after, limit).iter().map(|message| message.id.as_u64()).collect()
    };
    assert_eq!(page(None, 150, 3), [151, 152, 153]);
    assert_eq!(page(Some("a.example"), 150, 3), [153, 156, 159]);
    assert_eq!(page(Some("a.example"), 298, 3), [300]);
    assert!(page(Some("none.example"), 0, 3).is_empty());
}

#[test]
fn old_messages_are_found_and_the_search_for_them_ends() {
    let mut index = Index::default();
    let count = 3 * YOUNGER as u64;
    for id in 1..=count {
        let id = MessageId::from_u64(id);
        // The clock was set back for one message.
        let arrived = NOW + Duration::from_secs(if id.as_u64() == 500 { 0 } else { id.as_u64() });
        let lane = domain("a.example");
        let note = MessageNote {
            id,
            arrived,
            size: 1,
            place: Place::Inline,
            maker: Maker::Client,
            crc: 0,
            domains: lane.into(),
        };
        index.insert(&note, at(0));
    }
    let aged = |after, limit| -> Vec<u64> {
        let before = NOW + Duration::from_secs(4);
        let after = Some(MessageId::from_u64(after));
        let found = index.aged(&domain("a.example"), before, after, limit);
        found.iter().map(|message| message.id.as_u64()).collect()
    };
    assert_eq!(aged(0, 9), [1, 2, 3, 500]);
    assert_eq!(aged(1, 2), [2, 3]);
    assert!(aged(500, 9).is_empty());
}

#[test]
fn a_damaged_message_is_given_to_nobody() {
    let mut index = Index::default();
    let id = insert(&mut index, 1, "a.example");
    index.set_damaged(id);
    assert_eq!(index.claim(&[domain("a.example")], NOW), None);
    assert!(!index.claim_one(id) && !index.release(id));
    assert_eq!(index.len(), 1);
}

/// A message of several domains, of which the last `untold` are waited for by nobody who delivers.
fn set_several(index: &mut Index, id: MessageId, due: Option<Timestamp>, lanes: &[&str], untold: &[&str]) {
    let names = |names: &[&str]| names.iter().map(|name| domain(name)).collect::<Vec<_>>();
    let domains = Domains { first: domain(lanes[0]), also: names(&lanes[1..]), untold: names(untold) };
    let note = StateNote { id, standing: Standing::Queued, due, attempts: 1, domains };
    index.set_state(&note, at(1)).unwrap();
}

fn ids_in(index: &Index, lane: &str) -> Vec<MessageId> {
    index.list(Some(&domain(lane)), None, usize::MAX).iter().map(|message| message.id).collect()
}

#[test]
fn a_message_for_several_domains_is_in_the_lane_of_each_and_claimed_once() {
    let mut index = Index::default();
    let (a, b) = ([domain("a.example")], [domain("b.example")]);
    let id = insert(&mut index, 1, "a.example");
    for due in [None, Some(NOW)] {
        set_several(&mut index, id, due, &["a.example", "b.example"], &[]);
        let mut changed = index.take_changed();
        changed.sort();
        assert_eq!(changed, [a[0].clone(), b[0].clone()]);
        assert_eq!((ids_in(&index, "a.example"), ids_in(&index, "b.example")), (vec![id], vec![id]));
        assert_eq!(index.claim(&b, NOW), Some(id));
        assert_eq!((index.claim(&a, NOW), index.claim(&b, NOW)), (None, None));
        assert!(index.release(id));
        assert_eq!(index.take_changed().len(), 2, "each is told that it is back");
        assert_eq!(index.claim(&a, NOW), Some(id));
        // Of the first, nothing is left to do: the second has it alone.
        set(&mut index, id, Standing::Queued, None, "b.example");
        index.release(id);
        assert_eq!((index.claim(&a, NOW), ids_in(&index, "a.example")), (None, Vec::new()));
        assert_eq!(index.claim(&b, NOW), Some(id));
        index.release(id);
    }
    index.remove(id);
    assert_eq!((index.lanes().len(), index.parts().len()), (0, 0));
}

#[test]
fn a_flush_of_one_lane_makes_it_due_in_the_others() {
    let mut index = Index::default();
    let (a, b) = ([domain("a.example")], [domain("b.example")]);
    let id = insert(&mut index, 1, "a.example");
    set_several(&mut index, id, Some(NOW + Duration::from_secs(60)), &["a.example", "b.example"], &[]);
    index.flush(&b, Reach::Waiting);
    assert_eq!((index.lane(&a[0]).ready, index.lane(&a[0]).next_due), (1, None));
    assert_eq!(index.claim(&a, NOW), Some(id));
    assert_eq!((index.lane(&b[0]).ready, index.lane(&b[0]).next_due), (0, None));
    index.flush(&b, Reach::Underway);
    set_several(&mut index, id, Some(NOW + Duration::from_secs(60)), &["a.example", "b.example"], &[]);
    assert!(index.release(id));
    assert_eq!(index.claim(&a, NOW), Some(id), "it was asked for while it was tried");
}

#[test]
fn what_one_puts_off_is_due_for_the_others_at_once() {
    let mut index = Index::default();
    let (a, b) = ([domain("a.example")], [domain("b.example")]);
    let id = insert(&mut index, 1, "a.example");
    let later = NOW + Duration::from_secs(60);
    set_several(&mut index, id, Some(later), &["a.example", "b.example"], &[]);
    index.take_changed();
    index.offer_elsewhere(id, &a);
    assert_eq!(index.take_changed(), b);
    assert_eq!(index.claim(&a, NOW), None);
    assert_eq!(index.claim(&b, NOW), Some(id));
    index.offer_elsewhere(id, &a);
    assert_eq!(index.claim(&b, NOW), None, "it is claimed");
    index.release(id);
    assert_eq!((index.claim(&a, NOW), index.claim(&b, NOW)), (None, None), "it waits again");
    assert_eq!(index.claim(&a, later), Some(id));
}

#[test]
fn who_has_only_something_to_tell_has_it_and_does_not_claim_it() {
    let mut index = Index::default();
    let b = [domain("b.example")];
    let id = insert(&mut index, 1, "a.example");
    set_several(&mut index, id, None, &["a.example"], &["b.example"]);
    assert_eq!((ids_in(&index, "b.example"), index.lane(&b[0]).messages), (vec![id], 1));
    assert_eq!((index.claim(&b, NOW), index.lane(&b[0]).ready), (None, 0));
    let domains = index.domains(id).unwrap();
    assert_eq!((domains.first, domains.also, domains.untold), (domain("a.example"), Vec::new(), b.to_vec()));
    index.flush(&[domain("a.example")], Reach::Waiting);
    assert_eq!(index.claim(&[domain("a.example")], NOW), Some(id));
    index.release(id);
    assert_eq!((index.claim(&b, NOW), index.lane(&b[0]).ready), (None, 0));
}

#[test]
fn parts_count_each_message_once_and_have_the_times_of_its_lanes() {
    let mut index = Index::default();
    let arrived = |number: u64| NOW + Duration::from_secs(number);
    let ids: Vec<MessageId> = (1..=4).map(|id| insert_at(&mut index, id, "a.example", arrived(id))).collect();
    set_several(&mut index, ids[1], None, &["a.example", "b.example"], &[]);
    set_several(&mut index, ids[2], None, &["a.example", "b.example"], &[]);
    set_several(&mut index, ids[3], None, &["b.example", "c.example"], &[]);
    let mut parts = index.parts();
    parts.sort_by(|one, other| one.0.cmp(&other.0));
    let seen: Vec<(Vec<&str>, u64, u64, Option<Timestamp>)> = parts
        .iter()
        .map(|(domains, held)| {
            (domains.iter().map(DomainName::as_str).collect(), held.messages, held.bytes, held.oldest)
        })
        .collect();
    let expected = [
        (vec!["a.example"], 1, 100, Some(arrived(1))),
        (vec!["a.example", "b.example"], 2, 200, Some(arrived(2))),
        (vec!["b.example", "c.example"], 1, 100, Some(arrived(4))),
    ];
    assert_eq!(seen, expected);
    assert_eq!(index.lane(&domain("b.example")).messages, 3);
}

const LANES: [&str; 4] = ["a.example", "b.example", "c.example", "d.example"];

proptest::proptest! {
    /// Whatever is done: a message that waits is offered in each of its lanes and in no other, and nothing of one that is
    /// gone stays.
    #[test]
    fn no_lane_forgets_or_invents_a_message(
        steps in proptest::collection::vec((0u8..7, 1u64..6, 1usize..16, 0usize..16, 0usize..4), 1..60)
    ) {
        let mut index = Index::default();
        let mut known: std::collections::BTreeMap<MessageId, (Vec<&str>, Vec<&str>)> = Default::default();
        let mut claimed = std::collections::BTreeSet::new();
        let chosen = |bits: usize| -> Vec<&str> { (0..4).filter(|at| bits >> at & 1 == 1).map(|at| LANES[at]).collect() };
        for (step, number, bits, more, lane) in steps {
            let id = MessageId::from_u64(number);
            let one = [domain(LANES[lane])];
            match step {
                0 if !known.contains_key(&id) => {
                    insert(&mut index, number, LANES[lane]);
                    known.insert(id, (vec![LANES[lane]], Vec::new()));
                }
                0 | 1 if known.contains_key(&id) => {
                    let due = (number % 2 == 0).then(|| NOW + Duration::from_secs(bits as u64 * 10));
                    let (lanes, untold) = (chosen(bits), chosen(more & !bits));
                    set_several(&mut index, id, due, &lanes, &untold);
                    known.insert(id, (lanes, untold));
                }
                2 => {
                    if let Some(id) = index.claim(&one, NOW + Duration::from_secs(80)) {
                        proptest::prop_assert!(known[&id].0.contains(&LANES[lane]));
                        proptest::prop_assert!(claimed.insert(id));
                    }
                }
                3 => {
                    index.release(id);
                    claimed.remove(&id);
                }
                4 => index.flush(&one, if more > 7 { Reach::Waiting } else { Reach::Underway }),
                5 => {
                    index.remove(id);
                    known.remove(&id);
                    claimed.remove(&id);
                }
                6 => index.offer_elsewhere(id, &one),
                _ => {}
            }
            for name in LANES {
                let has = |lanes: &[&str]| lanes.contains(&name);
                let members: Vec<_> =
                    known.iter().filter(|(_, lanes)| has(&lanes.0) || has(&lanes.1)).map(|(id, _)| *id).collect();
                let offered = known.iter().filter(|(id, lanes)| has(&lanes.0) && !claimed.contains(id)).count();
                let lane = index.by_domain.get(&domain(name)).and_then(|lane| index.lanes[*lane as usize].as_ref());
                proptest::prop_assert_eq!(ids_in(&index, name), members);
                proptest::prop_assert_eq!(lane.map_or(0, Lane::offers), offered);
            }
            let two = [domain(LANES[lane]), domain(LANES[more % 4])];
            let either = |names: &[&str]| two.iter().any(|lane| names.contains(&lane.as_str()));
            let together = known.values().filter(|lanes| either(&lanes.0) || either(&lanes.1)).count() as u64;
            proptest::prop_assert_eq!(index.together(&two), (together, 100 * together));
            let parts: u64 = index.parts().iter().map(|(_, part)| part.messages).sum();
            proptest::prop_assert_eq!(parts, known.len() as u64);
        }
    }
}
