//! Why a relay's pod does not run, in the words of the kubelet and the scheduler. Pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use crate::apply::is_leaving;

/// What a container waits for that starts as it should.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// What changes at every restart says no more than that there was one.
const CRASHES: &str = "CrashLoopBackOff";

/// What keeps the youngest of a relay's pods from running. None: nothing that is known, or there is no pod.
#[must_use]
pub fn of<'a>(pods: impl Iterator<Item = &'a Pod>) -> Option<String> {
    let youngest =
        pods.filter(|pod| !is_leaving(*pod)).max_by_key(|pod| pod.creation_timestamp().map(|made| made.0))?;
    let status = youngest.status.as_ref()?;
    let unplaced = status.conditions.iter().flatten().find(|one| one.type_ == "PodScheduled" && one.status == "False");
    if let Some(unplaced) = unplaced {
        return Some(said(unplaced.reason.as_deref().unwrap_or("Unschedulable"), unplaced.message.as_deref()));
    }
    let failed = status.reason.as_deref().filter(|_| status.phase.as_deref() == Some("Failed"));
    if let Some(reason) = failed {
        return Some(said(reason, status.message.as_deref()));
    }
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).find_map(of_container)
}

fn of_container(status: &ContainerStatus) -> Option<String> {
    let ContainerState { waiting, terminated, .. } = status.state.as_ref()?;
    if let Some(ended) = terminated.as_ref().filter(|ended| ended.exit_code != 0) {
        return Some(end(ended));
    }
    let waiting = waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| !STARTING.contains(reason))?;
    let ended = status.last_state.as_ref().and_then(|last| last.terminated.as_ref()).map(end);
    match ended.filter(|_| reason == CRASHES) {
        Some(ended) => Some(format!("{reason}: {ended}")),
        None => Some(said(reason, waiting.message.as_deref())),
    }
}

fn end(ended: &ContainerStateTerminated) -> String {
    let code = format!("it ended with exit code {}", ended.exit_code);
    let reason = ended.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    said(&format!("{code}{reason}"), ended.message.as_deref())
}

fn said(what: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{what}: {message}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(second: u8, status: &Value) -> Pod {
        let metadata = json!({"name": "x", "creationTimestamp": format!("2027-01-15T08:00:{second:02}Z")});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    fn container(status: &Value) -> Value {
        let mut whole = json!({"name": "relay", "image": "", "imageID": "", "ready": false, "restartCount": 3});
        whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        json!({"phase": "Pending", "containerStatuses": [whole]})
    }

    #[test]
    fn the_words_of_who_knows_it_are_told() {
        let pulls = json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"r.test/x\""});
        let ended = json!({"exitCode": 2, "reason": "Error", "startedAt": null, "finishedAt": null});
        let crashes = json!({"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"});
        let nodes = "0/3 nodes are available: 3 Insufficient memory.";
        let unplaced = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": nodes});
        for (status, wanted) in [
            (json!({"phase": "Pending", "conditions": [unplaced]}), Some(format!("Unschedulable: {nodes}"))),
            (
                container(&json!({"state": {"waiting": pulls}})),
                Some("ImagePullBackOff: Back-off pulling image \"r.test/x\"".to_owned()),
            ),
            (
                container(&json!({"state": {"waiting": crashes}, "lastState": {"terminated": ended}})),
                Some("CrashLoopBackOff: it ended with exit code 2 (Error)".to_owned()),
            ),
            (container(&json!({"state": {"terminated": ended}})), Some("it ended with exit code 2 (Error)".to_owned())),
            (
                json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}),
                Some("Evicted: The node was low on memory.".to_owned()),
            ),
            (container(&json!({"state": {"waiting": {"reason": "ContainerCreating"}}})), None),
            (container(&json!({"state": {"running": {}}})), None),
        ] {
            assert_eq!(of([&pod(1, &status)].into_iter()), wanted, "{status}");
        }
        assert_eq!(of([].into_iter()), None);
    }

    #[test]
    fn of_two_pods_the_younger_counts() {
        let evicted = pod(1, &json!({"phase": "Failed", "reason": "Evicted"}));
        let runs = pod(2, &container(&json!({"state": {"running": {}}})));
        assert_eq!(of([&evicted, &runs].into_iter()), None);
        assert_eq!(of([&runs, &evicted].into_iter()), None);
    }
}
