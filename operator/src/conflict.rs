//! Who has a domain, and who a relay host name, where several resources claim it. Pure.
//!
//! The oldest wins, and of two that are as old the one with the lower UID; a resource that is being deleted yields at
//! once, so that a successor need not wait for its mail to drain.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
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

/// What all resources claim, found by name.
#[derive(Clone, Debug, Default)]
pub struct Claimants {
    all: Vec<Claimant>,
    by_uid: HashMap<String, usize>,
    by_domain: BTreeMap<DomainName, Vec<usize>>,
    by_hostname: BTreeMap<DomainName, Vec<usize>>,
}

impl From<Vec<Claimant>> for Claimants {
    fn from(all: Vec<Claimant>) -> Self {
        let mut found = Self::default();
        for (place, claimant) in all.iter().enumerate() {
            found.by_uid.insert(claimant.owner.uid.clone(), place);
            for (names, by_name) in
                [(&claimant.domains, &mut found.by_domain), (&claimant.hostnames, &mut found.by_hostname)]
            {
                for name in names {
                    by_name.entry(name.clone()).or_default().push(place);
                }
            }
        }
        Self { all, ..found }
    }
}

impl Claimants {
    /// What `uid` claims and another has.
    #[must_use]
    pub fn lost(&self, uid: &str) -> Lost {
        let Some(mine) = self.of(uid) else { return Lost::default() };
        let taken = |names: &[DomainName], by_name| {
            let winner = |name: &DomainName| {
                let winner = self.among(by_name, name).max_by_key(|other| rank(other))?;
                Some((name.clone(), winner.owner.clone()))
            };
            names.iter().filter_map(winner).filter(|(_, winner)| winner.uid != uid).collect()
        };
        Lost { domains: taken(&mine.domains, &self.by_domain), hostnames: taken(&mine.hostnames, &self.by_hostname) }
    }

    /// The domains of others who claim a relay host name that `uid` has, by that name: their records may name its relay.
    #[must_use]
    pub fn sought(&self, uid: &str) -> BTreeMap<DomainName, BTreeSet<DomainName>> {
        let Some(mine) = self.of(uid) else { return BTreeMap::new() };
        let lost = self.lost(uid).hostnames;
        let mut sought: BTreeMap<DomainName, BTreeSet<DomainName>> = BTreeMap::new();
        for name in mine.hostnames.iter().filter(|name| !lost.contains_key(*name)) {
            let others = self.among(&self.by_hostname, name).filter(|other| other.owner.uid != uid);
            let domains: BTreeSet<DomainName> =
                others.flat_map(|other| other.domains.iter().cloned()).take(MOST_SOUGHT).collect();
            if !domains.is_empty() {
                sought.insert(name.clone(), domains);
            }
        }
        sought
    }

    fn of(&self, uid: &str) -> Option<&Claimant> {
        self.by_uid.get(uid).and_then(|place| self.all.get(*place))
    }

    fn among<'a>(
        &'a self,
        by_name: &'a BTreeMap<DomainName, Vec<usize>>,
        name: &DomainName,
    ) -> impl Iterator<Item = &'a Claimant> {
        by_name.get(name).into_iter().flatten().filter_map(|place| self.all.get(*place))
    }
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
        let known = Claimants::from(all.to_vec());
        let loses = |uid: &str| !known.lost(uid).domains.is_empty();
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
        let lost = Claimants::from(all.to_vec()).lost("b");
        assert_eq!(lost.domains.len(), 1);
        assert_eq!(lost.domains[&"d.test".parse::<DomainName>().unwrap()].to_string(), "mail/n-a");
    }

    #[test]
    fn a_host_name_is_its_own_claim() {
        let mut all = [claimant("a", 1, Life::Staying, &["d.test"]), claimant("b", 2, Life::Staying, &["e.test"])];
        for claimant in &mut all {
            claimant.hostnames = vec!["mx.test".parse().unwrap()];
        }
        let all = Claimants::from(all.to_vec());
        assert_eq!(all.lost("b").hostnames.len(), 1);
        assert_eq!(all.lost("b").domains.len(), 0);
        assert_eq!(all.lost("a"), Lost::default());
    }

    #[test]
    fn who_has_a_host_name_knows_whose_mail_may_come_there() {
        let mut all = [claimant("a", 1, Life::Staying, &["d.test"]), claimant("b", 2, Life::Staying, &["e.test"])];
        for claimant in &mut all {
            claimant.hostnames = vec!["mx.test".parse().unwrap()];
        }
        let wanted: BTreeSet<DomainName> = ["e.test".parse().unwrap()].into();
        let all = Claimants::from(all.to_vec());
        assert_eq!(all.sought("a"), [("mx.test".parse().unwrap(), wanted)].into());
        assert_eq!(all.sought("b"), BTreeMap::new(), "it has not the name");
        assert_eq!(all.sought("c"), BTreeMap::new());
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
