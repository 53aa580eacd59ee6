//! Claims that somebody deletes while they may hold mail, with their BackupMX or without it, one by one or with their
//! namespace. They are kept, which must not look like a deletion that hangs for nothing. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

use super::{Event, Reason};
use crate::{
    apply::{is_discarded, is_held, is_leaving},
    commands, labels,
    lifecycle::Phase,
    plan,
    status::{messages, messages_are, some},
};

/// Who looks after a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Its BackupMX, whether that can be read or not.
    Resource,
    /// Its relay alone: the BackupMX is gone.
    Relay,
    /// Nobody: the BackupMX is gone, and so is the relay, as `deletionPolicy: Retain` has it.
    Nobody,
    /// Nobody: it is a copy, and its BackupMX is in another namespace.
    Elsewhere,
}

/// A claim that is being deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Deleted {
    /// The claim.
    pub claim: Arc<PersistentVolumeClaim>,
    /// How many messages it holds. None: nobody says.
    pub held: Option<u64>,
    /// Who looks after it.
    pub keeper: Keeper,
}

/// Whether a claim is being deleted and stays until a person or time lets it go. One that a person has let go already,
/// and one whose relay is retired, goes at the next pass.
#[must_use]
pub fn is_kept(claim: &PersistentVolumeClaim) -> bool {
    let retiring = plan::retirements(Some(claim));
    let retired = retiring.iter().any(|one| one.domain.is_none() && one.phase == Phase::Gone);
    is_leaving(claim) && is_held(claim) && !is_discarded(claim) && !retired
}

/// What is told of one of them.
#[must_use]
pub fn told(deleted: &Deleted) -> Event {
    let claim = &deleted.claim;
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let holds = match deleted.held {
        Some(0) => "holds no mail".to_owned(),
        Some(held) => format!("holds {}", messages(held)),
        None => "holds an unknown number of messages".to_owned(),
    };
    let discard = commands::discard(&namespace, &name);
    let owner = claim.annotations().get(labels::OWNER).cloned().unwrap_or_default();
    let domains = claim.annotations().get(labels::DOMAINS).cloned().unwrap_or_default();
    let domains = some(&domains.split(',').map(str::to_owned).collect::<Vec<_>>(), ", ");
    let (reason, text) = match deleted.keeper {
        Keeper::Resource if deleted.held == Some(0) => (Reason::ClaimDeleted, "it goes by itself".to_owned()),
        Keeper::Resource => {
            (Reason::ClaimDeleted, format!("it stays until its relay has delivered them. To lose them: {discard}"))
        }
        Keeper::Relay => (
            Reason::ClaimDeleted,
            format!(
                "the BackupMX {owner} is gone; its relay goes on to deliver them, for as long as its pod runs. To let \
                 the claim go, with what it holds then: {discard}"
            ),
        ),
        Keeper::Elsewhere => (
            Reason::ClaimStranded,
            format!(
                "it is a copy, made for the BackupMX {owner} in another namespace, and no operator looks after it. To let \
                 it go, with what it holds: {discard}"
            ),
        ),
        Keeper::Nobody => {
            let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
            let keep = match volume {
                // Before the old claim goes.
                Some(volume) => format!("{} && ", commands::keep_volume(&volume)),
                None => String::new(),
            };
            let text = format!(
                "its BackupMX {owner} is gone, and no pod can start on it. To deliver them, have the volume kept: \
                 {keep}{discard}; then put the BackupMX back, with this relay and the domains {domains}. To lose them: \
                 {discard}"
            );
            (Reason::ClaimStranded, text)
        }
    };
    Event::new(reason, format!("this claim was deleted and {holds}: {text}"))
}

