//! CPU and memory of the relays' pods.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// CPU and memory of each relay's pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = (
        "self.requests.all(n, !(n in self.limits) || !isQuantity(string(self.requests[n])) || \
         !isQuantity(string(self.limits[n])) || \
         quantity(string(self.requests[n])).compareTo(quantity(string(self.limits[n]))) <= 0)",
        "resources.requests: must not be above resources.limits; where they are not given, they are 50m of cpu and \
         128Mi of memory",
    ),
    validation = (
        "!('memory' in self.limits) || !isQuantity(string(self.limits['memory'])) || \
         quantity(string(self.limits['memory'])).compareTo(quantity('128Mi')) >= 0",
        "resources.limits.memory: must be at least 128Mi",
    ),
)]
pub struct Resources {
    /// What the node keeps free for the pod: `cpu`, `memory` and `ephemeral-storage`. What is given replaces all of the
    /// default, which is 50m of cpu and 128Mi of memory.
    #[serde(default = "default_requests")]
    #[schemars(schema_with = "schema::amounts")]
    pub requests: BTreeMap<String, IntOrString>,
    /// What the pod may take at most. The messages that are coming in may take an eighth of `memory`, and senders are
    /// asked to try again later (452) where they would take more; each held message takes up to 96 bytes. `{}` is no
    /// limit. What is given replaces all of the default, which is 1Gi of memory.
    #[serde(default = "default_limits")]
    #[schemars(schema_with = "schema::amounts")]
    pub limits: BTreeMap<String, IntOrString>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { requests: default_requests(), limits: default_limits() }
    }
}

fn default_requests() -> BTreeMap<String, IntOrString> {
    amounts(&[("cpu", "50m"), ("memory", "128Mi")])
}

fn default_limits() -> BTreeMap<String, IntOrString> {
    amounts(&[("memory", "1Gi")])
}

fn amounts(pairs: &[(&str, &str)]) -> BTreeMap<String, IntOrString> {
    pairs.iter().map(|(name, amount)| ((*name).to_owned(), IntOrString::String((*amount).to_owned()))).collect()
}
