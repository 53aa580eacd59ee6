//! No write of an old leader reaches the API server after the lease is another's, also where one is long under way. The
//! proxy in front of the API server holds writes back and passes them on, whether who wrote is still there or not.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, SHORT,
    cluster::{
        Operator, PodRelay, Proxy,
        proxy::{Answer, Call, Fault},
    },
    stays, wait_until, wait_value,
};
use k8s_openapi::api::coordination::v1::Lease;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    common::{Stage, resource},
    leader::{Second, assert_works, second},
};

/// So much later than it was sent a write arrives; the operator waits four seconds for an answer.
const LATE: Duration = Duration::from_secs(2);

fn holder(stage: &Stage) -> Option<String> {
    stage.home.get::<Lease>("backupmx-operator")?.spec?.holder_identity
}

/// When an operator's proxy gave the API server the write by which the lease is that operator's.
fn taken(new: &Proxy) -> Instant {
    let ours =
        |call: &Call| call.is_election() && call.writes() && matches!(call.answer, Some(Answer::Real(200 | 201)));
    new.calls().into_iter().find(ours).and_then(|call| call.passed).expect("the new leader has taken the lease")
}

/// All that the old leader wrote was carried out before the new one began to take the lease, and nothing comes later.
#[track_caller]
fn assert_none_after(old: &Proxy, taken: Instant) {
    stays("nothing of the old leader arrives", 2 * LATE, || {
        let writes = old.writes();
        let late = writes.iter().filter(|call| call.may_be_done_after(taken)).map(|call| match call.done {
            Some(done) => format!("{call}, {:?} after the lease was taken", done.duration_since(taken)),
            None => format!("{call}, not answered yet"),
        });
        let late: Vec<String> = late.collect();
        assert!(late.is_empty(), "the old leader's writes arrive after the lease is another's: {late:#?}");
        true
    });
}

/// The write that hands the new config of a resource to its relay's next start.
fn of_the_config(call: &Call) -> bool {
    call.writes() && call.resource == "configmaps"
}

/// Has the operator write, and the first such write meet that fault; the write.
#[track_caller]
fn write_that_meets(stage: &Stage, fault: Fault) -> impl Fn() -> Option<Call> {
    stage.proxy.inject(fault, 1, of_the_config);
    let before = stage.proxy.calls().len();
    stage.mail.merge::<BackupMX>("one", &json!({"spec": {"hold": {"maxAge": "3d"}}}));
    let found = move |proxy: &Proxy| proxy.calls().into_iter().skip(before).find(of_the_config);
    wait_value("the write has met the fault", LONG, || found(&stage.proxy).filter(|_| stage.proxy.left() == 0));
    move || found(&stage.proxy)
}

fn sigterm_while_a_write_is_under_way(fault: Fault) {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    assert_works(&stage, "one", "example.org");
    stage.proxy.wait_quiet(Duration::from_secs(2), LONG);
    let leader = holder(&stage);

    let write = write_that_meets(&stage, fault);
    first.signal(Signal::TERM);
    stays("the lease is not handed over while a write is under way", LATE, || holder(&stage) == leader);
    assert!(first.ended().is_none());
    stage.proxy.let_go();
    assert!(first.wait_ended().success());
    second.operator.wait_leads();

    let done = wait_value("the write is done", SHORT, || write()?.done);
    let taken = taken(&second.proxy);
    assert!(done < taken);
    assert_none_after(&stage.proxy, taken);
    assert_works(&stage, "two", "example.net");
}

#[test]
fn sigterm_waits_for_a_write_that_is_on_its_way() {
    sigterm_while_a_write_is_under_way(Fault::Hold);
}

#[test]
fn sigterm_waits_for_the_answer_to_a_write() {
    sigterm_while_a_write_is_under_way(Fault::HoldAnswer);
}

#[test]
fn sigterm_hands_nothing_over_while_a_write_may_still_arrive() {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    assert_works(&stage, "one", "example.org");
    stage.proxy.wait_quiet(Duration::from_secs(2), LONG);
    let leader = holder(&stage);

    let write = write_that_meets(&stage, Fault::Hold);
    // It gives the write up, and leaves. The write is on its way still.
    assert!(first.stop().0.success());
    stays("the lease is not handed over", LATE, || holder(&stage) == leader);
    stage.proxy.let_go();
    let done = wait_value("the write is done", SHORT, || write()?.done);
    second.operator.wait_leads();
    let taken = taken(&second.proxy);
    assert!(done < taken);
    assert_none_after(&stage.proxy, taken);
    assert!(first.log().contains("a write has no answer; the leader lease runs out by itself"), "it says why");
}

