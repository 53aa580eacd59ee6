//! All that is held for a domain goes at a person's word, where its mail is not taken any more; nothing else does.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};
use serde_json::{Value, json};

use crate::common::{Senders, reporting};

fn discard(relay: &Relay, domain: &str) -> Value {
    let output = relay.command(&["queue", "discard", "--domain", domain, "--json"]);
    assert!(output.ok, "{}", output.text);
    serde_json::from_str(&output.out).expect("JSON")
}

fn held(relay: &Relay, tenant: usize) -> u64 {
    relay.status().tenants[tenant].queue.messages
}

/// Two tenants, of which the second leaves: the first time with open doors, then with the second's shut.
fn two(place: &Place) -> [Config; 2] {
    let open = Config::new(place).and_tenant("second", "example.net");
    [open.clone(), open.set("/tenants/1/accept", "Defer")]
}

#[test]
fn what_is_for_it_goes_and_what_is_for_others_stays() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let [open, shut] = two(&place);
    let mut relay = Relay::start(&place, open);
    for number in 0..3 {
        relay.session().mail(&Mail::to(&format!("ann{number}@example.net"))).expect(250);
    }
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    let refused = relay.command(&["queue", "discard", "--domain", "example.net"]);
    assert!(!refused.ok && refused.text.contains("mail for example.net is taken"), "{}", refused.text);
    assert_eq!((held(&relay, 0), held(&relay, 1)), (1, 3), "nothing went");

    relay.change_config(shut);
    assert_eq!(discard(&relay, "example.net"), json!({"discarded": 3, "left": 0}));
    assert_eq!((held(&relay, 0), held(&relay, 1)), (1, 0));
    assert_eq!(discard(&relay, "example.net"), json!({"discarded": 0, "left": 0}), "once is enough");
    let removed = r#"backupmx_messages_removed_total{reason="discarded"}"#;
    assert_eq!(relay.metric(removed), Some(3.0));
    let lines = relay.log();
    let of_domain = lines.lines().filter(|line| line.contains("discarded") && line.contains("example.net"));
    assert_eq!(of_domain.count(), 3 + 1, "each message and all together:\n{lines}");

    // It holds after a crash, and the others are delivered.
    relay.kill();
    relay.start_again();
    assert_eq!((held(&relay, 0), held(&relay, 1)), (1, 0));
    primary.start();
    relay.wait_empty(LONG);
    assert_eq!(primary.count(), 1);
}

#[test]
fn a_report_that_its_sender_is_owed_goes_out_all_the_same() {
    let place = Place::new();
    let mut senders = Senders::start(&place);
    senders.mx.stop();
    let config = reporting(&place).and_tenant("second", "example.net");
    let mut relay = Relay::start(&place, config.clone());
    relay.session().mail(&Mail::to("ann@example.net")).expect(250);
    let page: Value = serde_json::from_str(&relay.command(&["queue", "list", "--json"]).out).unwrap();
    let id = page["messages"][0]["id"].as_str().unwrap();
    assert!(relay.command(&["queue", "bounce", id]).ok);
    relay.session().mail(&Mail::to("eve@example.net")).expect(250);
    relay.change_config(config.set("/tenants/1/accept", "Defer"));
    assert_eq!(discard(&relay, "example.net"), json!({"discarded": 1, "left": 0}));
    assert_eq!(discard(&relay, "sender.test"), json!({"discarded": 0, "left": 0}), "what is owed is not to be had so");
    assert_eq!(relay.status().reports.messages, 1);
    senders.mx.start();
    // After a try that failed the report would wait a minute; a relay that starts tries it at once.
    relay.kill();
    relay.start_again();
    let report = senders.one_report();
    let text = String::from_utf8_lossy(&report.content).into_owned();
    assert!(text.contains("ann@example.net") && !text.contains("eve@example.net"), "{text}");
    relay.wait_empty(LONG);
    assert_eq!(senders.mx.count(), 1, "nobody is told of what was discarded");
}

#[test]
fn of_a_domain_that_is_no_tenant_s_any_more_too() {
    let place = Place::new();
    let _primary = ScriptedPrimary::down(&place);
    let [open, _] = two(&place);
    let mut relay = Relay::start(&place, open);
    relay.session().mail(&Mail::to("ann@example.net")).expect(250);
    relay.change_config(Config::new(&place));
    assert_eq!(relay.status().orphaned.messages, 1);
    let output = relay.command(&["queue", "discard", "--domain", "example.net"]);
    assert!(output.ok && output.out == "1 message for example.net removed.\n", "{}", output.text);
    assert_eq!(relay.status().orphaned.messages, 0);
}
