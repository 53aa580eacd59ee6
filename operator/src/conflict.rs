//! Who has a domain, and who a relay host name, where several resources claim it. Pure.
//!
//! The oldest wins, and of two that are as old the one with the lower UID; a resource that is being deleted yields at
//! once, so that a successor need not wait for its mail to drain.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use backupmx_relay_config::DomainName;
use k8s_openapi::jiff::Timestamp;

use crate::validated::Owner;

/// So many domains of others are answered for a host name at most: the document must fit into a ConfigMap.
const MOST_SOUGHT: usize = 1000;

/// What one resource claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The resource.
    pub owner: Owner,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it stays.
    pub life: Life,
    /// The domains that it claims.
    pub domains: Vec<DomainName>,
    /// The relay host names that it claims.
    pub hostnames: Vec<DomainName>,
}

/// Whether a resource stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// It stays.
    Staying,
    /// It is being deleted.
    Leaving,
}

/// What a resource claims and another has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Domains, with who has them.
    pub domains: BTreeMap<DomainName, Owner>,
    /// Relay host names, with who has them.
    pub hostnames: BTreeMap<DomainName, Owner>,
}

/// What `uid` claims and another has.
#[must_use]
pub fn lost(uid: &str, all: &[Claimant]) -> Lost {
    let Some(mine) = all.iter().find(|claimant| claimant.owner.uid == uid) else { return Lost::default() };
    let taken = |names: fn(&Claimant) -> &[DomainName]| {
        names(mine)
            .iter()
            .filter_map(|name| {
                let winner = all.iter().filter(|other| names(other).contains(name)).max_by_key(|other| rank(other))?;
                (winner.owner.uid != uid).then(|| (name.clone(), winner.owner.clone()))
            })
            .collect()
    };
    Lost { domains: taken(|claimant| &claimant.domains), hostnames: taken(|claimant| &claimant.hostnames) }
}

/// The domains of others who claim a relay host name that `uid` has, by that name: their records may name its relay.
#[must_use]
pub fn sought(uid: &str, all: &[Claimant]) -> BTreeMap<DomainName, BTreeSet<DomainName>> {
    let Some(mine) = all.iter().find(|claimant| claimant.owner.uid == uid) else { return BTreeMap::new() };
    let lost = lost(uid, all).hostnames;
    let mut sought: BTreeMap<DomainName, BTreeSet<DomainName>> = BTreeMap::new();
    for name in mine.hostnames.iter().filter(|name| !lost.contains_key(*name)) {
        let others = all.iter().filter(|other| other.owner.uid != uid && other.hostnames.contains(name));
        let domains: BTreeSet<DomainName> =
            others.flat_map(|other| other.domains.iter().cloned()).take(MOST_SOUGHT).collect();
        if !domains.is_empty() {
            sought.insert(name.clone(), domains);
        }
    }
    sought
}

/// Higher wins.
fn rank(claimant: &Claimant) -> impl Ord {
    Reverse((claimant.life, claimant.created, claimant.owner.uid.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claimant(uid: &str, second: i64, life: Life, domains: &[&str]) -> Claimant {
        Claimant {
            owner: Owner { namespace: "mail".into(), name: format!("n-{uid}"), uid: uid.into() },
            created: Timestamp::from_second(second).unwrap(),
            life,
            domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
            hostnames: Vec::new(),
        }
    }

    fn losers(all: &[Claimant]) -> Vec<&str> {
        let loses = |uid: &str| !lost(uid, all).domains.is_empty();
        all.iter().map(|claimant| claimant.owner.uid.as_str()).filter(|uid| loses(uid)).collect()
    }

    #[test]
    fn the_oldest_keeps_it() {
        use Life::{Leaving, Staying};
        for (what, all, wanted) in [
            (
                "the younger",
                vec![claimant("b", 1, Staying, &["d.test"]), claimant("a", 2, Staying, &["d.test"])],
                vec!["a"],
            ),
            ("a tie", vec![claimant("b", 1, Staying, &["d.test"]), claimant("a", 1, Staying, &["d.test"])], vec!["b"]),
            (
                "deleted",
                vec![claimant("b", 1, Leaving, &["d.test"]), claimant("a", 2, Staying, &["d.test"])],
                vec!["b"],
            ),
            (
                "both deleted",
                vec![claimant("b", 1, Leaving, &["d.test"]), claimant("a", 2, Leaving, &["d.test"])],
                vec!["a"],
            ),
            (
                "no overlap",
                vec![claimant("b", 1, Staying, &["d.test"]), claimant("a", 2, Staying, &["e.test"])],
                vec![],
            ),
        ] {
            assert_eq!(losers(&all), wanted, "{what}");
        }
    }

    #[test]
    fn only_what_overlaps_is_lost_and_the_owner_is_named() {
        let all =
            [claimant("a", 1, Life::Staying, &["d.test"]), claimant("b", 2, Life::Staying, &["d.test", "e.test"])];
        let lost = lost("b", &all);
        assert_eq!(lost.domains.len(), 1);
        assert_eq!(lost.domains[&"d.test".parse::<DomainName>().unwrap()].to_string(), "mail/n-a");
    }

    #[test]
    fn a_host_name_is_its_own_claim() {
        let mut all = [claimant("a", 1, Life::Staying, &["d.test"]), claimant("b", 2, Life::Staying, &["e.test"])];
        for claimant in &mut all {
            claimant.hostnames = vec!["mx.test".parse().unwrap()];
        }
        assert_eq!(lost("b", &all).hostnames.len(), 1);
        assert_eq!(lost("b", &all).domains.len(), 0);
        assert_eq!(lost("a", &all), Lost::default());
    }

    #[test]
    fn who_has_a_host_name_knows_whose_mail_may_come_there() {
        let mut all = [claimant("a", 1, Life::Staying, &["d.test"]), claimant("b", 2, Life::Staying, &["e.test"])];
        for claimant in &mut all {
            claimant.hostnames = vec!["mx.test".parse().unwrap()];
        }
        let wanted: BTreeSet<DomainName> = ["e.test".parse().unwrap()].into();
        assert_eq!(sought("a", &all), [("mx.test".parse().unwrap(), wanted)].into());
        assert_eq!(sought("b", &all), BTreeMap::new(), "it has not the name");
        assert_eq!(sought("c", &all), BTreeMap::new());
    }

    proptest! {
        #[test]
        fn one_and_only_one_has_a_domain(seconds in prop::collection::vec((0i64..3, any::<bool>()), 1..6)) {
            let all: Vec<Claimant> = seconds
                .iter()
                .enumerate()
                .map(|(index, (second, leaving))| {
                    let life = if *leaving { Life::Leaving } else { Life::Staying };
                    claimant(&index.to_string(), *second, life, &["d.test"])
                })
                .collect();
            prop_assert_eq!(losers(&all).len(), all.len() - 1);
        }
    }
}
