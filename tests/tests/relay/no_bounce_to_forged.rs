//! A sender that SPF shows to be forged is never written to: the mail is parked, and a person can see it.

use backupmx_tests::{Answer, LONG, Mail, Mode, Place, Relay, ScriptedPrimary, Step, wait_until};

use crate::common::{Senders, reporting, settle};

fn refused_mail_is_parked(sender: &str, prepare: impl FnOnce(&Senders)) {
    let place = Place::new();
    let senders = Senders::start(&place);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, reporting(&place));
    settle(&relay, &primary);
    prepare(&senders);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("550 5.1.1 no such user"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("bob@example.org").from(sender)).expect(250);
    wait_until("it is parked", LONG, || relay.status().tenants[0].queue.parked == 1);
    let page = relay.admin().get("/v1/queue?state=parked").unwrap().json();
    assert_eq!(page["messages"][0]["sender"], sender);
    assert_eq!(senders.mx.connections(), 0, "nobody is written to");
}

#[test]
fn where_spf_fails() {
    refused_mail_is_parked("alice@forged.test", |_| {});
}

#[test]
fn where_there_is_no_spf_record() {
    refused_mail_is_parked("alice@nowhere.test", |_| {});
}

#[test]
fn without_a_sender() {
    refused_mail_is_parked("", |senders| senders.dns.set_mode(Mode::ServFail));
}
