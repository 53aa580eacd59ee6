//! `helm upgrade` to a newer chart and other images, and `helm rollback`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Received, ScriptedPrimary, Smtp,
    cluster::{Cluster, Namespace},
    run, wait_until,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::ResourceExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::{Release, chart, cluster, documents_of},
    lifecycle::undefine,
};

const RELAYS: [&str; 2] = ["a", "b"];
/// The port of relays in their pods.
const SMTP: u16 = 2525;

fn relay_of(pod: &Pod) -> Option<&str> {
    pod.labels().get("backupmx.io/relay").map(String::as_str)
}

/// Whether a pod takes mail, as its Service has it.
fn takes_mail(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
}

/// The image of a pod's container.
fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

/// All that happens to the relays' pods of a namespace, each change being seen.
struct Watch {
    kubectl: Child,
    seen: tempfile::NamedTempFile,
}

impl Watch {
    fn begin(cluster: &Cluster, mail: &Namespace) -> Self {
        let seen = tempfile::NamedTempFile::new().unwrap();
        let mut kubectl: Command =
            cluster.command("kubectl", &["get", "pods", "--watch", "--output-watch-events", "-o=json"]);
        kubectl.args(["--namespace", mail.name(), "--selector=backupmx.io/relay"]);
        let kubectl = kubectl.stdout(File::create(seen.path()).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        Self { kubectl, seen }
    }

    /// After each change that was seen: which pods of which relays took mail.
    fn end(mut self) -> Vec<BTreeMap<String, String>> {
        self.kubectl.kill().unwrap();
        self.kubectl.wait().unwrap();
        let text = std::fs::read_to_string(self.seen.path()).unwrap();
        // The last one may be cut.
        let events = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map_while(Result::ok);
        let mut open = BTreeMap::new();
        let after = |event: Value| {
            let pod: Pod = serde_json::from_value(event["object"].clone()).unwrap();
            if event["type"] != "DELETED" && takes_mail(&pod) {
                open.insert(pod.name_any(), relay_of(&pod).unwrap().to_owned());
            } else {
                open.remove(&pod.name_any());
            }
            open.clone()
        };
        events.map(after).collect()
    }
}

/// Waits until every relay's pod has that tag and takes mail.
#[track_caller]
fn wait_relays(mail: &Namespace, tag: &str) {
    let wanted = format!("localhost/backupmx-relay:{tag}");
    wait_until(&format!("both relays run {tag}"), 3 * LONG, || {
        let pods = mail.list::<Pod>();
        let runs = |pod: &&Pod| image(pod) == Some(wanted.as_str()) && takes_mail(pod);
        RELAYS.iter().all(|relay| pods.iter().filter(runs).any(|pod| relay_of(pod) == Some(relay)))
    });
}

/// A message for each relay, which it holds.
#[track_caller]
fn send(mail: &Namespace) -> Vec<Mail> {
    let pods = mail.list::<Pod>();
    let address = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap().parse().unwrap();
    pods.iter()
        .map(|pod| {
            let message = Mail::to("bob@example.org");
            let reply = Smtp::session(SocketAddr::new(address(pod), SMTP)).mail(&message);
            assert_eq!(reply.code, 250, "{reply:?}");
            message
        })
        .collect()
}

/// A primary outside of the cluster, behind a Service of the namespace, and a BackupMX with two relays for it.
fn objects(primary: SocketAddr) -> String {
    let (address, port) = (primary.ip(), primary.port());
    let objects = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "primary"},
               "spec": {"ports": [{"port": 25, "targetPort": port}]}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
               "metadata": {"name": "primary", "labels": {"kubernetes.io/service-name": "primary"}},
               "addressType": "IPv4", "ports": [{"port": port}], "endpoints": [{"addresses": [address]}]}),
        json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "metadata": {"name": "example"},
        "spec": {
            "domains": ["example.org"],
            "primary": {"serviceRef": {"name": "primary", "port": 25}, "mx": [{"host": "mail.example.org"}]},
            "relays": RELAYS.map(|name| json!({"name": name, "hostname": format!("{name}.example.net")})),
            "storage": {"size": "320Mi"},
            "delivery": {"retry": {"min": "1s", "max": "2s"}},
        }}),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

/// A field that the definition of the older chart does not have.
const NEWER_FIELD: &str = "/spec/delivery/suspended";

