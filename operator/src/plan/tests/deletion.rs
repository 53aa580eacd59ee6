//! How a resource that is deleted leaves.

use backupmx_crds::OnRelease;
use backupmx_relay_config::AcceptMode;

use super::super::*;
use super::cluster::{Cluster, WHOLE, leave};
use crate::{desired::mx as mx_records, labels};

#[test]
fn a_deleted_resource_gives_the_primary_its_records_back_and_drains() {
    for (on_release, wanted) in [(OnRelease::KeepPrimary, &WHOLE[..1]), (OnRelease::Delete, &WHOLE[..0])] {
        let mut cluster = Cluster::settled();
        cluster.resource.dns.on_release = on_release;
        cluster.facts.life = Life::Leaving;
        assert!(!is_over(&cluster.pass()));
        assert_eq!(cluster.targets("example.org"), wanted);
        leave(&mut cluster);
        assert!(is_over(&cluster.plan()));
        assert_eq!(cluster.plan().leaving[0].remains, Remains::Nothing);
    }
}

#[test]
fn a_resource_whose_spec_cannot_be_used_can_be_deleted() {
    let mut cluster = Cluster::settled();
    let document = serde_json::json!({
        "apiVersion": "backupmx.io/v1alpha1",
        "kind": "BackupMX",
        "metadata": {"namespace": "mail", "name": "example-org", "uid": "6b1f"},
        "spec": {"domains": [], "primary": {}, "relays": []},
    });
    let published: Vec<_> = cluster.facts.mx.values().flat_map(mx_records::read).collect();
    let ours: Vec<DomainName> = cluster.resource.relays.iter().map(|relay| relay.hostname.clone()).collect();
    let unusable = serde_json::from_value(document).unwrap();
    cluster.resource = crate::validate::leaving::leaving(&unusable, &published, &ours);
    cluster.facts.life = Life::Leaving;
    cluster.live("b").report.as_mut().unwrap().queue.messages = 3;
    let asked = |planned: &Resources| planned.leaving.iter().map(|relay| relay.claim.spec.clone()).collect::<Vec<_>>();
    let before: Vec<_> = cluster.facts.relays.values().map(|live| live.claim.clone().unwrap().spec).collect();
    let planned = cluster.pass();
    assert_eq!(asked(&planned).len(), 2, "the relays are known by their objects");
    for (claim, before) in asked(&planned).iter().zip(&before) {
        let size = |spec: &Option<k8s_openapi::api::core::v1::PersistentVolumeClaimSpec>| {
            spec.clone().unwrap().resources.unwrap().requests.unwrap()["storage"].clone()
        };
        assert_eq!(size(claim), size(before), "no claim is asked to shrink");
    }
    for domain in ["example.org", "example.net"] {
        assert_eq!(cluster.targets(domain), WHOLE[..1], "the primary keeps its records");
    }
    leave(&mut cluster);
    assert!(!is_over(&cluster.plan()), "b holds mail");
    cluster.live("b").report.as_mut().unwrap().queue.messages = 0;
    assert!(is_over(&cluster.plan()));
}

#[test]
fn retained_mail_stays_in_its_claim() {
    let mut cluster = Cluster::settled();
    cluster.resource.deletion = DeletionPolicy::Retain;
    cluster.facts.life = Life::Leaving;
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().queue.messages = 3;
    }
    leave(&mut cluster);
    let planned = cluster.plan();
    assert!(is_over(&planned));
    assert_eq!(planned.leaving[0].remains, Remains::Claim);
}

#[test]
fn a_person_can_cut_a_stuck_drain_short() {
    let mut cluster = Cluster::settled();
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    for live in cluster.facts.relays.values_mut() {
        live.report = None;
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(labels::RELEASE.into(), "discard".into());
    }
    assert!(is_over(&cluster.plan()));
}

#[test]
fn mail_that_would_be_stranded_or_lost_is_not_taken() {
    for policy in [DeletionPolicy::Retain, DeletionPolicy::Discard] {
        let mut cluster = Cluster::settled();
        cluster.resource.deletion = policy;
        cluster.facts.life = Life::Leaving;
        let planned = cluster.pass();
        let (_, document) = planned.leaving[0].config.clone().unwrap();
        assert!(document.tenants.iter().all(|tenant| tenant.accept == AcceptMode::Defer), "{policy:?}");
        cluster.pass();
        cluster.later(901);
        for live in cluster.facts.relays.values_mut() {
            live.report = None;
        }
        assert!(is_over(&cluster.plan()), "{policy:?}: a relay that does not answer is not waited for");
    }
}
