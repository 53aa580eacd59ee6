//! Mail that goes in a circle is stopped before it goes round and round.

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, wait_until};

use crate::common::{Senders, reporting};

#[test]
fn a_hundred_received_lines_are_too_many() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut mail = Mail::to("bob@example.org");
    let trace = b"Received: from a.test by b.test; Thu, 1 Jan 2026 00:00:00 +0000\r\n";
    mail.content = [&trace.repeat(101)[..], &mail.content].concat();
    relay.session().mail(&mail).expect_text(554, "5.4.6");
    assert_eq!(relay.held(), 0);
}

#[test]
fn a_primary_that_is_the_relay_itself_gets_nothing() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Greeting => Answer::reply("220 mx1.backup.test ESMTP"),
        Step::Ehlo(_) => Answer::reply("250 mx1.backup.test"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    wait_until("the status says so", LONG, || relay.status().tenants[0].primary.looping);
    let primary_status = relay.status().tenants.remove(0).primary;
    assert!(primary_status.last_error.is_some_and(|error| error.contains("mx1.backup.test")));
    assert_eq!(relay.metric("backupmx_primary_loop{tenant=\"example\"}"), Some(1.0));
    assert!(relay.log().contains("loop: the primary is this relay itself"));
    assert!(relay.command(&["status"]).out.contains("its primary is this relay itself"));
    let list = relay.command(&["queue", "list"]).out;
    assert!(list.contains("queued, loop"), "{list}");
    assert_eq!((relay.held(), primary.transactions()), (1, 0));

    primary.behave();
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
    assert!(!relay.status().tenants[0].primary.looping);
    assert_eq!(relay.metric("backupmx_primary_loop{tenant=\"example\"}"), Some(0.0));
}

#[test]
fn what_is_found_to_have_passed_three_times_is_held_and_the_rest_goes_on() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let config = Config::new(&place);
    let mut relay = Relay::start(&place, config.clone());
    let ours = b"Received: from a.test by mx9.backup.test with ESMTP for <bob@example.org>; date\r\n".repeat(3);
    let mut circle = Mail::to("bob@example.org");
    circle.content = [ours.as_slice(), &circle.content].concat();
    let mut session = relay.session();
    session.mail(&circle).expect(250);
    session.mail(&Mail::to("eve@example.org")).expect(250);
    // Under its new name the relay knows its own lines, and would refuse such mail.
    relay.change_config(config.clone().set("/hostname", "mx9.backup.test"));
    relay.session().mail(&circle).expect_text(554, "5.4.6");
    primary.start();
    assert_eq!(primary.wait_count(1, LONG)[0].to, ["eve@example.org"]);
    wait_until("it is held", LONG, || relay.status().tenants[0].queue.held == 1);
    let page = relay.admin().get("/v1/queue?state=held").unwrap().json();
    assert_eq!(page["messages"][0]["state"], "Looping");
    assert!(page["messages"][0]["recipients"][0]["answer"].as_str().unwrap().contains("5.4.6"));

    let id = page["messages"][0]["id"].as_str().unwrap().to_owned();
    relay.change_config(config);
    assert!(relay.command(&["queue", "release", &id]).ok);
    assert_eq!(primary.wait_count(2, LONG)[1].id(), circle.id());
    relay.wait_empty(LONG);
}

#[test]
fn what_goes_in_a_circle_does_not_keep_a_trial_from_finding_out_that_the_primary_takes_mail() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Dot(_) => Answer::reply("451 4.3.0 the store is dead"),
        _ => Answer::Normal,
    });
    // The next trial comes after a minute; that of a flush at once.
    let retry = serde_json::json!({"min": "60s", "max": "60s"});
    let config = Config::new(&place).set("/tenants/0/delivery/retry", retry);
    let mut relay = Relay::start(&place, config.clone());
    let ours = b"Received: from a.test by mx9.backup.test with ESMTP for <bob@example.org>; date\r\n".repeat(3);
    for number in 0..12 {
        let mut mail = Mail::to("eve@example.org").from(&format!("sender{number}@sender.test"));
        if number < 3 {
            mail.to = vec!["bob@example.org".to_owned()];
            mail.content = [ours.as_slice(), &mail.content].concat();
        }
        relay.session().mail(&mail).expect(250);
    }
    relay.wait_primary(PrimaryState::Deferring);
    relay.change_config(config.set("/hostname", "mx9.backup.test"));
    primary.behave();
    assert!(relay.command(&["queue", "flush"]).ok);
    primary.wait_count(9, LONG);
    wait_until("the others are held", LONG, || relay.status().tenants[0].queue.held == 3);
}

#[test]
fn what_goes_in_a_circle_to_the_end_goes_back_to_its_sender() {
    let place = Place::new();
    let senders = Senders::start(&place);
    let mut primary = ScriptedPrimary::down(&place);
    let config = reporting(&place).set("/tenants/0/hold/maxAge", "15s");
    let mut relay = Relay::start(&place, config.clone());
    let mut circle = Mail::to("bob@example.org");
    circle.content = [&b"Received: from a.test by b.test; date\r\n".repeat(12), &circle.content[..]].concat();
    relay.session().mail(&circle).expect(250);
    relay.change_config(config.set("/limits/receivedLines", 10));
    primary.start();
    wait_until("it is held", LONG, || relay.status().tenants[0].queue.held == 1);
    let report = String::from_utf8_lossy(&senders.one_report().content).into_owned();
    assert!(report.contains("Status: 5.4.6") && report.contains("in a circle"), "{report}");
    relay.wait_empty(LONG);
    assert_eq!(primary.count(), 0);
}
