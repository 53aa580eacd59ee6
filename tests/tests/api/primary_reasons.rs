//! What is wrong with a primary that answers stands in `PrimaryReachable`, by a reason of its own, until it is over: of a
//! real relay that found it so.

use backupmx_crds::{BackupMX, PrimaryState};
use backupmx_tests::{
    Answer, LONG, Mail, Place, ScriptedPrimary, Smtp, Step,
    cluster::{Operator, PodRelay, condition},
    stays, wait_until,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::common::{Stage, queued, resource_for};

/// The relay tells of it as soon as it is asked: within ten seconds while mail is held, and else within a minute.
const TOLD: Duration = LONG.saturating_add(LONG);
const NO_STORE: &str = "451 4.3.0 no mailbox store";
const NO_SUCH_USER: &str = "550 5.1.1 no such user";

/// A resource whose relay holds mail for a primary that is down.
struct Scene {
    stage: Stage,
    _operator: Operator,
    _place: Place,
    primary: ScriptedPrimary,
    pod: PodRelay,
}

impl Scene {
    /// With a message of a sender of its own for each of these.
    fn holding(recipients: &[String]) -> Self {
        let (stage, place) = (Stage::new(), Place::new());
        let operator = stage.operator();
        let primary = ScriptedPrimary::down(&place);
        let more = "  delivery: {retry: {min: 1s, max: 1s}, onReject: Hold}\n";
        let (_, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), more));
        let mut session = Smtp::session(pod.smtp());
        for (number, recipient) in recipients.iter().enumerate() {
            session.mail(&Mail::to(recipient).from(&format!("sender{number}@sender.test"))).expect(250);
        }
        Self { stage, _operator: operator, _place: place, primary, pod }
    }

    /// Waits until `PrimaryReachable` has that status and reason; its message.
    #[track_caller]
    fn primary_is(&self, status: &str, reason: &str) -> String {
        let seen = self.stage.mail.wait_condition("example", "PrimaryReachable", status, reason, TOLD);
        condition(&seen, "PrimaryReachable").unwrap().message
    }

    fn has_told(&self, reason: &str) -> bool {
        self.stage.mail.events("example").iter().any(|event| event.reason.as_deref() == Some(reason))
    }

    /// The primary takes mail, and gets so much of it, and the resource says so.
    #[track_caller]
    fn gets_all(&self, messages: usize) {
        self.primary.behave();
        self.primary.wait_count(messages, LONG);
        self.stage.mail.wait_event("example", "Normal", "PrimaryBack", TOLD);
        self.stage.mail.wait("example", "holds nothing", TOLD, |object| queued(object) == Some(0));
        self.primary_is("True", "Recovering");
    }
}

fn users(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user{number}@example.org")).collect()
}

#[test]
fn a_storm_of_rejects_until_one_is_accepted() {
    let mut scene = Scene::holding(&users(12));
    scene.primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply(NO_SUCH_USER),
        _ => Answer::Normal,
    });
    scene.primary.start();
    let message = scene.primary_is("False", "RejectStorm");
    assert!(message.contains("deliveries are stopped, nothing bounces") && message.contains(NO_SUCH_USER), "{message}");
    assert_eq!(scene.stage.mail.wait_event("example", "Warning", "RejectStorm", LONG), message);
    let seen: BackupMX = scene.stage.mail.get("example").unwrap();
    assert_eq!(seen.status.unwrap().primary.unwrap().state, PrimaryState::Rejecting);
    scene.stage.mail.wait_condition("example", "QueueHealthy", "True", "Holding", LONG);
    assert!(!scene.has_told("MailNeedsDecision"), "it goes out when the primary is mended");
    scene.gets_all(12);
}

#[test]
fn refusals_that_are_too_few_for_one_are_weighed_before_a_person_is_asked() {
    let mut scene = Scene::holding(&["nosuch@example.org"; 3].map(str::to_owned));
    scene.primary.script(|step, _| match step {
        Step::Rcpt("nosuch@example.org") => Answer::reply(NO_SUCH_USER),
        _ => Answer::Normal,
    });
    scene.primary.start();
    wait_until("all were refused", LONG, || scene.primary.transactions() >= 3);
    scene.primary_is("True", "Recovering");
    stays("nobody is asked while the primary is on trial", Duration::from_secs(11), || {
        !scene.has_told("MailNeedsDecision") && scene.pod.status().queue.held == 0
    });
    scene.stage.mail.wait_condition("example", "QueueHealthy", "True", "Holding", LONG);
    // What it takes meanwhile shows that it means it.
    let mut session = Smtp::session(scene.pod.smtp());
    for user in users(20) {
        session.mail(&Mail::to(&user)).expect(250);
    }
    let seen = scene.stage.mail.wait_condition("example", "QueueHealthy", "False", "NeedsDecision", TOLD);
    let message = condition(&seen, "QueueHealthy").unwrap().message;
    assert!(message.contains("3 messages are held for a person"), "{message}");
    scene.stage.mail.wait_event("example", "Warning", "MailNeedsDecision", LONG);
    assert_eq!((scene.primary.count(), scene.has_told("RejectStorm")), (20, false));
}

#[test]
fn a_primary_that_answers_and_takes_no_mail() {
    let mut scene = Scene::holding(&users(12));
    scene.primary.script(|step, _| match step {
        Step::Dot(_) => Answer::reply(NO_STORE),
        _ => Answer::Normal,
    });
    scene.primary.start();
    let message = scene.primary_is("False", "Deferring");
    assert!(message.starts_with("the primary takes no mail; it is held") && message.contains(NO_STORE), "{message}");
    assert_eq!(scene.stage.mail.wait_event("example", "Warning", "PrimaryDeferring", LONG), message);
    scene.gets_all(12);
}

#[test]
fn a_session_that_breaks_before_a_primary_that_says_nothing_any_more() {
    let mut scene = Scene::holding(&[]);
    scene.primary.start();
    scene.primary_is("True", "Recovering");
    let broken = AtomicBool::new(false);
    scene.primary.script(move |step, _| match step {
        Step::Mail(_) => {
            broken.store(true, Ordering::Relaxed);
            Answer::Cut
        }
        Step::Greeting if broken.load(Ordering::Relaxed) => Answer::Hang,
        _ => Answer::Normal,
    });
    Smtp::session(scene.pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    let message = scene.primary_is("False", "Suspect");
    assert!(message.starts_with("a session with the primary failed: "), "{message}");
    // Whoever waited for a greeting hears that there is none.
    scene.primary.stop();
    scene.primary_is("False", "Down");
    scene.primary.behave();
    scene.primary.start();
    scene.gets_all(1);
}