/// What is told of a namespace that is being deleted; nothing where all that its claims hold will be gone by itself.
#[must_use]
pub fn of_namespace(deleted: &[Deleted]) -> Option<Event> {
    // What is empty goes by itself only where there is a resource whose passes let it go.
    let stays = |one: &&Deleted| one.held != Some(0) || one.keeper != Keeper::Resource;
    let staying: Vec<&Deleted> = deleted.iter().filter(stays).collect();
    if staying.is_empty() {
        return None;
    }
    let known: u64 = staying.iter().filter_map(|one| one.held).sum();
    let unknown: Vec<String> =
        staying.iter().filter(|one| one.held.is_none()).map(|one| one.claim.name_any()).collect();
    let claims = match &unknown[..] {
        [one] => format!("the claim {one}"),
        several => format!("{} claims", several.len()),
    };
    let held = match known {
        known if unknown.is_empty() => format!("{} held", messages_are(known)),
        0 => format!("an unknown number of messages is held by {claims}"),
        known => format!("{} held, and an unknown number by {claims}", messages_are(known)),
    };
    let namespace = staying.first().and_then(|one| one.claim.namespace()).unwrap_or_default();
    let discard = commands::discard_all(&namespace);
    // Of one length, however many claims there are: a note that is too long would lose its end.
    let note = format!(
        "{held} in this namespace, and no pod can start in it to deliver them. To keep the volumes for claims of the same \
         names: {} && {discard}; then make a namespace of the same name and put the BackupMX resources back. To lose them: \
         {discard}",
        commands::keep_volumes(&namespace)
    );
    Some(Event::new(Reason::NamespaceTerminating, note))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(annotations: &Value) -> PersistentVolumeClaim {
        let document = json!({
            "metadata": {
                "namespace": "mail", "name": "x-a", "finalizers": [labels::HELD_MAIL],
                "deletionTimestamp": "2027-01-15T08:00:00Z", "annotations": annotations,
            },
            "spec": {"volumeName": "pv-a"},
        });
        serde_json::from_value(document).unwrap()
    }

    fn one(held: Option<u64>, keeper: Keeper) -> Deleted {
        let annotations = json!({labels::OWNER: "mail/x", labels::DOMAINS: "example.org"});
        Deleted { claim: Arc::new(claim(&annotations)), held, keeper }
    }

    #[test]
    fn what_goes_by_itself_is_not_kept() {
        let retiring = |domain: Value, phase: &str| {
            let one = json!({"domain": domain, "phase": phase, "since": "2027-01-15T08:00:00Z", "ttl": 300});
            json!({labels::RETIRING: json!([one]).to_string()})
        };
        for (annotations, kept) in [
            (json!({}), true),
            (json!({labels::RELEASE: "withdrawn"}), true),
            (json!({labels::RELEASE: labels::DISCARD}), false),
            (retiring(json!(null), "Draining"), true),
            (retiring(json!("example.org"), "Gone"), true),
            (retiring(json!(null), "Gone"), false),
        ] {
            assert_eq!(is_kept(&claim(&annotations)), kept, "{annotations}");
        }
        let mut there = claim(&json!({}));
        there.metadata.deletion_timestamp = None;
        assert!(!is_kept(&there), "nobody deletes it");
        let mut foreign = claim(&json!({}));
        foreign.metadata.finalizers = Some(vec!["kubernetes.io/pvc-protection".into()]);
        assert!(!is_kept(&foreign), "it is not the operator that keeps it");
    }

    #[test]
    fn the_count_and_the_way_out_are_told() {
        let discard = "kubectl annotate pvc -n mail x-a backupmx.io/release=discard";
        for (held, keeper, reason, count, way) in [
            (Some(3), Keeper::Resource, Reason::ClaimDeleted, "holds 3 messages", discard),
            (Some(0), Keeper::Resource, Reason::ClaimDeleted, "holds no mail", "by itself"),
            (None, Keeper::Relay, Reason::ClaimDeleted, "an unknown number", "mail/x is gone; its relay goes on"),
            (None, Keeper::Nobody, Reason::ClaimStranded, "an unknown number", "put the BackupMX back"),
            (None, Keeper::Nobody, Reason::ClaimStranded, "an unknown number", "kubectl patch pv pv-a"),
            (None, Keeper::Elsewhere, Reason::ClaimStranded, "an unknown number", "mail/x in another namespace"),
            (None, Keeper::Elsewhere, Reason::ClaimStranded, "an unknown number", discard),
            (Some(1), Keeper::Nobody, Reason::ClaimStranded, "holds 1 message:", discard),
        ] {
            let event = told(&one(held, keeper));
            assert_eq!(event.reason, reason);
            assert!(event.note.contains(count) && event.note.contains(way), "{}", event.note);
            assert!(event.note.len() < 1024, "it is cut: {}", event.note);
        }
        let many: Vec<String> = (0..100).map(|number| format!("a-rather-long-domain-{number}.example")).collect();
        let annotations = json!({labels::OWNER: format!("{0}/{0}", "n".repeat(40)), labels::DOMAINS: many.join(",")});
        let mut longest = claim(&annotations);
        (longest.metadata.namespace, longest.metadata.name) = (Some("n".repeat(40)), Some("c".repeat(50)));
        let event = told(&Deleted { claim: Arc::new(longest), held: None, keeper: Keeper::Nobody });
        assert!(event.note.len() < 1024, "it is cut: {}", event.note);
    }

    #[test]
    fn a_namespace_is_told_with_the_sum_what_nobody_knows_and_the_ways_out() {
        use Keeper::{Nobody, Resource};
        let note = |list: &[Deleted]| of_namespace(list).unwrap().note;
        let sum = note(&[one(Some(2), Resource), one(Some(5), Resource), one(Some(0), Resource)]);
        assert!(sum.starts_with("7 messages are held in this namespace"), "{sum}");
        for part in
            ["\"Retain\"", "&& kubectl annotate pvc -n mail -l", "put the BackupMX resources back", "To lose them: "]
        {
            assert!(sum.contains(part), "{part}: {sum}");
        }
        let many: Vec<Deleted> = (0..100).map(|_| one(None, Nobody)).collect();
        assert!(note(&many).starts_with("an unknown number of messages is held by 100 claims in"), "{}", note(&many));
        let mut longest = one(None, Nobody);
        let metadata = &mut Arc::make_mut(&mut longest.claim).metadata;
        (metadata.namespace, metadata.name) = (Some("n".repeat(63)), Some("c".repeat(63)));
        assert!(note(&[longest.clone()]).len() < 1024, "it is cut: {}", note(&[longest]));
        let unknown = note(&[one(None, Nobody)]);
        assert!(unknown.starts_with("an unknown number of messages is held by the claim x-a in this"), "{unknown}");
        let both = note(&[one(None, Nobody), one(Some(1), Resource)]);
        assert!(both.starts_with("1 message is held, and an unknown number by the claim x-a in this"), "{both}");
        assert_eq!(of_namespace(&[one(Some(0), Resource)]), None);
        assert_ne!(of_namespace(&[one(Some(0), Nobody)]), None, "empty, and nobody lets it go");
    }
}
