//! A person sees held mail and decides what becomes of it.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, wait_until};
use serde_json::Value;

use crate::common::{Senders, reporting};

fn list(relay: &Relay) -> Vec<Value> {
    let output = relay.command(&["queue", "list", "--json"]);
    assert!(output.ok, "{}", output.text);
    let page: Value = serde_json::from_str(&output.out).expect("JSON");
    page["messages"].as_array().expect("a list").clone()
}

#[test]
fn list_and_show() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org").and_to("eve@example.org").with_body(b"SECRET\r\n");
    relay.session().mail(&mail).expect(250);
    let messages = list(&relay);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["sender"], "alice@sender.test");
    let id = messages[0]["id"].as_str().unwrap();
    let table = relay.command(&["queue", "list"]);
    assert!(table.ok && table.out.contains(id) && table.out.contains("bob@example.org"), "{}", table.text);
    let shown = relay.command(&["queue", "show", id]);
    for words in ["bob@example.org", "eve@example.org", "alice@sender.test", "client.sender.test"] {
        assert!(shown.out.contains(words), "{words} is missing in:\n{}", shown.out);
    }
    let headers = relay.command(&["queue", "show", id, "--headers"]);
    assert!(headers.out.contains(&mail.id()) && !headers.out.contains("SECRET"), "{}", headers.text);
}

#[test]
fn discard_and_unknown_ids() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    let id = list(&relay)[0]["id"].as_str().unwrap().to_owned();
    assert!(relay.command(&["queue", "discard", &id]).ok);
    assert!(list(&relay).is_empty());
    let again = relay.command(&["queue", "discard", &id]);
    assert_eq!(again.code, Some(1));
    assert!(again.text.contains(&format!("no message {id} is held")), "{}", again.text);
    let wrong = relay.command(&["queue", "show", "nonsense"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.text.contains("expected a message id"), "{}", wrong.text);
}

#[test]
fn bounce_where_nobody_can_be_told() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let relay = Relay::start(&place, reporting(&place));
    relay.session().mail(&Mail::to("bob@example.org").from("alice@[192.0.2.1]")).expect(250);
    let id = list(&relay)[0]["id"].as_str().unwrap().to_owned();
    let output = relay.command(&["queue", "bounce", &id]);
    assert!(!output.ok && output.text.contains("address literal"), "{}", output.text);
    // It is kept for a person all the same.
    assert_eq!(list(&relay)[0]["state"], "Parked");
    assert!(relay.command(&["queue", "discard", &id]).ok);
    relay.wait_empty(LONG);
    assert_eq!(senders.mx.connections(), 0);
}

#[test]
fn bounce() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let relay = Relay::start(&place, reporting(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    let id = list(&relay)[0]["id"].as_str().unwrap().to_owned();
    let output = relay.command(&["queue", "bounce", &id]);
    assert!(output.ok, "{}", output.text);
    senders.one_report();
    relay.wait_empty(LONG);
}

#[test]
fn suspend_and_resume() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let mut relay = Relay::start(&place, Config::new(&place));
    let output = relay.command(&["queue", "suspend", "example.org"]);
    assert!(output.ok, "{}", output.text);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.wait_held(1);
    // It survives a restart.
    relay.stop();
    relay.start_again();
    assert!(relay.status().tenants[0].suspended);
    backupmx_tests::stays("nothing is delivered", std::time::Duration::from_secs(2), || primary.count() == 0);
    assert!(relay.command(&["queue", "resume", "--all"]).ok);
    primary.wait_count(1, LONG);
    wait_until("the relay is resumed", SHORT, || !relay.status().tenants[0].suspended);
}

#[test]
fn an_unknown_tenant_is_named() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let output = relay.command(&["queue", "flush", "elsewhere.test"]);
    assert_eq!(output.code, Some(1));
    assert!(output.text.contains("elsewhere.test"), "{}", output.text);
}

#[test]
fn without_a_relay_it_says_so() {
    let place = Place::new();
    let mut relay = Relay::start(&place, Config::new(&place));
    relay.stop();
    let output = relay.command(&["status"]);
    assert_eq!(output.code, Some(1));
    assert!(output.text.contains("control.sock") && output.text.contains("running"), "{}", output.text);
}
