//! Deliveries that a person has stopped are told wherever mail waits for them to go on.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::condition};
use serde_json::json;

use crate::common::Outage;

#[test]
fn a_drain_waits_for_the_person_and_says_so() {
    let outage = Outage::new("  delivery: {suspended: true}\n");
    let Outage { stage, operator: _operator, place: _place, mut primary, relay, pod: _pod } = outage;
    let says = |kind: &'static str| {
        move |object: &BackupMX| {
            condition(object, kind)
                .is_some_and(|one| one.message.contains("deliveries are suspended, so none of it goes"))
        }
    };
    stage.mail.wait("example", "says it of its queue", LONG, says("QueueHealthy"));
    primary.start();
    stage.mail.delete::<BackupMX>("example");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    let seen = stage.mail.wait_condition("example", "Draining", "True", "Stuck", LONG);
    assert!(says("Draining")(&seen), "{:?}", condition(&seen, "Draining"));
    stage.mail.wait_condition("example", "Stalled", "True", "Stuck", LONG);
    assert_eq!(primary.count(), 0);
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"delivery": {"suspended": false}}}));
    primary.wait_count(1, LONG);
    stage.wait_let_go(&relay);
}
