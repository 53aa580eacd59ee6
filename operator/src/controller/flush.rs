//! The annotation `backupmx.io/flush`: any new value has all held mail tried at once. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;

use crate::{apply::is_held, labels, validated::RelayName};

/// The value that is still to be acted on. `wanted` is the annotation, `handled` the value that was acted on last.
#[must_use]
pub fn due<'a>(wanted: Option<&'a str>, handled: Option<&str>) -> Option<&'a str> {
    wanted.filter(|value| Some(*value) != handled)
}

/// How many relays did not hear of those whose claim may hold mail. One whose pod is being replaced is among them.
#[must_use]
pub fn deaf(claims: &[PersistentVolumeClaim], heard: &BTreeSet<RelayName>) -> usize {
    let named = |claim: &PersistentVolumeClaim| claim.labels().get(labels::RELAY)?.parse::<RelayName>().ok();
    claims.iter().filter(|claim| is_held(claim)).filter_map(named).filter(|relay| !heard.contains(relay)).count()
}

/// Which relays have heard of a value. One that has is not told again while another is away: each time all its mail would
/// be tried, whatever its primary has asked for.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    value: Option<String>,
    relays: BTreeSet<RelayName>,
}

impl Heard {
    /// Those have heard of that value.
    #[must_use]
    pub fn new(value: &str, relays: BTreeSet<RelayName>) -> Self {
        Self { value: Some(value.to_owned()), relays }
    }

    /// The relays that have heard of a value: none, where another one was told last.
    #[must_use]
    pub fn of(&self, value: &str) -> BTreeSet<RelayName> {
        if self.value.as_deref() == Some(value) { self.relays.clone() } else { BTreeSet::new() }
    }
}

/// What counts as acted on when a value was `due` and so many of the relays `deaf` to it: one that did not hear is
/// told again at the next pass.
#[must_use]
pub fn handled(due: &str, before: Option<&str>, deaf: usize) -> Option<String> {
    if deaf == 0 { Some(due.to_owned()) } else { before.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_value_is_due_once() {
        for (what, wanted, before, due_now) in [
            ("never asked for", None, None, None),
            ("asked for", Some("1"), None, Some("1")),
            ("done", Some("1"), Some("1"), None),
            ("asked for again", Some("2"), Some("1"), Some("2")),
            ("an older value is a new one too", Some("1"), Some("2"), Some("1")),
            ("an empty value is one", Some(""), None, Some("")),
            ("the annotation was taken off", None, Some("1"), None),
        ] {
            assert_eq!(due(wanted, before), due_now, "{what}");
        }
    }

    #[test]
    fn a_relay_without_a_pod_did_not_hear() {
        let cluster = crate::plan::tests::Cluster::settled();
        let mut claims: Vec<_> = cluster.facts.relays.values().filter_map(|live| live.claim.clone()).collect();
        let heard = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(deaf(&claims, &heard(&[])), 2);
        assert_eq!(deaf(&claims, &heard(&["a"])), 1, "the pod of the other is being replaced");
        assert_eq!(deaf(&claims, &heard(&["a", "b"])), 0);
        claims[1].finalizers_mut().clear();
        assert_eq!(deaf(&claims, &heard(&["a"])), 0, "a claim that was let go holds nothing");
    }

    #[test]
    fn a_relay_that_heard_is_told_again_of_another_value_only() {
        let a = BTreeSet::from(["a".parse().unwrap()]);
        let heard = Heard::new("1", a.clone());
        assert_eq!(heard.of("1"), a);
        assert_eq!(heard.of("2"), BTreeSet::new());
        assert_eq!(Heard::default().of(""), BTreeSet::new(), "an empty value is one, too");
    }

    #[test]
    fn a_relay_that_did_not_hear_is_told_again() {
        let wanted = Some("2");
        let mut known = Some("1".to_owned());
        for deaf in [2, 1, 0] {
            let value = due(wanted, known.as_deref()).unwrap();
            known = handled(value, known.as_deref(), deaf);
        }
        assert_eq!(due(wanted, known.as_deref()), None);
        assert_eq!(known.as_deref(), wanted, "the status shows the value");
    }
}
