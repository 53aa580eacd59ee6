//! The condition `StorageHealthy`: whether the volumes are there and have their size.

use backupmx_crds::conditions::{ConditionType, Reason};
use backupmx_relay_config::ByteSize;
use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim,
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt as _;

use super::conditions::{Conditions, Truth};
use crate::{
    apply::{Applied, RefusedGrowth, is_leaving},
    commands,
    desired::claim::{self, Expansion},
    gate::Readiness,
    labels,
    plan::{self, Facts, Live, Loss},
    validated::{RelayName, Storage, Validated},
};

/// What is the case with one volume. The worse stands below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Bound,
    Growing,
    Provisioning,
    CannotGrow,
    ResizeFailed,
    Lost,
    Deleted,
    Stopped,
}

impl Standing {
    const fn reason(self) -> (Truth, Reason) {
        match self {
            Self::Bound => (Truth::True, Reason::Bound),
            Self::Growing => (Truth::True, Reason::Growing),
            Self::Provisioning => (Truth::Unknown, Reason::Provisioning),
            Self::CannotGrow => (Truth::False, Reason::CannotGrow),
            Self::ResizeFailed => (Truth::False, Reason::ResizeFailed),
            Self::Lost => (Truth::False, Reason::ClaimLost),
            Self::Deleted => (Truth::False, Reason::DeletedWhileHolding),
            Self::Stopped => (Truth::False, Reason::DeletedWhileStopped),
        }
    }
}

/// Notes the condition.
pub(super) fn condition(conditions: &mut Conditions<'_>, resource: &Validated, facts: &Facts, applied: &Applied) {
    let volumes = resource.relays.iter().filter_map(|relay| {
        let live = facts.relays.get(&relay.name)?;
        let written = applied.relays.iter().find(|known| known.name == relay.name);
        let claim = written.and_then(|known| known.claim.as_ref()).or(live.claim.as_ref())?;
        let judged = judge(&relay.name, &resource.storage, live, claim, facts.now);
        let refused = written.and_then(|known| known.growth.as_ref()).map(|growth| refused(&relay.name, growth));
        refused.into_iter().chain([judged]).max_by_key(|(standing, _)| *standing)
    });
    let worst = volumes.max_by_key(|(standing, _)| *standing);
    let (standing, message) = worst.unwrap_or((Standing::Bound, "there is no volume to look after".to_owned()));
    let (truth, reason) = standing.reason();
    conditions.set(ConditionType::StorageHealthy, truth, reason, message);
}

fn judge(
    name: &RelayName,
    storage: &Storage,
    live: &Live,
    claim: &PersistentVolumeClaim,
    now: Timestamp,
) -> (Standing, String) {
    if is_leaving(claim) {
        let stopped = is_stopped(live).then(|| (Standing::Stopped, stranded(name, claim)));
        return stopped.unwrap_or_else(|| (Standing::Deleted, deleted(name, live, claim)));
    }
    if let Some(loss) = plan::lost_before(claim) {
        return (Standing::Lost, lost(name, live, claim, &loss));
    }
    let status = claim.status.clone().unwrap_or_default();
    let asked = requested(claim);
    if let Some(failure) = failure(claim) {
        let text = format!("the volume of relay {name} could not grow to {asked}: {failure}");
        return (Standing::ResizeFailed, text);
    }
    if let Some(class) = no_growth(live, claim)
        && let Some(wanted) = wanted(storage, live, asked)
    {
        let text = format!(
            "the volume of relay {name} has {asked} and needs {wanted}, and {class}, or raise storage.size, add a relay, \
             whose volume is of that size, and remove this one"
        );
        return (Standing::CannotGrow, text);
    }
    if status.phase.as_deref() != Some("Bound") {
        return (Standing::Provisioning, unbound(name, claim));
    }
    match plan::has(claim) {
        Some(has) if has < asked => {
            let growing = format!("the volume of relay {name} is growing from {has} to {asked}");
            match waiting(claim, now) {
                Some(waiting) => (Standing::ResizeFailed, format!("{growing}, and waits: {waiting}")),
                None => (Standing::Growing, growing),
            }
        }
        _ if asked > storage.size.max(storage.max_size.unwrap_or(storage.size)) => {
            let size = storage.size;
            let text = format!("the volume of relay {name} has {asked}; the spec asks for {size}, and none shrinks");
            (Standing::Bound, text)
        }
        _ => (Standing::Bound, "every volume is there and has its size".to_owned()),
    }
}

