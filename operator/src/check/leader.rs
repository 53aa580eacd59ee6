//! Whether an operator is at work: whether it has the Lease, and renews it.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{Api, Client};
use tokio::time::{Instant, sleep};

use crate::lease::{self, decide::HOLDS};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Within so long an operator that has the lease asks every relay, and says what it has heard.
const SETTLED: Duration = Duration::from_secs(30);

/// Whether an operator is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// One is, and has been for so long.
    For(Duration),
    /// One is, and says that every status tells what it heard of the relays itself.
    Settled,
    /// None is: nobody has the lease, or who has it does not renew it.
    Nobody,
}

/// Waits until what an operator has written of the relays is what it heard of them itself: it says so, or has had the time
/// for it. Whether there is such an operator.
///
/// # Errors
/// The API server does not answer, or does not let us read the Lease.
pub async fn settled(client: &Client, namespace: &str) -> anyhow::Result<Leader> {
    loop {
        match seen(client, namespace).await? {
            Leader::For(led) if led < SETTLED => sleep(EVERY).await,
            leader => return Ok(leader),
        }
    }
}

/// Whether a lease that was not renewed has run out meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unrenewed {
    /// It has.
    RunOut,
    /// It holds still.
    Holds,
}

/// Watches the Lease until it is renewed, or for as long as it holds without that: what is written in it of time is of
/// another machine's clock.
///
/// # Errors
/// The API server does not answer, or does not let us read it.
async fn seen(client: &Client, namespace: &str) -> anyhow::Result<Leader> {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let read = async || {
        let lease = api.get_opt(lease::NAME).await;
        lease.with_context(|| format!("failed to read the Lease {} in {namespace}", lease::NAME))
    };
    let (first, until) = (read().await?, Instant::now() + HOLDS);
    loop {
        let unrenewed = if Instant::now() < until { Unrenewed::Holds } else { Unrenewed::RunOut };
        if let Some(leader) = leader(first.as_ref(), read().await?.as_ref(), unrenewed) {
            return Ok(leader);
        }
        sleep(EVERY).await;
    }
}

/// Who leads, by what the Lease said at first and says now. None: that is not known before it has held long enough.
fn leader(first: Option<&Lease>, now: Option<&Lease>, unrenewed: Unrenewed) -> Option<Leader> {
    let named = |spec: &&LeaseSpec| spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
    let spec = |lease: Option<&Lease>| lease.and_then(|lease| lease.spec.clone());
    let (before, Some((lease, spec))) = (spec(first), now.zip(now.and_then(|lease| lease.spec.as_ref().filter(named))))
    else {
        return Some(Leader::Nobody);
    };
    match unrenewed {
        _ if before.is_none_or(|before| before.renew_time != spec.renew_time) => {
            Some(if lease::is_settled(lease) { Leader::Settled } else { Leader::For(since(spec)) })
        }
        Unrenewed::RunOut => Some(Leader::Nobody),
        Unrenewed::Holds => None,
    }
}

/// For how long a holder has a lease: both times are of its own clock.
fn since(spec: &LeaseSpec) -> Duration {
    let times = spec.renew_time.as_ref().zip(spec.acquire_time.as_ref());
    let held = times.map(|(renewed, acquired)| renewed.0.duration_since(acquired.0));
    held.and_then(|held| Duration::try_from(held).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
        jiff::{SignedDuration, Timestamp},
    };

    use super::*;

    #[test]
    fn who_renews_the_lease_leads_whatever_the_clocks_say() {
        let lease = |holder: &str, renewed: i64, settled: Option<&str>| Lease {
            metadata: ObjectMeta {
                annotations: settled.map(|since| [(lease::SETTLED.to_owned(), since.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
                renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(renewed))),
                ..LeaseSpec::default()
            }),
        };
        let (one, renewed, given) = (lease("pod", 60, None), lease("pod", 62, None), lease("", 62, None));
        let (settled, stale) =
            (lease("pod", 62, Some("1970-01-01T00:00:00Z")), lease("pod", 62, Some("1969-12-31T23:59:00Z")));
        let was = lease("pod", 60, Some("1970-01-01T00:00:00Z"));
        let leads = Some(Leader::For(Duration::from_secs(62)));
        for (what, first, now, unrenewed, wanted) in [
            ("renewed", Some(&one), Some(&renewed), Unrenewed::Holds, leads),
            ("renewed at the last moment", Some(&one), Some(&renewed), Unrenewed::RunOut, leads),
            ("made meanwhile", None, Some(&renewed), Unrenewed::Holds, leads),
            ("renewed, and settled", Some(&one), Some(&settled), Unrenewed::Holds, Some(Leader::Settled)),
            ("what a leader before said", Some(&one), Some(&stale), Unrenewed::Holds, leads),
            ("settled, and not renewed yet", Some(&was), Some(&was), Unrenewed::Holds, None),
            ("settled, and not renewed", Some(&was), Some(&was), Unrenewed::RunOut, Some(Leader::Nobody)),
            ("not renewed yet", Some(&one), Some(&one), Unrenewed::Holds, None),
            ("not renewed", Some(&one), Some(&one), Unrenewed::RunOut, Some(Leader::Nobody)),
            ("handed over", Some(&one), Some(&given), Unrenewed::Holds, Some(Leader::Nobody)),
            ("there is none", None, None, Unrenewed::Holds, Some(Leader::Nobody)),
        ] {
            assert_eq!(leader(first, now, unrenewed), wanted, "{what}");
        }
    }
}
