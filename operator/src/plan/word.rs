//! What a person says of held mail, in [`labels::RELEASE`] on a relay's claim. Pure.

use backupmx_relay_config::DomainName;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use super::{Resources, leaving};
use crate::{labels, lifecycle::Retirement, plan::Facts, validated::RelayName};

/// One value of [`labels::RELEASE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// What is held of all that leaves goes: the whole relay's mail where that leaves, or its claim was deleted.
    Discard,
    /// What is held for one domain that leaves a relay which stays goes, and nothing else, whatever else leaves by then.
    DiscardDomain(DomainName),
    /// No record names the relay any more.
    Withdrawn,
    /// The operator's own: the order is in [`labels::RETIRING`].
    Noted,
    /// Nobody knows what it means, so nobody does anything for it.
    Unknown(String),
}

impl Word {
    /// What a claim says. None: nothing.
    pub(super) fn of(claim: Option<&PersistentVolumeClaim>) -> Option<Self> {
        let value = claim?.annotations().get(labels::RELEASE)?;
        let domain = || value.strip_prefix(labels::DISCARD_DOMAIN).and_then(|domain| domain.parse().ok());
        Some(match value.as_str() {
            labels::DISCARD => Self::Discard,
            labels::WITHDRAWN => Self::Withdrawn,
            labels::NOTED => Self::Noted,
            _ => domain().map_or_else(|| Self::Unknown(value.clone()), Self::DiscardDomain),
        })
    }

    /// Whether it orders that what is held for a domain goes, which leaves a relay that stays.
    pub(super) fn is_for(&self, domain: &DomainName) -> bool {
        match self {
            Self::Discard => true,
            Self::DiscardDomain(one) => one == domain,
            Self::Withdrawn | Self::Noted | Self::Unknown(_) => false,
        }
    }

    /// Whether it comes off the claim of a relay that serves, in the write that notes what it was for. One for nothing
    /// comes off too, or it would meet what leaves another day.
    pub(super) const fn is_noted_now(&self) -> bool {
        match self {
            Self::Discard | Self::DiscardDomain(_) | Self::Unknown(_) => true,
            Self::Withdrawn | Self::Noted => false,
        }
    }
}

/// An order that is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disobeyed {
    /// On whose claim it is.
    pub relay: RelayName,
    /// Its words.
    pub value: String,
    /// The domains that leave this relay, for which there could be an order.
    pub leaving: Vec<DomainName>,
}

/// The orders on claims of relays that serve which are for nothing that leaves, or which nobody knows. They come off.
#[must_use]
pub fn disobeyed(planned: &Resources, facts: &Facts) -> Vec<Disobeyed> {
    let of = |relay: &super::Serving| {
        let claim = facts.relays.get(&relay.name)?.claim.as_ref();
        let leaving: Vec<DomainName> =
            leaving::read(Some(&relay.claim)).into_iter().filter_map(|leaving| leaving.domain).collect();
        let is_wrong = match Word::of(claim)? {
            Word::DiscardDomain(domain) => !leaving.contains(&domain),
            Word::Unknown(_) => true,
            Word::Discard | Word::Withdrawn | Word::Noted => false,
        };
        let value = claim?.annotations().get(labels::RELEASE)?.clone();
        is_wrong.then(|| Disobeyed { relay: relay.name.clone(), value, leaving })
    };
    planned.serving.iter().filter_map(of).collect()
}

/// The words on the claim of a relay that leaves as a whole which are no order for that. None: there are none.
#[must_use]
pub fn unheard(claim: Option<&PersistentVolumeClaim>) -> Option<&str> {
    match Word::of(claim)? {
        Word::DiscardDomain(_) | Word::Unknown(_) => claim?.annotations().get(labels::RELEASE).map(String::as_str),
        Word::Discard | Word::Withdrawn | Word::Noted => None,
    }
}

/// A domain's retirement, with the order that a claim bears for it.
pub(super) fn heard(word: Option<&Word>, domain: &DomainName, leaving: Retirement, facts: &Facts) -> Retirement {
    if word.is_some_and(|word| word.is_for(domain)) { leaving.ordered(facts.now) } else { leaving }
}
