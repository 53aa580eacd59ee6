//! Where the master key comes from: a file, or a Secret in the operator's own namespace that the first operator makes.
//!
//! The operator makes it rather than the chart: where templates are rendered without a cluster to look into, as GitOps
//! tools do, a chart would make a new key at every turn.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::{
    labels,
    token::{LEAST_KEY, MasterKey},
};

/// The key of the Secret's data.
pub const ENTRY: &str = "key";

/// Reads the key from a file.
///
/// # Errors
/// It cannot be read, or is too short.
pub fn from_file(file: &Path) -> anyhow::Result<MasterKey> {
    let key = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    MasterKey::new(&key).with_context(|| format!("in {}", file.display()))
}

/// Reads the key from a Secret, and makes the Secret where there is none.
///
/// # Errors
/// The API server refuses or does not answer, or what is in the Secret is no key.
pub async fn from_secret(client: &Client, namespace: &str, name: &str) -> anyhow::Result<MasterKey> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let place = format!("Secret {name} in {namespace}");
    let found = match api.get_opt(name).await.with_context(|| format!("failed to read the {place}"))? {
        Some(found) => found,
        None => match api.create(&PostParams::default(), &fresh(name)).await {
            Ok(made) => {
                tracing::info!(namespace, name, "made a master key");
                made
            }
            // Another operator was faster; its key is everyone's.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                api.get(name).await.with_context(|| format!("failed to read the {place}"))?
            }
            Err(error) => return Err(error).with_context(|| format!("failed to make the {place}")),
        },
    };
    let key = found.data.and_then(|mut data| data.remove(ENTRY));
    let key = key.with_context(|| format!("expected the entry {ENTRY:?} in the {place}"))?;
    MasterKey::new(&key.0).with_context(|| format!("in the {place}"))
}

fn fresh(name: &str) -> Secret {
    let key: [u8; LEAST_KEY] = rand::random();
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels::strings([("app.kubernetes.io/managed-by", labels::MANAGER)])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(ENTRY.to_owned(), ByteString(key.to_vec()))])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_new_key_is_another_and_long_enough() {
        let key = || fresh("x").data.unwrap().remove(ENTRY).unwrap().0;
        assert_ne!(key(), key());
        assert!(MasterKey::new(&key()).is_ok());
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let folder = std::env::temp_dir().join(format!("backupmx-key-{}", std::process::id()));
        std::fs::write(&folder, "short").unwrap();
        let error = format!("{:#}", from_file(&folder).unwrap_err());
        std::fs::remove_file(&folder).unwrap();
        assert!(error.contains(&folder.display().to_string()) && error.contains("32 octets"), "{error}");
    }
}
