//! A resource that cannot be read as a whole, stored under an older and laxer schema, or that is gone: as much of it as
//! leaving needs. Pure.

use backupmx_crds::{BackupMX, DeletionPolicy, Dns, DnsMode};
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// As much as can be read. Its relays drain by what is in their own objects.
#[must_use]
pub fn leaving(metadata: &ObjectMeta, spec: &Value) -> Option<BackupMX> {
    let mut kept = Map::from_iter([
        ("domains".to_owned(), json!([])),
        ("primary".to_owned(), json!({})),
        ("relays".to_owned(), json!([])),
        ("dns".to_owned(), dns(&spec["dns"])),
    ]);
    if is::<DeletionPolicy>(&spec["deletionPolicy"]) {
        kept.insert("deletionPolicy".to_owned(), spec["deletionPolicy"].clone());
    }
    let document =
        json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "metadata": metadata, "spec": kept});
    serde_json::from_value(document).ok()
}

/// The fields that can be read, each by itself.
fn dns(dns: &Value) -> Value {
    let fields = dns.as_object().into_iter().flatten();
    let readable = fields.filter(|(key, value)| is::<Dns>(&json!({key.as_str(): value})));
    let mut kept: Map<String, Value> = readable.map(|(key, value)| (key.clone(), value.clone())).collect();
    // Who writes the records must be known, or they might be taken for changed when they are not. With Manual it is
    // DNS itself that says so.
    if !dns["mode"].is_null() && !is::<DnsMode>(&dns["mode"]) || !dns.is_null() && !dns.is_object() {
        kept.insert("mode".to_owned(), json!(DnsMode::Manual));
    }
    Value::Object(kept)
}

fn is<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

#[cfg(test)]
mod tests {
    use backupmx_crds::OnRelease;

    use super::*;

    fn read(spec: &Value) -> BackupMX {
        let metadata = ObjectMeta { name: Some("x".into()), uid: Some("u".into()), ..ObjectMeta::default() };
        leaving(&metadata, spec).unwrap()
    }

    #[test]
    fn what_can_be_read_counts() {
        let spec = json!({
            "domains": 7,
            "deletionPolicy": "Retain",
            "dns": {"mode": "Manual", "ttl": "soon", "onRelease": "Delete", "unheard": {"of": 1}},
        });
        let found = read(&spec);
        assert_eq!(found.metadata.uid.as_deref(), Some("u"));
        assert_eq!(found.spec.relays.len(), 0);
        assert_eq!(found.spec.deletion_policy, DeletionPolicy::Retain);
        assert_eq!((found.spec.dns.mode, found.spec.dns.on_release), (DnsMode::Manual, OnRelease::Delete));
        assert_eq!(found.spec.dns.ttl, Dns::default().ttl);
    }

    #[test]
    fn a_mode_that_cannot_be_read_waits_for_dns() {
        for (spec, wanted) in [
            (json!(null), DnsMode::ExternalDNS),
            (json!({"dns": {"ttl": 300}}), DnsMode::ExternalDNS),
            (json!({"dns": {"mode": "ByPigeon"}}), DnsMode::Manual),
            (json!({"dns": "by pigeon"}), DnsMode::Manual),
        ] {
            assert_eq!(read(&spec).spec.dns.mode, wanted, "{spec}");
            assert_eq!(read(&spec).spec.deletion_policy, DeletionPolicy::Drain, "nothing is given up unasked");
        }
    }
}
