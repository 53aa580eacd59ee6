//! Who may view or edit a namespace may do so with its BackupMX resources.

use backupmx_tests::{SHORT, wait_until};
use serde_json::json;

use crate::common::{cluster, of_kind, rendered};

#[test]
fn get_their_rights_from_the_cluster_s_own_roles() {
    let (cluster, _mine) = cluster();
    cluster.define();
    let mail = cluster.namespace("people");
    for role in of_kind(&rendered(&["fullnameOverride=people"]), "ClusterRole") {
        if role["metadata"]["labels"].to_string().contains("aggregate-to-") {
            cluster.kube().try_apply("", role).unwrap();
        }
    }
    for role in ["view", "edit"] {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("{role}er")}],
        });
        mail.apply(&binding.to_string());
    }
    let may = |who: &str, verb: &str| {
        let asked = ["auth", "can-i", verb, "backupmxes.backupmx.io", "--as", who, "--namespace", mail.name()];
        cluster.kubectl(&asked).out.trim() == "yes"
    };
    wait_until("the cluster has taken the roles in", SHORT, || may("viewer", "list") && may("editer", "create"));
    for verb in ["create", "patch", "delete"] {
        assert!(!may("viewer", verb), "a viewer may {verb}");
        assert!(may("editer", verb), "an editor may not {verb}");
    }
    assert!(!may("stranger", "list"));
}
