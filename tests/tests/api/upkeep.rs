//! While a spec cannot be used, or what it refers to is not there, all goes on by the last that could: objects are repaired,
//! volumes grow, and nothing that the spec leaves out is taken away.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{PodRelay, StandIn, condition, reason},
    wait_until,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service},
    networking::v1::NetworkPolicy,
};
use kube::ResourceExt;
use serde_json::json;

use crate::{
    common::{Stage, config, resource, resource_for},
    quota::{Class, size},
};

/// A duration is compared with another only by the operator.
const WRONG: &str = "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n";

/// Deletes what a relay needs, and waits until all of it was made again.
#[track_caller]
pub(crate) fn is_repaired(stage: &Stage, relay: &str) {
    let shared = stage.mail.names::<NetworkPolicy>().remove(0);
    let uids = || {
        let deployment = stage.mail.get::<Deployment>(relay).and_then(|one| one.uid());
        let service = stage.mail.get::<Service>(relay).and_then(|one| one.uid());
        [deployment, service, stage.mail.get::<NetworkPolicy>(&shared).and_then(|one| one.uid())]
    };
    let before = uids();
    stage.mail.delete::<Deployment>(relay);
    stage.mail.delete::<Service>(relay);
    stage.mail.delete::<NetworkPolicy>(&shared);
    wait_until("all is made again", LONG, || {
        uids().iter().zip(&before).all(|(now, before)| now.is_some() && now != before)
    });
}

#[test]
fn what_is_deleted_is_made_again() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    let both =
        |more: &str| resource("example", "example.org", more).replace("[example.org]", "[example.org, example.net]");
    stage.mail.apply(&both(""));
    let (first, relay) = (stage.wait_observed("example").metadata.generation, stage.relay("example", "a"));
    stage.serve("example", "a", "192.0.2.10");
    // It leaves a domain out besides.
    stage.mail.apply(&resource("example", "example.org", WRONG));
    let seen = stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    let message = condition(&seen, "Stalled").unwrap().message;
    assert!(message.contains("all goes on by what could be used last (generation 1)"), "{message}");
    let of = |seen: &BackupMX, kind: &str| condition(seen, kind).unwrap().observed_generation;
    assert_eq!((of(&seen, "Stalled"), of(&seen, "Reconciling")), (seen.metadata.generation, seen.metadata.generation));
    assert_eq!((of(&seen, "Ready"), of(&seen, "RelaysReady")), (first, first), "they are of what is in use");
    is_repaired(&stage, &relay);
    // An operator that starts knows it too.
    operator.stop();
    operator.start_again();
    operator.wait_leads();
    is_repaired(&stage, &relay);
    let seen = stage.mail.get::<BackupMX>("example").unwrap();
    assert_eq!(reason(&seen, "Stalled"), ("True".into(), "InvalidSpec".into()));
    assert_eq!(reason(&seen, "Draining"), ("False".into(), "NotDraining".into()));
    let served = config(&stage, "example", "a").unwrap()["tenants"][0]["domains"].clone();
    assert_eq!(served, json!(["example.org", "example.net"]), "what is left out stays");

    stage.mail.apply(&resource("example", "example.org", ""));
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    let leaves = stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    assert_eq!(of(&leaves, "Draining"), leaves.metadata.generation);
}

