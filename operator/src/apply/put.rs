//! One object at a time: written where it differs, deleted where it is ours.

use std::fmt::Debug;

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::subset;
use crate::{error::Error, labels};

/// A kind that the operator writes.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

/// Whose an object must be to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This very resource's.
    Own,
    /// This operator's. Who has a domain was decided before, so its record set passes from one resource to another.
    Managed,
    /// This very resource's, or what a former resource of the same name left behind.
    Inherited,
    /// This very resource's, or a claim with held mail that a resource of the same name left behind.
    Adopted,
}

/// Writes an object with server-side apply, if the live one is not what is wanted already.
pub async fn put<K: Kind>(client: &Client, live: Option<K>, wanted: &K, ownership: Ownership) -> Result<K, Error> {
    let name = wanted.name_any();
    let kind = K::kind(&()).into_owned();
    let mut document = serde_json::to_value(wanted).map_err(|error| Error::Document(error.to_string()))?;
    if let Some(live) = live {
        if !may_touch(live.meta(), wanted.meta(), ownership) {
            return Err(Error::NotOurs { kind, name });
        }
        let there = serde_json::to_value(&live).map_err(|error| Error::Document(error.to_string()))?;
        let managed = live.managed_fields();
        if subset::contains(Some(&there), &document)
            && subset::wants_all_of_its_own(managed, labels::MANAGER, &document)
        {
            return Ok(live);
        }
        // What is gone by now was decided on as if it were there: the API server answers 409 rather than make it anew.
        document["metadata"]["uid"] = json!(live.uid());
        return apply(client, wanted, &document).await;
    }
    // What a person made is in no cache: those hold what bears our label.
    let api: Api<K> = Api::namespaced(client.clone(), &wanted.namespace().unwrap_or_default());
    let there = api.list_metadata(&ListParams::default().fields(&format!("metadata.name={name}"))).await;
    let there = there.map_err(Error::kube(format!("look for {kind} {name}")))?;
    if there.items.iter().any(|live| !may_touch(&live.metadata, wanted.meta(), ownership)) {
        return Err(Error::NotOurs { kind, name });
    }
    apply(client, wanted, &document).await
}

async fn apply<K: Kind>(client: &Client, wanted: &K, document: &Value) -> Result<K, Error> {
    let (kind, name, namespace) = (K::kind(&()), wanted.name_any(), wanted.namespace().unwrap_or_default());
    tracing::info!(%kind, namespace, name, "applying");
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(labels::MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(document)).await.map_err(Error::kube(format!("apply {kind} {name}")))
}

/// Deletes a live object of ours. One that is gone already is as good. What stays of it for its finalizers comes back.
pub async fn delete<K: Kind>(client: &Client, live: &K) -> Result<Option<K>, Error> {
    // An object of the same name that came later is not the one that was decided on.
    delete_if(client, live, Preconditions { uid: live.uid(), resource_version: None }).await
}

/// The same, where nobody has changed it since it was seen: it may be another's by now.
pub async fn delete_unchanged<K: Kind>(client: &Client, live: &K) -> Result<Option<K>, Error> {
    delete_if(client, live, Preconditions { uid: live.uid(), resource_version: live.resource_version() }).await
}

async fn delete_if<K: Kind>(client: &Client, live: &K, only: Preconditions) -> Result<Option<K>, Error> {
    if live.meta().deletion_timestamp.is_some() {
        return Ok(Some(live.clone()));
    }
    let (name, kind) = (live.name_any(), K::kind(&()));
    let namespace = live.namespace().unwrap_or_default();
    tracing::info!(%kind, namespace, name, "deleting");
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let params = DeleteParams { preconditions: Some(only), ..DeleteParams::background() };
    match api.delete(&name, &params).await {
        Ok(answer) => Ok(answer.left()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
        Err(error) => Err(Error::kube(format!("delete {kind} {name}"))(error)),
    }
}

/// Takes one finalizer off, and leaves those of others. Applying the object without it would take all of them: with its
/// last item of ours the API server drops the whole list.
pub async fn release<K: Kind>(client: &Client, live: &K, finalizer: &str) -> Result<(), Error> {
    let others: Vec<&String> = live.finalizers().iter().filter(|one| *one != finalizer).collect();
    if others.len() == live.finalizers().len() {
        return Ok(());
    }
    let (name, kind) = (live.name_any(), K::kind(&()));
    let api: Api<K> = Api::namespaced(client.clone(), &live.namespace().unwrap_or_default());
    // With the version that is known: a finalizer that another adds meanwhile is not lost, nor is a later object of that
    // name let go.
    let version = live.resource_version();
    let change = json!({"metadata": {"uid": live.uid(), "resourceVersion": version, "finalizers": others}});
    let params = PatchParams { field_manager: Some(labels::MANAGER.into()), ..PatchParams::default() };
    match api.patch(&name, &params, &Patch::Merge(&change)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::kube(format!("take the finalizer off {kind} {name}"))(error)),
    }
}

