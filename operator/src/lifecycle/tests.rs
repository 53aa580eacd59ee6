use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

const STANDING: Observed =
    Observed { records: Records::Standing, door: Door::Open, held: Held::Unknown, order: Order::Drain };
const CHANGED: Observed = Observed { records: Records::Changed, ..STANDING };
const CLOSED: Observed = Observed { door: Door::Closed, ..CHANGED };

fn domain() -> Option<DomainName> {
    Some("example.org".parse().unwrap())
}

fn holding(held: Held) -> Observed {
    Observed { held, ..CLOSED }
}

fn relay_in(phase: Phase) -> Retirement {
    Retirement { phase, ..Retirement::new(None, at(0), 300, GRACE) }
}

#[test]
fn the_whole_way_of_a_relay() {
    let mut leaving = Retirement::new(None, at(0), 300, GRACE);
    for (second, seen, phase, accept) in [
        (1, STANDING, Phase::Withdrawing, AcceptMode::Active),
        (10, CHANGED, Phase::Waiting, AcceptMode::Active),
        (909, CHANGED, Phase::Waiting, AcceptMode::Active),
        (910, CHANGED, Phase::Closing, AcceptMode::Defer),
        (911, CHANGED, Phase::Closing, AcceptMode::Defer),
        (912, CLOSED, Phase::Draining, AcceptMode::Defer),
        (913, holding(Held::Unknown), Phase::Draining, AcceptMode::Defer),
        (914, holding(Held::Some(3)), Phase::Draining, AcceptMode::Defer),
        (915, holding(Held::Nothing), Phase::Gone, AcceptMode::Defer),
    ] {
        leaving = leaving.step(at(second), seen);
        assert_eq!((leaving.phase, leaving.accept(seen.order)), (phase, accept), "at {second} s");
    }
}

#[test]
fn records_that_are_back_begin_the_wait_anew() {
    let waiting = Retirement::new(None, at(0), 300, GRACE).step(at(10), CHANGED);
    let back = waiting.step(at(909), STANDING);
    assert_eq!((back.phase, back.accept(Order::Drain)), (Phase::Withdrawing, AcceptMode::Active));
    let again = back.step(at(1000), CHANGED);
    assert_eq!(again.due(), Some(at(1900)));
    let closed = relay_in(Phase::Closing).step(at(1), STANDING);
    assert_eq!(closed.phase, Phase::Closing, "what answers 451 goes on to drain");
}

#[test]
fn a_domain_is_answered_451_for_another_day() {
    let begun = Retirement::new(domain(), at(-900), 300, GRACE).step(at(-900), CHANGED);
    let mut leaving = Retirement { phase: Phase::Draining, ..begun };
    leaving = leaving.step(at(0), holding(Held::Nothing));
    assert_eq!(leaving.phase, Phase::Fading);
    assert_eq!(leaving.step(at(86_399), holding(Held::Nothing)).phase, Phase::Fading);
    assert_eq!(leaving.due(), Some(at(86_400)));
    assert_eq!(leaving.step(at(86_400), holding(Held::Nothing)).phase, Phase::Gone);
}

#[test]
fn a_domain_that_is_cut_short_is_answered_451_all_the_same() {
    for phase in [Phase::Withdrawing, Phase::Waiting, Phase::Closing, Phase::Draining] {
        let leaving = Retirement { phase, ..Retirement::new(domain(), at(0), 300, GRACE) };
        let cut = leaving.step(at(1), Observed { order: Order::CutShort, ..STANDING });
        assert_eq!((cut.phase, cut.accept(Order::Drain)), (Phase::Fading, AcceptMode::Defer), "{phase:?}");
    }
}

#[test]
fn a_domain_that_is_cleared_takes_no_more_and_goes_when_nothing_of_it_is_held() {
    let clear = |seen: Observed| Observed { order: Order::Clear, ..seen };
    for phase in [Phase::Withdrawing, Phase::Waiting] {
        let mut leaving = Retirement { phase, ..Retirement::new(domain(), at(0), 300, GRACE) };
        assert_eq!(leaving.accept(Order::Clear), AcceptMode::Defer);
        for (second, seen, phase) in [
            (1, STANDING, Phase::Closing),
            (2, STANDING, Phase::Closing),
            (3, CLOSED, Phase::Draining),
            (4, holding(Held::Some(2)), Phase::Draining),
            (5, holding(Held::Unknown), Phase::Draining),
            (6, holding(Held::Nothing), Phase::Fading),
        ] {
            leaving = leaving.step(at(second), clear(seen));
            assert_eq!((leaving.phase, leaving.accept(Order::Drain)), (phase, AcceptMode::Defer), "at {second} s");
        }
    }
}