/// Why a volume is not asked to grow, and what would let it. None: it may.
fn no_growth(live: &Live, claim: &PersistentVolumeClaim) -> Option<String> {
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
    match live.expansion {
        Expansion::Allowed => None,
        Expansion::Refused => {
            Some(format!("its storage class {class} lets none grow: set allowVolumeExpansion on the class"))
        }
        // It may be that the class is yet to be chosen.
        Expansion::Unknown if plan::has(claim).is_none() => None,
        Expansion::Unknown if class.is_empty() => {
            Some("it has no storage class, without which none grows: use a class with allowVolumeExpansion".to_owned())
        }
        Expansion::Unknown => Some(format!(
            "there is no StorageClass {class} that lets it grow: make one of that name with allowVolumeExpansion"
        )),
    }
}

/// What is said of a claim that may not even ask for more.
fn refused(name: &RelayName, growth: &RefusedGrowth) -> (Standing, String) {
    let RefusedGrowth { size, why } = growth;
    let text =
        format!("the volume of relay {name} could not grow to {size}: {why}; it goes on with the size that it has");
    (Standing::ResizeFailed, text)
}

fn unbound(name: &RelayName, claim: &PersistentVolumeClaim) -> String {
    let (namespace, text) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref());
    let without = if class.is_some() {
        ""
    } else {
        ". It has no storage class: make one of the cluster the default class, or name one in spec.storage.storageClassName \
         of a new BackupMX"
    };
    format!(
        "the volume of relay {name} is not bound yet; what it waits for: kubectl -n {namespace} describe pvc {text}{without}"
    )
}

/// What the volume should have and does not ask for.
fn wanted(storage: &Storage, live: &Live, asked: ByteSize) -> Option<ByteSize> {
    let full = plan::fill(live).is_some_and(claim::Fill::is_high);
    match storage.max_size {
        _ if storage.size > asked => Some(storage.size),
        Some(largest) if full && largest > asked => Some(largest),
        Some(_) | None => None,
    }
}

fn deleted(name: &RelayName, live: &Live, claim: &PersistentVolumeClaim) -> String {
    let discard = discard(claim);
    let held = match live.report.as_ref().map(plan::held) {
        Some(0) => "It holds no mail any more and makes way for a new one".to_owned(),
        Some(messages) => format!(
            "It is kept until its {} delivered, and a new one is made then; to lose them: {discard}",
            super::messages_are(messages)
        ),
        None => {
            format!("It is kept, as its relay does not say what it holds; to let it go with its mail: {discard}")
        }
    };
    format!("the volume claim of relay {name} was deleted. {held}")
}

/// What is gone, as far as it is known, and how a person says that it was seen.
fn lost(name: &RelayName, live: &Live, claim: &PersistentVolumeClaim, loss: &Loss) -> String {
    let (namespace, text) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let held = match loss.messages {
        Some(0) => "it held no mail when it was last asked".to_owned(),
        Some(messages) => format!("it held {} when it was last asked", super::messages(messages)),
        None => "how much mail it held is not known".to_owned(),
    };
    let now = match live.report.as_ref().filter(|_| plan::is_on_lost_claim(live)) {
        Some(report) => format!(
            "Its pod is still on the old volume, which has {}: it delivers that, and moves to the new one then",
            super::messages(plan::held(report))
        ),
        None => "Where the old volume is still there (kubectl get pv), its mail is in it".to_owned(),
    };
    format!(
        "the volume claim of relay {name} was gone at {} though nobody had let it go: {held}. A new one was made. {now}. \
         When you have seen this: kubectl annotate pvc -n {namespace} {text} {}-",
        loss.since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        labels::LOST
    )
}

/// Whether the relay is not there: neither does it answer, nor has it a pod that takes mail.
fn is_stopped(live: &Live) -> bool {
    live.report.is_none()
        && live.deployment.as_ref().is_some_and(|deployment| plan::readiness(deployment) == Readiness::Unready)
}

/// The way out of it. The volume is reserved before the old claim goes.
fn stranded(name: &RelayName, claim: &PersistentVolumeClaim) -> String {
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
    format!(
        "the volume claim of relay {name} was deleted, and the relay does not run. A new pod cannot start on it. To have \
         a new claim take the volume with its mail: {} && {}",
        commands::keep_volume(&volume),
        discard(claim)
    )
}

