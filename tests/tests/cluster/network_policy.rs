//! Who reaches a relay: mail comes from anywhere, the admin API is the operator's, the metrics are the scraper's.
//!
//! The operator is the chart's, and all pods and namespaces are real. The network of the test cluster enforces nothing,
//! so the rules are read here as the API defines them.

use std::collections::BTreeMap;

use backupmx_tests::{cluster::Namespace, wait_value};
use k8s_openapi::{
    api::{
        core::v1::{self, Pod},
        networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::stage::{PATIENCE, Stage, cluster};

type Labels = BTreeMap<String, String>;

/// Who knocks.
enum Client<'a> {
    /// Somebody outside the cluster.
    Stranger,
    /// A pod, by the labels of its namespace and its own.
    Pod(&'a Labels, &'a Labels),
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    assert!(selector.match_expressions.is_none(), "only labels are matched here: {selector:?}");
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
}

fn is_meant(peer: &NetworkPolicyPeer, client: &Client<'_>) -> bool {
    assert!(peer.ip_block.is_none() && peer.namespace_selector.is_some(), "{peer:?}");
    let Client::Pod(namespace, pod) = client else { return false };
    peer.namespace_selector.as_ref().is_some_and(|selector| selects(selector, namespace))
        && peer.pod_selector.as_ref().is_none_or(|selector| selects(selector, pod))
}

fn lets_in(policy: &NetworkPolicy, port: i32, client: &Client<'_>) -> bool {
    let opens = |rule: &&NetworkPolicyIngressRule| {
        let mut ports = rule.ports.iter().flatten();
        ports.any(|one| {
            one.port == Some(IntOrString::Int(port)) && one.end_port.is_none() && one.protocol.as_deref() == Some("TCP")
        })
    };
    let mut rules = policy.spec.iter().flat_map(|spec| spec.ingress.iter().flatten());
    rules.any(|rule| {
        opens(&rule) && rule.from.as_ref().is_none_or(|peers| peers.iter().any(|peer| is_meant(peer, client)))
    })
}

/// The chart's operator in the stage's namespace, in place of the stage's own. Uninstalled when this is dropped.
struct Release<'a>(&'a Stage);

impl<'a> Release<'a> {
    #[track_caller]
    fn install(stage: &'a Stage, values: &[&str]) -> Self {
        let release = Self(stage);
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/backupmx");
        let values = values.iter().flat_map(|value| ["--set", value]);
        let arguments: Vec<&str> =
            ["install", "backupmx", chart, "--wait", "--timeout=120s"].into_iter().chain(values).collect();
        let (done, text) = release.helm(&arguments);
        assert!(done, "helm install: {text}");
        release
    }

    fn helm(&self, arguments: &[&str]) -> (bool, String) {
        let output = cluster().program("helm", &[arguments, &["--namespace", self.0.home.name()]].concat());
        (output.ok, output.text)
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.helm(&["uninstall", "backupmx", "--no-hooks", "--ignore-not-found", "--wait"]);
    }
}

fn pod_of(namespace: &Namespace, program: &str) -> Pod {
    wait_value(&format!("{program} has a pod with an address"), PATIENCE, || {
        namespace.list::<Pod>().into_iter().find(|pod| {
            pod.labels().get("app.kubernetes.io/name").map(String::as_str) == Some(program)
                && pod.status.as_ref().is_some_and(|status| status.pod_ip.is_some())
        })
    })
}

fn port(pod: &Pod, name: &str) -> i32 {
    let containers = &pod.spec.as_ref().unwrap().containers;
    let mut ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports.find(|port| port.name.as_deref() == Some(name)).expect("the pod has such a port").container_port
}

#[test]
fn only_mail_is_for_everybody() {
    let mut stage = Stage::new("policy");
    stage.operator().stop();
    cluster().script("images", &[]);
    let watched = format!("watchNamespaces={{{}}}", stage.mail.name());
    let release = Release::install(
        &stage,
        &[&watched, "image.tag=test", "image.pullPolicy=Never", "crds.enabled=false", "replicas=1"],
    );
    stage.apply(&json!({}));
    let (relay, operator) = (pod_of(&stage.mail, "backupmx-relay"), pod_of(&stage.home, "backupmx-operator"));
    let [smtp, api, metrics] = ["smtp", "api", "health"].map(|name| port(&relay, name));

    let policies = stage.mail.list::<NetworkPolicy>();
    let selected = |policy: &&NetworkPolicy| {
        policy.spec.iter().filter_map(|spec| spec.pod_selector.as_ref()).any(|one| selects(one, relay.labels()))
    };
    let [policy] = policies.iter().filter(selected).collect::<Vec<_>>()[..] else {
        panic!("the relay's pod has one policy: {policies:#?}")
    };
    let another = Labels::from([("app.kubernetes.io/name".to_owned(), "backupmx-relay".to_owned())]);
    let selector = policy.spec.as_ref().unwrap().pod_selector.as_ref().unwrap();
    assert!(!selects(selector, &another), "the relays of another resource have a policy of their own");
    assert_eq!(policy.spec.as_ref().unwrap().policy_types.as_deref(), Some(&["Ingress".to_owned()][..]));

    let namespaces: Api<v1::Namespace> = Api::all(stage.mail.kube().client());
    let labels = |name: &str| stage.mail.kube().run(namespaces.get(name)).unwrap().labels().clone();
    let (home, mail) = (labels(stage.home.name()), labels(stage.mail.name()));
    let monitoring = Labels::from([("purpose".to_owned(), "monitoring".to_owned())]);
    let prometheus = Labels::from([("app.kubernetes.io/name".to_owned(), "prometheus".to_owned())]);
    for (who, client, wanted) in [
        ("somebody outside", Client::Stranger, [true, false, false]),
        ("the operator", Client::Pod(&home, operator.labels()), [true, true, false]),
        ("a pod beside the operator", Client::Pod(&home, &monitoring), [true, false, false]),
        ("a pod elsewhere that says it is the operator", Client::Pod(&mail, operator.labels()), [true, false, false]),
        ("a relay", Client::Pod(&mail, relay.labels()), [true, false, false]),
        ("another pod of the monitoring", Client::Pod(&monitoring, &another), [true, false, false]),
        ("Prometheus", Client::Pod(&monitoring, &prometheus), [true, false, true]),
    ] {
        assert_eq!([smtp, api, metrics].map(|port| lets_in(policy, port, &client)), wanted, "{who}");
        assert!(!lets_in(policy, 8443, &client), "{who} reaches no other port");
    }
    let own: NetworkPolicy = stage.home.get("backupmx").expect("the operator has a policy");
    let metrics = port(&operator, "http");
    for (who, client, wanted) in [
        ("somebody outside", Client::Stranger, false),
        ("another pod of the monitoring", Client::Pod(&monitoring, &another), false),
        ("a relay", Client::Pod(&mail, relay.labels()), false),
        ("Prometheus", Client::Pod(&monitoring, &prometheus), true),
    ] {
        assert_eq!(lets_in(&own, metrics, &client), wanted, "{who} at the operator");
    }
    // The operator really asks through the API's port: it says what the relay does.
    stage.wait_reason("RelaysReady", "True", "AllReady");
    drop(release);
}