/// The chart as it might have been before a field came.
fn older_chart() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = run(Command::new("cp").arg("-r").arg(chart().join(".")).arg(folder.path()));
    assert!(copied.ok, "{}", copied.text);
    let file = folder.path().join("files/backupmxes.yaml");
    let mut definition = documents_of("charts/backupmx/files/backupmxes.yaml").remove(0);
    let delivery = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/delivery";
    let delivery = definition.pointer_mut(delivery).unwrap();
    for fields in ["properties", "default"] {
        delivery[fields].as_object_mut().unwrap().remove("suspended").expect("the definition has the field");
    }
    fs::write(file, definition.to_string()).unwrap();
    folder
}

/// What a resource has in the field that is newer; none where the API server knows no such field.
fn newer_field(mail: &Namespace) -> Option<Value> {
    // Not by our types, which have the field whatever was sent.
    let path = format!("/apis/backupmx.io/v1alpha1/namespaces/{}/backupmxes/example", mail.name());
    mail.kube().request("GET", &path, &Value::Null).unwrap().pointer(NEWER_FIELD).cloned()
}

/// Waits until the operator has seen the resource as it is now.
#[track_caller]
fn wait_observed(mail: &Namespace) -> BackupMX {
    mail.wait("example", "was observed", LONG, |object: &BackupMX| {
        object.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation
    })
}

#[test]
fn relays_are_replaced_one_at_a_time_with_their_mail_and_back_again() {
    let (cluster, _mine) = cluster();
    undefine(cluster);
    cluster.script("images", &["--tag", "test-newer"]);
    let older = older_chart();
    let release = Release::install_of(cluster, older.path(), &["logLevel=debug", "maxRollouts=3"]);
    let mail = cluster.namespace("mail");
    let host = cluster.variable("BACKUPMX_CLUSTER_HOST").expect("a cluster with nodes has a host").parse().unwrap();
    let port = 20_000 + (std::process::id() % 10_000) as u16;
    let mut primary = ScriptedPrimary::at(SocketAddr::new(host, port));
    mail.apply(&objects(SocketAddr::new(host, port)));
    wait_relays(&mail, "test");
    let mut sent = send(&mail);
    let watch = Watch::begin(cluster, &mail);

    assert_eq!(newer_field(&mail), None);
    let chart = chart().display().to_string();
    let upgrade = ["upgrade", "backupmx", &chart, "--reuse-values", "--set=image.tag=test-newer"];
    let upgraded = release.helm(&[&upgrade[..], &["--wait", "--timeout=180s"]].concat());
    assert!(upgraded.ok, "{}\n{}", upgraded.text, release.log());
    let operator: Deployment = release.home.get("backupmx").unwrap();
    let container = serde_json::to_string(&operator.spec.unwrap().template.spec.unwrap().containers).unwrap();
    for kept in ["backupmx-operator:test-newer", "backupmx-relay:test-newer", "--max-rollouts=3", r#""value":"debug""#]
    {
        assert!(container.contains(kept), "{kept}: {container}");
    }
    wait_relays(&mail, "test-newer");
    // The definition came along, and what it brings is of use: nothing is delivered for now.
    let resource = mail.merge::<BackupMX>("example", &json!({"spec": {"delivery": {"suspended": true}}}));
    assert_eq!(newer_field(&mail), Some(json!(true)));
    wait_observed(&mail);
    sent.extend(send(&mail));

    let back = release.helm(&["rollback", "backupmx", "1", "--wait", "--timeout=180s"]);
    assert!(back.ok, "{}\n{}", back.text, release.log());
    wait_relays(&mail, "test");
    sent.extend(send(&mail));
    // The definition is the older one again. The resource is there, and read and looked after; what the definition does
    // not know, the resource does not have.
    assert_eq!(newer_field(&mail), None);
    let changed = mail.merge::<BackupMX>("example", &json!({"spec": {"hold": {"maxAge": "6d"}}}));
    assert_eq!(changed.uid(), resource.uid());
    wait_observed(&mail);

    let seen = watch.end();
    let both = |open: &BTreeMap<String, String>| RELAYS.iter().all(|relay| open.values().any(|one| one == relay));
    let since = seen.iter().position(both).expect("both relays took mail at the beginning");
    let gap = seen[since..].iter().position(BTreeMap::is_empty);
    assert_eq!(gap, None, "there was a moment in which no relay took mail: {seen:#?}");
    let pods: BTreeSet<&String> = seen.iter().flat_map(BTreeMap::keys).collect();
    assert_eq!(pods.len(), 3 * RELAYS.len(), "each relay was replaced twice: {pods:?}");

    primary.start();
    let mut arrived: Vec<String> = primary.wait_count(sent.len(), LONG).iter().map(Received::id).collect();
    let mut sent: Vec<String> = sent.iter().map(Mail::id).collect();
    arrived.sort();
    sent.sort();
    assert_eq!(arrived, sent);
    release.assert_nothing_was_forbidden();
    cluster.define();
}
