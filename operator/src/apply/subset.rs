//! Whether a live object is what is wanted already, so that nothing need be sent. Pure.
//!
//! The API server adds defaults and other people add fields: the wanted object need only be a part of the live one.
//! What we once applied and want no longer is not seen so; the live object's managed fields say what is ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

/// Whether every field of `wanted` is in `live` with its value. An empty map, list or null is in anything that has
/// nothing there: the API server does not store them. Finalizers are a set, in which others have theirs.
#[must_use]
pub fn contains(live: Option<&Value>, wanted: &Value) -> bool {
    match (live, wanted) {
        (None, wanted) => is_nothing(wanted),
        (Some(Value::Object(live)), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match (key.as_str(), live.get(key), value) {
                ("finalizers", Some(Value::Array(live)), Value::Array(wanted)) => {
                    wanted.iter().all(|one| live.contains(one))
                }
                (_, live, value) => contains(live, value),
            })
        }
        (Some(Value::Array(live)), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| contains(Some(live), wanted))
        }
        (Some(live), wanted) => live == wanted || (is_nothing(wanted) && is_nothing(live)),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether every field that `manager` once applied is still in `wanted`.
#[must_use]
pub fn wants_all_of_its_own(managed: &[ManagedFieldsEntry], manager: &str, wanted: &Value) -> bool {
    wants_all_of_its_own_in(&[], managed, manager, wanted)
}

/// The same of one part of an object, which stands at that path.
#[must_use]
pub fn wants_all_of_its_own_in(path: &[&str], managed: &[ManagedFieldsEntry], manager: &str, part: &Value) -> bool {
    let below = |fields: &Value| -> Option<Value> {
        path.iter().try_fold(fields.clone(), |fields, name| fields.get(format!("f:{name}")).cloned())
    };
    managed
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some(manager))
        .filter(|entry| entry.operation.as_deref() == Some("Apply") && entry.subresource.is_none())
        .filter_map(|entry| entry.fields_v1.as_ref())
        .filter_map(|fields| below(&fields.0))
        .all(|fields| fields.as_object().is_none_or(|fields| holds(fields, part)))
}

/// `fields` is a set of paths as FieldsV1 writes it: `f:NAME` is a field, `k:{…}` the list item with these keys,
/// `v:VALUE` an item of a list of values, `i:N` an item by place, `.` the thing itself.
fn holds(fields: &Map<String, Value>, wanted: &Value) -> bool {
    fields.iter().all(|(path, below)| {
        let found = match path.split_once(':') {
            Some(("f", name)) => wanted.get(name),
            Some(("k", keys)) => item(wanted, keys),
            Some(("v", value)) => value_of(wanted, value),
            Some(("i", place)) => place.parse::<usize>().ok().and_then(|place| wanted.get(place)),
            _ => Some(wanted),
        };
        match (found, below.as_object()) {
            (Some(found), Some(below)) => holds(below, found),
            (Some(_), None) => true,
            (None, _) => false,
        }
    })
}

fn item<'a>(list: &'a Value, keys: &str) -> Option<&'a Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    list.as_array()?.iter().find(|item| {
        // A key that we left to its default (a port's protocol) is not in what we want.
        keys.iter().all(|(key, value)| item.get(key).is_none_or(|wanted| wanted == value))
    })
}

fn value_of<'a>(list: &'a Value, value: &str) -> Option<&'a Value> {
    let value: Value = serde_json::from_str(value).ok()?;
    list.as_array()?.iter().find(|item| **item == value)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let live =
            json!({"spec": {"replicas": 1, "dnsPolicy": "ClusterFirst", "ports": [{"port": 25, "nodePort": 3}]}});
        for (wanted, same) in [
            (json!({"spec": {"replicas": 1, "ports": [{"port": 25}]}}), true),
            (json!({"spec": {"replicas": 2}}), false),
            (json!({"spec": {"ports": [{"port": 26}]}}), false),
            (json!({"spec": {"ports": [{"port": 25}, {"port": 26}]}}), false),
            (json!({"spec": {"ports": []}}), false),
            (json!({"spec": {"template": {"labels": {}, "list": [], "nothing": null}}}), true),
            (json!({"spec": {"hostNetwork": false}}), false),
        ] {
            assert_eq!(contains(Some(&live), &wanted), same, "{wanted}");
        }
    }

    #[test]
    fn finalizers_of_others_are_no_difference() {
        let live = json!({"metadata": {"finalizers": ["backupmx.io/held-mail", "kubernetes.io/pvc-protection"]}});
        for (wanted, same) in
            [(json!(["backupmx.io/held-mail"]), true), (json!(["backupmx.io/other"]), false), (json!([]), true)]
        {
            assert_eq!(contains(Some(&live), &json!({"metadata": {"finalizers": wanted}})), same, "{wanted}");
        }
    }

    fn managed(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn what_we_no_longer_want_is_a_difference() {
        let fields = json!({
            "f:metadata": {
                "f:annotations": {"f:a.test/x": {}},
                "f:finalizers": {"v:\"backupmx.io/held-mail\"": {}},
            },
            "f:spec": {"f:ports": {"k:{\"port\":25,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:name": {}}}},
        });
        let wanted = json!({
            "metadata": {"annotations": {"a.test/x": "1"}, "finalizers": ["backupmx.io/held-mail"]},
            "spec": {"ports": [{"port": 25, "name": "smtp"}]},
        });
        let check = |wanted: &Value| wants_all_of_its_own(&[managed("us", "Apply", fields.clone())], "us", wanted);
        assert!(check(&wanted));
        for gone in ["/metadata/annotations", "/metadata/finalizers", "/spec/ports"] {
            let mut less = wanted.clone();
            *less.pointer_mut(gone).unwrap() = Value::Null;
            assert!(!check(&less), "{gone}");
        }
        let mut renamed = wanted.clone();
        renamed["spec"]["ports"][0] = json!({"port": 25});
        assert!(!check(&renamed));
    }

    #[test]
    fn a_part_is_looked_at_alone() {
        let fields = json!({"f:metadata": {"f:labels": {"f:x": {}}}, "f:spec": {"f:template": {"f:a": {}, "f:b": {}}}});
        let check = |part: &Value| {
            wants_all_of_its_own_in(&["spec", "template"], &[managed("us", "Apply", fields.clone())], "us", part)
        };
        assert!(check(&json!({"a": 1, "b": 2})));
        assert!(!check(&json!({"a": 1})));
        let elsewhere = [managed("us", "Apply", json!({"f:metadata": {}}))];
        assert!(wants_all_of_its_own_in(&["spec", "template"], &elsewhere, "us", &json!({})));
    }

    #[test]
    fn what_others_own_is_none_of_our_business() {
        let theirs = json!({"f:spec": {"f:replicas": {}}});
        for entry in [managed("them", "Apply", theirs.clone()), managed("us", "Update", theirs.clone())] {
            assert!(wants_all_of_its_own(&[entry], "us", &json!({})));
        }
        let status = ManagedFieldsEntry { subresource: Some("status".into()), ..managed("us", "Apply", theirs) };
        assert!(wants_all_of_its_own(&[status], "us", &json!({})));
    }
}
