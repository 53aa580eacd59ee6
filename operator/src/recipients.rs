//! The recipients that people list in ConfigMaps of their own.

use std::collections::{HashMap, HashSet};

use backupmx_crds::{BackupMX, ConfigMapRef};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use crate::{
    cache::{self, Cache},
    error::{Category, Error},
    validate::Referred,
};

/// What was read, by namespace and name, with the version that it was read at. A list is read again only when it
/// changed: it may be long, and every resource looks at its own at every pass.
#[derive(Debug, Default)]
pub struct Recipients(Mutex<HashMap<(String, String), (String, ConfigMap)>>);

impl Recipients {
    /// What the resource refers to.
    ///
    /// # Errors
    /// The API server does not answer. A ConfigMap or a key that is not there, or may not be read, is told as missing: only
    /// a person can mend that, and all else of the resource goes on meanwhile.
    pub async fn referred(&self, client: &Client, cache: &Cache, resource: &BackupMX) -> Result<Referred, Error> {
        let Some(reference) = &resource.spec.acceptance.recipients.config_map_ref else {
            return Ok(Referred::default());
        };
        let namespace = resource.namespace().unwrap_or_default();
        let known = cache::get(&cache.foreign_config_maps, &namespace, &reference.name);
        let version = known.and_then(|known| known.resource_version());
        let place = (namespace, reference.name.clone());
        let kept = self.0.lock().get(&place).filter(|(read, _)| Some(read) == version.as_ref()).cloned();
        let map = match kept {
            Some((_, map)) => Some(map),
            None => match self.read(client, &place).await {
                Err(error) if error.category() == Category::Refused => {
                    let missing = format!("expected to be allowed to read it: {}", error.with_cause());
                    return Ok(Referred { recipients: Vec::new(), missing: Some(missing) });
                }
                read => read?,
            },
        };
        Ok(listed(map.as_ref(), reference))
    }

    /// Forgets what no resource of these refers to.
    pub fn keep<'a>(&self, resources: impl IntoIterator<Item = &'a BackupMX>) {
        let place = |resource: &BackupMX| {
            let reference = resource.spec.acceptance.recipients.config_map_ref.as_ref()?;
            Some((resource.namespace()?, reference.name.clone()))
        };
        let named: HashSet<(String, String)> = resources.into_iter().filter_map(place).collect();
        self.0.lock().retain(|known, _| named.contains(known));
    }

    async fn read(&self, client: &Client, place: &(String, String)) -> Result<Option<ConfigMap>, Error> {
        let (namespace, name) = place;
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(Error::kube(format!("read ConfigMap {name}")))?;
        let mut kept = self.0.lock();
        match found.as_ref().and_then(|map| Some((map.resource_version()?, map.clone()))) {
            Some(versioned) => kept.insert(place.clone(), versioned),
            None => kept.remove(place),
        };
        Ok(found)
    }
}

/// The entries of the key that is referred to: one a line, those that begin with `#` left out.
fn listed(map: Option<&ConfigMap>, reference: &ConfigMapRef) -> Referred {
    let Some(text) = map.and_then(|map| map.data.as_ref()?.get(&reference.key)) else {
        let missing =
            format!("expected ConfigMap {} with the key {} to exist; it does not", reference.name, reference.key);
        return Referred { recipients: Vec::new(), missing: Some(missing) };
    };
    let entries = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Referred { recipients: entries.map(str::to_owned).collect(), missing: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_refers_to_is_forgotten() {
        let place = |namespace: &str| (namespace.to_owned(), "people".to_owned());
        let recipients = Recipients::default();
        for namespace in ["mail", "other"] {
            recipients.0.lock().insert(place(namespace), ("1".to_owned(), ConfigMap::default()));
        }
        let resource = serde_json::from_value::<BackupMX>(serde_json::json!({
            "apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "metadata": {"namespace": "mail", "name": "x"},
            "spec": {
                "domains": ["example.org"], "primary": {"hosts": [{"host": "mail.example.org"}]},
                "relays": [{"hostname": "mx1.example.org"}],
                "acceptance": {"recipients": {"mode": "List", "configMapRef": {"name": "people", "key": "list"}}},
            },
        }));
        recipients.keep(&[resource.unwrap()]);
        assert_eq!(recipients.0.lock().keys().collect::<Vec<_>>(), [&place("mail")]);
        recipients.keep(&[]);
        assert!(recipients.0.lock().is_empty());
    }

    #[test]
    fn one_entry_a_line_and_a_missing_key_is_no_empty_list() {
        let reference = ConfigMapRef { name: "people".into(), key: "list".into() };
        let map = ConfigMap {
            data: Some([("list".to_owned(), "# staff\nann\n  bob@example.org \n\n".to_owned())].into()),
            ..ConfigMap::default()
        };
        assert_eq!(listed(Some(&map), &reference).recipients, ["ann", "bob@example.org"]);
        let missing = "expected ConfigMap people with the key list to exist; it does not";
        assert_eq!(listed(None, &reference).missing.as_deref(), Some(missing));
        assert_eq!(listed(Some(&ConfigMap::default()), &reference).missing.as_deref(), Some(missing));
    }
}
