//! A name server that answers SERVFAIL withdraws nothing, not even from an operator that has just started and a relay
//! that takes mail only where it is published.

use std::time::Duration;

use backupmx_tests::{cluster::Zones, stays, wait_until};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::{
    forwarder::Forwarder,
    stage::{PATIENCE, Stage, cluster},
};

#[test]
fn what_is_published_stays_so() {
    let forwarder = Forwarder::start(Zones::of(cluster()).server());
    let mut stage = Stage::asking("servfail", forwarder.address());
    stage.publish(&json!({"acceptance": {"activation": "WhenPublished"}}));
    stage.wait_reason("DNSPublished", "True", "Published");
    let (relay, recipient, domain) = (stage.smtp("a"), stage.recipient(), stage.domain().to_owned());
    stage.wait_answer(relay, &recipient, 250);
    let (asked, records) = (stage.asked(), [format!("10 mail.{domain}"), format!("20 mx1.{domain}")]);

    forwarder.fail();
    stage.operator().stop();
    stage.operator().start_again();
    stage.operator().wait_leads();
    stage.wait_reason("DNSPublished", "Unknown", "LookupFailed");
    stage.wait_reason("Ready", "True", "Available");
    let pod = stage.pod("a").unwrap().name_any();
    stage.mail.delete::<Pod>(&pod);
    wait_until("another pod is there", PATIENCE, || stage.pod("a").is_some_and(|now| now.name_any() != pod));
    stage.wait_answer(relay, &recipient, 250);
    stays("the records are there", Duration::from_secs(3), || {
        stage.asked() == asked && stage.zones.mx(&domain).is_some_and(|seen| seen == records)
    });

    forwarder.pass_on();
    stage.wait_reason("DNSPublished", "True", "Published");
    assert_eq!(stage.asked(), asked);
}