/// A leader, a standby, and a relay of the leader's whose new config is held back on its way to it.
fn config_held_back(test: impl FnOnce(&Stage, &PodRelay, &mut Operator, &mut Second)) {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    let (_, pod) = stage.ready(&resource("one", "example.org", ""));
    stage.proxy.wait_quiet(Duration::from_secs(2), LONG);
    pod.hold("PUT /v1/config");
    stage.mail.merge::<BackupMX>("one", &json!({"spec": {"hold": {"maxAge": "3d"}}}));
    wait_until("a config is on its way to the relay", LONG, || pod.held() == 1);
    test(&stage, &pod, &mut first, &mut second);
    assert_eq!(pod.held(), 1, "the old leader begins none after SIGTERM");
    let done = wait_value("the relay has the config", SHORT, || pod.done().first().copied());
    assert!(done < taken(&second.proxy), "a config of the old leader arrives after the lease is another's");
    assert_works(&stage, "two", "example.net");
}

#[test]
fn sigterm_waits_for_a_config_that_is_on_its_way_to_a_relay() {
    config_held_back(|stage, pod, first, second| {
        let leader = holder(stage);
        first.signal(Signal::TERM);
        // The relay has three seconds to answer.
        stays("the lease is not handed over while a relay is being told", LATE / 2, || holder(stage) == leader);
        assert!(first.ended().is_none());
        pod.let_go();
        assert!(first.wait_ended().success());
        assert!(first.log().contains("handed the lease over"), "nothing is in doubt");
        second.operator.wait_leads();
    });
}

#[test]
fn sigterm_hands_nothing_over_while_a_config_may_still_arrive() {
    config_held_back(|stage, pod, first, second| {
        let leader = holder(stage);
        // It gives the config up, and leaves. The config is on its way still.
        assert!(first.stop().0.success());
        stays("the lease is not handed over", LATE, || holder(stage) == leader);
        pod.let_go();
        second.operator.wait_leads();
    });
}

/// Gives the operators something to write all the time, until the guard is dropped.
fn with_work<T>(stage: &Stage, test: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for days in (1..).take_while(|_| !over.load(Ordering::Relaxed)) {
                let change = json!({"spec": {"hold": {"maxAge": format!("{}d", days % 20 + 1)}}});
                stage.mail.merge::<BackupMX>("work", &change);
                thread::sleep(Duration::from_millis(200));
            }
        });
        // Also where the test fails: the thread must end.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A leader that cannot renew its lease any more writes on as long as it may, each write arriving late.
fn leads_no_more(cannot_renew: impl Fn(&Proxy)) {
    let stage = Stage::new();
    let mut first = stage.operator();
    let mut second = second(&stage);
    stage.mail.apply(&resource("work", "example.org", ""));
    stage.wait_observed("work");
    let since = with_work(&stage, || {
        wait_until("the leader writes", LONG, || stage.proxy.writes().len() > 20);
        let since = Instant::now();
        cannot_renew(&stage.proxy);
        stage.proxy.inject_always(Fault::Late(LATE), |call| call.writes() && !call.is_election());
        second.operator.wait_leads();
        wait_until("the new leader writes", LONG, || second.proxy.writes().len() > 5);
        assert_none_after(&stage.proxy, taken(&second.proxy));
        since
    });
    let late = |call: &Call| call.passed.is_some_and(|passed| passed > since + LATE);
    assert!(stage.proxy.writes().iter().any(late), "it wrote on when it could not renew");
    let status = first.ended().expect("the old leader has ended by itself");
    assert!(!status.success());
    assert!(first.log().contains("failed to renew the leader lease"), "it says why");
}

#[test]
fn a_leader_that_hears_no_answer_ends_before_another_leads() {
    // What it asks arrives at once.
    leads_no_more(|proxy| proxy.inject_always(Fault::HoldAnswer, |call| call.verb != "watch"));
}

#[test]
fn a_leader_whose_renewals_hang_ends_before_another_leads() {
    leads_no_more(|proxy| proxy.inject_always(Fault::Hang, Call::is_election));
}

#[test]
fn a_leader_whose_renewals_fail_ends_before_another_leads() {
    leads_no_more(|proxy| proxy.inject_always(Fault::Status(500), Call::is_election));
}
