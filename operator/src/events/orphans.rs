//! Mail that is in danger of being forgotten: claims without their BackupMX. Pure.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim};
use kube::ResourceExt;

use super::{Event, Reason};
use crate::{apply::is_held, labels};

/// A claim, by namespace and name.
type Place = (String, String);

/// The claims whose BackupMX is gone though their relay is there: somebody took its finalizer off. Volumes that
/// `deletionPolicy: Retain` left have no relay any more, and are as they should be. `resources` are those that there
/// are, by namespace and name.
#[must_use]
pub fn orphans(
    claims: &[Arc<PersistentVolumeClaim>],
    deployments: &[Arc<Deployment>],
    resources: &BTreeSet<Place>,
) -> Vec<Arc<PersistentVolumeClaim>> {
    let served: BTreeSet<Place> = deployments.iter().map(|one| place(one.as_ref())).collect();
    let owner = |claim: &PersistentVolumeClaim| {
        let (namespace, name) = claim.annotations().get(labels::OWNER)?.split_once('/')?;
        Some((namespace.to_owned(), name.to_owned()))
    };
    let alone = |claim: &&Arc<PersistentVolumeClaim>| {
        // A relay's Deployment and its claim have one name.
        owner(claim).is_some_and(|owner| !resources.contains(&owner)) && served.contains(&place(claim.as_ref()))
    };
    claims.iter().filter(alone).cloned().collect()
}

/// The claims that a person has let go and whose BackupMX is gone, so that no pass will do it. `living` are the UIDs of
/// the resources that there are: another of the same name is another.
#[must_use]
pub fn released(claims: &[Arc<PersistentVolumeClaim>], living: &BTreeSet<String>) -> Vec<Arc<PersistentVolumeClaim>> {
    let alone = |claim: &PersistentVolumeClaim| {
        claim.labels().get(labels::OWNER_UID).is_some_and(|owner| !living.contains(owner))
    };
    let discarded = |claim: &PersistentVolumeClaim| {
        claim.annotations().get(labels::RELEASE).map(String::as_str) == Some(labels::DISCARD)
    };
    claims.iter().filter(|claim| is_held(claim) && discarded(claim) && alone(claim)).cloned().collect()
}

/// The claims that are kept though their BackupMX is gone.
#[must_use]
pub fn left(claims: &[Arc<PersistentVolumeClaim>], living: &BTreeSet<String>) -> usize {
    let alone = |claim: &PersistentVolumeClaim| {
        claim.labels().get(labels::OWNER_UID).is_some_and(|owner| !living.contains(owner))
    };
    claims.iter().filter(|claim| is_held(claim) && alone(claim)).count()
}

/// What is told of such a claim. `held` is how many messages its relay says that it holds.
#[must_use]
pub fn orphaned(claim: &PersistentVolumeClaim, held: Option<u64>) -> Event {
    let owner = claim.annotations().get(labels::OWNER).cloned().unwrap_or_default();
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

fn place(object: &impl ResourceExt) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(name: &str, owner: &str) -> Arc<PersistentVolumeClaim> {
        let annotations = json!({labels::OWNER: owner, labels::DOMAINS: "example.org"});
        let document = json!({"metadata": {"namespace": "mail", "name": name, "annotations": annotations}});
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn deployment(name: &str) -> Arc<Deployment> {
        let document = json!({"metadata": {"namespace": "mail", "name": name}});
        Arc::new(serde_json::from_value(document).unwrap())
    }

    #[test]
    fn a_claim_whose_relay_outlived_its_resource_is_an_orphan() {
        let claims = [claim("served", "mail/there"), claim("alone", "mail/gone"), claim("retained", "mail/gone")];
        let deployments = [deployment("served"), deployment("alone")];
        let resources = [("mail".to_owned(), "there".to_owned())].into();
        let found: Vec<String> =
            orphans(&claims, &deployments, &resources).iter().map(|claim| claim.name_any()).collect();
        assert_eq!(found, ["alone"]);
    }

    #[test]
    fn a_person_lets_go_what_no_resource_has() {
        let claim = |owner: &str, release: Option<&str>, finalizers: &[&str]| -> Arc<PersistentVolumeClaim> {
            let mut claim = PersistentVolumeClaim::default();
            claim.metadata.name = Some(owner.to_owned());
            claim.metadata.labels = Some([(labels::OWNER_UID.to_owned(), owner.to_owned())].into());
            claim.metadata.annotations = release.map(|value| [(labels::RELEASE.to_owned(), value.to_owned())].into());
            claim.metadata.finalizers = Some(finalizers.iter().map(|&name| name.to_owned()).collect());
            Arc::new(claim)
        };
        let claims = [
            claim("gone", Some("discard"), &[labels::HELD_MAIL]),
            claim("lives", Some("discard"), &[labels::HELD_MAIL]),
            claim("kept", None, &[labels::HELD_MAIL]),
            claim("withdrawn", Some("withdrawn"), &[labels::HELD_MAIL]),
            claim("free", Some("discard"), &["kubernetes.io/pvc-protection"]),
        ];
        let living = ["lives".to_owned()].into();
        let found: Vec<String> = released(&claims, &living).iter().map(|claim| claim.name_any()).collect();
        assert_eq!(found, ["gone"]);
        assert_eq!(left(&claims, &living), 3);
    }

    #[test]
    fn it_is_said_how_many_and_what_to_do() {
        let note = orphaned(&claim("alone", "mail/gone"), Some(3)).note;
        assert!(note.contains("BackupMX mail/gone is gone") && note.contains("3 messages"), "{note}");
        assert!(note.contains("domains example.org"), "{note}");
    }
}
