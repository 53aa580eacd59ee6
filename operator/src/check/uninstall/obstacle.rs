//! Why the operator must not go. Pure: by what the resources and their claims say.

use std::{collections::BTreeMap, fmt};

use backupmx_crds::{BackupMX, BackupMXStatus, RelayStatus, conditions::ConditionType};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Resource, ResourceExt, core::DeserializeGuard};

use super::Definitions;
use crate::{apply, commands, labels, lease, status};

/// Why the operator must not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// No operator is at work: what was said of relays is old, and what leaves is stuck.
    Unattended { namespace: String },
    /// A relay holds mail.
    Holds { resource: String, relay: String, messages: u64, give_up: String },
    /// A relay has never said what it holds.
    Unknown { resource: String, relay: String, give_up: String },
    /// A relay does not say any more what it holds; it held so many messages.
    Silent { resource: String, relay: String, messages: u64, give_up: String },
    /// Something in the queues needs a person, in the words of the condition.
    Unhealthy { resource: String, reason: String, message: String },
    /// A volume that was copied into another namespace may hold mail, and no relay runs on it.
    Copied { claim: String, discard: String },
    /// A volume may hold mail, and its BackupMX is gone.
    LeftBehind { claim: String, resource: String, discard: String },
    /// A BackupMX is being deleted, which takes the operator.
    Leaving { resource: String },
    /// A BackupMX would be deleted with its definition, and nobody would be there to retire its relays.
    Defined { resource: String },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unattended { namespace } => write!(
                f,
                "no operator is at work (nobody renews the Lease {} in {namespace}), so what its relays hold is not \
                 known; start it (is its Deployment scaled to 0?), and uninstall when it runs",
                lease::NAME
            ),
            Self::Holds { resource, relay, messages, give_up } => {
                write!(f, "relay {relay} of {resource} holds {}; {give_up}", held(*messages))
            }
            Self::Unknown { resource, relay, give_up } => {
                write!(f, "relay {relay} of {resource} does not say what it holds; {give_up}")
            }
            Self::Silent { resource, relay, messages, give_up } => write!(
                f,
                "relay {relay} of {resource} is not ready or does not answer; it held {} when it was last asked; {give_up}",
                held(*messages)
            ),
            Self::Unhealthy { resource, reason, message } => {
                write!(f, "{resource}: QueueHealthy is False ({reason}): {message}")
            }
            Self::Copied { claim, discard } => write!(
                f,
                "claim {claim} is a copy of a relay's in another namespace, and may hold mail that no relay delivers; to \
                 lose it: {discard}"
            ),
            Self::LeftBehind { claim, resource, discard } => {
                write!(f, "claim {claim} may hold mail, and its BackupMX {resource} is gone; to lose it: {discard}")
            }
            Self::Leaving { resource } => {
                write!(f, "{resource} is being deleted, which takes the operator; wait until it is gone")
            }
            Self::Defined { resource } => write!(
                f,
                "{resource} would be deleted with its definition (crds.keep is false); delete it first, and wait until \
                 it is gone"
            ),
        }
    }
}

/// So much.
fn held(messages: u64) -> String {
    if messages == 0 { "nothing".to_owned() } else { status::messages(messages) }
}

pub(super) fn obstacles(
    resources: &[DeserializeGuard<BackupMX>],
    claims: &[PersistentVolumeClaim],
    definitions: Definitions,
) -> Vec<Obstacle> {
    let known: BTreeMap<String, Option<&BackupMXStatus>> = resources
        .iter()
        .map(|guard| (full_name(guard), guard.0.as_ref().ok().and_then(|resource| resource.status.as_ref())))
        .collect();
    let held: Vec<&PersistentVolumeClaim> = claims.iter().filter(|claim| is_held(claim)).collect();
    let holds = held.iter().filter_map(|claim| holds(claim, &known));
    let owns = |name: &String| held.iter().any(|claim| !labels::is_copy(*claim) && owner(claim) == *name);
    let unhealthy = known.iter().filter(|(name, _)| owns(name)).filter_map(|(name, status)| unhealthy(name, *status));
    let leaving = resources.iter().filter_map(|guard| {
        let resource = full_name(guard);
        match (guard.meta().deletion_timestamp.is_some(), definitions) {
            (true, _) => Some(Obstacle::Leaving { resource }),
            (false, Definitions::Delete) => Some(Obstacle::Defined { resource }),
            (false, Definitions::Keep) => None,
        }
    });
    holds.chain(unhealthy).chain(leaving).collect()
}

/// Whether a claim may hold mail: it has the finalizer for it, and has got a volume.
pub(super) fn is_held(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    apply::is_held(claim) && phase != Some("Pending")
}

