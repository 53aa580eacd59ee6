//! New templates: one relay after the other, and the broken first.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::json;

use super::super::*;
use super::cluster::Cluster;
use crate::desired::fixture;

#[test]
fn a_new_template_takes_one_relay_at_a_time() {
    let mut cluster = Cluster::settled();
    cluster.resource.tls_secret = Some("other".into());
    let deployments = |planned: &Resources| -> Vec<String> {
        planned.serving.iter().filter(|relay| relay.deployment.is_some()).map(|relay| relay.name.to_string()).collect()
    };
    assert_eq!(deployments(&cluster.pass()), ["a"]);
    assert_eq!(deployments(&cluster.pass()), ["a", "b"]);
}

#[test]
fn what_is_taken_out_of_a_template_takes_one_relay_at_a_time() {
    let mut cluster = Cluster::settled();
    let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:nodeSelector": {"f:disk": {}}}}}});
    for live in cluster.facts.relays.values_mut() {
        let deployment = live.deployment.as_mut().unwrap();
        deployment.metadata.managed_fields = Some(vec![ManagedFieldsEntry {
            manager: Some(labels::MANAGER.into()),
            operation: Some("Apply".into()),
            fields_v1: Some(FieldsV1(fields.clone())),
            ..ManagedFieldsEntry::default()
        }]);
        let pod = deployment.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        pod.node_selector = Some([("disk".to_owned(), "fast".to_owned())].into());
    }
    let open = |planned: &Resources| planned.serving.iter().map(|relay| relay.deployment.is_some()).collect::<Vec<_>>();
    assert_eq!(open(&cluster.pass()), [true, false]);
    assert_eq!(open(&cluster.pass()), [true, true]);
}

#[test]
fn relays_that_have_just_come_up_are_replaced_one_at_a_time_too() {
    let mut cluster = Cluster::settled();
    cluster.resource.tls_secret = Some("another".into());
    for live in cluster.facts.relays.values_mut() {
        let status = live.deployment.as_mut().unwrap().status.as_mut().unwrap();
        (status.ready_replicas, status.available_replicas) = (Some(1), None);
    }
    let planned = cluster.plan();
    let [first, second] = [&planned.serving[0], &planned.serving[1]];
    assert_eq!(second.deployment, None);
    let live = cluster.facts.relays.get_mut(&first.name).unwrap();
    live.deployment = Some(Deployment { status: None, ..first.deployment.clone().unwrap() });
    assert_eq!(cluster.plan().serving[1].deployment, None, "it takes mail, and the other does not");
    let live = cluster.facts.relays.get_mut(&second.name).unwrap();
    live.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
    assert_ne!(cluster.plan().serving[1].deployment, None, "what takes no mail is repaired at once");
}

#[test]
fn a_second_change_waits_for_the_relay_that_the_first_one_replaces() {
    let mut cluster = Cluster::settled();
    cluster.resource.tls_secret = Some("another".into());
    let second = cluster.plan().serving[1].name.clone();
    // It was written just now, and its status is of before that.
    let live = cluster.facts.relays.get_mut(&second).unwrap().deployment.as_mut().unwrap();
    live.metadata.generation = Some(2);
    let status = live.status.as_mut().unwrap();
    (status.observed_generation, status.ready_replicas) = (Some(1), Some(1));
    assert_eq!(cluster.plan().serving[0].deployment, None, "it is the only one that takes mail");
}

#[test]
fn a_new_image_reaches_relays_that_leave_one_at_a_time() {
    let mut cluster = Cluster::settled();
    cluster.facts.life = Life::Leaving;
    let new = Settings { relay_image: "registry.test/backupmx-relay:0.2.0".into(), ..fixture::settings() };
    let opened = |cluster: &Cluster| -> Vec<String> {
        let planned = plan(&cluster.resource, &cluster.facts, &new).unwrap();
        let open = planned.leaving.iter().filter(|relay| relay.deployment.is_some());
        open.map(|relay| relay.name.to_string()).collect()
    };
    assert_eq!(opened(&cluster), ["a"]);
    cluster.facts.free_rollouts = 0;
    assert_eq!(opened(&cluster), Vec::<String>::new(), "others are being replaced");
    cluster.live("b").deployment.as_mut().unwrap().status = None;
    assert_eq!(opened(&cluster), ["b"], "a broken one is repaired at any time");
}

#[test]
fn more_memory_is_used_by_the_pods_that_have_it() {
    let mut cluster = Cluster::settled();
    let give = |cluster: &mut Cluster, amount: &str| {
        cluster.resource.resources.limits = fixture::quantities(&[("memory", amount)]);
        cluster.resource.resources.memory = Some(amount.parse().unwrap());
    };
    give(&mut cluster, "512Mi");
    for _ in 0..3 {
        cluster.pass();
    }
    give(&mut cluster, "4Gi");
    let budgets = |cluster: &mut Cluster| -> Vec<u64> {
        cluster.pass().serving.iter().map(|relay| relay.document.limits.memory.as_u64() >> 20).collect()
    };
    assert_eq!(budgets(&mut cluster), [64, 64], "the first pod is replaced now");
    assert_eq!(budgets(&mut cluster), [512, 64], "the second waits for its turn");
    budgets(&mut cluster);
    assert_eq!(budgets(&mut cluster), [512, 512]);
    give(&mut cluster, "512Mi");
    assert_eq!(budgets(&mut cluster), [64, 64], "what a pod will not have is given up before");
}