#[test]
fn a_volume_grows_without_the_list_of_recipients() {
    let (stage, place) = (Stage::new(), Place::new());
    let class = Class::new(&stage);
    let _operator = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let more = format!(
        "  storage: {{size: 64Mi, maxSize: 1Gi, storageClassName: {}}}\n  \
         acceptance: {{recipients: {{mode: List, configMapRef: {{name: people, key: list}}}}}}\n",
        class.0
    );
    let people = "{apiVersion: v1, kind: ConfigMap, metadata: {name: people}, data: {list: bob}}";
    stage.mail.apply(people);
    stage.mail.apply(&resource_for("example", "example.org", place.primary(), &more));
    let relay = stage.relay("example", "a");
    StandIn(&stage.mail).bind(&relay);
    let pod = PodRelay::start(&stage.mail, &relay);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    stage.mail.delete::<ConfigMap>("people");
    stage.mail.wait_condition("example", "Stalled", "True", "ReferenceNotFound", LONG);

    // 50 of its 64 MiB.
    let mail =
        Mail::to("bob@example.org").with_body(&b"a line of a message that fills a volume up\r\n".repeat(200_000));
    for _ in 0..6 {
        Smtp::session(pod.smtp()).mail(&mail).expect(250);
    }
    let grows = |claim: &PersistentVolumeClaim| size(claim).as_deref() == Some("96Mi");
    stage.mail.wait(&relay, "grows", LONG + LONG, grows);
    let seen = stage.mail.wait_condition("example", "StorageHealthy", "True", "Growing", LONG);
    assert_eq!(reason(&seen, "Stalled"), ("True".into(), "ReferenceNotFound".into()));
    stage.mail.apply(people);
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
}

/// No list is not a list of nobody: who is in it would be answered 550.
#[test]
fn recipients_that_nobody_knows_any_more_are_not_refused() {
    let (stage, place) = (Stage::new(), Place::new());
    let mut operator = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let list = "  acceptance: {recipients: {mode: List, configMapRef: {name: people, key: list}}}\n";
    let people = "{apiVersion: v1, kind: ConfigMap, metadata: {name: people}, data: {list: bob}}";
    stage.mail.apply(people);
    stage.mail.apply(&resource_for("example", "example.org", place.primary(), list));
    let relay = stage.relay("example", "a");
    StandIn(&stage.mail).bind(&relay);
    let pod = PodRelay::start(&stage.mail, &relay);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);

    operator.stop();
    for map in stage.mail.names::<ConfigMap>() {
        stage.mail.delete::<ConfigMap>(&map);
    }
    operator.start_again();
    operator.wait_leads();
    stage.mail.wait_condition("example", "Stalled", "True", "ReferenceNotFound", LONG);
    assert_eq!(stage.mail.names::<ConfigMap>(), Vec::<String>::new(), "no document without the list");
    let bob = || Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org"));
    bob().expect(250);

    stage.mail.apply(people);
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    wait_until("its document is there again", LONG, || config(&stage, "example", "a").is_some());
    bob().expect(250);
}

#[test]
fn a_domain_that_is_left_out_is_nobody_elses_yet() {
    let stage = Stage::new();
    let mut operator = stage.operator();
    let both = resource("older", "example.org", "").replace("[example.org]", "[example.org, example.net]");
    stage.mail.apply(&both);
    stage.wait_observed("older");
    stage.wait_until_older("older");
    stage.mail.apply(&resource("younger", "example.net", ""));
    stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    stage.mail.apply(&resource("older", "example.org", WRONG));
    stage.mail.wait_condition("older", "Stalled", "True", "InvalidSpec", LONG);
    stage.look_at("younger");
    let accepts = |name: &str| config(&stage, name, "a").unwrap()["tenants"][0]["accept"].clone();
    // Over a restart too, whosever pass comes first.
    operator.stop();
    operator.start_again();
    operator.wait_leads();
    stage.mail.merge::<BackupMX>("younger", &json!({"spec": {"delivery": {"maxConnections": 3}}}));
    let told = || config(&stage, "younger", "a").unwrap().to_string().contains("\"maxConnections\":3");
    wait_until("its own pass was made", LONG, told);
    assert_eq!((accepts("older"), accepts("younger")), (json!("Active"), json!("Defer")));

    stage.mail.apply(&resource("older", "example.org", ""));
    stage.mail.wait_condition("younger", "DomainConflict", "False", "NoConflict", LONG);
    wait_until("the younger takes its mail", LONG, || accepts("younger") == json!("Active"));
}
