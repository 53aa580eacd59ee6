//! What happens to mail is told as Events, of a real relay that holds real mail, as `kubectl get events` shows them.

use std::{net::SocketAddr, time::Duration};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{Operator, PodRelay, StandIn, condition},
    stays, wait_until,
};
use serde_json::json;

use crate::common::{Stage, resource_for};

/// A resource whose relay runs, and whose primary is down.
struct Scene {
    stage: Stage,
    pod: PodRelay,
    primary: ScriptedPrimary,
    _operator: Operator,
    place: Place,
}

impl Scene {
    /// `more` are further lines of the spec.
    fn new(more: &str) -> Self {
        let (stage, place) = (Stage::new(), Place::new());
        let operator = stage.operator();
        let primary = ScriptedPrimary::down(&place);
        let (_, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), more));
        Self { stage, pod, primary, _operator: operator, place }
    }

    /// Sends a message of so many octets; what the relay answers at its end.
    fn send(&self, octets: usize) -> u16 {
        let line = b"sixty-four octets of a line in a message that fills a volume up\r\n";
        let mail = Mail::to("bob@example.org").with_body(&line.repeat(octets / line.len()));
        Smtp::session(self.pod.smtp()).try_mail(&mail).expect("the relay answers").code
    }

    fn primary_is(&self, address: SocketAddr) {
        let change = json!({"spec": {"primary": {"hosts": [{"host": address.ip(), "port": address.port()}]}}});
        self.stage.mail.merge::<BackupMX>("example", &change);
    }

    fn hold(&self) {
        assert_eq!(self.send(1000), 250);
    }

    /// How full the volume is, in percent of what mail may take.
    fn percent(&self) -> u64 {
        let storage = self.pod.status().storage;
        storage.used * 100 / (storage.used + storage.available)
    }

    #[track_caller]
    fn told(&self, kind: &str, reason: &str) -> String {
        // Figures alone are looked at every minute.
        self.stage.mail.wait_event("example", kind, reason, LONG + LONG)
    }

    /// Waits until `QueueHealthy` is false for this reason.
    #[track_caller]
    fn queue_is(&self, reason: &str) {
        self.stage.mail.wait_condition("example", "QueueHealthy", "False", reason, LONG + LONG);
    }

    fn has_told(&self, reason: &str) -> bool {
        self.stage.mail.events("example").iter().any(|event| event.reason.as_deref() == Some(reason))
    }
}

#[test]
fn an_outage_from_its_beginning_to_its_end() {
    let mut scene = Scene::new("  delivery: {retry: {min: 1s, max: 1s}}\n");
    scene.hold();
    scene.hold();
    let note = scene.told("Warning", "PrimaryDown");
    assert!(note.starts_with("the primary is down; mail is held"), "{note}");
    scene.stage.mail.wait("example", "holds both", LONG + LONG, |object: &BackupMX| {
        object.status.as_ref().and_then(|status| status.queue.as_ref()).is_some_and(|queue| queue.messages == 2)
    });
    assert!(!scene.has_told("PrimaryBack") && !scene.has_told("Drained"));
    scene.primary.start();
    let note = scene.told("Normal", "PrimaryBack");
    assert!(note.starts_with("the primary takes mail again"), "{note}");
    assert_eq!(scene.told("Normal", "Drained"), "no mail is held any more");
    assert_eq!(scene.primary.count(), 2);

    // The same within minutes is counted in the first Event, and is none of its own.
    let drained = || -> Vec<Option<i32>> {
        let all = scene.stage.mail.events("example");
        let drained = all.iter().filter(|event| event.reason.as_deref() == Some("Drained"));
        drained.map(|event| event.series.as_ref().map(|series| series.count)).collect()
    };
    assert_eq!(drained(), [None]);
    scene.primary.stop();
    scene.hold();
    scene.stage.mail.wait_condition("example", "PrimaryReachable", "False", "Down", LONG);
    scene.primary.start();
    wait_until("the second is counted", LONG + LONG, || drained() == [Some(2)]);
}

