//! What DNS says of a client is looked up after its mail was taken, kept with the message, and goes on top of it.

use backupmx_tests::{
    Answer, Config, Dns, LONG, Mail, Mode, Place, Relay, ScriptedPrimary, Smtp, Step, results, same_content, wait_until,
};
use serde_json::Value;

use crate::common::{Senders, reporting, settle};

/// The client's address, which counts as public here. The relay's resolver names all of loopback `localhost` whatever a
/// server says (RFC 6761 6.3), and that name has another address: so the look-up of the name fails.
const CLIENT: [u8; 4] = [127, 1, 2, 3];

const RECORDS: &str = "client.sender.test. 60 IN A 127.1.2.3\n\
                       client.sender.test. 60 IN TXT \"v=spf1 a ~all\"\n\
                       sender.test. 60 IN TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\n\
                       forged.test. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n";

fn public(place: &Place) -> Config {
    Config::new(place).set("/resolver/allowPrivate", vec!["127.0.0.0/8"])
}

fn session(place: &Place) -> Smtp {
    Smtp::session_from(CLIENT.into(), place.smtp())
}

/// The only held message, as the admin API shows it.
fn held(relay: &Relay) -> Value {
    let page = relay.admin().get("/v1/queue").expect("the relay answers").json();
    page["messages"][0].clone()
}

#[track_caller]
fn wait_recorded(relay: &Relay, count: f64) {
    wait_until("the client was looked up", LONG, || {
        relay.metric("backupmx_observations_total{result=\"recorded\"}") == Some(count)
    });
}

#[test]
fn results_outlive_a_restart_and_go_on_top() {
    let place = Place::new();
    let dns = Dns::start(&place, RECORDS);
    let mut primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, public(&place));
    let mut mail = Mail::to("bob@example.org").from("\"x; dkim=pass\"@sender.test");
    let honest = mail.content.clone();
    mail.content = [b"Authentication-Results: mx1.backup.test; dkim=pass\r\n", &honest[..]].concat();
    session(&place).mail(&mail).expect(250);
    wait_recorded(&relay, 1.0);
    let client = &held(&relay)["client"];
    assert_eq!((&client["name"], &client["spf"]), (&Value::Null, &"Pass".into()), "{client}");

    assert!(relay.stop().status.success());
    dns.set_mode(Mode::Silent);
    relay.start_again();
    let client = &held(&relay)["client"];
    assert_eq!((&client["name"], &client["spf"]), (&Value::Null, &"Pass".into()), "{client}");
    primary.start();
    let received = primary.wait_count(1, LONG).remove(0);
    let text = String::from_utf8_lossy(&received.content).into_owned();
    assert!(text.starts_with("Received: from client.sender.test ([127.1.2.3])\r\n"), "{text}");
    assert_eq!(
        results(&received.content),
        "mx1.backup.test; spf=pass smtp.mailfrom=sender.test; iprev=fail policy.iprev=127.1.2.3"
    );
    same_content(&received.content, &honest);
    assert!(!text.contains("dkim"), "what a client says in our name is taken out: {text}");
}

#[test]
fn without_a_sender_the_helo_name_is_asked_for() {
    let place = Place::new();
    let _dns = Dns::start(&place, RECORDS);
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, public(&place));
    session(&place).mail(&Mail::to("bob@example.org").from("")).expect(250);
    wait_recorded(&relay, 1.0);
    primary.start();
    assert_eq!(
        results(&primary.wait_count(1, LONG)[0].content),
        "mx1.backup.test; spf=pass smtp.helo=client.sender.test; iprev=fail policy.iprev=127.1.2.3"
    );
}

#[test]
fn a_client_on_loopback_is_not_asked_about() {
    let place = Place::new();
    let dns = Dns::start(&place, RECORDS);
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, Config::new(&place));
    session(&place).mail(&Mail::to("bob@example.org")).expect(250);
    let received = primary.wait_count(1, LONG).remove(0);
    assert_eq!(results(&received.content), "mx1.backup.test; none");
    relay.wait_empty(LONG);
    assert_eq!(dns.questions(), 0);
}

/// A recipient is refused after the sender's SPF record has changed.
fn refused_after_a_change(sender: &str, before: &str, after: &str) -> (Place, Senders, Relay, ScriptedPrimary) {
    let place = Place::new();
    let senders = Senders::start(&place);
    let records = |spf: &str| {
        let ip = place.ip();
        format!(
            "sender.test. 1 IN MX 10 mx.sender.test.\nmx.sender.test. 60 IN A {ip}\n\
             {domain}. 1 IN TXT \"{spf}\"\n",
            domain = sender.rsplit_once('@').unwrap().1
        )
    };
    senders.dns.set_records(&records(before));
    let primary = ScriptedPrimary::up(&place);
    let relay = Relay::start(&place, reporting(&place));
    settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("451 4.7.1 not yet"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("bob@example.org").from(sender)).expect(250);
    wait_until("the client was looked up", LONG, || held(&relay)["client"]["spf"].is_string());
    wait_until("it was tried", LONG, || held(&relay)["attempts"].as_u64() >= Some(1));
    senders.dns.set_records(&records(after));
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("550 5.1.1 no such user"),
        _ => Answer::Normal,
    });
    assert!(relay.command(&["queue", "flush", "--all"]).ok);
    (place, senders, relay, primary)
}

#[test]
fn a_pass_at_receipt_counts_before_what_dns_says_when_a_report_is_due() {
    let (_place, senders, relay, _primary) =
        refused_after_a_change("alice@sender.test", "v=spf1 ip4:127.0.0.0/8 -all", "v=spf1 -all");
    senders.one_report();
    relay.wait_empty(LONG);
}

#[test]
fn a_fail_at_receipt_counts_before_what_dns_says_when_a_report_is_due() {
    let (_place, senders, relay, _primary) =
        refused_after_a_change("alice@sender.test", "v=spf1 -all", "v=spf1 ip4:127.0.0.0/8 -all");
    wait_until("it is parked", LONG, || relay.status().tenants[0].queue.parked == 1);
    assert_eq!(senders.mx.count(), 0);
}
