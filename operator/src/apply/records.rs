//! DNSEndpoints: those that are written, those that wait for their caches, and those that go.

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_relay_config::DomainName;
use kube::{Resource, ResourceExt};

use super::{
    Applier,
    put::{
        Ownership::{self, Own},
        delete_unchanged, may_touch, put,
    },
};
use crate::{cache, error::Error, labels, names};

/// What came of writing record sets.
pub(super) struct Sets {
    /// The sets of MX records that are there now.
    pub(super) there: Vec<DNSEndpoint>,
    /// The names of those that could not be written, and of which there is none.
    pub(super) missing: Vec<String>,
    /// The first write that failed.
    pub(super) done: Result<(), Error>,
}

impl Applier<'_> {
    /// Writes record sets, and deletes those of domains that are gone.
    pub(super) async fn records(
        &self,
        mx: Vec<DNSEndpoint>,
        addresses: Vec<DNSEndpoint>,
        deleted: &[DomainName],
    ) -> Sets {
        let Some(store) = &self.cache.endpoints else {
            return Sets { there: Vec::new(), missing: Vec::new(), done: Ok(()) };
        };
        let mut done = Vec::new();
        for set in addresses {
            let live = cache::get(store, &self.settings.namespace, &set.name_any());
            done.push(put(self.client, live, &set, Ownership::Managed).await.map(|_| ()));
        }
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for set in mx {
            let live: Option<DNSEndpoint> = cache::get(store, &self.settings.namespace, &set.name_any());
            // Who has the domain now may have written it since this pass began.
            let taken_over = |live: &DNSEndpoint| live.labels().get(labels::OWNER_UID) != Some(&self.owner.uid);
            if !self.has_domain_of(&set) && live.as_ref().is_none_or(taken_over) {
                continue;
            }
            match put(self.client, live, &set, Ownership::Managed).await {
                Ok(written) => there.push(written),
                Err(error) => {
                    match self.found_records(&set) {
                        Some(found) => there.push(found),
                        None => missing.push(set.name_any()),
                    }
                    done.push(Err(error));
                }
            }
        }
        for domain in deleted {
            done.push(self.remove(store, &self.settings.namespace, &names::mx_records(domain)).await);
        }
        Sets { there, missing, done: done.into_iter().collect() }
    }

    /// A set of MX records of ours as it was found. None: there is none.
    pub(super) fn found_records(&self, set: &DNSEndpoint) -> Option<DNSEndpoint> {
        let live: DNSEndpoint = cache::get(self.cache.endpoints.as_ref()?, &self.settings.namespace, &set.name_any())?;
        (live.labels().get(labels::OWNER_UID) == Some(&self.owner.uid)).then_some(live)
    }

    /// Notes in addresses that no relay has any more how far they are. Who has the host name now may have written them.
    pub(super) async fn note(&self, leaving: &[DNSEndpoint]) -> Result<(), Error> {
        let Some(store) = &self.cache.endpoints else { return Ok(()) };
        for set in leaving {
            let live = cache::get(store, &self.settings.namespace, &set.name_any());
            if live.as_ref().is_some_and(|live| may_touch(live.meta(), set.meta(), Own)) {
                put(self.client, live, set, Own).await?;
            }
        }
        Ok(())
    }

    /// Deletes addresses of host names that others have now, as long as they are as they were seen.
    pub(super) async fn give_up(&self, addresses: &[DNSEndpoint]) -> Result<(), Error> {
        for set in addresses {
            delete_unchanged(self.client, set).await?;
        }
        Ok(())
    }

    fn has_domain_of(&self, set: &DNSEndpoint) -> bool {
        let name = set.spec.endpoints.first().and_then(|endpoint| endpoint.dns_name.parse().ok());
        name.is_some_and(|domain| self.facts.has_domain(&domain))
    }
}