#[test]
fn a_volume_that_fills() {
    const MEBIBYTE: usize = 1 << 20;
    let scene = Scene::new("  delivery: {suspended: true}\n");
    for (percent, reason, next) in
        [(50, "VolumePast50", "VolumePast75"), (75, "VolumePast75", "VolumePast90"), (90, "VolumePast90", "VolumeFull")]
    {
        assert!(!scene.has_told(reason));
        while scene.percent() < percent {
            assert_eq!(scene.send(MEBIBYTE), 250);
        }
        assert!(scene.percent() < percent + 10, "a message is a small part of the volume");
        let note = scene.told("Warning", reason);
        assert!(
            note.starts_with(&format!("the volume of relay a is past {percent} % of 64Mi; bring the primary back")),
            "{note}"
        );
        assert!(!scene.has_told(next), "it is not so full");
    }
    scene.queue_is("AlmostFull");
    // Until an ordinary message is refused. A tiny one may be taken still.
    for octets in [MEBIBYTE, MEBIBYTE / 32] {
        while scene.send(octets) == 250 {}
    }
    let note = scene.told("Warning", "VolumeFull");
    assert!(note.contains("senders are asked to try again later"), "{note}");
    scene.queue_is("Full");
}

#[test]
fn mail_near_its_expiry() {
    // While deliveries are suspended nothing expires, so what is near stays near.
    let scene = Scene::new("  delivery: {suspended: true}\n  hold: {maxAge: 8s}\n");
    scene.hold();
    let note = scene.told("Warning", "MailNearExpiry");
    assert!(
        note.starts_with("the hold time of the oldest message ends at 20") && note.contains("hold.extendUntil"),
        "{note}"
    );
    let seen = scene.stage.mail.wait_condition("example", "QueueHealthy", "False", "ExpiringSoon", LONG);
    assert_eq!(condition(&seen, "QueueHealthy").unwrap().message, note);
    // Who is told so gives it more time.
    let later = json!({"spec": {"hold": {"extendUntil": "2099-01-01T00:00:00Z"}}});
    scene.stage.mail.merge::<BackupMX>("example", &later);
    scene.stage.mail.wait_condition("example", "QueueHealthy", "True", "Holding", LONG);
}

#[test]
fn mail_that_is_parked() {
    let more = "  delivery: {retry: {min: 1s, max: 1s}}\n  hold: {maxAge: 1s}\n  bounce: {policy: Never}\n";
    let scene = Scene::new(more);
    scene.hold();
    let note = scene.told("Warning", "MailParked");
    assert!(note.starts_with("1 message is parked"), "{note}");
    // It has expired already, and is not near it.
    let seen = scene.stage.mail.wait_condition("example", "QueueHealthy", "True", "Parked", LONG);
    assert_eq!(seen.status.unwrap().queue.unwrap().parked, 1);
    assert!(!scene.has_told("Drained"), "it is there still");
}

#[test]
fn dns_that_is_wrong_and_right_again() {
    const HOST: &str = "mx1.example.org. 60 IN A 192.0.2.10\n";
    let scene = Scene::new("");
    StandIn(&scene.stage.mail).balance(&scene.stage.relay("example", "a"), &["192.0.2.10"]);
    scene.stage.dns.set_records(&[HOST, "example.org. 60 IN MX 5 other.example.com.\n"].concat());
    let note = scene.told("Warning", "DNSWrong");
    assert!(note.contains("MX 5 other.example.com") && note.contains("heritage=external-dns"), "{note}");
    scene.stage.mail.wait_condition("example", "Ready", "False", "NotPublishedYet", LONG);
    let right = "example.org. 60 IN MX 10 mail.example.org.\nexample.org. 60 IN MX 20 mx1.example.org.\n";
    scene.stage.dns.set_records(&[HOST, right].concat());
    let note = scene.told("Normal", "DNSPublished");
    assert!(note.contains("20 mx1.example.org"), "{note}");
    scene.stage.mail.wait_condition("example", "Ready", "True", "Available", LONG);
}

#[test]
fn a_primary_that_is_one_of_the_relays() {
    let mut scene = Scene::new("  delivery: {retry: {min: 1s, max: 1s}}\n");
    scene.primary_is(scene.pod.smtp());
    scene.hold();
    let note = scene.told("Warning", "PrimaryLooping");
    assert!(note.contains("mx1.example.org") && note.contains("primary.hosts"), "{note}");
    let seen = scene.stage.mail.wait_condition("example", "PrimaryReachable", "False", "Looping", LONG);
    assert_eq!(condition(&seen, "PrimaryReachable").unwrap().message, note);
    stays("the message is held", Duration::from_secs(2), || scene.pod.status().queue.messages == 1);

    scene.primary.start();
    scene.primary_is(scene.place.primary());
    wait_until("it is delivered", LONG, || scene.primary.count() == 1);
    scene.stage.mail.wait("example", "says that the primary takes mail", LONG, |object: &BackupMX| {
        condition(object, "PrimaryReachable").is_some_and(|known| known.status == "True")
    });
}
