//! The conditions of all resources as a metric: read from the cache when somebody looks, and kept nowhere.

use std::sync::Arc;

use backupmx_crds::conditions::{ConditionType, Reason};
use kube::{ResourceExt, runtime::reflector::Store};
use parking_lot::Mutex;
use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::cache::Guarded;

/// The labels. `namespace` would be taken for the operator's own, which Prometheus sets on all that it scrapes.
const LABELS: [&str; 5] = ["resource_namespace", "resource", "condition", "status", "reason"];

/// What holds of a resource that cannot be read, whether or not its relays serve.
const UNREADABLE: [(ConditionType, &str); 2] =
    [(ConditionType::Reconciling, "false"), (ConditionType::Stalled, "true")];

/// The conditions of all resources, each with the value 1; of one that cannot be read, that it is `Malformed`.
#[derive(Clone, Debug)]
pub struct Conditions {
    described: IntGaugeVec,
    resources: Arc<Mutex<Source>>,
}

/// Where they are read. None: this operator does not lead.
#[derive(Default)]
struct Source(Option<Store<Guarded>>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Source").field(&self.0.is_some()).finish()
    }
}

fn gauge() -> Result<IntGaugeVec, prometheus::Error> {
    let help = "The conditions of all resources: 1, with the status and reason that each has now.";
    IntGaugeVec::new(Opts::new("backupmx_operator_status_condition", help), &LABELS)
}

impl Conditions {
    /// None yet.
    ///
    /// # Errors
    /// The name or a label is none that Prometheus takes.
    pub fn new() -> Result<Self, prometheus::Error> {
        Ok(Self { described: gauge()?, resources: Arc::default() })
    }

    /// Reads them from there from now on.
    pub fn read(&self, resources: Store<Guarded>) {
        self.resources.lock().0 = Some(resources);
    }
}

impl Collector for Conditions {
    fn desc(&self) -> Vec<&Desc> {
        self.described.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let resources = self.resources.lock().0.as_ref().map(Store::state).unwrap_or_default();
        // What is gone, or another now, is not to be told on.
        let families = gauge().map(|gauge| filled(&gauge, &resources).collect()).unwrap_or_default();
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

fn filled<'a>(gauge: &'a IntGaugeVec, resources: &[Arc<Guarded>]) -> &'a IntGaugeVec {
    for resource in resources {
        let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
        let tell = |kind: &str, status: &str, reason: &str| {
            gauge.with_label_values(&[&namespace, &name, kind, status, reason]).set(1);
        };
        match &resource.0 {
            Ok(resource) => {
                for known in resource.status.iter().flat_map(|status| &status.conditions) {
                    tell(&known.type_, &known.status.to_lowercase(), &known.reason);
                }
            }
            // Its status is not read either, and the API server may take none that says so.
            Err(_) => {
                UNREADABLE.iter().for_each(|(kind, status)| tell(kind.as_str(), status, Reason::Malformed.as_str()))
            }
        }
    }
    gauge
}

#[cfg(test)]
mod tests {
    use kube::{
        core::{DeserializeGuard, error_boundary::InvalidObject},
        runtime::{reflector, watcher},
    };
    use prometheus::{Encoder as _, TextEncoder};
    use serde_json::{Value, json};

    use super::*;

    fn resource(status: &Value) -> Guarded {
        let document = json!({
            "apiVersion": "backupmx.io/v1alpha1",
            "kind": "BackupMX",
            "metadata": {"namespace": "mail", "name": "x"},
            "spec": {
                "domains": ["example.org"],
                "primary": {"hosts": [{"host": "mail.example.org"}]},
                "relays": [{"name": "a", "hostname": "mx1.example.net"}],
            },
            "status": status,
        });
        DeserializeGuard(Ok(serde_json::from_value(document).unwrap()))
    }

    fn unreadable() -> Guarded {
        let metadata = serde_json::from_value(json!({"namespace": "mail", "name": "x"})).unwrap();
        DeserializeGuard(Err(InvalidObject { error: "spec: expected a struct".into(), metadata }))
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({
            "conditions": [{"type": kind, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2027-01-15T08:00:00Z"}],
        })
    }

    fn lines(conditions: &Conditions) -> Vec<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&conditions.collect(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn each_is_there_as_it_is_now() {
        let conditions = Conditions::new().unwrap();
        assert_eq!(lines(&conditions), Vec::<String>::new(), "another operator leads");
        let (store, mut writer) = reflector::store();
        conditions.read(store);
        let mut see = |event: watcher::Event<Guarded>| {
            writer.apply_watcher_event(&event);
            lines(&conditions)
        };
        let line = |status: &str, reason: &str| {
            vec![format!(
                "backupmx_operator_status_condition{{condition=\"DNSPublished\",reason=\"{reason}\",resource=\"x\",\
                 resource_namespace=\"mail\",status=\"{status}\"}} 1"
            )]
        };
        let first = resource(&condition("DNSPublished", "False", "WrongRecords"));
        assert_eq!(see(watcher::Event::Apply(first)), line("false", "WrongRecords"));
        let second = resource(&condition("DNSPublished", "True", "Published"));
        assert_eq!(see(watcher::Event::Apply(second.clone())), line("true", "Published"), "and not as it was");
        let unread = see(watcher::Event::Apply(unreadable()));
        let stalled =
            r#"condition="Stalled",reason="Malformed",resource="x",resource_namespace="mail",status="true"} 1"#;
        assert!(unread.len() == 2 && unread.iter().any(|line| line.ends_with(stalled)), "{unread:?}");
        assert_eq!(see(watcher::Event::Delete(second)), Vec::<String>::new());
    }
}
