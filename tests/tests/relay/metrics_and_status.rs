//! What happens can be seen: in the metrics, in the status, in the log.

use backupmx_relay_config::status::{Accepting, PrimaryState};
use backupmx_tests::{Admin, Config, LONG, Mail, Place, Relay, ScriptedPrimary};

#[test]
fn the_way_of_a_message() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org").with_body(b"SECRET CONTENT\r\n");
    relay.session().mail(&mail).expect(250);
    let mut session = relay.session();
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("RCPT TO:<victim@elsewhere.test>").expect(550);
    relay.wait_primary(PrimaryState::Down);
    let status = relay.status();
    assert_eq!(status.accepting, Accepting::Yes);
    assert_eq!(status.hostname, "mx1.backup.test");
    assert_eq!(status.listeners, [place.smtp()]);
    let tenant = &status.tenants[0];
    assert_eq!((tenant.name.as_str(), tenant.queue.messages), ("example", 1));
    assert_eq!(tenant.queue.bytes, mail.content.len() as u64);
    assert!(tenant.queue.oldest_message_time.is_some() && tenant.primary.next_probe.is_some(), "{tenant:?}");
    assert!(tenant.primary.last_error.is_some(), "{tenant:?}");

    let example = |name: &str| relay.metric(&format!("backupmx_{name}{{tenant=\"example\"}}"));
    assert_eq!(example("messages_expired_total"), Some(0.0), "an alert sees the first one");
    assert_eq!(example("messages_taken_total"), Some(1.0));
    assert_eq!(relay.metric("backupmx_refused_total{reason=\"relay_denied\"}"), Some(1.0));
    assert_eq!(held(&relay, "queued"), Some(1.0));
    assert_eq!(
        relay
            .metric("backupmx_primary_state{state=\"Down\",tenant=\"example\"}")
            .or_else(|| { relay.metric("backupmx_primary_state{tenant=\"example\",state=\"Down\"}") }),
        Some(1.0)
    );
    assert!(relay.metric("backupmx_commit_seconds_count").is_some_and(|count| count >= 1.0));

    primary.start();
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
    assert_eq!(example("recipients_delivered_total"), Some(1.0));
    assert_eq!(example("queue_seconds_count"), Some(1.0));
    let log = relay.log();
    assert!(!log.contains("SECRET"), "no content in the log:\n{log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON: {line}");
    }
}

fn held(relay: &Relay, standing: &str) -> Option<f64> {
    relay.metric(&format!("backupmx_held_messages{{standing=\"{standing}\",tenant=\"example\"}}"))
}

#[test]
fn the_status_command() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let table = relay.command(&["status"]);
    assert!(table.ok && table.out.contains("example") && table.out.contains("mx1.backup.test"), "{}", table.text);
    let json = relay.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(status["hostname"], "mx1.backup.test");
}

#[test]
fn health_and_readiness() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let health = Admin::tcp(place.health());
    assert_eq!(health.get("/healthz").unwrap().status, 200);
    // A primary that is down makes no relay unready.
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.wait_primary(PrimaryState::Down);
    assert_eq!(health.get("/readyz").unwrap().status, 200);
    assert_eq!(health.get("/v1/status").unwrap().status, 404, "the API is not on this port");
}