#[test]
fn a_domain_is_answered_451_while_records_name_the_relay_however_long_that_is() {
    const YEAR: i64 = 365 * 24 * 3600;
    let stands = Observed { records: Records::Standing, ..holding(Held::Nothing) };
    for order in [Order::Clear, Order::CutShort, Order::Drain] {
        let mut leaving = Retirement::new(domain(), at(0), 300, GRACE);
        if order == Order::Drain {
            // They come back when its mail has gone.
            leaving = Retirement { phase: Phase::Draining, ..leaving.step(at(0), CHANGED) };
        }
        for second in 1..5 {
            leaving = leaving.step(at(second), Observed { order, ..stands });
        }
        assert_eq!((leaving.phase, leaving.awaits_records(), leaving.due()), (Phase::Fading, true, None), "{order:?}");
        leaving = leaving.step(at(YEAR), Observed { order, ..stands });
        assert_eq!((leaving.phase, leaving.accept(order)), (Phase::Fading, AcceptMode::Defer), "{order:?}");
        leaving = leaving.step(at(YEAR + 1), Observed { order, ..holding(Held::Nothing) });
        assert_eq!(leaving.due(), Some(at(YEAR + 1 + 900 + 86_400)), "{order:?}: senders have them in their caches");
        assert_eq!(leaving.step(at(YEAR + 900 + 86_400), CLOSED), leaving, "{order:?}");
        assert_eq!(leaving.step(at(YEAR + 1 + 900 + 86_400), CLOSED).phase, Phase::Gone, "{order:?}");
    }
}

#[test]
fn an_order_stays_with_what_it_was_for() {
    for phase in [Phase::Withdrawing, Phase::Waiting, Phase::Closing, Phase::Draining] {
        let ordered = Retirement { phase, ..Retirement::new(domain(), at(0), 300, GRACE) }.ordered(at(5));
        assert_eq!(ordered.ordered, Some(at(5)), "{phase:?}");
        assert_eq!(ordered.clone().ordered(at(9)), ordered, "{phase:?}: it is as old as it is");
        let next = ordered.step(at(10), Observed { order: Order::Clear, ..holding(Held::Nothing) });
        assert_eq!(next.ordered, Some(at(5)), "{phase:?}, after a step to {:?}", next.phase);
    }
    for phase in [Phase::Fading, Phase::Gone] {
        let leaving = Retirement { phase, ..Retirement::new(domain(), at(0), 300, GRACE) };
        assert_eq!(leaving.clone().ordered(at(5)), leaving, "{phase:?}: there is nothing to discard");
    }
}

#[test]
fn what_a_relay_does_not_say_is_never_taken_for_nothing() {
    let leaving = relay_in(Phase::Draining);
    assert_eq!(leaving.step(at(1_000_000_000), holding(Held::Unknown)), leaving);
}

#[test]
fn what_is_retained_or_discarded_takes_no_more_mail_and_goes_when_senders_have_noticed() {
    for order in [Order::Retain, Order::Discard] {
        let mut leaving = Retirement::new(None, at(0), 300, GRACE);
        for (second, records, phase) in [
            (1, Records::Standing, Phase::Withdrawing),
            (10, Records::Changed, Phase::Waiting),
            (909, Records::Changed, Phase::Waiting),
            (910, Records::Changed, Phase::Gone),
        ] {
            let seen = Observed { records, order, held: Held::Some(9), ..STANDING };
            assert_eq!(leaving.accept(order), AcceptMode::Defer, "{order:?}: it would be stranded or lost");
            leaving = leaving.step(at(second), seen);
            assert_eq!(leaving.phase, phase, "{order:?} at {second} s");
        }
        let seen = Observed { order, held: Held::Unknown, ..STANDING };
        for phase in [Phase::Closing, Phase::Draining] {
            assert_eq!(relay_in(phase).step(at(1), seen).phase, Phase::Gone, "a person changed it to {order:?}");
        }
    }
}

#[test]
fn a_person_cuts_it_short_in_every_phase() {
    for phase in [Phase::Withdrawing, Phase::Waiting, Phase::Closing, Phase::Draining, Phase::Fading, Phase::Gone] {
        let seen = Observed { order: Order::CutShort, ..STANDING };
        assert_eq!(relay_in(phase).step(at(1), seen).phase, Phase::Gone, "{phase:?}");
    }
}

