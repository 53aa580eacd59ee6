//! Makes the cluster hold what is wanted. The only step that writes objects.

mod claims;
mod inheritance;
pub mod put;
mod records;
pub mod subset;

use std::net::IpAddr;

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_relay_config::CONTRACT_VERSION;
use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client, Resource, ResourceExt, api::ListParams, runtime::reflector::Store};

use crate::{
    cache::{self, Cache},
    conflict::Life,
    error::Error,
    labels,
    lifecycle::Phase,
    names,
    open_writes::OpenWrites,
    plan::{self, Facts, Leaving, Live, Released, Remains, Renewing, Resources, Serving},
    relay_api,
    settings::Settings,
    validated::{Owner, RelayName},
};
use claims::is_spent;
pub use claims::{is_discarded, is_held};
use put::{Kind, Ownership::Own, delete, forget, put, release};
use records::Sets;

/// What came of applying.
#[derive(Debug)]
pub struct Attempt {
    /// What is there now.
    pub applied: Applied,
    /// The first write that failed, after all others were tried; the next pass goes on from there.
    pub failed: Option<Error>,
}

/// What was applied, as the API server has it, and what could not be, as it was found. A status can be made from this
/// only.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The relays that serve.
    pub relays: Vec<AppliedRelay>,
    /// The relays that leave.
    pub leaving: Vec<AppliedLeaving>,
    /// The domains' MX record sets.
    pub mx: Vec<DNSEndpoint>,
    /// The names of those that could not be written, and of which there is none.
    pub mx_missing: Vec<String>,
}

/// A relay that serves.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedRelay {
    /// Its name.
    pub name: RelayName,
    /// Its Deployment; none while others go first, or where none could be made.
    pub deployment: Option<Deployment>,
    /// Its claim; none where none could be made.
    pub claim: Option<PersistentVolumeClaim>,
    /// The revision of its newest config.
    pub revision: u64,
    /// The growth of its claim that was refused, as a quota does. The relay goes on with the volume that it has.
    pub growth: Option<RefusedGrowth>,
    /// What was in the way of one of its objects, for a person.
    pub failed: Option<String>,
}

/// A claim that may not grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedGrowth {
    /// The size that it was to ask for.
    pub size: String,
    /// Why it may not, in the words of the API server.
    pub why: String,
}

/// A relay that leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedLeaving {
    /// Its name.
    pub name: RelayName,
    /// How far it is.
    pub phase: Phase,
    /// When its next step is due by time alone. None: something must happen first.
    pub due: Option<Timestamp>,
}

/// What applying needs.
pub struct Applier<'a> {
    /// The API server.
    pub client: &'a Client,
    /// What the relays are told counts among them.
    pub writes: &'a OpenWrites,
    /// The live objects.
    pub cache: &'a Cache,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// Whose objects they are.
    pub owner: &'a Owner,
    /// What is there.
    pub facts: &'a Facts,
    /// The relays' pods that answer.
    pub pods: &'a std::collections::BTreeMap<RelayName, IpAddr>,
}