fn discard(claim: &PersistentVolumeClaim) -> String {
    commands::discard(&claim.namespace().unwrap_or_default(), &claim.name_any())
}

/// Why the volume could not grow, in the words of who tried.
fn failure(claim: &PersistentVolumeClaim) -> Option<String> {
    let status = claim.status.as_ref()?;
    let failed = |kind: &str| matches!(kind, "ControllerResizeError" | "NodeResizeError");
    let said = status.conditions.iter().flatten().find(|known| failed(&known.type_) && known.status == "True");
    let said = said.map(|known| known.message.clone().unwrap_or_else(|| known.type_.clone()));
    let state = status.allocated_resource_statuses.as_ref().and_then(|states| states.get("storage"));
    said.or_else(|| state.filter(|state| state.ends_with("Infeasible") || state.ends_with("Failed")).cloned())
}

/// How long the system may take to make a volume, or the file system on it, larger.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// What a growth waits for that has waited for long, in the words of the system. A driver that cannot make the file system
/// larger under a running pod waits for the next one.
fn waiting(claim: &PersistentVolumeClaim, now: Timestamp) -> Option<String> {
    const KINDS: [&str; 2] = ["FileSystemResizePending", "Resizing"];
    let mut said = claim.status.as_ref()?.conditions.iter().flatten().filter(|known| known.status == "True");
    let said = said.find(|known| {
        let since = known.last_transition_time.as_ref().map(|since| since.0);
        KINDS.contains(&known.type_.as_str()) && since.is_some_and(|since| now.duration_since(since) > PATIENCE)
    })?;
    let text = said.message.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| said.type_.clone());
    let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
    let next = match said.type_.as_str() {
        // The claim and the Deployment have one name.
        "FileSystemResizePending" => format!("kubectl rollout restart -n {namespace} deploy/{name}"),
        _ => format!("kubectl describe pvc -n {namespace} {name}"),
    };
    Some(format!("{text}: {next}"))
}

