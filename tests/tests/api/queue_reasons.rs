//! What a person has to look into stands in `QueueHealthy`, by a reason of its own, until it is dealt with: of a real relay
//! that found it so.

use std::{fs, path::Path};

use backupmx_tests::{Answer, LONG, Mail, Place, ScriptedPrimary, Smtp, Step, cluster::condition};

use crate::common::{Outage, Stage, resource_for};

/// The relay tells of it as soon as it is asked: within ten seconds while mail is held, and else within a minute.
const TOLD: std::time::Duration = LONG.saturating_add(LONG);

/// What a person types to have a relay do that.
fn in_pod(stage: &Stage, relay: &str, words: &str) -> String {
    format!("kubectl exec -n {} deploy/{relay} -- /usr/bin/backupmx-relay {words}", stage.mail.name())
}

#[track_caller]
fn message(stage: &Stage, reason: &str) -> String {
    let seen = stage.mail.wait_condition("example", "QueueHealthy", "False", reason, TOLD);
    condition(&seen, "QueueHealthy").unwrap().message
}

#[test]
fn a_clock_that_jumped() {
    let Outage { stage, operator: _operator, place: _place, primary: _primary, relay, mut pod } = Outage::new("");
    pod.kill();
    // What a run that saw the clock jump leaves behind.
    fs::write(pod.spool().join("clock-doubted"), "").unwrap();
    pod.start_again();
    let told = message(&stage, "ClockJumped");
    let command = in_pod(&stage, &relay, "queue resume --all");
    assert!(told.contains(&command), "{told}");
    let note = stage.mail.wait_event("example", "Warning", "ClockJumped", TOLD);
    assert!(note.contains(&command), "{note}");
    // As `queue resume --all` does.
    assert!(pod.admin().post("/v1/resume").status < 300);
    stage.mail.wait_condition("example", "QueueHealthy", "True", "Holding", TOLD);
}

/// Flips a bit of the message with this text, in the segment that holds it.
#[track_caller]
fn damage(spool: &Path, text: &str) {
    for file in fs::read_dir(spool.join("log")).unwrap() {
        let path = file.unwrap().path();
        let mut octets = fs::read(&path).unwrap();
        let found = octets.windows(text.len()).position(|window| window == text.as_bytes());
        if let Some(at) = found.filter(|_| path.extension().is_some_and(|extension| extension == "seg")) {
            octets[at] ^= 1;
            fs::write(&path, octets).unwrap();
            return;
        }
    }
    panic!("no segment holds {text}");
}

#[test]
fn a_message_that_is_damaged() {
    let Outage { stage, operator: _operator, place: _place, mut primary, relay: _, mut pod } = Outage::new("");
    let mail = Mail::to("eve@example.org");
    // What is damaged at the end of the log is a write that was never finished, so another comes after it.
    for mail in [&mail, &Mail::to("bob@example.org")] {
        Smtp::session(pod.smtp()).mail(mail).expect(250);
    }
    pod.kill();
    damage(&pod.spool(), &mail.id());
    primary.start();
    pod.start_again();
    let told = message(&stage, "Quarantined");
    assert!(told.contains("-- /usr/bin/backupmx-relay quarantine list. Then"), "{told}");
    stage.mail.wait_event("example", "Warning", "MailQuarantined", TOLD);
    // The others are none the worse.
    primary.wait_count(2, LONG);
}

#[test]
fn mail_that_waits_for_a_decision() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let primary = ScriptedPrimary::up(&place);
    let hold = "  delivery: {onReject: Hold}\n";
    let (relay, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), hold));
    primary.script(|step, _| match step {
        Step::Rcpt("nosuch@example.org") => Answer::reply("550 5.1.1 no such user"),
        _ => Answer::Normal,
    });
    // What a primary refuses that has just taken mail is refused for good.
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, LONG);
    Smtp::session(pod.smtp()).mail(&Mail::to("nosuch@example.org")).expect(250);
    let told = message(&stage, "NeedsDecision");
    let command = in_pod(&stage, &relay, "queue list --state held");
    assert!(told.contains("1 message is held for a person") && told.contains(&command), "{told}");
    let note = stage.mail.wait_event("example", "Warning", "MailNeedsDecision", TOLD);
    assert!(note.contains(&command), "{note}");
}
