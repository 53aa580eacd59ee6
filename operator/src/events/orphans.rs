//! Mail that is in danger of being forgotten: claims without their BackupMX. Pure.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim};
use kube::ResourceExt;

use super::{Event, Reason};
use crate::{
    apply::{is_discarded, is_held},
    commands, labels,
};

/// Whose an object is: its namespace, the UID of its resource, and the relay's name.
type Relay = (String, String, String);

/// The claims whose BackupMX is gone though their relay is there: somebody took its finalizer off. Volumes that
/// `deletionPolicy: Retain` left have no relay any more, and are as they should be. Copies in another namespace, with a
/// relay or without, are nobody's. `living` are the resources that there are: one of the same name that cannot take a claim
/// over is another.
#[must_use]
pub fn orphans(
    claims: &[Arc<PersistentVolumeClaim>],
    deployments: &[Arc<Deployment>],
    living: &BTreeSet<Life>,
) -> Vec<Arc<PersistentVolumeClaim>> {
    let served: BTreeSet<Relay> = deployments.iter().filter_map(|one| relay(one.as_ref())).collect();
    let alone = |claim: &&Arc<PersistentVolumeClaim>| {
        let served = |relay: &Relay| served.contains(relay) || (labels::is_copy(claim.as_ref()) && is_held(claim));
        relay(claim.as_ref()).is_some_and(|relay| is_alone(claim, living) && served(&relay))
    };
    claims.iter().filter(alone).cloned().collect()
}

/// A resource, by namespace and UID: another of the same name is another.
pub type Life = (String, String);

/// The claims that a person has let go and whose BackupMX is gone, or is in another namespace, so that no pass will do it.
/// `living` are the resources that there are.
#[must_use]
pub fn released(claims: &[Arc<PersistentVolumeClaim>], living: &BTreeSet<Life>) -> Vec<Arc<PersistentVolumeClaim>> {
    let released = |claim: &PersistentVolumeClaim| is_held(claim) && is_discarded(claim) && is_alone(claim, living);
    claims.iter().filter(|claim| released(claim)).cloned().collect()
}

/// The claims that are kept though their BackupMX is gone, or is in another namespace.
#[must_use]
pub fn left(claims: &[Arc<PersistentVolumeClaim>], living: &BTreeSet<Life>) -> usize {
    claims.iter().filter(|claim| is_held(claim) && is_alone(claim, living)).count()
}

/// Whether no pass looks after a claim: passes look in the namespace of their resource alone.
fn is_alone(claim: &PersistentVolumeClaim, living: &BTreeSet<Life>) -> bool {
    let uid = claim.labels().get(labels::OWNER_UID);
    uid.is_some_and(|uid| !living.contains(&(claim.namespace().unwrap_or_default(), uid.clone())))
}

/// What is told of such a claim. `held` is how many messages its relay says that it holds.
#[must_use]
pub fn orphaned(claim: &PersistentVolumeClaim, held: Option<u64>) -> Event {
    let owner = claim.annotations().get(labels::OWNER).cloned().unwrap_or_default();
    if labels::is_copy(claim) {
        let note = format!(
            "this claim was made for a relay of the BackupMX {owner}, which is in another namespace: it is a copy, and no \
             operator looks after it or knows what mail is in it. It is kept until a person lets it go with its mail, its \
             relay too: {}",
            commands::discard(&claim.namespace().unwrap_or_default(), &claim.name_any())
        );
        return Event::new(Reason::ClaimOrphaned, note);
    }
    let domains = claim.annotations().get(labels::DOMAINS).cloned().unwrap_or_default();
    let held = held.map_or_else(|| "an unknown number of".to_owned(), |held| held.to_string());
    let note = format!(
        "the BackupMX {owner} is gone, and this claim of its relay holds {held} messages; the relay goes on with the \
         config that it has. A BackupMX of that name, with this relay and the domains {domains}, takes it over, with all \
         that is beside it. The annotation {}={} lets it go with its mail",
        labels::RELEASE,
        labels::DISCARD
    );
    Event::new(Reason::ClaimOrphaned, note)
}

