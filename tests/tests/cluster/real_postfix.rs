//! Postfix as the primary, outside the cluster and in a pod of it: what comes while it is up goes on to it at once, and
//! it has what was held when it is back.

use std::fs;

use backupmx_tests::{Mail, Place, Postfix, Role, cluster::POD_SECURITY, wait_until};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::{Value, json};

use crate::stage::{PATIENCE, Stage};

/// Postfix, not started yet, as the primary of the stage's domain.
fn postfix(place: &Place, stage: &Stage, address: std::net::SocketAddr) -> Postfix {
    let postfix = Postfix::make(place, address, Role::Primary);
    postfix.set("virtual_mailbox_domains", stage.domain());
    postfix.set("inet_interfaces", "all");
    postfix
}

/// Waits until Postfix has these messages, each once, as they were sent.
#[track_caller]
fn wait_mailbox(postfix: &Postfix, sent: &[Mail]) {
    wait_until("Postfix has the mail", PATIENCE, || postfix.count() >= sent.len());
    let arrived = postfix.mailbox();
    assert_eq!(arrived.len(), sent.len());
    for mail in sent {
        let id = mail.id();
        let of = |message: &&Vec<u8>| String::from_utf8_lossy(message).contains(&id);
        let message = arrived.iter().find(of).unwrap_or_else(|| panic!("{id} is not there"));
        // In a mailbox lines have no CR, and trace fields stand on top.
        let text = String::from_utf8_lossy(message).replace('\n', "\r\n");
        assert!(text.as_bytes().ends_with(&mail.content), "{text}");
    }
}

#[test]
fn one_outside_the_cluster() {
    let (place, stage) = (Place::new(), Stage::new("postfix"));
    let mut postfix = postfix(&place, &stage, stage.primary_address());
    stage.publish(&json!({}));
    let mut sent = stage.send("a", 3);
    stage.wait_reason("PrimaryReachable", "False", "Down");
    postfix.start_again();
    wait_mailbox(&postfix, &sent);
    sent.extend(stage.send("a", 1));
    wait_mailbox(&postfix, &sent);
    postfix.stop();
    sent.extend(stage.send("a", 2));
    postfix.start_again();
    wait_mailbox(&postfix, &sent);
    let encrypted = |message: &Vec<u8>| String::from_utf8_lossy(message).contains("with ESMTPS");
    assert!(postfix.mailbox().iter().all(encrypted), "STARTTLS is used where it is offered");
}

/// Runs this machine's Postfix in a pod: its files are the node's.
fn deployment(postfix: &Postfix) -> Value {
    let own = postfix.folder().display().to_string();
    let folders = [
        ("usr", "/usr", "/usr"),
        ("bin", "/usr/bin", "/bin"),
        ("sbin", "/usr/sbin", "/sbin"),
        ("lib", "/usr/lib", "/lib"),
        ("lib64", "/usr/lib64", "/lib64"),
        ("etc", "/etc", "/etc"),
    ];
    let folders = folders.into_iter().filter(|(_, path, _)| fs::exists(path).unwrap_or(false));
    let (mut volumes, mut mounts): (Vec<_>, Vec<_>) = folders
        .map(|(name, path, at)| {
            let mount = json!({"name": name, "mountPath": at, "readOnly": true});
            (json!({"name": name, "hostPath": {"path": path}}), mount)
        })
        .unzip();
    volumes.push(json!({"name": "own", "hostPath": {"path": own}}));
    mounts.push(json!({"name": "own", "mountPath": own}));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "primary"},
        "spec": {
            "replicas": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "primary"}},
            "template": {
                "metadata": {"labels": {"app": "primary"}},
                "spec": {
                    "containers": [{
                        "name": "postfix",
                        // Nothing of the image is used but that it is there.
                        "image": "localhost/pause:1",
                        "imagePullPolicy": "Never",
                        "command": ["/usr/sbin/postfix", "-c", format!("{own}/etc"), "start-fg"],
                        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
                        "readinessProbe": {"tcpSocket": {"port": 25}, "periodSeconds": 1},
                        "volumeMounts": mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    })
}

#[test]
fn one_in_the_cluster() {
    let (place, stage) = (Place::new(), Stage::new("inside"));
    let postfix = postfix(&place, &stage, ([0, 0, 0, 0], 25).into());
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "primary"},
        "spec": {"selector": {"app": "primary"}, "ports": [{"name": "smtp", "port": 25}]},
    });
    // Postfix is root here and its files are the node's, which no restricted pod may have.
    stage.kubectl(&["label", "--overwrite", "namespace", stage.mail.name(), &format!("{POD_SECURITY}=privileged")]);
    stage.mail.apply(&deployment(&postfix).to_string());
    stage.mail.apply(&service.to_string());
    let primary = json!({
        "hosts": null,
        "serviceRef": {"name": "primary", "port": 25},
        "mx": [{"host": format!("mail.{}", stage.domain())}],
    });
    // Without being told the relay would not look for an hour.
    stage.publish(&json!({"primary": primary, "delivery": {"retry": {"min": "1h", "max": "1h"}}}));
    let mut sent = stage.send("a", 3);
    stage.wait_reason("PrimaryReachable", "False", "Down");
    let scale = |replicas: u8| stage.mail.merge::<Deployment>("primary", &json!({"spec": {"replicas": replicas}}));
    scale(1);
    wait_mailbox(&postfix, &sent);
    sent.extend(stage.send("a", 1));
    wait_mailbox(&postfix, &sent);

    scale(0);
    wait_until("its pod is gone", PATIENCE, || {
        let of = |pod: &Pod| pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("app"));
        !stage.mail.list::<Pod>().iter().any(of)
    });
    sent.extend(stage.send("a", 2));
    stage.wait_reason("PrimaryReachable", "False", "Down");
    scale(1);
    wait_mailbox(&postfix, &sent);
}