fn holds(claim: &PersistentVolumeClaim, known: &BTreeMap<String, Option<&BackupMXStatus>>) -> Option<Obstacle> {
    let (resource, relay) = (owner(claim), claim.labels().get(labels::RELAY).cloned().unwrap_or_default());
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let discard = commands::discard(&namespace, &name);
    if labels::is_copy(claim) {
        return Some(Obstacle::Copied { claim: full_name(claim), discard });
    }
    let Some(status) = known.get(&resource) else {
        return Some(Obstacle::LeftBehind { claim: full_name(claim), resource, discard });
    };
    let give_up = give_up(&namespace, &resource, &name);
    let said = status.and_then(|status| status.relays.iter().find(|one| one.name == relay));
    let Some((said, queue)) = said.and_then(|said| Some((said, said.queue.as_ref()?))) else {
        return Some(Obstacle::Unknown { resource, relay, give_up: give_up.all });
    };
    match queue.messages {
        messages if !is_heard(said) => Some(Obstacle::Silent { resource, relay, messages, give_up: give_up.all }),
        0 => None,
        messages => Some(Obstacle::Holds { resource, relay, messages, give_up: give_up.some }),
    }
}

/// How mail of a resource that stays is given up: an order on its claim is for what leaves only.
struct GiveUp {
    /// All of it, whether its relay answers or not.
    all: String,
    /// Message by message where its relay answers, or all of it.
    some: String,
}

/// `resource` is the full name, `relay` that of the relay's claim, which its Deployment has too.
fn give_up(namespace: &str, resource: &str, relay: &str) -> GiveUp {
    let name = resource.split_once('/').map_or(resource, |(_, name)| name);
    let discard = commands::delete_discarding(namespace, name);
    let list = commands::in_pod_of(namespace, relay, "queue list");
    GiveUp {
        all: format!("to delete the BackupMX and give up all that its relays hold: {discard}"),
        some: format!(
            "to give some up: {list} shows it, and queue discard ID in place of queue list throws one away; to delete the \
             BackupMX and give up all that its relays hold: {discard}"
        ),
    }
}

/// Whether a relay takes mail and answers: only of one that answers the revision of its config is known.
fn is_heard(relay: &RelayStatus) -> bool {
    relay.ready && relay.config_revision.is_some()
}

/// What of the queues needs a person: damaged parts are counted nowhere else.
fn unhealthy(resource: &str, status: Option<&BackupMXStatus>) -> Option<Obstacle> {
    let conditions = &status?.conditions;
    let queue = conditions.iter().find(|known| known.type_ == ConditionType::QueueHealthy.as_str())?;
    (queue.status == "False").then(|| Obstacle::Unhealthy {
        resource: resource.to_owned(),
        reason: queue.reason.clone(),
        message: queue.message.clone(),
    })
}

fn owner(claim: &PersistentVolumeClaim) -> String {
    claim.annotations().get(labels::OWNER).cloned().unwrap_or_default()
}

