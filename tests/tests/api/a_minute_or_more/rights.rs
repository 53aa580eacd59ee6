//! The operator with the rights that the chart gives it, and no others: nothing that it does is forbidden, and there is none
//! that it does not use.

use std::collections::BTreeSet;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Place, ScriptedPrimary,
    cluster::{Cluster, PodRelay, Proxy, proxy::Answer, rendered_in},
    wait_until,
};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, ServiceAccount},
    events::v1::Event,
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use crate::common::{Stage, resource, resource_for};

/// Where the operator looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everywhere,
    Listed,
}

/// What the chart grants, as long as this is there.
struct Grant<'a> {
    cluster: &'a Cluster,
    objects: Vec<(String, String, String)>,
    /// Each verb with what it may be done to, such as `patch backupmxes/status`.
    rights: BTreeSet<String>,
}

impl<'a> Grant<'a> {
    fn new(cluster: &'a Cluster, home: &str, mail: &str, values: &[&str]) -> Self {
        let kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
        let rendered = rendered_in(home, values);
        let granted = rendered.iter().filter(|object| kinds.iter().any(|kind| object["kind"] == *kind));
        let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let objects = granted
            .map(|object| {
                let namespace = text(object, "namespace");
                cluster.kube().apply(&namespace, &object.to_string());
                (object["kind"].as_str().unwrap().to_owned(), namespace, text(object, "name"))
            })
            .collect();
        // The chart's others are for people, and bound to nobody.
        let bound: Vec<_> =
            rendered.iter().map(|one| &one["roleRef"]["name"]).filter(|name| name.is_string()).collect();
        let is_role = |one: &&Value| one["kind"] == "Role" || one["kind"] == "ClusterRole";
        let rules = rendered.iter().filter(is_role).filter(|role| bound.contains(&&role["metadata"]["name"]));
        let rights = rules.flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default()).flat_map(|rule| {
            let list = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap_or_default() };
            let resources = list("resources");
            let each = |verb: String| resources.iter().map(|what| format!("{verb} {what}")).collect::<Vec<_>>();
            list("verbs").into_iter().flat_map(each).collect::<Vec<_>>()
        });
        let grant = Self { cluster, objects, rights: rights.collect() };
        // The API server takes a moment to know them.
        for (namespace, verb, what) in [
            (home, "get", "leases.coordination.k8s.io/backupmx-operator"),
            (mail, "list", "backupmxes.backupmx.io"),
            ("default", "create", "events.events.k8s.io"),
            ("default", "list", "storageclasses.storage.k8s.io"),
        ] {
            let operator = account(home);
            let question = ["auth", "can-i", verb, what, "--as", &operator, "--namespace", namespace];
            wait_until(&format!("it may {verb} {what}"), LONG, || cluster.kubectl(&question).ok);
        }
        grant
    }
}

/// The operator's name, as the API server calls it.
fn account(home: &str) -> String {
    format!("system:serviceaccount:{home}:backupmx")
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        for (kind, namespace, name) in &self.objects {
            let place: &[&str] = if namespace.is_empty() { &[] } else { &["--namespace", namespace] };
            let _ = self.cluster.kubectl(&[&["delete", "--ignore-not-found", kind.as_str(), name], place].concat());
        }
    }
}

/// What was refused for want of a right, outside of a namespace that ends.
fn forbidden(stage: &Stage, ending: Option<&str>) -> Vec<String> {
    let refused = stage.proxy.calls().into_iter().filter(|call| call.answer == Some(Answer::Real(403)));
    refused.filter(|call| Some(call.namespace.as_str()) != ending).map(|call| call.to_string()).collect()
}

/// What was done so far, as [`Grant::rights`] name it. What is applied and was not there is created.
fn used(stage: &Stage) -> BTreeSet<String> {
    let done = stage.proxy.calls().into_iter().flat_map(|call| {
        let what = match call.subresource.as_str() {
            "" => call.resource.clone(),
            subresource => format!("{}/{subresource}", call.resource),
        };
        let made = (call.verb == "patch" && call.answer == Some(Answer::Real(201))).then(|| format!("create {what}"));
        [Some(format!("{} {what}", call.verb)), made]
    });
    done.flatten().collect()
}

/// What other tests show to be used, and this one may or may not: the key of the tokens is made where there is none, and
/// read, by the pod of the chart; here the operator has it in a file. An Event that comes again within minutes is counted
/// up, which is for the machine's speed to say.
const ELSEWHERE: [&str; 3] = ["create secrets", "get secrets", "patch events"];