fn requested(claim: &PersistentVolumeClaim) -> ByteSize {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    requests.and_then(|size| size.0.parse().ok()).unwrap_or(ByteSize::bytes(0))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::tests::Cluster;

    fn claim(change: &Value) -> PersistentVolumeClaim {
        let mut document = json!({
            "metadata": {"namespace": "mail", "name": "x-a"},
            "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "10Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
        });
        for (path, value) in change.as_object().unwrap() {
            let (parent, key) = path.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    fn live(expansion: Expansion, used_gibibytes: u64, messages: u64) -> Live {
        let mut report = Cluster::settled().facts.relays.into_values().next().unwrap().report.unwrap();
        report.storage.used = used_gibibytes << 30;
        (report.storage.available, report.storage.size) = ((10 - used_gibibytes) << 30, 10 << 30);
        report.queue.messages = messages;
        Live { expansion, report: Some(report), ..Live::default() }
    }

    #[test]
    fn what_is_the_case_with_a_volume() {
        use Expansion::{Allowed, Refused, Unknown};
        let deleted = json!({"/metadata/deletionTimestamp": "2027-01-15T08:00:00Z"});
        let error = json!([{"type": "ControllerResizeError", "status": "True", "message": "no room on the array"}]);
        let pending = |since: &str| {
            json!([{
                "type": "FileSystemResizePending", "status": "True", "lastTransitionTime": since,
                "message": "Waiting for user to (re-)start a pod",
            }])
        };
        let now: Timestamp = "2027-01-15T08:30:00Z".parse().unwrap();
        for (what, size, largest, change, live, wanted, said) in [
            ("as it should be", 10, None, json!({}), live(Allowed, 1, 0), Standing::Bound, "has its size"),
            (
                "not bound",
                10,
                None,
                json!({"/status/phase": "Pending"}),
                live(Allowed, 1, 0),
                Standing::Provisioning,
                "relay a",
            ),
            (
                "growing",
                20,
                None,
                json!({"/spec/resources": {"requests": {"storage": "20Gi"}}}),
                live(Allowed, 1, 0),
                Standing::Growing,
                "from 10Gi to 20Gi",
            ),
            (
                "a smaller spec",
                5,
                None,
                json!({}),
                live(Allowed, 1, 0),
                Standing::Bound,
                "the spec asks for 5Gi, and none shrinks",
            ),
            ("it grew by itself", 5, Some(20), json!({}), live(Allowed, 1, 0), Standing::Bound, "has its size"),
            (
                "a larger spec, refused",
                20,
                None,
                json!({}),
                live(Refused, 1, 0),
                Standing::CannotGrow,
                "needs 20Gi, and its storage class fast",
            ),
            (
                "a larger spec, of a class that is not there",
                20,
                None,
                json!({}),
                live(Unknown, 1, 0),
                Standing::CannotGrow,
                "needs 20Gi, and there is no StorageClass fast",
            ),
            (
                "a larger spec, of no class",
                20,
                None,
                json!({"/spec/storageClassName": null}),
                live(Unknown, 1, 0),
                Standing::CannotGrow,
                "it has no storage class",
            ),
            ("of no class, large enough", 10, None, json!({}), live(Unknown, 1, 0), Standing::Bound, "has its size"),
            ("filling, refused", 10, Some(50), json!({}), live(Refused, 8, 0), Standing::CannotGrow, "needs 50Gi"),
            ("filling, at its largest", 10, Some(10), json!({}), live(Refused, 8, 0), Standing::Bound, ""),
            (
                "a growth that failed",
                10,
                None,
                json!({"/status/conditions": error}),
                live(Allowed, 1, 0),
                Standing::ResizeFailed,
                "no room on the array",
            ),
            (
                "a growth that waits for a pod",
                20,
                None,
                json!({
                    "/spec/resources": {"requests": {"storage": "20Gi"}},
                    "/status/conditions": pending("2027-01-15T08:00:00Z"),
                }),
                live(Allowed, 1, 0),
                Standing::ResizeFailed,
                "Waiting for user to (re-)start a pod: kubectl rollout restart -n mail deploy/x-a",
            ),
            (
                "a growth that has begun to wait",
                20,
                None,
                json!({
                    "/spec/resources": {"requests": {"storage": "20Gi"}},
                    "/status/conditions": pending("2027-01-15T08:26:00Z"),
                }),
                live(Allowed, 1, 0),
                Standing::Growing,
                "from 10Gi to 20Gi",
            ),
            (
                "a growth that cannot be",
                10,
                None,
                json!({"/status/allocatedResourceStatuses": {"storage": "NodeResizeInfeasible"}}),
                live(Allowed, 1, 0),
                Standing::ResizeFailed,
                "NodeResizeInfeasible",
            ),
            ("deleted by hand", 10, None, deleted.clone(), live(Allowed, 1, 3), Standing::Deleted, "its 3 messages"),
            (
                "deleted, and empty",
                10,
                None,
                deleted.clone(),
                live(Allowed, 1, 0),
                Standing::Deleted,
                "no mail any more",
            ),
            (
                "deleted, and stopped",
                10,
                None,
                deleted.clone(),
                Live { deployment: Some(Deployment::default()), ..Live::default() },
                Standing::Stopped,
                "&& kubectl annotate pvc -n mail x-a backupmx.io/release=discard",
            ),
            (
                "lost",
                10,
                None,
                json!({"/metadata/annotations": {labels::LOST: r#"{"since": "2027-01-15T08:00:00Z", "messages": 3}"#}}),
                live(Allowed, 1, 0),
                Standing::Lost,
                "nobody had let it go: it held 3 messages when it was last asked",
            ),
            (
                "lost, and nothing known",
                10,
                None,
                json!({"/metadata/annotations": {labels::LOST: r#"{"since": "2027-01-15T08:00:00Z"}"#}}),
                live(Allowed, 1, 0),
                Standing::Lost,
                "kubectl annotate pvc -n mail x-a backupmx.io/lost-",
            ),
            ("deleted, and silent", 10, None, deleted, Live::default(), Standing::Deleted, "annotate pvc -n mail x-a"),
        ] {
            let gibibytes = |count: u64| ByteSize::mebibytes(count << 10);
            let storage = Storage { size: gibibytes(size), max_size: largest.map(gibibytes), class: None };
            let (standing, message) = judge(&"a".parse().unwrap(), &storage, &live, &claim(&change), now);
            assert_eq!(standing, wanted, "{what}: {message}");
            assert!(message.contains(said), "{what}: {message}");
        }
    }
}