/// Takes an annotation off that a person wrote. Where somebody has changed the object since it was seen, a person may have
/// written another word over it: it stays, and the pass that follows the change looks at it.
pub async fn forget<K: Kind>(client: &Client, live: &K, annotation: &str) -> Result<(), Error> {
    let (name, kind) = (live.name_any(), K::kind(&()));
    tracing::info!(%kind, name, annotation, "taking an annotation off");
    let api: Api<K> = Api::namespaced(client.clone(), &live.namespace().unwrap_or_default());
    let version = live.resource_version();
    let change =
        json!({"metadata": {"uid": live.uid(), "resourceVersion": version, "annotations": {annotation: null}}});
    let params = PatchParams { field_manager: Some(labels::MANAGER.into()), ..PatchParams::default() };
    match api.patch(&name, &params, &Patch::Merge(&change)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(Error::kube(format!("take {annotation} off {kind} {name}"))(error)),
    }
}

/// Whether a live object may be written over.
pub(super) fn may_touch(live: &ObjectMeta, wanted: &ObjectMeta, ownership: Ownership) -> bool {
    let label = |meta: &ObjectMeta, key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key).cloned());
    let note = |meta: &ObjectMeta, key: &str| meta.annotations.as_ref().and_then(|notes| notes.get(key).cloned());
    let own = label(live, labels::OWNER_UID) == label(wanted, labels::OWNER_UID);
    let domains = |meta: &ObjectMeta| {
        let mut domains: Vec<String> =
            note(meta, labels::DOMAINS).unwrap_or_default().split(',').map(str::to_owned).collect();
        domains.sort();
        domains
    };
    match ownership {
        Ownership::Own => own,
        Ownership::Inherited => own || note(live, labels::OWNER) == note(wanted, labels::OWNER),
        Ownership::Managed => own || label(live, "app.kubernetes.io/managed-by").as_deref() == Some(labels::MANAGER),
        Ownership::Adopted => {
            own || note(live, labels::OWNER) == note(wanted, labels::OWNER)
                && label(live, labels::RELAY) == label(wanted, labels::RELAY)
                && domains(live) == domains(wanted)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::{Request, Response};
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    use kube::client::Body;
    use parking_lot::Mutex;
    use tower::service_fn;

    use super::*;
    use crate::validated::Owner;

    fn meta(name: &str, uid: &str, relay: &str, domains: &str) -> ObjectMeta {
        let owner = Owner { namespace: "mail".into(), name: name.into(), uid: uid.into() };
        let mut annotations = labels::owner(&owner);
        annotations.insert(labels::DOMAINS.into(), domains.into());
        ObjectMeta {
            labels: Some(labels::relay(&owner, &relay.parse().unwrap())),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_is_another_s_is_not_touched() {
        use Ownership::{Adopted, Inherited, Managed, Own};
        let wanted = meta("x", "u", "a", "d.test,e.test");
        for (what, live, may) in [
            ("our own", meta("x", "u", "a", "d.test"), [true, true, true, true]),
            ("left by one of that name", meta("x", "v", "a", "e.test,d.test"), [false, true, true, true]),
            ("left, with another domain", meta("x", "v", "a", "d.test"), [false, true, true, false]),
            ("left, by another relay", meta("x", "v", "b", "d.test,e.test"), [false, true, true, false]),
            ("of another resource", meta("y", "v", "a", "d.test,e.test"), [false, false, true, false]),
            ("of a person", ObjectMeta::default(), [false, false, false, false]),
        ] {
            let found = [Own, Inherited, Managed, Adopted].map(|ownership| may_touch(&live, &wanted, ownership));
            assert_eq!(found, may, "{what}");
        }
    }

    #[tokio::test]
    async fn a_word_that_was_written_meanwhile_stays() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        // As the API server answers where the object is not of that version any more.
        let server = service_fn(move |request: Request<Body>| {
            let seen = seen.clone();
            async move {
                let body = request.into_body().collect_bytes().await?;
                seen.lock().push(serde_json::from_slice::<Value>(&body).unwrap_or_default());
                let answer =
                    json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": ""});
                Ok::<_, kube::Error>(
                    Response::builder().status(409).body(Body::from(answer.to_string().into_bytes())).unwrap(),
                )
            }
        });
        let live: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"namespace": "mail", "name": "x", "uid": "u", "resourceVersion": "7"},
        }))
        .unwrap();
        forget(&Client::new(server, "mail"), &live, labels::RELEASE).await.unwrap();
        let wanted = json!({
            "metadata": {"uid": "u", "resourceVersion": "7", "annotations": {labels::RELEASE: null}},
        });
        assert_eq!(*asked.lock(), [wanted]);
    }
}
