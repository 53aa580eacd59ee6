//! Objects as text: YAML that a test holds, and YAML that a person reads when it failed.

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