/// Makes, changes and takes away everything that an operator makes, changes and takes away.
fn whole_life(cluster: &Cluster, scope: Scope) {
    let mut granted = None;
    let stage = Stage::between(cluster, |mail, home| {
        let watched = format!("watchNamespaces={{{}}}", mail.name());
        let values: &[&str] = match scope {
            Scope::Everywhere => &[],
            Scope::Listed => &[&watched],
        };
        granted = Some(Grant::new(cluster, home.name(), mail.name(), values));
        Proxy::start_as(cluster, Some(&account(home.name())))
    });
    let mut options = stage.options();
    if scope == Scope::Everywhere {
        options.watch = None;
    }
    let operator = stage.operator_by(options);
    let place = Place::new();
    let _primary = ScriptedPrimary::down(&place);
    stage.mail.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: people}, data: {list: bob}}");
    let recipients = "  acceptance: {recipients: {mode: List, configMapRef: {name: people, key: list}}}\n";
    let two = resource_for("example", "example.org", place.primary(), recipients);
    let two = two.replace("hostname: mx1.example.org", "hostname: mx1.example.org, addresses: [192.0.2.10]");
    let b = "relays: [{name: b, hostname: mx2.example.org, addresses: [192.0.2.20]}, ";
    stage.mail.apply(&two.replace("relays: [", b));
    let relays = [stage.relay("example", "a"), stage.relay("example", "b")];
    let pods = relays.each_ref().map(|relay| PodRelay::start(&stage.mail, relay));
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    wait_until("they are kept apart", LONG, || stage.mail.names::<PodDisruptionBudget>().len() == 1);

    // A domain comes, mail is flushed, and one relay leaves.
    let flush = json!({"metadata": {"annotations": {"backupmx.io/flush": "now"}}});
    stage.mail.apply(&two.replace("[example.org]", "[example.org, example.net]"));
    stage.mail.merge::<BackupMX>("example", &flush);
    stage.wait_phase_and_let_time_pass(&relays[1], "Waiting");
    stage.wait_let_go(&relays[1]);
    stage.assert_nothing_left(&relays[1]);
    stage.mail.wait("example", "has flushed", LONG, |object: &BackupMX| {
        object.status.as_ref().and_then(|status| status.last_handled_flush.as_deref()) == Some("now")
    });
    wait_until("one relay needs no budget", LONG, || stage.mail.names::<PodDisruptionBudget>().is_empty());

    // Another comes too late, is told so, and goes.
    stage.mail.apply(&resource("younger", "example.org", "  deletionPolicy: Discard\n").replace("mx1.", "mx3."));
    stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    stage.mail.wait_event("younger", "Warning", "DomainConflict", LONG);
    let third = stage.relay("younger", "a");
    stage.mail.delete::<BackupMX>("younger");
    stage.wait_phase_and_let_time_pass(&third, "Waiting");
    stage.wait_let_go(&third);
    stage.mail.wait_gone::<BackupMX>("younger", LONG);
    wait_until("nothing of it is left", LONG, || stage.mail.names::<ServiceAccount>().len() == 1);
    assert_eq!(forbidden(&stage, None), Vec::<String>::new());

    // The namespace goes while mail is held in it.
    stage.hand_in_one(&pods[0], "example");
    let path = format!("/api/v1/namespaces/{}", stage.mail.name());
    stage.mail.kube().request("DELETE", &path, &json!({})).unwrap();
    stage.mail.delete::<PersistentVolumeClaim>(&relays[0]);
    let events: Api<Event> = stage.mail.kube().api("default");
    wait_until("it is told", 2 * LONG, || {
        let all = stage.mail.kube().run(events.list(&ListParams::default())).unwrap();
        let about = |event: &Event| event.regarding.as_ref().and_then(|about| about.name.clone());
        all.items.iter().any(|event| {
            event.reason.as_deref() == Some("NamespaceTerminating")
                && about(event).as_deref() == Some(stage.mail.name())
        })
    });
    assert_eq!(forbidden(&stage, Some(stage.mail.name())), Vec::<String>::new());
    let used = used(&stage);
    let rights = granted.as_ref().map(|grant| grant.rights.clone()).unwrap_or_default();
    let is_idle = |right: &&String| !used.contains(*right) && !ELSEWHERE.contains(&right.as_str());
    assert_eq!(rights.iter().filter(is_idle).collect::<Vec<_>>(), Vec::<&String>::new(), "rights that nothing uses");
    assert!(ELSEWHERE.iter().all(|right| rights.contains(*right)), "it is not granted any more: {ELSEWHERE:?}");
    let log = operator.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("is forbidden: User")).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn in_listed_namespaces_are_enough() {
    whole_life(Cluster::control_plane(), Scope::Listed);
}

#[test]
fn in_all_namespaces_are_enough() {
    // It would look after the resources of all other tests too.
    whole_life(&Cluster::disturbed(), Scope::Everywhere);
}
