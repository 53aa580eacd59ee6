//! Install, `helm test`, upgrade, uninstall, and install again.

use backupmx_tests::cluster::Cluster;
use k8s_openapi::api::core::v1::Secret;

use crate::common::{Release, cluster};

/// Takes the definition away, as Helm takes over none that is another's. Resources that a test which was killed has left
/// would keep it by their finalizers.
pub(crate) fn undefine(cluster: &Cluster) {
    let left = cluster.kubectl(&[
        "get",
        "backupmx",
        "-A",
        r#"-o=jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\n"}{end}"#,
    ]);
    for (namespace, name) in left.out.lines().filter_map(|line| line.split_once(' ')) {
        cluster.kubectl(&["delete", "backupmx", name, "-n", namespace, "--wait=false"]);
        cluster.kubectl(&[
            "patch",
            "backupmx",
            name,
            "-n",
            namespace,
            "--type=merge",
            r#"-p={"metadata":{"finalizers":null}}"#,
        ]);
    }
    let gone = cluster.kubectl(&["delete", "crd", "backupmxes.backupmx.io", "--ignore-not-found", "--timeout=60s"]);
    assert!(gone.ok, "{}", gone.text);
}

fn key(release: &Release) -> Vec<u8> {
    let secret: Secret = release.home.get("backupmx-master-key").expect("the operator made its key");
    secret.data.unwrap().remove("key").unwrap().0
}

#[test]
fn comes_is_upgraded_goes_and_comes_again() {
    let (cluster, _mine) = cluster();
    undefine(cluster);
    let release = Release::install(cluster, &[]);
    let first = key(&release);
    assert_eq!(first.len(), 32);

    let tested = release.helm(&["test", "backupmx", "--timeout=120s"]);
    assert!(tested.ok, "{}", tested.text);
    assert!(tested.text.contains("leads"), "the test says what it saw: {}", tested.text);

    release.done("upgrade", &["replicas=1", "logLevel=debug"]);
    let replicas = release.kubectl(&["get", "deployment", "backupmx", "-o=jsonpath={.status.availableReplicas}"]);
    assert_eq!(replicas.out, "1");
    assert_eq!(key(&release), first, "the key outlives an upgrade");

    let gone = release.helm(&["uninstall", "backupmx", "--wait", "--timeout=60s"]);
    assert!(gone.ok, "{}", gone.text);
    assert_eq!(release.kubectl(&["get", "deployments,roles,jobs", "-o=name"]).out, "");
    assert!(cluster.kubectl(&["get", "crd", "backupmxes.backupmx.io"]).ok, "the definition stays");
    assert_eq!(key(&release), first, "the key stays");

    release.done("install", &["crds.keep=false"]);
    release.assert_nothing_was_forbidden();
    let gone = release.helm(&["uninstall", "backupmx", "--wait", "--timeout=60s"]);
    assert!(gone.ok, "{}", gone.text);
    assert!(!cluster.kubectl(&["get", "crd", "backupmxes.backupmx.io"]).ok, "crds.keep=false takes it away");
    cluster.define();
}
