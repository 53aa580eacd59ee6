//! The parts of a cluster that an API server alone does not play: the kubelet and the load balancer.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Service},
};
use serde_json::json;

use super::Namespace;
use crate::LONG;

/// Plays the controllers of a cluster in one namespace.
pub struct StandIn<'a>(pub &'a Namespace);

impl StandIn<'_> {
    /// Says of a Deployment's newest template that its pod is available.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn available(&self, name: &str) -> Deployment {
        let generation = self.0.wait(name, "is there", LONG, |_: &Deployment| true).metadata.generation;
        let status = json!({
            "observedGeneration": generation,
            "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        });
        self.0.merge_status(name, &status)
    }

    /// Says of a Deployment that its pod is not available.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn unavailable(&self, name: &str) -> Deployment {
        self.0.merge_status(name, &json!({"readyReplicas": 0, "availableReplicas": 0, "unavailableReplicas": 1}))
    }

    /// Gives a Service of type LoadBalancer these addresses.
    ///
    /// # Panics
    /// There is none in time.
    #[track_caller]
    pub fn balance(&self, name: &str, addresses: &[&str]) -> Service {
        self.0.wait(name, "is there", LONG, |_: &Service| true);
        let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
        self.0.merge_status(name, &json!({"loadBalancer": {"ingress": ingress}}))
    }

    /// Binds a claim: it has what it asks for.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn bind(&self, name: &str) -> PersistentVolumeClaim {
        let claim = self.0.wait(name, "is there", LONG, |_: &PersistentVolumeClaim| true);
        let size = claim.spec.and_then(|spec| spec.resources?.requests?.get("storage").cloned()).unwrap();
        self.0.merge_status(name, &json!({"phase": "Bound", "capacity": {"storage": size}}))
    }
}
