//! An operator says in its Lease when every status tells what it has heard of the relays itself, and not before: who looks
//! whether it may go believes them then.

use std::time::Duration;

use backupmx_tests::{LONG, Mail, Place, ScriptedPrimary, Smtp, stays, wait_until};
use k8s_openapi::api::coordination::v1::Lease;
use rustix::process::Signal;

use crate::common::{Stage, queued, resource_for};

const SETTLED: &str = "backupmx.io/settled";

/// Whether the leader of now has said it.
fn is_settled(stage: &Stage) -> bool {
    let lease: Lease = stage.home.get("backupmx-operator").unwrap();
    let told = lease.metadata.annotations.and_then(|annotations| annotations.get(SETTLED).cloned());
    told.is_some() && told == lease.spec.and_then(|spec| spec.acquire_time).map(|since| since.0.to_string())
}

#[test]
fn not_before_the_status_tells_what_each_relay_holds_now() {
    let (stage, place) = (Stage::new(), Place::new());
    let mut operator = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let more = "  delivery: {retry: {min: 1h, max: 1h}}\n";
    let (_, mut pod) = stage.holding(&resource_for("example", "example.org", place.primary(), more));
    wait_until("the first leader has settled", LONG, || is_settled(&stage));

    assert!(operator.stop().0.success());
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    // The relay is there, and says nothing for a while.
    pod.signal(Signal::STOP);
    operator.start_again();
    operator.wait_leads();
    // Its next renewals come every two seconds, and a relay is given three to answer.
    stays("the next has not settled", Duration::from_millis(2900), || !is_settled(&stage));
    assert_eq!(queued(&stage.mail.get("example").unwrap()), Some(1), "it knows of no more");
    pod.signal(Signal::CONT);
    wait_until("it has settled", LONG, || is_settled(&stage));
    assert_eq!(queued(&stage.mail.get("example").unwrap()), Some(2));
}
