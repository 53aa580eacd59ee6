//! A relay that takes no mail for now stays ready: a sender is to be told to come again, and not to find a dead address.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{PodRelay, reason},
    stays, wait_until,
};

use crate::common::{Stage, resource, resource_for};

/// What the relay answers to a recipient.
fn answer(pod: &PodRelay) -> u16 {
    let mut session = Smtp::session(pod.smtp());
    session.command("MAIL FROM:<alice@sender.example>").expect(250);
    session.command("RCPT TO:<bob@example.org>").code
}

/// The kubelet finds it ready, and so says the resource while it is looked at.
#[track_caller]
fn assert_ready(stage: &Stage, pod: &PodRelay, name: &str) {
    stage.look_at(name);
    stays("the relay is ready", Duration::from_secs(3), || {
        let seen: BackupMX = stage.mail.get(name).unwrap();
        pod.is_ready() && reason(&seen, "RelaysReady") == ("True".into(), "AllReady".into())
    });
}

#[test]
fn when_its_volume_is_full() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let (_, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), ""));
    let line = b"sixty-four octets of a line in a message that fills a volume up\r\n";
    let fills = |octets: usize| {
        let mail = Mail::to("bob@example.org").with_body(&line.repeat(octets / line.len()));
        Smtp::session(pod.smtp()).try_mail(&mail).expect("the relay answers").code
    };
    let mut last = 0;
    // A tiny message may be taken where a large one is not.
    for octets in [4 << 20, 1 << 20, 1 << 15] {
        last = (0..100).map(|_| fills(octets)).find(|code| *code != 250).expect("64 MiB are full at last");
    }
    assert_eq!(last, 452);
    stage.mail.wait_event("example", "Warning", "VolumeFull", 2 * LONG);
    assert_eq!(fills(1 << 15), 452);
    assert_ready(&stage, &pod, "example");
}

#[test]
fn when_it_defers_as_the_primary_is_up() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let _primary = ScriptedPrimary::up(&place);
    let defers = "  acceptance: {whenPrimaryUp: Defer}\n";
    let (_, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), defers));
    wait_until("it defers", LONG, || answer(&pod) == 451);
    assert_ready(&stage, &pod, "example");
}

#[test]
fn when_another_resource_has_the_domain() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("older", "example.org", ""));
    stage.wait_observed("older");
    stage.wait_until_older("older");
    let younger = resource("younger", "example.org", "").replace("mx1.", "mx2.");
    let (_, pod) = stage.ready(&younger);
    stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    wait_until("it defers", LONG, || answer(&pod) == 451);
    assert_ready(&stage, &pod, "younger");
}