#[test]
fn the_annotation_reads_back() {
    for leaving in [relay_in(Phase::Waiting), Retirement::new(domain(), at(5), 60, GRACE)] {
        let text = serde_json::to_string(&leaving).unwrap();
        assert_eq!(serde_json::from_str::<Retirement>(&text).unwrap(), leaving, "{text}");
    }
    let leaving = Retirement::new(domain(), at(0), 60, GRACE);
    let older = r#"{"domain":"example.org","phase":"Withdrawing","since":"2027-01-15T08:00:00Z","ttl":60}"#;
    assert_eq!(serde_json::from_str::<Retirement>(older).unwrap(), leaving, "as the first operators wrote it");
    assert_eq!(serde_json::to_string(&leaving).unwrap(), older.replace('}', r#","grace":"10m"}"#));
    let ordered = leaving.ordered(at(60));
    let text = older.replace('}', r#","grace":"10m","ordered":"2027-01-15T08:01:00Z"}"#);
    assert_eq!(serde_json::to_string(&ordered).unwrap(), text);
    assert_eq!(serde_json::from_str::<Retirement>(&text).unwrap(), ordered);
}

fn any_observed() -> impl Strategy<Value = Observed> {
    (0..2usize, 0..2usize, 0..3usize, 0..3usize).prop_map(|(records, door, held, order)| Observed {
        records: [Records::Standing, Records::Changed][records],
        door: [Door::Open, Door::Closed][door],
        held: [Held::Unknown, Held::Some(1), Held::Nothing][held],
        order: [Order::Drain, Order::Retain, Order::Discard][order],
    })
}

proptest! {
    #[test]
    fn goes_back_only_to_records_that_are_back_and_never_skips_the_wait(
        seen in prop::collection::vec((any_observed(), 0i64..500), 1..60), ttl in 0u32..2000,
    ) {
        let mut leaving = Retirement::new(None, at(0), ttl, GRACE);
        let (mut now, mut changed) = (0, None);
        for (observed, passed) in seen {
            now += passed;
            let next = leaving.step(at(now), observed);
            let back = leaving.phase == Phase::Waiting && observed.records == Records::Standing;
            prop_assert!(next.phase >= leaving.phase || (back && next.phase == Phase::Withdrawing));
            prop_assert!(next.phase == leaving.phase || next.since == at(now));
            if next.phase == Phase::Waiting && leaving.phase == Phase::Withdrawing {
                changed = Some(now);
            }
            if next.phase > Phase::Waiting && leaving.phase <= Phase::Waiting {
                prop_assert!(changed.is_some_and(|changed| now - changed >= i64::from(ttl) + 600));
            }
            if next.phase == Phase::Gone && leaving.phase != Phase::Gone && observed.order == Order::Drain {
                prop_assert_eq!(observed.held, Held::Nothing, "let go only when the relay says that it is empty");
            }
            leaving = next;
        }
    }

    #[test]
    fn a_clock_that_went_back_only_lengthens_the_wait(second in 0i64..1_000_000) {
        let leaving = relay_in(Phase::Waiting);
        prop_assert_eq!(leaving.step(at(-second), CHANGED).phase, Phase::Waiting);
    }
}

#[test]
fn what_a_clock_that_ran_ahead_has_begun_begins_now() {
    const AHEAD: i64 = 400 * 24 * 3600;
    for (phase, wait, next) in [(Phase::Waiting, 900, Phase::Closing), (Phase::Fading, 24 * 3600, Phase::Gone)] {
        let gone = Retirement { changed: Some(at(-900)), ..Retirement::new(domain(), at(AHEAD), 300, GRACE) };
        let begun = Retirement { phase, ..gone };
        let anew = begun.step(at(0), CHANGED);
        assert_eq!((anew.phase, anew.since), (phase, at(0)));
        assert_eq!(anew.due(), Some(at(wait)));
        assert_eq!(anew.step(at(wait - 1), CHANGED), anew);
        assert_eq!(anew.step(at(wait), CHANGED).phase, next);
    }
    let seen = Retirement { changed: Some(at(AHEAD)), ..Retirement::new(domain(), at(0), 300, GRACE) };
    assert_eq!(seen.step(at(5), CHANGED).changed, Some(at(5)));
    let shut = Retirement { phase: Phase::Closing, ..Retirement::new(domain(), at(AHEAD), 300, GRACE) };
    assert_eq!(shut.step(at(0), CLOSED).phase, Phase::Draining, "a step that is due is taken at once");
    for ahead in [59, 12 * 3600] {
        let gone = Retirement { changed: Some(at(ahead)), ..Retirement::new(domain(), at(ahead), 300, GRACE) };
        let other = Retirement { phase: Phase::Waiting, ..gone };
        assert_eq!(other.step(at(0), CHANGED), other, "this clock may be the one that is wrong");
        assert_eq!(other.step(at(ahead + 899), CHANGED), other, "so it is never too short");
    }
}
