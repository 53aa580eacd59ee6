//! A domain or host name that an older resource takes from a younger one that has published it: the younger's records
//! are given back though the older writes none, its relay answers 451, and it can be deleted.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG, Smtp,
    cluster::{Operator, PodRelay, StandIn, reason},
    wait_until,
};
use kube::ResourceExt;
use serde_json::json;

use crate::common::{Stage, resource};

/// Two resources, of which the younger is published and the older never gets ready.
struct Scene {
    stage: Stage,
    _operator: Operator,
    pod: PodRelay,
    relay: String,
}

impl Scene {
    fn new() -> Self {
        let stage = Stage::new();
        stage.dns.set_records("mx1.example.org. 60 IN A 192.0.2.10\n");
        let operator = stage.operator();
        stage.mail.apply(&resource("older", "example.com", ""));
        stage.wait_until_older("older");
        stage.mail.apply(&resource("younger", "example.org", ""));
        let relay = stage.relay("younger", "a");
        StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
        let pod = PodRelay::start(&stage.mail, &relay);
        let scene = Self { stage, _operator: operator, pod, relay };
        scene.wait_targets(&["10 mail.example.org", "20 mx1.example.org"]);
        assert_eq!(scene.answer(), 250);
        scene
    }

    fn answer(&self) -> u16 {
        let mut session = Smtp::session(self.pod.smtp());
        session.command("MAIL FROM:<a@example.net>").expect(250);
        session.command("RCPT TO:<bob@example.org>").code
    }

    fn set(&self, name: &str) -> Option<DNSEndpoint> {
        self.stage.home.get(name)
    }

    #[track_caller]
    fn wait_targets(&self, wanted: &[&str]) {
        let targets = || self.set("mx-example.org").map(|set| set.spec.endpoints[0].targets.clone());
        wait_until(&format!("the MX records are {wanted:?}"), LONG, || {
            targets().is_some_and(|targets| targets == wanted)
        });
    }

    /// It is not for ever that a deleted resource waits for records of which it has none.
    fn assert_can_leave(&self) {
        self.stage.mail.delete::<BackupMX>("younger");
        self.stage.wait_phase_and_let_time_pass(&self.relay, "Waiting");
        self.stage.wait_let_go(&self.relay);
        self.stage.mail.wait_gone::<BackupMX>("younger", LONG);
    }
}

#[test]
fn a_domain_of_one_whose_spec_cannot_be_used() {
    let scene = Scene::new();
    let hold = |warn: Option<&str>| json!({"spec": {"hold": {"maxAge": "1d", "warnSenderAfter": warn}}});
    scene.stage.mail.merge::<BackupMX>("younger", &hold(Some("2d")));
    scene.stage.mail.wait_condition("younger", "Stalled", "True", "InvalidSpec", LONG);
    assert_eq!(scene.answer(), 250, "its relay goes on");
    scene.stage.mail.merge::<BackupMX>("older", &json!({"spec": {"domains": ["example.com", "example.org"]}}));
    scene.wait_targets(&["10 mail.example.org"]);
    wait_until("its mail is answered 451", LONG, || scene.answer() == 451);
    let still = scene.stage.mail.get::<BackupMX>("younger").unwrap();
    assert_eq!(reason(&still, "Stalled"), ("True".into(), "InvalidSpec".into()));

    // The domain is its own again, and its spec is mended.
    scene.stage.mail.merge::<BackupMX>("older", &json!({"spec": {"domains": ["example.com"]}}));
    scene.stage.mail.merge::<BackupMX>("younger", &hold(None));
    scene.wait_targets(&["10 mail.example.org", "20 mx1.example.org"]);
    wait_until("its mail is taken", LONG, || scene.answer() == 250);
}

#[test]
fn a_domain() {
    let scene = Scene::new();
    scene.stage.mail.merge::<BackupMX>("older", &json!({"spec": {"domains": ["example.com", "example.org"]}}));
    scene.stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    scene.wait_targets(&["10 mail.example.org"]);
    wait_until("its mail is answered 451", LONG, || scene.answer() == 451);

    // Given up again, it is the younger's at once, which has published it before.
    scene.stage.mail.merge::<BackupMX>("older", &json!({"spec": {"domains": ["example.com"]}}));
    scene.wait_targets(&["10 mail.example.org", "20 mx1.example.org"]);
    wait_until("its mail is taken", LONG, || scene.answer() == 250);

    scene.stage.mail.merge::<BackupMX>("older", &json!({"spec": {"domains": ["example.com", "example.org"]}}));
    scene.wait_targets(&["10 mail.example.org"]);
    scene.assert_can_leave();
    scene.wait_targets(&["10 mail.example.org"]);
}

#[test]
fn a_host_name() {
    let scene = Scene::new();
    wait_until("its address is published", LONG, || scene.set("address-mx1.example.org").is_some());
    let relays = json!([
        {"name": "a", "hostname": "mx1.example.com"},
        {"name": "b", "hostname": "mx1.example.org"},
    ]);
    scene.stage.mail.merge::<BackupMX>("older", &json!({"spec": {"relays": relays}}));
    scene.stage.mail.wait_condition("younger", "HostnameConflict", "True", "OwnedByAnother", LONG);
    scene.wait_targets(&["10 mail.example.org"]);
    wait_until("its address is not published any more", LONG, || scene.set("address-mx1.example.org").is_none());
    wait_until("its mail is answered 451", LONG, || scene.answer() == 451);

    // What its new owner writes is its own, and stays when the younger goes.
    let taker = scene.stage.relay("older", "b");
    StandIn(&scene.stage.mail).balance(&taker, &["192.0.2.20"]);
    wait_until("its new address is published", LONG, || scene.set("address-mx1.example.org").is_some());
    let before = scene.set("address-mx1.example.org").unwrap();
    scene.assert_can_leave();
    let after = scene.set("address-mx1.example.org").unwrap();
    assert_eq!((after.uid(), after.spec), (before.uid(), before.spec));
}
