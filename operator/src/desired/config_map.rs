//! The ConfigMap with a relay's document: what the relay starts on. A running one is handed the document itself.

use backupmx_relay_config::RelayConfig;
use k8s_openapi::api::core::v1::ConfigMap;

use super::of_relay;
use crate::{
    labels, names,
    validated::{Owner, RelayName},
};

/// The key, and the file's name in the pod.
pub const KEY: &str = "relay.yaml";

/// Builds it.
///
/// # Errors
/// The document cannot be written as YAML.
pub fn build(owner: &Owner, relay: &RelayName, document: &RelayConfig) -> Result<ConfigMap, serde_yaml::Error> {
    let mut metadata = of_relay(owner, relay, names::config_map(owner, relay));
    if let Some(annotations) = &mut metadata.annotations {
        annotations.insert(labels::REVISION.into(), document.revision.to_string());
    }
    let text = backupmx_relay_config::to_yaml(document)?;
    Ok(ConfigMap { metadata, data: Some([(KEY.to_owned(), text)].into()), ..ConfigMap::default() })
}

/// The document that a live ConfigMap holds; none where it cannot be read.
#[must_use]
pub fn document(live: &ConfigMap) -> Option<RelayConfig> {
    backupmx_relay_config::from_yaml(live.data.as_ref()?.get(KEY)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    #[test]
    fn golden_and_back() {
        let resource = fixture::validated();
        let wanted = fixture::document(&resource, &fixture::tenancy(&resource));
        let built = build(&resource.owner, &resource.relays[0].name, &wanted).unwrap();
        insta::assert_snapshot!(fixture::yaml(&built));
        assert_eq!(document(&built), Some(wanted));
    }

    #[test]
    fn what_a_person_broke_is_as_good_as_nothing() {
        let broken = ConfigMap { data: Some([(KEY.into(), "tenants: 7".into())].into()), ..ConfigMap::default() };
        assert_eq!(document(&broken), None);
    }
}