fn relay(object: &impl ResourceExt) -> Option<Relay> {
    let label = |key: &str| object.labels().get(key).cloned();
    Some((object.namespace().unwrap_or_default(), label(labels::OWNER_UID)?, label(labels::RELAY)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels_of(uid: &str) -> serde_json::Value {
        json!({labels::OWNER_UID: uid, labels::RELAY: "a"})
    }

    /// The claim of a resource's relay.
    fn claim(name: &str, uid: &str) -> Arc<PersistentVolumeClaim> {
        let annotations = json!({labels::OWNER: "mail/gone", labels::DOMAINS: "example.org"});
        let metadata = json!({"namespace": "mail", "name": name, "annotations": annotations, "labels": labels_of(uid)});
        Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    fn deployment(name: &str, uid: &str) -> Arc<Deployment> {
        let document = json!({"metadata": {"namespace": "mail", "name": name, "labels": labels_of(uid)}});
        Arc::new(serde_json::from_value(document).unwrap())
    }

    #[test]
    fn a_claim_whose_relay_outlived_its_resource_is_an_orphan() {
        let claims = [
            claim("served", "lives"),
            claim("alone", "gone"),
            claim("retained", "left"),
            claim("of-another-in-its-place", "old"),
        ];
        let deployments =
            [deployment("served", "lives"), deployment("alone", "gone"), deployment("of-another-in-its-place", "new")];
        let living = ["lives", "new"].map(|uid| ("mail".to_owned(), uid.to_owned())).into();
        let found: Vec<String> = orphans(&claims, &deployments, &living).iter().map(|claim| claim.name_any()).collect();
        assert_eq!(found, ["alone"], "by whose they are, and not by their names");
    }

    #[test]
    fn a_copy_in_another_namespace_is_nobody_s() {
        let mut copy = PersistentVolumeClaim::clone(&claim("served", "lives"));
        copy.metadata.namespace = Some("restored".to_owned());
        let living = [("mail".to_owned(), "lives".to_owned())].into();
        let found = |copy: &PersistentVolumeClaim| -> Vec<String> {
            let claims = [claim("served", "lives"), Arc::new(copy.clone())];
            let found = orphans(&claims, &[deployment("served", "lives")], &living);
            found.iter().filter_map(|claim| claim.namespace()).collect()
        };
        assert_eq!(found(&copy), Vec::<String>::new(), "it is not kept");
        copy.metadata.finalizers = Some(vec![labels::HELD_MAIL.to_owned()]);
        assert_eq!(found(&copy), ["restored"]);
        let note = orphaned(&copy, Some(3)).note;
        assert!(note.contains("another namespace") && !note.contains("3 messages"), "{note}");
        assert!(
            note.ends_with("kubectl annotate pvc -n restored served backupmx.io/release=discard --overwrite"),
            "{note}"
        );
    }

    #[test]
    fn a_person_lets_go_what_no_resource_has() {
        let claim = |owner: &str, release: Option<&str>, finalizers: &[&str]| -> Arc<PersistentVolumeClaim> {
            let mut claim = PersistentVolumeClaim::default();
            claim.metadata.name = Some(owner.to_owned());
            claim.metadata.namespace = Some("mail".to_owned());
            claim.metadata.labels = Some([(labels::OWNER_UID.to_owned(), owner.to_owned())].into());
            claim.metadata.annotations = release.map(|value| [(labels::RELEASE.to_owned(), value.to_owned())].into());
            claim.metadata.finalizers = Some(finalizers.iter().map(|&name| name.to_owned()).collect());
            Arc::new(claim)
        };
        let mut copy = PersistentVolumeClaim::clone(&claim("lives", Some("discard"), &[labels::HELD_MAIL]));
        copy.metadata.namespace = Some("restored".to_owned());
        let claims = [
            Arc::new(copy),
            claim("gone", Some("discard"), &[labels::HELD_MAIL]),
            claim("lives", Some("discard"), &[labels::HELD_MAIL]),
            claim("kept", None, &[labels::HELD_MAIL]),
            claim("withdrawn", Some("withdrawn"), &[labels::HELD_MAIL]),
            claim("free", Some("discard"), &["kubernetes.io/pvc-protection"]),
        ];
        let living = [("mail".to_owned(), "lives".to_owned())].into();
        let path = |claim: &Arc<PersistentVolumeClaim>| (claim.namespace().unwrap_or_default(), claim.name_any());
        let found: Vec<(String, String)> = released(&claims, &living).iter().map(path).collect();
        let wanted = [("restored", "lives"), ("mail", "gone")];
        assert_eq!(found, wanted.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())));
        assert_eq!(left(&claims, &living), 4);
    }

    #[test]
    fn it_is_said_how_many_and_what_to_do() {
        let note = orphaned(&claim("alone", "gone"), Some(3)).note;
        assert!(note.contains("BackupMX mail/gone is gone") && note.contains("3 messages"), "{note}");
        assert!(note.contains("domains example.org"), "{note}");
    }
}
