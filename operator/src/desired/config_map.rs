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

/// What became of the relay's claim. It is written after the claim is made, and before it is let go: so who finds none knows
/// whether one was lost, whatever the document says of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is there, with what the relay holds.
    Held,
    /// It was let go, by an operator that knew it for empty or by a person's word.
    LetGo,
}

impl Claim {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::LetGo => "let-go",
        }
    }
}

/// Builds it.
///
/// # Errors
/// The document cannot be written as YAML.
pub fn build(
    owner: &Owner,
    relay: &RelayName,
    document: &RelayConfig,
    claim: Claim,
) -> Result<ConfigMap, serde_yaml::Error> {
    let mut metadata = of_relay(owner, relay, names::config_map(owner, relay));
    if let Some(annotations) = &mut metadata.annotations {
        annotations.insert(labels::CLAIM.into(), claim.as_str().into());
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

/// What a live ConfigMap says of its relay's claim. None: it is of an operator that did not say so.
#[must_use]
pub fn claim(live: &ConfigMap) -> Option<Claim> {
    let said = live.metadata.annotations.as_ref()?.get(labels::CLAIM)?;
    [Claim::Held, Claim::LetGo].into_iter().find(|claim| claim.as_str() == said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    #[test]
    fn golden_and_back() {
        let resource = fixture::validated();
        let wanted = fixture::document(&resource, &fixture::tenancy(&resource));
        let relay = &resource.relays[0].name;
        let built = build(&resource.owner, relay, &wanted, Claim::Held).unwrap();
        insta::assert_snapshot!(fixture::yaml(&built));
        assert_eq!((document(&built), claim(&built)), (Some(wanted.clone()), Some(Claim::Held)));
        let let_go = build(&resource.owner, relay, &wanted, Claim::LetGo).unwrap();
        assert_eq!((claim(&let_go), claim(&ConfigMap::default())), (Some(Claim::LetGo), None));
    }

    #[test]
    fn what_a_person_broke_is_as_good_as_nothing() {
        let broken = ConfigMap { data: Some([(KEY.into(), "tenants: 7".into())].into()), ..ConfigMap::default() };
        assert_eq!(document(&broken), None);
    }
}
