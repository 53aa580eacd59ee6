//! `check-uninstall`: whether mail would be stranded if the operator went now.
//!
//! Relays need no operator to hold mail and to hand it over. But nobody retires a relay without one, and a claim that
//! holds mail could never be deleted.

use std::{collections::BTreeMap, fmt};

use backupmx_crds::{BackupMX, BackupMXStatus, dnsendpoint::DNSEndpoint};
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, Resource, ResourceExt, api::ListParams, core::DeserializeGuard};
use serde::de::DeserializeOwned;

use super::client;
use crate::labels;

/// Look whether the operator may go: fail where mail would be stranded, and say what to do.
#[derive(Clone, Debug, Args)]
pub struct CheckUninstallArgs {
    /// A namespace that the operator watches. May be given more than once, or with commas between. Default: all.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// The operator's own namespace, where the MX records are.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: Option<String>,
    /// What becomes of the custom resource definitions.
    #[arg(long, value_enum, default_value_t = Definitions::Keep)]
    pub definitions: Definitions,
}

/// What becomes of the custom resource definitions when the chart goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Definitions {
    /// They stay, and so do the resources.
    Keep,
    /// They go, and every BackupMX is deleted with them.
    Delete,
}

/// Why the operator must not go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    /// A relay holds mail.
    Holds { resource: String, relay: String, messages: u64 },
    /// A relay does not say what it holds.
    Unknown { resource: String, relay: String },
    /// A volume may hold mail, and its BackupMX is gone.
    LeftBehind { claim: String, resource: String },
    /// A BackupMX is being deleted, which takes the operator.
    Leaving { resource: String },
    /// A BackupMX would be deleted with its definition, and nobody would be there to retire its relays.
    Defined { resource: String },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds { resource, relay, messages: 1 } => write!(f, "relay {relay} of {resource} holds a message"),
            Self::Holds { resource, relay, messages } => {
                write!(f, "relay {relay} of {resource} holds {messages} messages")
            }
            Self::Unknown { resource, relay } => write!(f, "relay {relay} of {resource} does not say what it holds"),
            Self::LeftBehind { claim, resource } => {
                write!(f, "claim {claim} may hold mail, and its BackupMX {resource} is gone")
            }
            Self::Leaving { resource } => {
                write!(f, "{resource} is being deleted, which takes the operator; wait until it is gone")
            }
            Self::Defined { resource } => write!(
                f,
                "{resource} would be deleted with its definition (crds.keep is false); delete it first, and wait until \
                 it is gone"
            ),
        }
    }
}

const ADVICE: &str = "\
Held mail is delivered when its primary is back: kubectl get backupmxes -A shows what waits.
To try at once:    kubectl -n NAMESPACE annotate backupmx NAME backupmx.io/flush=\"$(date)\" --overwrite
To give mail up:   kubectl -n NAMESPACE annotate pvc CLAIM backupmx.io/release=discard
To uninstall all the same: helm uninstall --no-hooks, or set uninstallCheck.enabled to false. Relays and their volumes \
stay, and go on as they are; a claim that may hold mail cannot be deleted until the operator is back.";

/// Looks at the cluster. What to tell a person where nothing is in the way.
///
/// # Errors
/// Mail would be stranded, or the API server does not answer.
pub async fn run(args: &CheckUninstallArgs) -> anyhow::Result<String> {
    let client = client().await?;
    let everything = ListParams::default();
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/managed-by={}", labels::MANAGER));
    let resources: Vec<DeserializeGuard<BackupMX>> = match list(&client, &args.watch_namespaces, &everything).await {
        Ok(resources) => resources,
        // No definition, no resource.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => anyhow::bail!("failed to list BackupMX resources: {error}"),
    };
    let claims: Vec<PersistentVolumeClaim> = list(&client, &args.watch_namespaces, &ours)
        .await
        .map_err(|error| anyhow::anyhow!("failed to list claims: {error}"))?;
    let notice = match &args.namespace {
        Some(namespace) => notice(namespace, published(&client, namespace).await?),
        None => String::new(),
    };
    let obstacles = obstacles(&resources, &claims, args.definitions);
    if obstacles.is_empty() {
        let stay = resources.len();
        return Ok(format!("no mail would be stranded; {stay} BackupMX resources stay as they are{notice}"));
    }
    let lines: Vec<String> = obstacles.iter().map(|obstacle| format!("- {obstacle}\n")).collect();
    anyhow::bail!("mail would be stranded if the operator went now:\n{}{ADVICE}{notice}", lines.concat())
}

/// How many domains have their MX records in DNSEndpoints of a namespace.
async fn published(client: &Client, namespace: &str) -> anyhow::Result<usize> {
    let records =
        format!("app.kubernetes.io/managed-by={},{}={}", labels::MANAGER, labels::RECORDS, labels::RECORDS_MX);
    let api: Api<DNSEndpoint> = Api::namespaced(client.clone(), namespace);
    match api.list_metadata(&ListParams::default().labels(&records)).await {
        Ok(found) => Ok(found.items.len()),
        // No definition, no record.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(0),
        Err(error) => anyhow::bail!("failed to list DNSEndpoints: {error}"),
    }
}

/// What a person must know who deletes the namespace next.
fn notice(namespace: &str, domains: usize) -> String {
    let whose = match domains {
        0 => return String::new(),
        1 => "the MX records of a domain, its primary's among them, are".to_owned(),
        _ => format!("the MX records of {domains} domains, their primaries' among them, are"),
    };
    format!(
        "\nDo not delete the namespace {namespace}: {whose} in DNSEndpoints there. External-dns with --policy=sync would \
         take all of them out of DNS, and no mail would find these domains. To move away from external-dns first, stop \
         it, and take over the records by hand."
    )
}

