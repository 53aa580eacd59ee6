//! CPU and memory of the relays' pods.

use std::collections::BTreeMap;

use backupmx_crds as crds;
use backupmx_relay_config::ByteSize;
use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString};

use super::{Problems, amount::Amount};
use crate::validated::PodResources;

/// The name of memory.
const MEMORY: &str = "memory";
/// The least memory that a relay may be bound to.
const LEAST_MEMORY: ByteSize = ByteSize::mebibytes(128);

/// What is wrong is named by its field; a default stands in its place.
pub(super) fn check(spec: &crds::Resources, problems: &mut Problems) -> PodResources {
    let amounts = |field: &str, given: &BTreeMap<String, IntOrString>, problems: &mut Problems| {
        let parse = |(name, amount): (&String, &IntOrString)| {
            Some((name.clone(), problems.parse::<Amount>(format!("spec.resources.{field}.{name}"), &text(amount))?))
        };
        given.iter().filter_map(parse).collect::<BTreeMap<String, Amount>>()
    };
    let requests = amounts("requests", &spec.requests, problems);
    let limits = amounts("limits", &spec.limits, problems);
    let bytes = |amount: &Amount| ByteSize::bytes(u64::try_from(amount.units()).unwrap_or(u64::MAX));
    let memory = limits.get(MEMORY).map(bytes);
    if let Some(memory) = memory.filter(|memory| *memory < LEAST_MEMORY) {
        problems.add("spec.resources.limits.memory", format!("expected at least {LEAST_MEMORY}; got {memory}"));
    }
    PodResources { requests: quantities(&requests), limits: quantities(&limits), memory }
}

/// Those of a resource whose spec cannot be used: as they are given where they can work, else the defaults.
pub(super) fn of_unusable(spec: &crds::Resources) -> PodResources {
    let mut problems = Problems::default();
    let given = check(spec, &mut problems);
    if problems.0.is_empty() { given } else { check(&crds::Resources::default(), &mut problems) }
}

fn text(amount: &IntOrString) -> String {
    match amount {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

fn quantities(amounts: &BTreeMap<String, Amount>) -> BTreeMap<String, Quantity> {
    amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(limits: serde_json::Value) -> crds::Resources {
        serde_json::from_value(json!({"limits": limits})).unwrap()
    }

    #[test]
    fn amounts_are_texts_and_numbers() {
        let given = check(&spec(json!({"cpu": 2, "memory": "0.5Gi"})), &mut Problems::default());
        assert_eq!(given.limits["cpu"], Quantity("2".into()));
        assert_eq!(given.limits["memory"], Quantity("512Mi".into()));
        assert_eq!(given.requests["memory"], Quantity("128Mi".into()), "the default");
        assert_eq!(given.memory, Some(ByteSize::mebibytes(512)));
        assert_eq!(check(&spec(json!({})), &mut Problems::default()).memory, None);
    }

    #[test]
    fn memory_that_is_no_amount_or_too_little_is_named() {
        for (memory, wanted) in [("64Mi", "expected at least 128Mi; got 64Mi"), ("1e9", "expected an amount")] {
            let mut problems = Problems::default();
            check(&spec(json!({"memory": memory})), &mut problems);
            let text = problems.to_string();
            assert!(text.starts_with("spec.resources.limits.memory: ") && text.contains(wanted), "{text}");
            let used = of_unusable(&spec(json!({"memory": memory})));
            assert_eq!(used.memory, Some(ByteSize::mebibytes(1024)), "{memory}: the default");
        }
    }
}
