//! An operator for listed namespaces only, with a key of one's own.

use backupmx_crds::BackupMX;
use backupmx_tests::LONG;
use serde_json::json;

use crate::common::{Release, cluster, resource};

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
}