async fn list<K>(client: &Client, namespaces: &[String], which: &ListParams) -> Result<Vec<K>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + fmt::Debug + DeserializeOwned,
{
    if namespaces.is_empty() {
        return Ok(Api::all(client.clone()).list(which).await?.items);
    }
    let mut all = Vec::new();
    for namespace in namespaces {
        all.extend(Api::namespaced(client.clone(), namespace).list(which).await?.items);
    }
    Ok(all)
}

fn obstacles(
    resources: &[DeserializeGuard<BackupMX>],
    claims: &[PersistentVolumeClaim],
    definitions: Definitions,
) -> Vec<Obstacle> {
    let known: BTreeMap<String, Option<&BackupMXStatus>> = resources
        .iter()
        .map(|guard| (full_name(guard), guard.0.as_ref().ok().and_then(|resource| resource.status.as_ref())))
        .collect();
    let held = claims
        .iter()
        .filter(|claim| claim.finalizers().iter().any(|finalizer| finalizer == labels::HELD_MAIL))
        .filter_map(|claim| holds(claim, &known));
    let leaving = resources.iter().filter_map(|guard| {
        let resource = full_name(guard);
        match (guard.meta().deletion_timestamp.is_some(), definitions) {
            (true, _) => Some(Obstacle::Leaving { resource }),
            (false, Definitions::Delete) => Some(Obstacle::Defined { resource }),
            (false, Definitions::Keep) => None,
        }
    });
    held.chain(leaving).collect()
}

fn holds(claim: &PersistentVolumeClaim, known: &BTreeMap<String, Option<&BackupMXStatus>>) -> Option<Obstacle> {
    let resource = claim.annotations().get(labels::OWNER).cloned().unwrap_or_default();
    let relay = claim.labels().get(labels::RELAY).cloned().unwrap_or_default();
    let Some(status) = known.get(&resource) else {
        return Some(Obstacle::LeftBehind { claim: full_name(claim), resource });
    };
    let said = status.and_then(|status| status.relays.iter().find(|one| one.name == relay));
    match said.and_then(|said| said.queue.as_ref()) {
        Some(queue) if queue.messages == 0 => None,
        Some(queue) => Some(Obstacle::Holds { resource, relay, messages: queue.messages }),
        None => Some(Obstacle::Unknown { resource, relay }),
    }
}

fn full_name<K: Resource>(object: &K) -> String {
    format!(
        "{}/{}",
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource(name: &str, relays: Value, deleted: Option<&str>) -> DeserializeGuard<BackupMX> {
        let text = json!({
            "apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX",
            "metadata": {"name": name, "namespace": "mail", "deletionTimestamp": deleted},
            "spec": {
                "domains": ["example.org"],
                "primary": {"hosts": [{"host": "mail.example.org"}]},
                "relays": [{"name": "a", "hostname": "mx1.example.net"}],
            },
            "status": {"relays": relays},
        });
        serde_json::from_value(text).unwrap()
    }

    fn claim(resource: &str, finalizer: &str) -> PersistentVolumeClaim {
        let text = json!({"metadata": {
            "name": "volume", "namespace": "mail", "finalizers": [finalizer],
            "labels": {labels::RELAY: "a"}, "annotations": {labels::OWNER: resource},
        }});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_is_in_the_way_of_leaving() {
        let queue = |messages| json!([{"name": "a", "queue": {"messages": messages}}]);
        let (resource_name, relay) = ("mail/x".to_owned(), "a".to_owned());
        let leaving = Some("2026-01-01T00:00:00Z");
        for (what, resources, held, definitions, expected) in [
            ("nothing", vec![], None, Definitions::Delete, vec![]),
            ("an empty relay", vec![resource("x", queue(0), None)], Some("mail/x"), Definitions::Keep, vec![]),
            (
                "a relay with mail",
                vec![resource("x", queue(2), None)],
                Some("mail/x"),
                Definitions::Keep,
                vec![Obstacle::Holds { resource: resource_name.clone(), relay: relay.clone(), messages: 2 }],
            ),
            (
                "a silent relay",
                vec![resource("x", json!([{"name": "a"}]), None)],
                Some("mail/x"),
                Definitions::Keep,
                vec![Obstacle::Unknown { resource: resource_name.clone(), relay }],
            ),
            (
                "a volume that was retained",
                vec![],
                Some("mail/x"),
                Definitions::Keep,
                vec![Obstacle::LeftBehind { claim: "mail/volume".into(), resource: resource_name.clone() }],
            ),
            (
                "a resource that leaves",
                vec![resource("x", queue(0), leaving)],
                None,
                Definitions::Keep,
                vec![Obstacle::Leaving { resource: resource_name.clone() }],
            ),
            (
                "definitions that go too",
                vec![resource("x", queue(0), None)],
                None,
                Definitions::Delete,
                vec![Obstacle::Defined { resource: resource_name }],
            ),
        ] {
            let claims: Vec<_> = held.map(|name| claim(name, labels::HELD_MAIL)).into_iter().collect();
            assert_eq!(obstacles(&resources, &claims, definitions), expected, "{what}");
        }
    }

    #[test]
    fn whose_records_would_go_with_the_namespace_is_said() {
        assert_eq!(notice("backupmx", 0), "");
        assert!(notice("backupmx", 1).contains("namespace backupmx: the MX records of a domain, "));
        assert!(notice("backupmx", 7).contains("the MX records of 7 domains, "));
    }

    #[test]
    fn a_claim_that_was_let_go_of_is_not_in_the_way() {
        let claims = [claim("mail/x", "kubernetes.io/pvc-protection")];
        assert_eq!(obstacles(&[], &claims, Definitions::Keep), []);
    }
}
