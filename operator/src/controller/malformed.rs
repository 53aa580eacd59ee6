//! What is said of a resource that cannot be read: in its status, which would tell old news for ever otherwise.

use std::time::Duration;

use backupmx_crds::{
    BackupMX,
    conditions::{ConditionType, Reason},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Context, unreadable};
use crate::{
    error::{Category, Error},
    labels,
    status::conditions::{Conditions, Generations},
};

/// Whether the API server took a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// It finds the resource invalid. It may take it later, when a change of the schema is in force.
    No,
}

/// How soon a status that was not taken is written again.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// Says in the status that the resource cannot be read, and why. `live` is the resource as it is.
///
/// # Errors
/// The API server did not answer. That it refuses is logged: it takes no status of a resource that contradicts the
/// schema too much, and then the Event and the metric say it alone.
pub(super) async fn say(context: &Context, live: &DynamicObject, why: &str) -> Result<Taken, Error> {
    match status(&live.metadata, &live.data["status"], why, Timestamp::now()) {
        Some(status) => write(context, &live.metadata, &status).await,
        None => Ok(Taken::Yes),
    }
}

/// Writes a status, as far as the API server takes one.
///
/// # Errors
/// As [`say`].
pub(super) async fn write(context: &Context, metadata: &ObjectMeta, status: &Value) -> Result<Taken, Error> {
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &ApiResource::erase::<BackupMX>(&()));
    let whole = json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "status": status});
    let forced = PatchParams::apply(labels::MANAGER).force();
    match api.patch_status(&name, &forced, &Patch::Apply(&whole)).await {
        Ok(_) => return Ok(Taken::Yes),
        // A value of another type than the schema's is in the way of server-side apply, but not of a patch.
        Err(kube::Error::Api(refusal)) => tracing::debug!(name, %refusal, "server-side apply of the status is refused"),
        Err(error) => return Err(Error::kube("write the status")(error)),
    }
    let params = PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
    let patched = api.patch_status(&name, &params, &Patch::Merge(json!({"status": status}))).await;
    match patched.map_err(Error::kube("write the status")) {
        Err(error) if error.category() == Category::Refused => {
            let error = error.with_cause();
            tracing::warn!(
                namespace,
                name,
                error,
                "the API server takes no status of a resource that it finds invalid"
            );
            Ok(Taken::No)
        }
        done => done.map(|_| Taken::Yes),
    }
}

/// What a pass needs of a resource that cannot be read and goes on by the terms that could be used last: these name its
/// domains. None: nothing is known that could be used, and nothing of it is held.
pub(super) fn readable(context: &Context, live: &DynamicObject) -> Option<BackupMX> {
    let mut known = unreadable::leaving(&live.metadata, &Value::Null)?;
    let ours = |finalizer: &String| finalizer == labels::RETIRE;
    let ask = context.dereference();
    let terms = context.terms.refuse(&known, || ask.noted(&known)).filter(|_| known.finalizers().iter().any(ours))?;
    known.spec.domains = terms.domains.iter().map(ToString::to_string).collect();
    known.status = serde_json::from_value(live.data["status"].clone()).ok();
    Some(known)
}

/// The status with that in it; what was said of mail stays, as it is the last that is known. None: it says so already.
fn status(metadata: &ObjectMeta, before: &Value, why: &str, now: Timestamp) -> Option<Value> {
    let old: Vec<Condition> = serde_json::from_value(before["conditions"].clone()).unwrap_or_default();
    let message = format!(
        "the resource cannot be read: {why}. Its relays go on as they are; the rest of the status is of the time before"
    );
    let mut conditions = Conditions::new(&old, Generations::newest(metadata.generation), now);
    conditions.set(ConditionType::Ready, false, Reason::Malformed, message.clone());
    conditions.set(ConditionType::Reconciling, false, Reason::Malformed, "waiting for a change of the spec");
    conditions.set(ConditionType::Stalled, true, Reason::Malformed, message);
    let mut list = conditions.finish();
    list.extend(
        old.iter().filter(|known| list.iter().all(|new| new.type_ != known.type_)).cloned().collect::<Vec<_>>(),
    );
    let mut status = before.as_object().cloned().unwrap_or_default();
    status.insert("conditions".to_owned(), json!(list));
    if let Some(generation) = metadata.generation {
        status.insert("observedGeneration".to_owned(), json!(generation));
    }
    let status = Value::Object(status);
    (status != *before).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_what_is_held_stays() {
        let metadata = ObjectMeta { generation: Some(3), ..ObjectMeta::default() };
        let before = json!({
            "observedGeneration": 2,
            "queue": {"messages": 4},
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Available", "message": "",
                    "lastTransitionTime": "2027-01-15T08:00:00Z"},
                {"type": "QueueHealthy", "status": "True", "reason": "Holding", "message": "",
                    "lastTransitionTime": "2027-01-15T08:00:00Z"},
            ],
        });
        let now: Timestamp = "2027-01-15T09:00:00Z".parse().unwrap();
        let after = status(&metadata, &before, "spec.domains: expected a list", now).unwrap();
        assert_eq!((&after["observedGeneration"], &after["queue"]["messages"]), (&json!(3), &json!(4)));
        let told: Vec<_> =
            after["conditions"].as_array().unwrap().iter().map(|one| (&one["type"], &one["status"])).collect();
        let said = |kind: &str, truth: &str| told.contains(&(&json!(kind), &json!(truth)));
        assert!(said("Ready", "False") && said("Stalled", "True") && said("QueueHealthy", "True"), "{after}");
        assert_eq!(status(&metadata, &after, "spec.domains: expected a list", now), None, "it says so already");
    }
}
