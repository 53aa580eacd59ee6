//! Leader election: one operator writes, the others keep their caches warm.
//!
//! Without a Lease two operators would both write. The leader that could not renew for ten seconds ends its process:
//! what it had begun ends with it, before another takes over.

pub mod clock;
pub mod decide;

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, ResourceExt, api::ObjectMeta, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::controller::settled::Settled;
use clock::{Observed, Term};
use decide::{Act, EVERY, HOLDS, RENEW_DEADLINE, WRITE_TIMEOUT, decide};

/// The Lease's name, in the operator's namespace.
pub const NAME: &str = "backupmx-operator";

/// The annotation by which a leader says that what the statuses say was found out by itself: since when it leads.
pub const SETTLED: &str = "backupmx.io/settled";

/// Why the lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It could not be renewed in time.
    #[error("failed to renew the leader lease for {} s", RENEW_DEADLINE.as_secs())]
    NotRenewed,
    /// Another took it.
    #[error("another operator has the leader lease")]
    Taken,
}

/// Whether the leader by that lease says that what the statuses say was found out by itself.
#[must_use]
pub fn is_settled(lease: &Lease) -> bool {
    let told = lease.annotations().get(SETTLED);
    told.is_some() && told == lease.spec.as_ref().and_then(since).as_ref()
}

/// Since when its holder has a lease, by its own clock.
fn since(spec: &LeaseSpec) -> Option<String> {
    spec.acquire_time.as_ref().map(|acquired| acquired.0.to_string())
}

/// What one look at the Lease gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is ours, written just now.
    Held,
    /// It is another's.
    Others,
    /// It could not be read or written.
    Failed,
}

/// What this process is to the lease when it looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It has yet to get it. One that bears its name is that of the process before it in this pod.
    Seeks,
    /// It has it.
    Holds,
}

/// One operator's part in the election.
pub struct Election {
    api: Api<Lease>,
    identity: String,
    /// The other's record.
    seen: Observed,
    /// Ours, while we have it.
    term: Term,
    settled: watch::Receiver<Settled>,
}

impl Election {
    /// `identity` must be another one for each process: a pod's name. `settled` is told with the lease.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String, settled: watch::Receiver<Settled>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            identity,
            seen: Observed::default(),
            term: Term::begun(Instant::now()),
            settled,
        }
    }

    /// Waits until the lease is ours.
    pub async fn won(&mut self) {
        loop {
            let asked = Instant::now();
            if self.look(Part::Seeks).await == Look::Held {
                self.term = Term::begun(asked);
                return;
            }
            // Two standbys that look at the same moment would collide at every turn.
            sleep(EVERY + Duration::from_millis(rand::random_range(0..500))).await;
        }
    }

    /// Renews the lease until it is lost.
    pub async fn lost(&mut self) -> Lost {
        loop {
            sleep(EVERY).await;
            let asked = Instant::now();
            match timeout(self.term.left(asked), self.look(Part::Holds)).await {
                Ok(Look::Held) => self.term = Term::begun(asked),
                Ok(Look::Others) => return Lost::Taken,
                Ok(Look::Failed) if !self.term.left(Instant::now()).is_zero() => {}
                Ok(Look::Failed) | Err(_) => return Lost::NotRenewed,
            }
        }
    }

    /// Gives the lease up, so that another need not wait for it to run out. To be called when nothing writes any more.
    pub async fn hand_over(&self) {
        let result = timeout(WRITE_TIMEOUT, async {
            let Some(mut lease) = self.api.get_opt(NAME).await? else { return Ok(()) };
            match &mut lease.spec {
                Some(spec) if spec.holder_identity.as_deref() == Some(&self.identity) => {
                    spec.holder_identity = None;
                    spec.lease_duration_seconds = Some(1);
                }
                _ => return Ok(()),
            }
            // With the resourceVersion that was read: a lease that another took meanwhile stays his.
            self.api.replace(NAME, &PostParams::default(), &lease).await.map(|_| ())
        })
        .await;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "failed to hand the leader lease over; it runs out by itself"),
            Err(_) => tracing::warn!("handing the leader lease over took too long; it runs out by itself"),
        }
    }

    async fn look(&mut self, part: Part) -> Look {
        match timeout(WRITE_TIMEOUT, self.try_look(part)).await {
            Ok(Ok(look)) => look,
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Look::Failed,
            Ok(Err(error)) => {
                tracing::warn!(%error, "failed to look after the leader lease");
                Look::Failed
            }
            Err(_) => {
                tracing::warn!("looking after the leader lease took too long");
                Look::Failed
            }
        }
    }

    async fn try_look(&mut self, part: Part) -> Result<Look, kube::Error> {
        let live = self.api.get_opt(NAME).await?;
        let spec = live.as_ref().and_then(|lease| lease.spec.clone());
        let unchanged = self.seen.unchanged(spec.as_ref(), Instant::now());
        let now = MicroTime(Timestamp::now());
        let mut ours = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(HOLDS.as_secs()).ok(),
            renew_time: Some(now.clone()),
            ..spec.clone().unwrap_or_default()
        };
        match (decide(spec.as_ref(), &self.identity, unchanged), part) {
            (Act::Wait, _) => return Ok(Look::Others),
            (Act::Renew, Part::Holds) => {}
            // What it knows it has still to learn.
            (Act::Renew, Part::Seeks) => ours.acquire_time = Some(now),
            (Act::Take { transitions }, _) => {
                ours.acquire_time = Some(now);
                ours.lease_transitions = Some(transitions);
            }
        }
        match live {
            // With the resourceVersion that was read: of two that write at once, one gets 409.
            Some(mut lease) => {
                // Of a leader before it says nothing, as that began at another moment.
                if *self.settled.borrow() == Settled::Yes
                    && let Some(since) = since(&ours)
                {
                    lease.annotations_mut().insert(SETTLED.to_owned(), since);
                }
                self.api.replace(NAME, &PostParams::default(), &Lease { spec: Some(ours), ..lease }).await?;
            }
            None => {
                let metadata = ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() };
                self.api.create(&PostParams::default(), &Lease { metadata, spec: Some(ours) }).await?;
            }
        }
        Ok(Look::Held)
    }
}
