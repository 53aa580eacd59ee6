//! Mail for two domains at once, whose ways part while it waits: each has its share of it, and none forgets it.

use backupmx_relay_config::status::QueueStatus;
use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, Step, wait_until};
use serde_json::{Value, json};

use crate::common::settle;

/// Where the primary of the domain that leaves listens, where it is another one.
const OTHER: u16 = 6032;

/// One tenant with both domains, and what becomes of it: the second domain is a tenant of its own, with open doors or not.
fn parting(place: &Place, accept: &str) -> [Config; 2] {
    let together = Config::new(place).set("/tenants/0/domains", vec!["example.org", "example.net"]);
    let parted = Config::new(place).and_tenant("second", "example.net").set("/tenants/1/accept", accept);
    [together, parted]
}

/// Hands in a message for both in each order: who is first must not matter.
fn both_ways(relay: &Relay) {
    relay.session().mail(&Mail::to("ann@example.org").and_to("ann@example.net")).expect(250);
    relay.session().mail(&Mail::to("bob@example.net").and_to("bob@example.org")).expect(250);
}

/// What a number of each queue is: of all, of the first tenant, of the second.
fn counts(relay: &Relay, count: fn(&QueueStatus) -> u64) -> [u64; 3] {
    let status = relay.status();
    [count(&status.queue), count(&status.tenants[0].queue), count(&status.tenants[1].queue)]
}

fn listed(relay: &Relay, more: &[&str]) -> usize {
    let output = relay.command(&[&["queue", "list", "--json"], more].concat());
    let page: Value = serde_json::from_str(&output.out).expect(&output.text);
    page["messages"].as_array().unwrap().len()
}

fn recipients(primary: &ScriptedPrimary) -> Vec<String> {
    let mut all: Vec<String> = primary.received().into_iter().flat_map(|received| received.to).collect();
    all.sort();
    all
}

#[test]
fn it_counts_with_each_and_once_in_all() {
    let place = Place::new();
    let _primary = ScriptedPrimary::down(&place);
    let [together, parted] = parting(&place, "Active");
    let mut relay = Relay::start(&place, together);
    both_ways(&relay);
    let status = relay.status();
    assert_eq!(
        (status.queue.messages, status.tenants[0].queue.messages),
        (2, 2),
        "once for both domains of one tenant"
    );

    relay.change_config(parted.clone());
    for _ in 0..2 {
        assert_eq!(counts(&relay, |queue| queue.messages), [2, 2, 2]);
        let bytes = counts(&relay, |queue| queue.bytes);
        assert!(bytes[0] > 0 && bytes[1] == bytes[0] && bytes[2] == bytes[0], "{bytes:?}");
        let status = relay.status();
        let oldest = status.queue.oldest_message_time;
        assert!(oldest.is_some());
        assert!(status.tenants.iter().all(|tenant| tenant.queue.oldest_message_time == oldest));
        for domain in ["example.org", "example.net"] {
            assert_eq!(listed(&relay, &["--domain", domain]), 2, "{domain}");
        }
        assert_eq!(listed(&relay, &[]), 2);
        relay.kill();
        relay.start_again();
    }
    // Of the domain that is nobody's any more too.
    relay.change_config(Config::new(&place));
    let status = relay.status();
    assert_eq!((status.queue.messages, status.tenants[0].queue.messages, status.orphaned.messages), (2, 2, 2));
}

#[test]
fn what_is_discarded_of_the_one_is_delivered_to_the_other() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let [together, parted] = parting(&place, "Defer");
    let mut relay = Relay::start(&place, together);
    both_ways(&relay);
    relay.session().mail(&Mail::to("eve@example.net")).expect(250);
    relay.change_config(parted);
    assert_eq!(counts(&relay, |queue| queue.messages), [3, 2, 3]);
    let output = relay.command(&["queue", "discard", "--domain", "example.net", "--json"]);
    let discarded: Value = serde_json::from_str(&output.out).expect(&output.text);
    assert_eq!(discarded, json!({"discarded": 3, "left": 0}));
    assert_eq!(counts(&relay, |queue| queue.messages), [2, 2, 0]);
    relay.kill();
    relay.start_again();
    assert_eq!(counts(&relay, |queue| queue.messages), [2, 2, 0]);
    primary.start();
    relay.wait_empty(LONG);
    assert_eq!(recipients(&primary), ["ann@example.org", "bob@example.org"]);
}

#[test]
fn the_one_whose_primary_is_up_gets_it_while_the_other_is_down() {
    for up_first in [true, false] {
        let place = Place::new();
        let mut first = ScriptedPrimary::down(&place);
        let mut second = ScriptedPrimary::at(place.at(OTHER));
        let [together, parted] = parting(&place, "Active");
        let mut relay = Relay::start(&place, together);
        both_ways(&relay);
        let (here, there) = if up_first { (&mut first, &mut second) } else { (&mut second, &mut first) };
        here.start();
        relay.kill();
        relay.write_config(parted.set("/tenants/1/primary/hosts/0/port", OTHER));
        relay.start_again();
        here.wait_count(2, LONG);
        let left = if up_first { [2, 0, 2] } else { [2, 2, 0] };
        wait_until("what is delivered counts no longer", SHORT, || counts(&relay, |queue| queue.messages) == left);
        // A crash in between forgets neither what was delivered nor what was not.
        relay.kill();
        relay.start_again();
        assert_eq!(counts(&relay, |queue| queue.messages), left);
        there.start();
        relay.wait_empty(LONG);
        let of = |domain: &str| ["ann", "bob"].map(|name| format!("{name}@{domain}"));
        assert_eq!(recipients(&first), of("example.org"));
        assert_eq!(recipients(&second), of("example.net"));
    }
}

#[test]
fn what_the_one_primary_puts_off_the_other_gets_at_once() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("450 4.2.0 greylisted"),
        _ => Answer::Normal,
    });
    let mut second = ScriptedPrimary::at(place.at(OTHER));
    second.start();
    let [together, parted] = parting(&place, "Active");
    let mut relay = Relay::start(&place, together.set("/tenants/0/primary/hosts/0/port", OTHER + 1));
    for number in 0..10 {
        let mail = Mail::to(&format!("user{number}@example.org")).and_to(&format!("user{number}@example.net"));
        relay.session().mail(&mail).expect(250);
    }
    relay.kill();
    relay.write_config(parted.set("/tenants/1/primary/hosts/0/port", OTHER));
    relay.start_again();
    second.wait_count(10, SHORT);
    wait_until("nothing waits for the second", SHORT, || relay.status().tenants[1].queue.messages == 0);
    assert_eq!((relay.status().tenants[0].queue.messages, primary.count()), (10, 0));
}

#[test]
fn what_is_parked_is_parked_for_each() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let [together, parted] = parting(&place, "Defer");
    let never = |config: Config| config.set("/tenants/0/bounce/policy", "Never");
    let mut relay = Relay::start(&place, never(together));
    settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("550 5.1.1 no such user here"),
        _ => Answer::Normal,
    });
    both_ways(&relay);
    wait_until("both are parked", LONG, || relay.status().queue.parked == 2);
    relay.change_config(never(parted));
    assert_eq!(counts(&relay, |queue| queue.parked), [2, 2, 2]);
    assert_eq!(listed(&relay, &["--domain", "example.net", "--state", "parked"]), 2);
    assert!(relay.command(&["queue", "discard", "--domain", "example.net"]).ok);
    assert_eq!(counts(&relay, |queue| queue.parked), [2, 2, 0]);
}
