//! What is there: what a plan is made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_relay_config::{DomainName, RelayConfig, status::RelayStatus};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{PersistentVolumeClaim, Service},
    },
    jiff::Timestamp,
};

use super::leaving;
use crate::{
    conflict::{Life, Lost},
    desired::{claim::Expansion, config_map::Claim},
    dns::lookup::{Host, MxSeen},
    poll::roster::Silence,
    validated::RelayName,
};

/// What is there of one relay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Its claim.
    pub claim: Option<PersistentVolumeClaim>,
    /// The document in its ConfigMap of the contract version that this build writes. None: there is none, or what is in
    /// it cannot be read.
    pub document: Option<RelayConfig>,
    /// What its ConfigMap says of its claim. None: it was written by an operator that did not say so, or is gone.
    pub noted: Option<Claim>,
    /// Its Deployment.
    pub deployment: Option<Deployment>,
    /// Its Service.
    pub service: Option<Service>,
    /// The addresses of its host name in DNS, as they were last applied.
    pub addresses: Option<DNSEndpoint>,
    /// The addresses that the load balancer gave.
    pub balancer: Vec<IpAddr>,
    /// What it says of itself. None: it does not answer.
    pub report: Option<RelayStatus>,
    /// Why it does not say it, where it does not.
    pub silence: Silence,
    /// Whether it was asked at all.
    pub asked: Asked,
    /// When it said something last. None: not to this operator.
    pub heard: Option<Timestamp>,
    /// What keeps its pod from running, in the words of who knows. None: nothing that is known.
    pub trouble: Option<String>,
    /// Whether its storage class lets the claim grow.
    pub expansion: Expansion,
    /// Since when its pod is there: when it was made, or taken up by its node, whichever is later. None: it has none.
    pub pod_since: Option<Timestamp>,
    /// How many messages it held as the resource's status said last.
    pub known_held: Option<u64>,
}

impl Live {
    /// How much the relay holds, mail and damaged parts alike, as it says or as the status said last. None: nobody knows.
    pub(super) fn last_held(&self) -> Option<u64> {
        self.report.as_ref().map(leaving::held).or(self.known_held)
    }

    /// Whether the relay says that it runs on the document in its ConfigMap, or on a later one.
    #[must_use]
    pub fn runs_on(&self, document: &RelayConfig) -> bool {
        self.report.as_ref().is_some_and(|report| report.config_revision >= document.revision)
    }

    /// Whether that outlives its process: a relay that is started anew reads a mounted ConfigMap that may be minutes old,
    /// but it never runs on less than it has kept on its volume. Only of one that says so it is certain that what it was
    /// told last, to take no more mail, holds until the volume is gone.
    #[must_use]
    pub fn keeps(&self, document: &RelayConfig) -> bool {
        let kept = self.report.as_ref().and_then(|report| report.config_kept);
        self.runs_on(document) && kept.is_some_and(|kept| kept >= document.revision)
    }
}

/// Whether a relay was asked what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// It was; without a report it is silent.
    #[default]
    Yes,
    /// Its first word is awaited: the operator has just started, or the pod has.
    NotYet,
}

/// Whether the cluster serves external-dns' DNSEndpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointApi {
    /// It does.
    Served,
    /// It does not.
    Missing,
}

/// What DNS says, as far as it has answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Of the MX records of the resource's domains, and of those that left it.
    pub mx: BTreeMap<DomainName, MxSeen>,
    /// Of the relays' host names.
    pub hosts: BTreeMap<DomainName, Host>,
}

/// What is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The wall clock.
    pub now: Timestamp,
    /// Whether the resource stays.
    pub life: Life,
    /// Every relay that has a claim, and every one of the spec.
    pub relays: BTreeMap<RelayName, Live>,
    /// The DNSEndpoints of MX records, of this resource's domains and those that left it.
    pub mx: BTreeMap<DomainName, DNSEndpoint>,
    /// The DNSEndpoints of addresses that were written for this resource, whichever relay has the host name now.
    pub address_sets: Vec<DNSEndpoint>,
    /// What others have.
    pub lost: Lost,
    /// The domains of others who claim a relay host name that this resource has, by that name.
    pub sought: BTreeMap<DomainName, BTreeSet<DomainName>>,
    /// The domains that this namespace may not have.
    pub not_allowed: Vec<DomainName>,
    /// The relay host names that this namespace may not have.
    pub not_allowed_hosts: Vec<DomainName>,
    /// Whether external-dns can be told.
    pub endpoint_api: EndpointApi,
    /// What DNS says.
    pub dns: Seen,
    /// How many more ready relays may be replaced over the whole cluster.
    pub free_rollouts: usize,
}

impl Facts {
    /// Whether a domain is the resource's: its namespace may have it, and no other resource does.
    #[must_use]
    pub fn has_domain(&self, domain: &DomainName) -> bool {
        !self.lost.domains.contains_key(domain) && !self.not_allowed.contains(domain)
    }

    /// Whether a relay host name is the resource's: its namespace may have it, and no other resource does.
    #[must_use]
    pub fn has_host(&self, host: &DomainName) -> bool {
        !self.lost.hostnames.contains_key(host) && !self.not_allowed_hosts.contains(host)
    }
}