impl Applier<'_> {
    /// Makes the cluster hold `wanted`. What is refused of one relay keeps no other, and no record, from what it needs.
    pub async fn apply(&self, wanted: Resources) -> Attempt {
        // Without `..`: a kind that is added and not applied does not compile.
        let Resources {
            service_account,
            network_policy,
            disruption_budget,
            serving,
            leaving,
            renewing,
            mx,
            addresses,
            addresses_leaving,
            addresses_deleted,
            mx_deleted,
        } = wanted;
        let begun = match self.facts.life {
            Life::Staying => self.may_inherit(&serving),
            // They stay as they are. Where the whole namespace goes they are gone, nothing can be made in it any more,
            // and the records must be changed all the same.
            Life::Leaving => Ok(()),
        };
        if let Err(error) = begun {
            let why = Some(error.with_cause());
            let relays =
                serving.iter().map(|relay| AppliedRelay { failed: why.clone(), ..self.found(relay) }).collect();
            let leaving = leaving.iter().map(|relay| self.found_leaving(relay)).collect();
            let (there, missing): (Vec<_>, Vec<_>) =
                mx.into_iter().map(|set| (self.found_records(&set), set)).partition(|(found, _)| found.is_some());
            let mx = there.into_iter().filter_map(|(found, _)| found).collect();
            let mx_missing = missing.into_iter().map(|(_, set)| set.name_any()).collect();
            return Attempt { applied: Applied { relays, leaving, mx, mx_missing }, failed: Some(error) };
        }
        let shared = match self.facts.life {
            Life::Staying => self.share(service_account, network_policy, disruption_budget).await,
            Life::Leaving => Ok(()),
        };
        // Side by side: a relay that hangs keeps no other from its config.
        let is_shared = &shared;
        let served = join_all(serving.into_iter().map(|relay| async move {
            let found = self.found(&relay);
            match is_shared {
                // Its pod would be without its account, or open to more than it need be. What runs goes on.
                Err(error) if found.deployment.is_none() => {
                    (AppliedRelay { failed: Some(error.with_cause()), ..found }, Ok(()))
                }
                _ => self.serve(relay).await,
            }
        }));
        let (relays, mut done): (Vec<_>, Vec<_>) = served.await.into_iter().unzip();
        done.insert(0, shared);
        let Sets { there: mx, missing: mx_missing, done: written } = self.records(mx, addresses, &mx_deleted).await;
        done.push(written);
        done.push(self.note(&addresses_leaving).await);
        done.push(self.give_up(&addresses_deleted).await);
        let left = join_all(leaving.into_iter().map(|relay| async move {
            let found = self.found_leaving(&relay);
            match self.leave(relay).await {
                Ok(relay) => (relay, Ok(())),
                Err(error) => (found, Err(error)),
            }
        }));
        let (left, gone): (Vec<_>, Vec<_>) = left.await.into_iter().unzip();
        done.extend(gone);
        for relay in renewing {
            done.push(self.renew(relay).await);
        }
        Attempt {
            applied: Applied { relays, leaving: left, mx, mx_missing },
            failed: done.into_iter().find_map(Result::err),
        }
    }

    /// A relay that serves, as it was found.
    fn found(&self, relay: &Serving) -> AppliedRelay {
        let live = self.facts.relays.get(&relay.name);
        AppliedRelay {
            name: relay.name.clone(),
            deployment: live.and_then(|live| live.deployment.clone()),
            claim: live.and_then(|live| live.claim.clone()),
            revision: relay.document.revision,
            growth: None,
            failed: None,
        }
    }

    /// A relay that leaves, as far as it was found to be. One whose leaving could not even be noted begins.
    fn found_leaving(&self, relay: &Leaving) -> AppliedLeaving {
        let claim = self.facts.relays.get(&relay.name).and_then(|live| live.claim.as_ref());
        let noted = plan::retirements(claim).into_iter().find(|noted| noted.domain.is_none());
        let retirement = noted.as_ref().unwrap_or(&relay.retirement);
        AppliedLeaving { name: relay.name.clone(), phase: retirement.phase, due: retirement.due() }
    }

    async fn share(
        &self,
        service_account: ServiceAccount,
        network_policy: NetworkPolicy,
        disruption_budget: Option<PodDisruptionBudget>,
    ) -> Result<(), Error> {
        let account = self.own(&self.cache.service_accounts, service_account).await.map(|_| ());
        let policy = self.own(&self.cache.network_policies, network_policy).await.map(|_| ());
        let budget = match disruption_budget {
            Some(budget) => self.own(&self.cache.budgets, budget).await.map(|_| ()),
            None => self.remove(&self.cache.budgets, &self.owner.namespace, &names::shared(self.owner)).await,
        };
        account.and(policy).and(budget)
    }

    /// Gives up what is another's, and nothing else.
    ///
    /// # Errors
    /// The first write that failed, after all others were tried.
    pub async fn release(&self, released: Released) -> Result<(), Error> {
        let Released { mx, mx_deleted, addresses_deleted, configs } = released;
        let records = self.records(mx, Vec::new(), &mx_deleted).await.done;
        let given_up = self.give_up(&addresses_deleted).await;
        let told = join_all(configs.into_iter().map(|(name, config_map, document)| async move {
            let written = self.own(&self.cache.config_maps, config_map).await;
            self.hand_over(&name, &document).await;
            written.map(|_| ())
        }));
        let told = told.await;
        records?;
        given_up?;
        told.into_iter().collect()
    }

    /// Takes away what is left when the last relay is gone. Nothing is made any more: what was made just now is not in
    /// the cache, and would stay behind.
    ///
    /// # Errors
    /// The first write that fails.
    pub async fn finish(&self, wanted: Resources) -> Result<(), Error> {
        let Resources {
            service_account: _,
            network_policy: _,
            disruption_budget: _,
            serving: _,
            leaving,
            mx,
            addresses,
            addresses_leaving: _,
            addresses_deleted,
            renewing: _,
            mx_deleted,
        } = wanted;
        self.records(mx, addresses, &mx_deleted).await.done?;
        self.give_up(&addresses_deleted).await?;
        for relay in leaving {
            self.leave(relay).await?;
        }
        self.remove_shared::<PodDisruptionBudget>().await?;
        self.remove_shared::<NetworkPolicy>().await?;
        self.remove_shared::<ServiceAccount>().await
    }

    /// Deletes what all relays shared, whether the cache knows it or not.
    async fn remove_shared<K: Kind>(&self) -> Result<(), Error> {
        let name = names::shared(self.owner);
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.owner.namespace);
        // By a list, as everywhere: the right to get is not given for these kinds.
        let found = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await;
        let found = found.map_err(Error::kube(format!("look for {} {name}", K::kind(&()))))?;
        for live in found.items.iter().filter(|live| live.labels().get(labels::OWNER_UID) == Some(&self.owner.uid)) {
            delete(self.client, live).await?;
        }
        Ok(())
    }

    /// Writes all of a relay that serves. What could not be written is as it was found.
    async fn serve(&self, wanted: Serving) -> (AppliedRelay, Result<(), Error>) {
        let found = self.found(&wanted);
        let Serving { name, claim, config_map, document, deployment, service } = wanted;
        // Without its claim, or on another's, it is not to run.
        let (claim, growth) = match self.hold(&name, claim).await {
            Ok(held) => held,
            Err(error) => return (AppliedRelay { failed: Some(error.with_cause()), ..found }, Err(error)),
        };
        let forgotten = if is_spent(&claim) { forget(self.client, &claim, labels::RELEASE).await } else { Ok(()) };
        let config_map = self.own(&self.cache.config_maps, config_map).await;
        self.hand_over(&name, &document).await;
        let service = self.own(&self.cache.services, service).await;
        let (deployment, running) = match deployment.map(|deployment| self.run(deployment)) {
            None => (None, Ok(())),
            Some(run) => match run.await {
                Ok(deployment) => (deployment, Ok(())),
                Err(error) => (found.deployment, Err(error)),
            },
        };
        let done = config_map.map(|_| ()).and(forgotten).and(service.map(|_| ())).and(running);
        let failed = done.as_ref().err().map(Error::with_cause);
        (AppliedRelay { name, deployment, claim: Some(claim), revision: document.revision, growth, failed }, done)
    }

    async fn leave(&self, wanted: Leaving) -> Result<AppliedLeaving, Error> {
        let Leaving { name, retirement, claim, config, deployment, remains } = wanted;
        let mut live = self.facts.relays.get(&name).cloned().unwrap_or_default();
        // That a relay is gone is noted before anything of it goes, or who goes on later would find a claim whose relay
        // does not answer. A claim that stays says nothing of the kind: it holds mail.
        let noted = match (retirement.phase, remains) {
            (Phase::Gone, Remains::Claim) => false,
            (Phase::Gone, Remains::Nothing) => live.claim.as_ref().is_some_and(is_held),
            (_, Remains::Nothing | Remains::Claim) => true,
        };
        if noted && live.claim.is_some() {
            live.claim = Some(put(self.client, live.claim, &claim, Own).await?);
        }
        if retirement.phase != Phase::Gone {
            if let Some((config_map, document)) = config {
                self.own(&self.cache.config_maps, config_map).await?;
                self.hand_over(&name, &document).await;
            }
            if let Some(deployment) = deployment {
                self.own(&self.cache.deployments, deployment).await?;
            }
            return Ok(AppliedLeaving { name, phase: retirement.phase, due: retirement.due() });
        }
        let Live { claim: held, deployment, service, addresses, .. } = live;
        // First, as they are found by what the ConfigMap says.
        if let Some(addresses) = &addresses {
            delete(self.client, addresses).await?;
        }
        if let Some(deployment) = &deployment {
            delete(self.client, deployment).await?;
        }
        if let Some(service) = &service {
            delete(self.client, service).await?;
        }
        // Those of other contract versions too.
        for config_map in cache::of(&self.cache.config_maps, self.owner) {
            if config_map.labels().get(labels::RELAY).map(String::as_str) == Some(name.as_str()) {
                delete(self.client, &config_map).await?;
            }
        }
        if let (Remains::Nothing, Some(held)) = (remains, held) {
            // Deleted first, while the finalizer still holds it: taken off first, another's delete could come between.
            if let Some(held) = delete(self.client, &held).await? {
                release(self.client, &held, labels::HELD_MAIL).await?;
            }
        }
        Ok(AppliedLeaving { name, phase: retirement.phase, due: retirement.due() })
    }

    /// Lets a claim go that was deleted and whose pod holds nothing. The finalizer goes first: what is in the way of that
    /// is tried again by the next pass, while the pod still keeps the claim and says that it is empty.
    async fn renew(&self, wanted: Renewing) -> Result<(), Error> {
        let Renewing { name, config_map } = wanted;
        if let Some(config_map) = config_map {
            self.own(&self.cache.config_maps, config_map).await?;
        }
        let live = self.facts.relays.get(&name).cloned().unwrap_or_default();
        if let Some(held) = live.claim.as_ref().filter(|claim| is_leaving(*claim)) {
            release(self.client, held, labels::HELD_MAIL).await?;
        }
        match &live.deployment {
            Some(deployment) => delete(self.client, deployment).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Hands a running relay its document: a mounted ConfigMap reaches it after a minute or more.
    async fn hand_over(&self, name: &RelayName, document: &backupmx_relay_config::RelayConfig) {
        let report = self.facts.relays.get(name).and_then(|live| live.report.as_ref());
        let (Some(report), Some(pod)) = (report, self.pods.get(name)) else { return };
        // One of another version is replaced by a pod that starts on its own ConfigMap.
        if report.contract_version != CONTRACT_VERSION || report.config_revision >= document.revision {
            return;
        }
        let token = self.settings.master_key.token(self.owner, name);
        match relay_api::configure(*pod, &token, document, self.writes).await {
            Ok(()) => {
                tracing::info!(owner = %self.owner, relay = %name, revision = document.revision, "config handed over")
            }
            // The relay's own status says why it refused; the next pass tries again.
            Err(error) => tracing::warn!(owner = %self.owner, relay = %name, %error, "failed to hand a config over"),
        }
    }

    async fn remove<K: Kind>(&self, store: &Store<K>, namespace: &str, name: &str) -> Result<(), Error> {
        let ours = |live: &K| live.labels().get(labels::OWNER_UID) == Some(&self.owner.uid) || self.is_left(live);
        match cache::get(store, namespace, name).filter(ours) {
            Some(live) => delete(self.client, &live).await.map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Whether an object is on its way out.
#[must_use]
pub fn is_leaving<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}
