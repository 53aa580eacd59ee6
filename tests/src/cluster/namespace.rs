//! A namespace that a test has to itself.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{self, ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount},
    events::v1::Event,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{History, Kind, Kube, reason, shown};

/// How often an object is looked at that is waited for.
const POLL: Duration = Duration::from_millis(100);

/// The label of a namespace that says what its pods must be.
pub const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";

/// A namespace that a test has to itself. Its pods must be what the restricted Pod Security Standard asks for. When this
/// is dropped it goes, finalizers or not.
pub struct Namespace {
    kube: Kube,
    name: String,
}

impl Namespace {
    /// A new one, whose name begins with `prefix`.
    ///
    /// # Panics
    /// The API server refuses it.
    #[must_use]
    #[track_caller]
    pub fn new(kube: &Kube, prefix: &str) -> Self {
        let name = format!("{prefix}-{:08x}", rand::random::<u32>());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {POD_SECURITY: "restricted"}},
        });
        kube.apply("", &namespace.to_string());
        Self { kube: kube.clone(), name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client.
    #[must_use]
    pub fn kube(&self) -> &Kube {
        &self.kube
    }

    /// Objects of one kind in it.
    #[must_use]
    pub fn api<K: Kind>(&self) -> Api<K> {
        self.kube.api(&self.name)
    }

    /// Applies every document of a YAML text, server-side.
    ///
    /// # Panics
    /// The API server refuses one.
    #[track_caller]
    pub fn apply(&self, yaml: &str) -> Vec<DynamicObject> {
        self.kube.apply(&self.name, yaml)
    }

    /// Creates an object.
    ///
    /// # Panics
    /// The API server refuses it.
    #[track_caller]
    pub fn create<K: Kind>(&self, object: &Value) -> K {
        let object: K = serde_json::from_value(object.clone()).unwrap();
        done("create", self.kube.run(self.api().create(&PostParams::default(), &object)))
    }

    /// An object; none where there is none.
    ///
    /// # Panics
    /// The API server does not say.
    #[must_use]
    #[track_caller]
    pub fn get<K: Kind>(&self, name: &str) -> Option<K> {
        done("read", self.kube.run(self.api().get_opt(name)))
    }

    /// All objects of a kind.
    ///
    /// # Panics
    /// The API server does not say.
    #[must_use]
    #[track_caller]
    pub fn list<K: Kind>(&self) -> Vec<K> {
        done("list", self.kube.run(self.api().list(&ListParams::default()))).items
    }

    /// What becomes of all objects of a kind from now on.
    ///
    /// # Panics
    /// The API server does not say what there is.
    #[must_use]
    #[track_caller]
    pub fn history<K: Kind + Send + Sync + 'static>(&self) -> History<K> {
        History::begin(&self.kube, self.api())
    }

    /// The names of all objects of a kind, sorted.
    ///
    /// # Panics
    /// The API server does not say.
    #[must_use]
    #[track_caller]
    pub fn names<K: Kind>(&self) -> Vec<String> {
        let mut names: Vec<String> = self.list::<K>().iter().map(ResourceExt::name_any).collect();
        names.sort();
        names
    }

    /// Changes an object by a merge patch.
    ///
    /// # Panics
    /// The API server refuses it.
    #[track_caller]
    pub fn merge<K: Kind>(&self, name: &str, change: &Value) -> K {
        done("change", self.kube.run(self.api().patch(name, &PatchParams::default(), &Patch::Merge(change))))
    }

    /// Changes an object's status by a merge patch.
    ///
    /// # Panics
    /// The API server refuses it.
    #[track_caller]
    pub fn merge_status<K: Kind>(&self, name: &str, status: &Value) -> K {
        let change = json!({"status": status});
        done("change", self.kube.run(self.api().patch_status(name, &PatchParams::default(), &Patch::Merge(&change))))
    }

    /// Deletes an object, as `kubectl delete` does.
    ///
    /// # Panics
    /// The API server refuses it.
    #[track_caller]
    pub fn delete<K: Kind>(&self, name: &str) {
        self.delete_by::<K>(name, PropagationPolicy::Background);
    }

    /// Deletes an object, its dependents first or after it.
    ///
    /// # Panics
    /// The API server refuses it.
    #[track_caller]
    pub fn delete_by<K: Kind>(&self, name: &str, policy: PropagationPolicy) {
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        done("delete", self.kube.run(self.api::<K>().delete(name, &params)));
    }

    /// Waits until an object is there and is as `condition` says. While the API server is away it is waited for.
    ///
    /// # Panics
    /// It is not within `limit`; the message shows the object as it was seen last.
    #[track_caller]
    pub fn wait<K: Kind>(&self, name: &str, what: &str, limit: Duration, mut condition: impl FnMut(&K) -> bool) -> K {
        self.look(name, what, limit, |object| object.filter(|object| condition(object)))
    }

    /// Waits until an object is gone.
    ///
    /// # Panics
    /// It is still there after `limit`.
    #[track_caller]
    pub fn wait_gone<K: Kind>(&self, name: &str, limit: Duration) {
        self.look(name, "is gone", limit, |object: Option<K>| object.is_none().then_some(()));
    }

    /// Waits until a resource's condition has that status and reason, such as `"Ready", "True", "Available"`.
    ///
    /// # Panics
    /// It has not within `limit`.
    #[track_caller]
    pub fn wait_condition(&self, name: &str, kind: &str, status: &str, wanted: &str, limit: Duration) -> BackupMX {
        let what = format!("{kind} is {status} ({wanted})");
        self.wait(name, &what, limit, |object: &BackupMX| reason(object, kind) == (status.into(), wanted.into()))
    }

    /// The Events about an object, in no order.
    ///
    /// # Panics
    /// The API server does not say.
    #[must_use]
    #[track_caller]
    pub fn events(&self, about: &str) -> Vec<Event> {
        let of = |event: &Event| event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(about);
        self.list::<Event>().into_iter().filter(of).collect()
    }

    /// Waits until there is an Event of that type (`Normal` or `Warning`) and reason about an object; its note.
    ///
    /// # Panics
    /// There is none within `limit`; the message shows those that there are.
    #[track_caller]
    pub fn wait_event(&self, about: &str, kind: &str, reason: &str, limit: Duration) -> String {
        let wanted = (Some(kind), Some(reason));
        let start = Instant::now();
        loop {
            let events = self.events(about);
            let found = events.iter().find(|event| (event.type_.as_deref(), event.reason.as_deref()) == wanted);
            if let Some(event) = found {
                return event.note.clone().unwrap_or_default();
            }
            let told: Vec<_> = events.iter().map(|event| (&event.type_, &event.reason, &event.note)).collect();
            assert!(start.elapsed() < limit, "waited in vain for {kind} {reason} about {about}; there are {told:#?}");
            thread::sleep(POLL);
        }
    }

    #[track_caller]
    fn look<K: Kind, T>(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(Option<K>) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        let api = self.api::<K>();
        loop {
            let seen = self.kube.run(api.get_opt(name));
            let last = match seen {
                Ok(object) => {
                    let text = object.as_ref().map_or_else(|| "(there is none)".to_owned(), shown);
                    if let Some(value) = probe(object) {
                        return value;
                    }
                    text
                }
                Err(error) => error.to_string(),
            };
            let took = start.elapsed();
            assert!(
                took < limit,
                "waited {:.1} s in vain until {} {name} in {} {what}; last seen:\n{last}",
                took.as_secs_f32(),
                K::kind(&()),
                self.name
            );
            thread::sleep(POLL);
        }
    }

    /// Without a garbage collector and a namespace controller nothing would go by itself. An operator may be at work
    /// still, and what it makes anew until the namespace is closed is taken away too.
    fn clear(&self) -> kube::Result<()> {
        self.empty::<BackupMX>()?;
        let namespaces: Api<v1::Namespace> = Api::all(self.kube.client());
        self.kube.run(namespaces.delete(&self.name, &DeleteParams::background()))?;
        self.empty::<Deployment>()?;
        self.empty::<Pod>()?;
        self.empty::<Service>()?;
        self.empty::<ConfigMap>()?;
        self.empty::<ServiceAccount>()?;
        self.empty::<PersistentVolumeClaim>()?;
        self.empty::<DNSEndpoint>()
    }

    /// Takes the finalizers off all objects of a kind. Nobody can put one on an object that is being deleted.
    fn release<K: Kind>(&self) -> kube::Result<()> {
        let api = self.api::<K>();
        let all = self.kube.run(api.list(&ListParams::default()))?;
        for object in all.items.iter().filter(|object| !object.finalizers().is_empty()) {
            let change = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            match self.kube.run(api.patch(&object.name_any(), &PatchParams::default(), &change)) {
                // It went by itself in the meantime.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                patched => drop(patched?),
            }
        }
        Ok(())
    }

    /// Deletes all objects of a kind, finalizers or not.
    fn empty<K: Kind + DeserializeOwned>(&self) -> kube::Result<()> {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::background() };
        self.kube.run(self.api::<K>().delete_collection(&now, &ListParams::default()))?;
        self.release::<K>()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The API server may be what a test has taken away.
        if let Err(error) = self.clear() {
            eprintln!("namespace {} was not cleared: {error}", self.name);
        }
    }
}

#[track_caller]
fn done<T: Debug>(what: &str, result: kube::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("failed to {what} an object: {error}"))
}
