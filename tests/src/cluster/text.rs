//! Objects as text: YAML that a test holds, and YAML that a person reads when it failed. And changes of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The documents of a YAML text, empty ones left out.
///
/// # Panics
/// It is no YAML.
#[must_use]
#[track_caller]
pub fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error} in\n{yaml}")))
        .filter(|document| !document.is_null())
        .collect()
}

/// An object as YAML without its managed fields, for the message of a failure.
#[must_use]
pub fn shown<K: Serialize>(object: &K) -> String {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    serde_yaml::to_string(&value).unwrap_or_default()
}

/// Changes a value by a JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, change: &Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (target, change) => *target = change.clone(),
    }
}