fn full_name<K: Resource>(object: &K) -> String {
    format!(
        "{}/{}",
        object.meta().namespace.clone().unwrap_or_default(),
        object.meta().name.clone().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource(name: &str, relays: Value, deleted: Option<&str>) -> DeserializeGuard<BackupMX> {
        said(name, json!({"relays": relays}), deleted)
    }

    fn said(name: &str, status: Value, deleted: Option<&str>) -> DeserializeGuard<BackupMX> {
        let text = json!({
            "apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX",
            "metadata": {"name": name, "namespace": "mail", "deletionTimestamp": deleted},
            "spec": {
                "domains": ["example.org"],
                "primary": {"hosts": [{"host": "mail.example.org"}]},
                "relays": [{"name": "a", "hostname": "mx1.example.net"}],
            },
            "status": status,
        });
        serde_json::from_value(text).unwrap()
    }

    fn claim(resource: &str, finalizer: &str, phase: &str) -> PersistentVolumeClaim {
        let text = json!({
            "metadata": {
                "name": "volume", "namespace": "mail", "finalizers": [finalizer],
                "labels": {labels::RELAY: "a"}, "annotations": {labels::OWNER: resource},
            },
            "status": {"phase": phase},
        });
        serde_json::from_value(text).unwrap()
    }

    fn queue(messages: u64) -> Value {
        json!([{"name": "a", "ready": true, "configRevision": 1, "queue": {"messages": messages}}])
    }

    const NAME: &str = "mail/x";

    #[test]
    fn what_is_in_the_way_of_leaving() {
        let (resource_name, relay) = (NAME.to_owned(), "a".to_owned());
        let leaving = Some("2026-01-01T00:00:00Z");
        for (what, resources, held, definitions, expected) in [
            ("nothing", vec![], None, Definitions::Delete, vec![]),
            ("an empty relay", vec![resource("x", queue(0), None)], Some(NAME), Definitions::Keep, vec![]),
            (
                "a relay with mail",
                vec![resource("x", queue(2), None)],
                Some(NAME),
                Definitions::Keep,
                vec![Obstacle::Holds {
                    resource: resource_name.clone(),
                    relay: relay.clone(),
                    messages: 2,
                    give_up: give_up("mail", NAME, "volume").some,
                }],
            ),
            (
                "a relay that was never heard",
                vec![resource("x", json!([{"name": "a", "ready": true}]), None)],
                Some(NAME),
                Definitions::Keep,
                vec![Obstacle::Unknown {
                    resource: resource_name.clone(),
                    relay: relay.clone(),
                    give_up: give_up("mail", NAME, "volume").all,
                }],
            ),
            (
                "a volume that was retained",
                vec![],
                Some(NAME),
                Definitions::Keep,
                vec![Obstacle::LeftBehind {
                    claim: "mail/volume".into(),
                    resource: resource_name.clone(),
                    discard: commands::discard("mail", "volume"),
                }],
            ),
            (
                "a resource that leaves",
                vec![resource("x", queue(0), leaving)],
                None,
                Definitions::Keep,
                vec![Obstacle::Leaving { resource: resource_name.clone() }],
            ),
            (
                "definitions that go too",
                vec![resource("x", queue(0), None)],
                None,
                Definitions::Delete,
                vec![Obstacle::Defined { resource: resource_name }],
            ),
        ] {
            let claims: Vec<_> = held.map(|name| claim(name, labels::HELD_MAIL, "Bound")).into_iter().collect();
            assert_eq!(obstacles(&resources, &claims, definitions), expected, "{what}");
        }
    }

    #[test]
    fn what_a_relay_said_before_it_fell_silent_is_not_believed() {
        let silent = |messages| Obstacle::Silent {
            resource: NAME.into(),
            relay: "a".into(),
            messages,
            give_up: give_up("mail", NAME, "volume").all,
        };
        for (what, relay, messages) in [
            ("its pod is not ready", json!({"ready": false, "configRevision": 1}), 0),
            ("it does not answer", json!({"ready": true}), 0),
            ("it held something", json!({"ready": true}), 3),
        ] {
            let mut relays = json!([{"name": "a", "queue": {"messages": messages}}]);
            relays[0].as_object_mut().unwrap().extend(relay.as_object().unwrap().clone());
            let found = obstacles(
                &[resource("x", relays, None)],
                &[claim(NAME, labels::HELD_MAIL, "Bound")],
                Definitions::Keep,
            );
            assert_eq!(found, [silent(messages)], "{what}");
        }
        assert!(silent(0).to_string().contains("it held nothing when it was last asked"));
    }

    #[test]
    fn what_gives_mail_up_works_where_the_resource_stays() {
        let told = |messages| {
            let found = obstacles(
                &[resource("x", queue(messages), None)],
                &[claim(NAME, labels::HELD_MAIL, "Bound")],
                Definitions::Keep,
            );
            found.iter().map(ToString::to_string).collect::<String>()
        };
        let text = told(2);
        for command in [
            "kubectl exec -n mail deploy/volume -- /usr/bin/backupmx-relay queue list",
            "kubectl patch backupmx -n mail x --type merge -p '{\"spec\": {\"deletionPolicy\": \"Discard\"}}' && kubectl \
             delete backupmx -n mail x",
        ] {
            assert!(text.contains(command), "{command}: {text}");
        }
        assert!(!text.contains("annotate pvc"), "an order on the claim does nothing for what stays: {text}");
        let gone = obstacles(&[], &[claim(NAME, labels::HELD_MAIL, "Bound")], Definitions::Keep);
        let text: String = gone.iter().map(ToString::to_string).collect();
        assert!(
            text.ends_with("kubectl annotate pvc -n mail volume backupmx.io/release=discard --overwrite"),
            "{text}"
        );
    }

    #[test]
    fn damaged_parts_and_what_needs_a_decision_are_in_the_way() {
        for reason in ["Quarantined", "NeedsDecision", "ClockJumped"] {
            let told = |truth: &str| {
                let condition = json!({
                    "type": "QueueHealthy", "status": truth, "reason": reason, "message": "why",
                    "lastTransitionTime": "2027-01-15T08:00:00Z",
                });
                let resource = said("x", json!({"relays": queue(0), "conditions": [condition]}), None);
                obstacles(&[resource], &[claim(NAME, labels::HELD_MAIL, "Bound")], Definitions::Keep)
            };
            let [found] = &told("False")[..] else { panic!("{reason}") };
            assert_eq!(found.to_string(), format!("mail/x: QueueHealthy is False ({reason}): why"));
            assert_eq!(told("True"), []);
        }
    }

    #[test]
    fn a_claim_that_was_let_go_of_or_never_had_a_volume_is_not_in_the_way() {
        for claim in [claim(NAME, "kubernetes.io/pvc-protection", "Bound"), claim(NAME, labels::HELD_MAIL, "Pending")] {
            assert_eq!(obstacles(&[], &[claim], Definitions::Keep), []);
        }
    }

    #[test]
    fn a_copy_in_another_namespace_says_nothing_of_the_original() {
        let mut copy = claim(NAME, labels::HELD_MAIL, "Bound");
        copy.metadata.namespace = Some("restored".to_owned());
        let found = obstacles(&[resource("x", queue(2), None)], &[copy], Definitions::Keep);
        let [Obstacle::Copied { claim, discard }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(claim, "restored/volume");
        assert!(discard.starts_with("kubectl annotate pvc -n restored volume "), "{discard}");
    }
}
