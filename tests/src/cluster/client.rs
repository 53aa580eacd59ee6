//! A client of an API server whose calls block.

use std::{fmt::Debug, future::Future, path::Path, sync::OnceLock, time::Duration};

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Client, Config, Resource,
    api::{DynamicObject, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{GroupVersionKind, Status},
    discovery::{self, Scope},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{runtime::Runtime, time::timeout};

use crate::cluster::documents;

/// A kind of object that lives in namespaces.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

/// No request takes so long, nor do hundreds of them: one that does hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// The field manager of what tests apply.
const MANAGER: &str = "backupmx-tests";

/// A client of an API server whose calls block. Not to be used inside an async runtime.
#[derive(Clone)]
pub struct Kube {
    client: Client,
}

/// The runtime of all clients and proxies of this test program.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

impl Kube {
    /// A client by a kubeconfig.
    ///
    /// # Panics
    /// The file is no kubeconfig.
    #[must_use]
    pub fn new(kubeconfig: &Path) -> Self {
        Self { client: client(kubeconfig, |_| {}) }
    }

    /// The client itself.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Runs a request, or several, to the end.
    ///
    /// # Panics
    /// That is not over after five minutes.
    #[track_caller]
    pub fn run<T>(&self, request: impl Future<Output = T>) -> T {
        let answer = runtime().block_on(async { timeout(LIMIT, request).await });
        answer.unwrap_or_else(|_| panic!("the API server has not answered for {} s", LIMIT.as_secs()))
    }

    /// One kind of object in a namespace.
    #[must_use]
    pub fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Applies every document of a YAML text, server-side. Those that live in namespaces and name none go into
    /// `namespace`.
    ///
    /// # Panics
    /// The API server refuses one.
    #[track_caller]
    pub fn apply(&self, namespace: &str, yaml: &str) -> Vec<DynamicObject> {
        let apply = |document: Value| match self.try_apply(namespace, &document) {
            Ok(object) => object,
            Err(status) => panic!("the API server refused: {}\n{}", status.message, crate::cluster::shown(&document)),
        };
        documents(yaml).into_iter().map(apply).collect()
    }

    /// As [`Self::apply`], for one object.
    ///
    /// # Errors
    /// The API server's refusal.
    ///
    /// # Panics
    /// The API server does not answer.
    #[track_caller]
    pub fn try_apply(&self, namespace: &str, object: &Value) -> Result<DynamicObject, Box<Status>> {
        let (api, name) = self.place_of(namespace, object)?;
        let params = PatchParams {
            field_validation: Some(kube::api::ValidationDirective::Strict),
            ..PatchParams::apply(MANAGER).force()
        };
        match self.run(api.patch(&name, &params, &Patch::Apply(object))) {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err(status),
            Err(error) => panic!("the API server does not answer: {error}"),
        }
    }

    /// Any request, as its path and query name it, such as `POST /api/v1/namespaces?dryRun=All`.
    ///
    /// # Errors
    /// The API server's refusal.
    ///
    /// # Panics
    /// The API server does not answer.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value, Box<Status>> {
        let request = hyper::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes()).unwrap();
        match self.run(self.client.request(request)) {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => Err(status),
            Err(error) => panic!("the API server does not answer to {method} {path}: {error}"),
        }
    }

    /// Where an object lives, and its name.
    #[track_caller]
    fn place_of(&self, namespace: &str, object: &Value) -> Result<(Api<DynamicObject>, String), Box<Status>> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (group, version) = match text("/apiVersion").expect("an object has an apiVersion").split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), text("/apiVersion").unwrap_or_default()),
        };
        let kind = GroupVersionKind::gvk(&group, &version, &text("/kind").expect("an object has a kind"));
        let (resource, capabilities) = match self.run(discovery::pinned_kind(&self.client, &kind)) {
            Ok(found) => found,
            Err(kube::Error::Api(status)) => return Err(status),
            Err(error) => panic!("the API server does not know {kind:?}: {error}"),
        };
        let namespace = text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned());
        let api = match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        };
        Ok((api, text("/metadata/name").expect("an object has a name")))
    }
}

/// A client by a kubeconfig, its settings changed first.
pub(crate) fn client(kubeconfig: &Path, change: impl FnOnce(&mut Config)) -> Client {
    let file = Kubeconfig::read_from(kubeconfig)
        .unwrap_or_else(|error| panic!("failed to read {}: {error}", kubeconfig.display()));
    runtime().block_on(async {
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        change(&mut config);
        Client::try_from(config).unwrap()
    })
}

/// A condition of an object's status, by its type.
#[must_use]
pub fn condition(object: &impl Serialize, kind: &str) -> Option<Condition> {
    let value = serde_json::to_value(object).ok()?;
    let list: Vec<Condition> = serde_json::from_value(value.pointer("/status/conditions")?.clone()).ok()?;
    list.into_iter().find(|condition| condition.type_ == kind)
}

/// The status and the reason of a condition, such as `("True", "Available")`; empty where there is none.
#[must_use]
pub fn reason(object: &impl Serialize, kind: &str) -> (String, String) {
    condition(object, kind).map(|condition| (condition.status, condition.reason)).unwrap_or_default()
}
