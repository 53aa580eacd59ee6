//! A resource and what DNS says of it, with the test in the place of external-dns.

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_tests::{
    LONG,
    cluster::{Operator, condition},
    wait_until,
};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt;
use serde_json::Value;

use crate::common::Stage;

/// The load balancer's address.
pub(crate) const ADDRESS: &str = "192.0.2.10";
/// The records as they should be: the relays' address, and the MX records of one relay, and of two.
pub(crate) const HOSTS: &str = "mx1.example.org. 60 IN A 192.0.2.10\nmx2.example.org. 60 IN A 192.0.2.10\n";
pub(crate) const PRIMARY: &str = "example.org. 60 IN MX 10 mail.example.org.\n";
pub(crate) const FIRST: &str = "example.org. 60 IN MX 20 mx1.example.org.\n";
pub(crate) const SECOND: &str = "example.org. 60 IN MX 30 mx2.example.org.\n";

/// A stage with records, and the resource `example`.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
}

impl Scene {
    pub(crate) fn new(records: &str) -> Self {
        let stage = Stage::new();
        stage.dns.set_records(records);
        Self { stage }
    }

    pub(crate) fn operator(&self, more: &[&str]) -> Operator {
        let mut options = self.stage.options();
        options.arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        self.stage.operator_by(options)
    }

    /// The pod of a relay is ready, and the load balancer has an address for it.
    pub(crate) fn serve(&self, relay: &str) -> String {
        self.stage.serve("example", relay, ADDRESS)
    }

    /// Waits until `DNSPublished` has that status and reason; its message.
    #[track_caller]
    pub(crate) fn published(&self, status: &str, reason: &str) -> String {
        let seen = self.stage.mail.wait_condition("example", "DNSPublished", status, reason, LONG);
        condition(&seen, "DNSPublished").unwrap().message
    }

    pub(crate) fn targets(&self, endpoint: &str) -> Vec<String> {
        let set: Option<DNSEndpoint> = self.stage.home.get(endpoint);
        set.map(|set| set.spec.endpoints.into_iter().flat_map(|set| set.targets).collect()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_targets(&self, endpoint: &str, wanted: &[&str]) {
        wait_until(&format!("{endpoint} is {wanted:?}"), LONG, || self.targets(endpoint) == wanted);
    }

    pub(crate) fn note(&self, claim: &str, key: &str) -> String {
        let claim: PersistentVolumeClaim = self.stage.mail.get(claim).unwrap();
        claim.annotations().get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn document(&self, relay: &str) -> Value {
        let map: ConfigMap = self.stage.mail.get(&format!("{relay}-config-v1")).unwrap();
        let text = map.data.unwrap().into_values().next().unwrap();
        serde_yaml::from_str(&text).unwrap()
    }

    pub(crate) fn accepts(&self, relay: &str) -> String {
        self.document(relay)["tenants"][0]["accept"].as_str().unwrap_or("Active").to_owned()
    }
}
