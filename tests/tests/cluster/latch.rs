//! What is published stays published: a pod that restarts, a load balancer that says nothing and a DNS server that is
//! away change no records.

use std::time::Duration;

use backupmx_tests::{stays, wait_until};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

#[test]
fn nothing_but_leaving_undoes_it() {
    let stage = Stage::new("latch");
    stage.publish(&json!({}));
    let domain = stage.domain().to_owned();
    let whole = [format!("10 mail.{domain}"), format!("20 mx1.{domain}")];
    let before = stage.asked();
    assert_eq!(before.len(), 2);

    let pod = stage.pod("a").unwrap().name_any();
    stage.mail.delete::<Pod>(&pod);
    wait_until("another pod is there", PATIENCE, || stage.pod("a").is_some_and(|now| now.name_any() != pod));
    stage.wait_answer(stage.smtp("a"), &stage.recipient(), 250);
    assert_eq!(stage.asked(), before, "a pod that restarts");

    let service = stage.mail.list::<Service>().remove(0).name_any();
    let quiet = json!({"metadata": {"annotations": {"balancers.backupmx.test/give": "nothing"}}});
    stage.mail.merge::<Service>(&service, &quiet);
    stage.mail.merge_status::<Service>(&service, &json!({"loadBalancer": null}));
    let gone = |service: &Service| {
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        balancer.and_then(|balancer| balancer.ingress.as_ref()).is_none_or(Vec::is_empty)
    };
    stage.mail.wait(&service, "has no address", PATIENCE, gone);
    // A change of the spec makes sure that the operator looks.
    stage.change(&json!({"hold": {"maxAge": "8d"}}));
    stays("the records are asked for", Duration::from_secs(3), || stage.asked() == before);

    stage.zones.delete(&domain);
    assert_eq!(stage.zones.ask(&domain, "SOA"), Some(Vec::new()), "the domain does not exist now");
    stage.change(&json!({"hold": {"maxAge": "9d"}}));
    stays("the records are asked for", Duration::from_secs(3), || stage.asked() == before);
    stage.zones.make(&domain);
    stage.wait_mx(&whole);
    assert_eq!(stage.asked(), before);
}
