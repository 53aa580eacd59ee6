//! An operator that is killed in each phase of a retirement: the next one goes on where it was, as that is kept in the
//! claim. It takes no step back, begins no wait anew, and leaves no step out.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{
        Operator, PodRelay,
        proxy::{Answer, Fault},
    },
    wait_until,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::Value;

use crate::common::{Stage, resource_for, retiring};

/// A person enters the records, and DNS names the relay.
const MANUAL: &str = "  dns: {mode: Manual}\n";
const NAMED: &str = "mx1.example.org. 60 IN A 192.0.2.10\n\
                     example.org. 60 IN MX 20 mx1.example.org.\n\
                     example.net. 60 IN MX 20 mx1.example.org.\n";
const NOT_NAMED: &str = "example.org. 60 IN MX 10 mail.example.org.\n\
                         example.net. 60 IN MX 10 mail.example.org.\n";

struct Scene {
    stage: Stage,
    operator: Operator,
    /// The relay's claim.
    claim: String,
}

impl Scene {
    fn begin(stage: Stage, operator: Operator, claim: &str) -> Self {
        Self { stage, operator, claim: claim.to_owned() }
    }

    #[track_caller]
    fn wait_phase(&self, phase: &str) -> Vec<Value> {
        let claim = self.stage.mail.wait(&self.claim, &format!("is {phase}"), LONG, |claim: &PersistentVolumeClaim| {
            retiring(claim).iter().any(|one| one["phase"] == phase)
        });
        retiring(&claim)
    }

    /// The operator is killed in that phase, and so is the next one, when it has looked twice and left all as it was.
    #[track_caller]
    fn killed_in(&mut self, phase: &str) {
        let before = self.wait_phase(phase);
        self.operator.kill();
        self.goes_on();
        for passes in [1.0, 2.0] {
            let passed = r#"backupmx_operator_passes_total{result="ok"}"#;
            wait_until("it has looked", LONG, || self.operator.metric(passed).is_some_and(|count| count >= passes));
            self.stage.look_at("example");
        }
        assert_eq!(self.wait_phase(phase), before);
        self.operator.kill();
    }

    #[track_caller]
    fn goes_on(&mut self) {
        self.operator.start_again();
        self.operator.wait_leads();
    }

    /// The operator is killed in each phase, until what was held for the domain is handed over.
    #[track_caller]
    fn killed_until_it_is_empty(&mut self, domain: &str, pod: &mut PodRelay, primary: &mut ScriptedPrimary) {
        self.killed_in("Withdrawing");
        self.stage.dns.set_records(NOT_NAMED);
        self.goes_on();
        self.killed_in("Waiting");
        assert_eq!(Self::answer(pod, domain), 250, "senders may have the records still");
        pod.kill();
        self.stage.wait_phase_and_let_time_pass(&self.claim, "Waiting");
        self.goes_on();
        // Nobody says that the door is shut.
        self.killed_in("Closing");
        pod.start_again();
        self.goes_on();
        self.killed_in("Draining");
        assert_eq!(Self::answer(pod, domain), 451);
        primary.start();
        assert_eq!(pod.admin().post("/v1/flush").status, 204);
        primary.wait_count(1, LONG);
    }

    /// What the relay answers to mail for a domain.
    #[track_caller]
    fn answer(pod: &PodRelay, domain: &str) -> u16 {
        let mut session = Smtp::session(pod.smtp());
        session.command("MAIL FROM:<a@example.com>").expect(250);
        session.command(&format!("RCPT TO:<bob@{domain}>")).code
    }
}

#[test]
fn of_a_relay() {
    let stage = Stage::new();
    stage.dns.set_records(NAMED);
    let operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let (relay, mut pod) = stage.holding(&resource_for("example", "example.org", place.primary(), MANUAL));
    let mut scene = Scene::begin(stage, operator, &relay);
    scene.stage.mail.delete::<BackupMX>("example");

    scene.killed_until_it_is_empty("example.org", &mut pod, &mut primary);
    for object in ["deployments", "persistentvolumeclaims"] {
        let deletes = move |verb: &str, resource: &str| verb == "delete" && resource == object;
        scene.stage.proxy.inject_always(Fault::Status(500), move |call| deletes(call.verb, &call.resource));
        scene.goes_on();
        wait_until(&format!("it is about to delete its {object}"), LONG, || {
            let mut calls = scene.stage.proxy.calls().into_iter();
            calls.any(|call| deletes(call.verb, &call.resource) && call.answer == Some(Answer::Fault))
        });
        scene.operator.kill();
        assert_eq!(scene.wait_phase("Gone").len(), 1, "who goes on knows that there is nothing to wait for");
        scene.stage.proxy.heal();
    }
    scene.goes_on();
    scene.stage.wait_let_go(&relay);
    scene.stage.assert_nothing_left(&relay);
    scene.stage.mail.wait_gone::<BackupMX>("example", LONG);
    assert_eq!(primary.count(), 1);
}

#[test]
fn of_a_domain() {
    let stage = Stage::new();
    stage.dns.set_records(NAMED);
    let operator = stage.operator();
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), MANUAL);
    let (relay, mut pod) = stage.ready(&one.replace("[example.org]", "[example.org, example.net]"));
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.net")).expect(250);
    let mut scene = Scene::begin(stage, operator, &relay);
    scene.stage.mail.apply(&one);

    scene.killed_until_it_is_empty("example.net", &mut pod, &mut primary);
    scene.goes_on();
    scene.killed_in("Fading");
    assert_eq!((Scene::answer(&pod, "example.net"), Scene::answer(&pod, "example.org")), (451, 250));
    scene.stage.wait_phase_and_let_time_pass(&relay, "Fading");
    scene.goes_on();
    wait_until("it is a stranger's domain", LONG, || Scene::answer(&pod, "example.net") == 550);
    assert_eq!(Scene::answer(&pod, "example.org"), 250);
    let claim: PersistentVolumeClaim = scene.stage.mail.get(&relay).unwrap();
    assert_eq!(claim.annotations()["backupmx.io/domains"], "example.org");
    assert_eq!(primary.count(), 1);
}
