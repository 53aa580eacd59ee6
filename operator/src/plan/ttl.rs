//! The largest TTL that senders may have the records with: one that was lowered counts for as long as it said. It is
//! kept in the claims, as the record sets have only the newest.

use std::{fmt, str::FromStr};

use backupmx_crds::DnsMode;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Facts, publication};
use crate::{labels, validated::Validated};

/// What is noted: the text is `3600`, or `3600 until 2027-01-15T08:00:00Z` when a smaller one was published since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    seconds: u32,
    until: Option<Timestamp>,
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            None => write!(f, "{}", self.seconds),
            Some(until) => write!(f, "{} until {}", self.seconds, until.strftime("%Y-%m-%dT%H:%M:%SZ")),
        }
    }
}

impl FromStr for Noted {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seconds, until) = match text.split_once(" until ") {
            Some((seconds, until)) => (seconds, Some(until.parse().map_err(|_| ())?)),
            None => (text, None),
        };
        Ok(Self { seconds: seconds.parse().map_err(|_| ())?, until })
    }
}

/// The largest TTL that senders may have the records with, in seconds.
pub(super) fn largest(resource: &Validated, facts: &Facts) -> u32 {
    let seen = facts.dns.mx.values().filter_map(|seen| seen.survey.ttl);
    let noted = noted(facts).map(|noted| noted.seconds);
    written(facts).into_iter().chain(seen).chain(noted).fold(resource.dns.ttl, u32::max)
}

/// What is to be noted of it. None: nothing was published yet.
pub(super) fn note(resource: &Validated, facts: &Facts) -> Option<String> {
    let noted = noted(facts);
    let next = match (published(resource, facts), noted) {
        (None, noted) => noted?,
        (Some(seconds), Some(noted)) if seconds < noted.seconds => {
            let lasts = SignedDuration::from_secs(noted.seconds.into());
            Noted { until: noted.until.or_else(|| facts.now.checked_add(lasts).ok()), ..noted }
        }
        (Some(seconds), _) => Noted { seconds, until: None },
    };
    Some(next.to_string())
}

/// What the claims have, as long as it counts.
fn noted(facts: &Facts) -> Option<Noted> {
    let claims = facts.relays.values().filter_map(|live| live.claim.as_ref());
    let texts = claims.filter_map(|claim| claim.metadata.annotations.as_ref()?.get(labels::TTL));
    let counts = |noted: &Noted| noted.until.is_none_or(|until| facts.now < until);
    // Of the same TTL the one that goes on counts longest.
    let longest = |noted: &Noted| (noted.seconds, noted.until.is_none(), noted.until);
    texts.filter_map(|text| text.parse().ok()).filter(counts).max_by_key(longest)
}

fn written(facts: &Facts) -> Option<u32> {
    let sets = facts.mx.values().flat_map(|set| &set.spec.endpoints).filter_map(|set| set.record_ttl);
    sets.filter_map(|ttl| u32::try_from(ttl).ok()).max()
}

/// The TTL that is published now: what external-dns was told, or what a person was told to enter. What DNS says is not
/// asked: some servers count it down.
fn published(resource: &Validated, facts: &Facts) -> Option<u32> {
    let by_hand = || {
        let entered = resource.dns.mode == DnsMode::Manual && !publication::published(resource, facts).is_empty();
        entered.then_some(resource.dns.ttl)
    };
    written(facts).or_else(by_hand)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::Cluster;

    fn annotation(cluster: &Cluster) -> Option<String> {
        let live = cluster.facts.relays.values().next().unwrap();
        live.claim.as_ref().unwrap().metadata.annotations.as_ref().unwrap().get(labels::TTL).cloned()
    }

    fn largest_of(cluster: &Cluster) -> u32 {
        largest(&cluster.resource, &cluster.facts)
    }

    #[test]
    fn a_ttl_that_is_lowered_counts_for_as_long_as_it_said() {
        let mut cluster = Cluster::new();
        cluster.pass();
        assert_eq!(annotation(&cluster), None, "nothing is published yet");
        let mut cluster = Cluster::published();
        assert_eq!(annotation(&cluster).as_deref(), Some("300"));
        cluster.resource.dns.ttl = 3600;
        cluster.pass();
        cluster.pass();
        assert_eq!(annotation(&cluster).as_deref(), Some("3600"));
        cluster.resource.dns.ttl = 60;
        cluster.pass();
        cluster.pass();
        assert_eq!(annotation(&cluster).as_deref(), Some("3600 until 2027-01-15T09:00:00Z"));
        cluster.later(3599);
        let settled = cluster.pass();
        assert_eq!(cluster.pass(), settled, "it is not written anew");
        cluster.facts.dns = Default::default();
        assert_eq!(largest_of(&cluster), 3600, "who looked it up just before has it still");
        cluster.later(1);
        assert_eq!(largest_of(&cluster), 60);
        cluster.pass();
        assert_eq!(annotation(&cluster).as_deref(), Some("60"));
    }

    #[test]
    fn the_largest_of_all_claims_counts() {
        let mut cluster = Cluster::published();
        for (live, text) in cluster.facts.relays.values_mut().zip(["900 until 2027-01-15T08:05:00Z", "900"]) {
            let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
            annotations.insert(labels::TTL.into(), text.into());
        }
        assert_eq!(largest_of(&cluster), 900);
        cluster.pass();
        assert_eq!(annotation(&cluster).as_deref(), Some("900 until 2027-01-15T08:15:00Z"));
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        for text in ["", "soon", "300 until", "300 until later", "-1"] {
            assert_eq!(text.parse::<Noted>(), Err(()), "{text}");
        }
    }
}
