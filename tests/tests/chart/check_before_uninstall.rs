//! Nothing is uninstalled while mail would be stranded.

use std::net::SocketAddr;

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Smtp, cluster::Namespace, wait_until, wait_value};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::json;

use crate::common::{Release, cluster, resource};

/// Where the namespace's only relay takes mail, once it does.
fn relay(mail: &Namespace) -> SocketAddr {
    wait_value("a relay takes mail", LONG, || {
        let pod = mail.list::<Pod>().into_iter().next()?.status?;
        let ready = pod.conditions?.iter().any(|one| one.type_ == "Ready" && one.status == "True");
        Some(SocketAddr::new(pod.pod_ip?.parse().ok()?, 2525)).filter(|_| ready)
    })
}

fn held(object: &BackupMX) -> Option<u64> {
    Some(object.status.as_ref()?.queue.as_ref()?.messages)
}

#[test]
fn refuses_while_mail_is_held_and_leaves_queues_where_they_are() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let release = Release::install(cluster, &["crds.enabled=false", "replicas=1"]);
    let mail = cluster.namespace("mail");
    mail.apply(&resource("example", "example.org"));
    let door = relay(&mail);
    assert_eq!(Smtp::session(door).mail(&Mail::to("bob@example.org")).code, 250);
    // Looked at now, not in a minute.
    mail.merge::<BackupMX>("example", &json!({"metadata": {"annotations": {"look": "now"}}}));
    mail.wait("example", "holds a message", LONG, |object| held(object) == Some(1));
    mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);

    let refused = release.helm(&["uninstall", "backupmx", "--timeout=60s"]);
    assert!(!refused.ok, "{}", refused.text);
    let said = format!("relay a of {}/example holds 1 message", mail.name());
    assert!(refused.text.contains(&said), "{}", refused.text);
    assert!(refused.text.contains("--no-hooks"), "it says how to do it all the same: {}", refused.text);
    let operators = release.kubectl(&["get", "deployment", "backupmx", "-o=jsonpath={.status.availableReplicas}"]);
    assert_eq!(operators.out, "1", "the operator is there still");
    release.assert_nothing_was_forbidden();

    let forced = release.helm(&["uninstall", "backupmx", "--no-hooks", "--wait", "--timeout=60s"]);
    assert!(forced.ok, "{}", forced.text);
    assert_eq!(mail.names::<BackupMX>(), ["example"]);
    assert_eq!(mail.names::<PersistentVolumeClaim>().len(), 1, "the queue stays");
    assert_eq!(Smtp::session(door).mail(&Mail::to("bob@example.org")).code, 250, "the relay goes on without it");
}

#[test]
fn believes_no_operator_that_is_not_at_work() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let values = &["crds.enabled=false", "replicas=1"];
    let release = Release::install(cluster, values);
    let mail = cluster.namespace("mail");
    mail.apply(&resource("example", "example.org"));
    let door = relay(&mail);
    mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    mail.wait("example", "says that it holds nothing", LONG, |object| held(object) == Some(0));
    let gone = release.helm(&["uninstall", "backupmx", "--wait", "--timeout=90s"]);
    assert!(gone.ok, "a relay that holds nothing is in nobody's way: {}", gone.text);

    release.done("install", values);
    let scale = |count: &str| {
        let scaled = release.kubectl(&["scale", "deployment", "backupmx", &format!("--replicas={count}")]);
        assert!(scaled.ok, "{}", scaled.text);
    };
    scale("0");
    let operators =
        || release.kubectl(&["get", "pods", "--selector=app.kubernetes.io/name=backupmx-operator", "-o=name"]);
    wait_until("no operator is left", LONG, || operators().out.is_empty());
    assert_eq!(Smtp::session(door).mail(&Mail::to("bob@example.org")).code, 250);
    let refused = release.helm(&["uninstall", "backupmx", "--timeout=90s"]);
    assert_eq!(held(&mail.get("example").unwrap()), Some(0), "the status knows nothing of it");
    assert!(!refused.ok, "{}", refused.text);
    assert!(refused.text.contains("no operator is at work"), "{}", refused.text);
    assert!(refused.text.contains("--no-hooks"), "it says how to do it all the same: {}", refused.text);

    scale("1");
    mail.wait("example", "says that it holds a message", LONG + LONG, |object| held(object) == Some(1));
    let refused = release.helm(&["uninstall", "backupmx", "--timeout=90s"]);
    assert!(!refused.ok && refused.text.contains("holds 1 message"), "{}", refused.text);
    assert!(!refused.text.contains("no operator is at work"), "{}", refused.text);
    release.assert_nothing_was_forbidden();
}
