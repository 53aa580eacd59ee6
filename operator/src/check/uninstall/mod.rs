//! `check-uninstall`: whether mail would be stranded if the operator went now.
//!
//! Relays need no operator to hold mail and to hand it over. But nobody retires a relay without one, and a claim that
//! holds mail could never be deleted. What they hold is in the resources' statuses, which an operator that is at work
//! keeps true.

mod obstacle;

use std::fmt;

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, Resource, api::ListParams, core::DeserializeGuard};
use serde::de::DeserializeOwned;

use self::obstacle::{Obstacle, is_held, obstacles};
use super::{
    client,
    leader::{self, Leader},
};
use crate::labels;

/// Look whether the operator may go: fail where mail would be stranded, and say what to do.
#[derive(Clone, Debug, Args)]
pub struct CheckUninstallArgs {
    /// A namespace that the operator watches. May be given more than once, or with commas between. Default: all.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// The operator's own namespace, where its Lease and the MX records are.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// The name of the Helm release that goes, for the command that uninstalls it all the same.
    #[arg(long, value_name = "NAME")]
    pub release: Option<String>,
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

const ADVICE: &str = "\
Held mail is delivered when its primary is back: kubectl get backupmxes -A shows what waits.
A relay that is not ready, or does not answer: kubectl -n NAMESPACE describe backupmx NAME says why.
To try at once:    kubectl -n NAMESPACE annotate backupmx NAME backupmx.io/flush=\"$(date)\" --overwrite
A BackupMX that is deleted with its mail goes when senders have noticed that its MX records are gone.";

/// How it goes all the same.
fn anyway(release: Option<&str>, namespace: &str) -> String {
    format!(
        "To uninstall all the same: helm uninstall -n {namespace} {} --no-hooks, or set uninstallCheck.enabled to false. \
         Relays and their volumes stay, and go on as they are; a claim that may hold mail cannot be deleted until the \
         operator is back.",
        release.unwrap_or("RELEASE")
    )
}

/// Looks at the cluster. What to tell a person where nothing is in the way.
///
/// # Errors
/// Mail would be stranded, or the API server does not answer.
pub async fn run(args: &CheckUninstallArgs) -> anyhow::Result<String> {
    let client = client().await?;
    let mut obstacles = Vec::new();
    if looked(&client, args).await?.1.iter().any(is_held) {
        match leader::settled(&client, &args.namespace).await? {
            Leader::For(_) | Leader::Settled => {}
            Leader::Nobody => obstacles.push(Obstacle::Unattended { namespace: args.namespace.clone() }),
        }
    }
    let (resources, claims) = looked(&client, args).await?;
    obstacles.extend(self::obstacles(&resources, &claims, args.definitions));
    let notice = notice(&args.namespace, published(&client, &args.namespace).await?);
    if obstacles.is_empty() {
        let stay = resources.len();
        return Ok(format!("no mail would be stranded; {stay} BackupMX resources stay as they are{notice}"));
    }
    let lines: Vec<String> = obstacles.iter().map(|obstacle| format!("- {obstacle}\n")).collect();
    let anyway = anyway(args.release.as_deref(), &args.namespace);
    anyhow::bail!("mail would be stranded if the operator went now:\n{}{ADVICE}\n{anyway}{notice}", lines.concat())
}

/// The resources, and the claims that were made for relays.
async fn looked(
    client: &Client,
    args: &CheckUninstallArgs,
) -> anyhow::Result<(Vec<DeserializeGuard<BackupMX>>, Vec<PersistentVolumeClaim>)> {
    let everything = ListParams::default();
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/managed-by={}", labels::MANAGER));
    // The claims first: what a resource says of one that comes meanwhile is not missed.
    let claims = list(client, &args.watch_namespaces, &ours).await;
    let claims = claims.map_err(|error| anyhow::anyhow!("failed to list claims: {error}"))?;
    match list(client, &args.watch_namespaces, &everything).await {
        Ok(resources) => Ok((resources, claims)),
        // No definition, no resource.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok((Vec::new(), claims)),
        Err(error) => anyhow::bail!("failed to list BackupMX resources: {error}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_goes_all_the_same_is_a_whole_command() {
        assert!(anyway(Some("mx"), "backupmx").contains(": helm uninstall -n backupmx mx --no-hooks,"));
        assert!(anyway(None, "backupmx").contains(": helm uninstall -n backupmx RELEASE --no-hooks,"));
    }

    #[test]
    fn whose_records_would_go_with_the_namespace_is_said() {
        assert_eq!(notice("backupmx", 0), "");
        assert!(notice("backupmx", 1).contains("namespace backupmx: the MX records of a domain, "));
        assert!(notice("backupmx", 7).contains("the MX records of 7 domains, "));
    }
}
