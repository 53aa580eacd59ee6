//! `check-install`: whether the API server knows a BackupMX, and an operator has the lease.

use std::time::Duration;

use anyhow::Context as _;
use backupmx_crds::BackupMX;
use clap::Args;
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use kube::{
    Api, Client,
    api::ListParams,
    core::{DeserializeGuard, PartialObjectMeta},
};
use tokio::time::{Instant, sleep};

use super::client;
use crate::lease;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Look whether the operator is at work: the definitions are there, and one has the lease.
#[derive(Clone, Debug, Args)]
pub struct CheckInstallArgs {
    /// The operator's namespace.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// A namespace that it watches. May be given more than once, or with commas between. Default: all.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// How many seconds to wait until all is well.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
}

/// Looks until all is well. What to tell a person then.
///
/// # Errors
/// Something is still amiss after the time that was given.
pub async fn run(args: &CheckInstallArgs) -> anyhow::Result<String> {
    let client = client().await?;
    let until = Instant::now() + Duration::from_secs(args.seconds.into());
    loop {
        match look(&client, args).await {
            Ok(told) => return Ok(told),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => sleep(EVERY).await,
        }
    }
}

async fn look(client: &Client, args: &CheckInstallArgs) -> anyhow::Result<String> {
    let one = ListParams::default().limit(1);
    let listed = match args.watch_namespaces.first() {
        Some(namespace) => Api::<Meta>::namespaced(client.clone(), namespace).list_metadata(&one).await,
        None => Api::<Meta>::all(client.clone()).list_metadata(&one).await,
    };
    let _: kube::core::ObjectList<PartialObjectMeta<Meta>> = listed
        .context("failed to list BackupMX resources: are the definitions installed (crds.enabled), and may it?")?;
    let api: Api<Lease> = Api::namespaced(client.clone(), &args.namespace);
    let lease = api.get_opt(lease::NAME).await.with_context(|| format!("failed to read the Lease {}", lease::NAME))?;
    let leader = leader(lease.as_ref(), Timestamp::now())
        .with_context(|| format!("no operator leads: the Lease {} in {} is free", lease::NAME, args.namespace))?;
    Ok(format!("BackupMX is served, and {leader} leads"))
}

type Meta = DeserializeGuard<BackupMX>;

/// Who has a lease that has not run out.
fn leader(lease: Option<&Lease>, now: Timestamp) -> Option<String> {
    let spec = lease?.spec.as_ref()?;
    let renewed = spec.renew_time.as_ref()?.0;
    // Clocks of nodes differ a little.
    let fresh = now.duration_since(renewed).unsigned_abs() < lease::decide::HOLDS * 2;
    spec.holder_identity.clone().filter(|holder| fresh && !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime};

    use super::*;

    #[test]
    fn only_a_fresh_lease_has_a_leader() {
        let now = Timestamp::UNIX_EPOCH;
        let lease = |holder: &str, age: i64| Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                renew_time: Some(MicroTime(now - k8s_openapi::jiff::SignedDuration::from_secs(age))),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert_eq!(leader(Some(&lease("pod", 5)), now).as_deref(), Some("pod"));
        assert_eq!(leader(Some(&lease("pod", -5)), now).as_deref(), Some("pod"), "a clock that is ahead");
        assert_eq!(leader(Some(&lease("pod", 60)), now), None);
        assert_eq!(leader(Some(&lease("", 1)), now), None, "handed over");
        assert_eq!(leader(None, now), None);
    }
}
