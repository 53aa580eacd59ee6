//! An operator for listed namespaces only, with a key of one's own, and with rules who may claim which domain.

use std::net::SocketAddr;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Smtp,
    cluster::{condition, reason},
    wait_value,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::common::{Release, cluster, resource};

/// Where a relay takes mail.
fn door(pod: &Pod) -> Option<SocketAddr> {
    Some(SocketAddr::new(pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?, 2525))
}

#[test]
fn looks_after_the_listed_namespaces_with_rights_in_no_other() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let (watched, other) = (cluster.namespace("watched"), cluster.namespace("other"));
    for (mail, domain) in [(&watched, "one.example"), (&other, "two.example")] {
        mail.apply(&resource("example", domain));
    }
    let values = [format!("watchNamespaces={{{}}}", watched.name()), "crds.enabled=false".into(), "replicas=1".into()];
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let release = Release::install(cluster, &values);
    watched.wait("example", "has relays", LONG, |object: &BackupMX| {
        object.status.as_ref().is_some_and(|status| status.relays.iter().any(|relay| relay.ready))
    });
    assert!(other.names::<k8s_openapi::api::apps::v1::Deployment>().is_empty());
    release.assert_nothing_was_forbidden();
    let tested = release.helm(&["test", "backupmx", "--timeout=120s"]);
    assert!(tested.ok, "{}", tested.text);

    // One's own key, and with it no right to any Secret.
    let own = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"},
                     "stringData": {"secret": "0123456789abcdef0123456789abcdef"}});
    release.home.apply(&own.to_string());
    let key = ["masterKey.existingSecret=own", "masterKey.key=secret"];
    release.done("upgrade", &[&values[..], &key[..]].concat());
    let account = format!("system:serviceaccount:{}:backupmx", release.home.name());
    for verb in ["get", "list", "create"] {
        let may = release.kubectl(&["auth", "can-i", verb, "secrets", "--as", &account]);
        assert_eq!(may.out.trim(), "no", "{verb}");
    }
    release.assert_nothing_was_forbidden();

    let relay = wait_value("the relay has an address", LONG, || watched.list::<Pod>().iter().find_map(door));
    let rules = [
        format!("allowedDomains[0].namespaces={{{}}}", watched.name()),
        "allowedDomains[0].domains={one.example,four.example}".into(),
        "allowedDomains[0].hostnames={mx1.one.example}".into(),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    release.done("upgrade", &[&values[..], &key[..], &rules[..]].concat());
    watched.apply(&resource("outside", "three.example"));
    let outside = watched.wait_condition("outside", "DomainConflict", "True", "NotAllowed", LONG);
    let message = condition(&outside, "DomainConflict").unwrap().message;
    assert!(message.contains("allowedDomains") && message.contains("three.example"), "{message}");
    let named = resource("named", "four.example").replace("mx1.four.example", "login.corp.example");
    watched.apply(&named);
    let named = watched.wait_condition("named", "HostnameConflict", "True", "NotAllowed", LONG);
    assert_eq!(reason(&named, "DomainConflict"), ("False".into(), "NoConflict".into()));
    let message = condition(&named, "HostnameConflict").unwrap().message;
    assert!(message.contains("login.corp.example") && message.contains("allowedDomains"), "{message}");
    // Looked at by the operator that has the rules.
    let changed: BackupMX = watched.merge("example", &json!({"spec": {"delivery": {"retry": {"min": "2m"}}}}));
    let inside = watched.wait("example", "was observed", LONG, |object: &BackupMX| {
        object.status.as_ref().and_then(|status| status.observed_generation) == changed.metadata.generation
    });
    for kind in ["DomainConflict", "HostnameConflict"] {
        assert_eq!(reason(&inside, kind), ("False".into(), "NoConflict".into()), "{kind}");
    }
    assert_eq!(Smtp::session(relay).mail(&Mail::to("bob@one.example")).code, 250);
}
