//! Nothing is uninstalled while mail would be stranded.

use std::net::SocketAddr;

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, Mail, Smtp, cluster::Namespace, wait_value};
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

    let refused = release.helm(&["uninstall", "backupmx", "--timeout=60s"]);
    assert!(!refused.ok, "{}", refused.text);
    let said = format!("relay a of {}/example holds a message", mail.name());
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
