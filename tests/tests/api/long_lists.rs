//! A list of recipients that fills a relay's config: domains that leave, each of which has its own copy of it, are answered
//! 451 where these have no room, and nothing is refused. A longer one is refused before anything is made of it.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{condition, reason},
    wait_until, wait_value,
};
use serde_json::{Value, json};

use crate::common::{Stage, config, resource};

const LISTED: &str = "  acceptance: {recipients: {mode: List, configMapRef: {name: people, key: list}}}\n";

/// A ConfigMap of 10,000 local parts of so many octets.
fn people(octets: usize) -> String {
    let list: Vec<String> = (0..10_000).map(|number| format!("{number:a>octets$}")).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "people"}, "data": {"list": list.join("\n")}})
        .to_string()
}

/// Each domain of the relay's config, what becomes of its mail, and how many are listed.
fn answered(stage: &Stage) -> Vec<(String, String, usize)> {
    let config = config(stage, "example", "a").unwrap();
    let line = |tenant: &Value| {
        let domains: Vec<&str> = tenant["domains"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        // What is the default is not written.
        let accept = tenant["accept"].as_str().unwrap_or("Active").to_owned();
        let listed = tenant["acceptance"]["recipients"]["list"].as_array().map_or(0, Vec::len);
        (domains.join(","), accept, listed)
    };
    config["tenants"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn domains_that_leave_have_room_or_are_answered_451() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&people(40));
    let all = "[example.org, a.example, b.example, c.example]";
    stage.mail.apply(&resource("example", "example.org", LISTED).replace("[example.org]", all));
    stage.wait_observed("example");
    stage.serve("example", "a", "192.0.2.10");
    stage.mail.apply(&people(52));
    wait_until("the longest list is in its config", LONG, || {
        config(&stage, "example", "a").unwrap().to_string().len() > 10_000 * 52
    });

    stage.mail.apply(&resource("example", "example.org", LISTED));
    let left = wait_value("all three leave", LONG, || Some(answered(&stage)).filter(|all| all.len() == 4));
    let wanted = [
        ("example.org", "Active", 10_000),
        ("a.example", "Defer", 0),
        ("b.example", "Defer", 0),
        ("c.example", "Defer", 0),
    ];
    let wanted: Vec<_> = wanted.map(|(domain, accept, listed)| (domain.to_owned(), accept.to_owned(), listed)).into();
    assert_eq!(left, wanted);
    let seen = stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    assert_eq!(reason(&seen, "Stalled"), ("False".into(), "UpToDate".into()));
    assert_ne!(condition(&seen, "Reconciling").unwrap().reason, "ApplyFailed");

    // Room that is there again is no reason to take mail for them: whom they had is not known any more.
    stage.mail.apply(&people(4));
    wait_until("the list is shorter", LONG, || config(&stage, "example", "a").unwrap().to_string().len() < 10_000 * 20);
    assert_eq!(answered(&stage), left);
}

#[test]
fn a_list_that_has_no_room_is_refused() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&people(60));
    stage.mail.apply(&resource("example", "example.org", LISTED));
    let seen: BackupMX = stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    let message = condition(&seen, "Stalled").unwrap().message;
    let wanted =
        "spec.acceptance.recipients: expected a list that takes at most 640 KiB in a relay's config; got 674 KiB";
    assert!(message.contains(wanted), "{message}");

    stage.mail.apply(&people(50));
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    assert_eq!(answered(&stage), [("example.org".to_owned(), "Active".to_owned(), 10_000)]);
}
