//! The terms that the objects of a resource are made by: its spec, or the last one that could be used where that cannot.
//! So relays are repaired, volumes grow and figures are true while a person looks for what is wrong in a spec.
//!
//! They are kept in memory, and noted in an annotation of the ServiceAccount: an operator that starts finds them there.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use backupmx_crds::{BackupMX, BackupMXSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    labels,
    validate::{self, Referred},
    validated::{Owner, Validated},
};

/// Octets of a spec that is noted: the API server takes 256 KiB of annotations.
const LONGEST: usize = 128 << 10;

/// What is known of each resource's terms, by UID.
#[derive(Debug, Default)]
pub struct Terms(Mutex<HashMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The generation of the spec that was looked at, and what was found.
    checked: Option<(Option<i64>, Use)>,
    /// The last that could be used.
    last: Option<Arc<Validated>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Usable,
    Unusable,
}

impl Terms {
    /// Notes that the spec can be used.
    pub fn accept(&self, checked: Validated) -> Arc<Validated> {
        let last = Arc::new(checked);
        let known = Known { checked: Some((last.generation, Use::Usable)), last: Some(last.clone()) };
        self.0.lock().insert(last.owner.uid.clone(), known);
        last
    }

    /// Notes that the spec cannot be used, or that what it refers to is not there. The last that could be used; none where
    /// none is known. `noted` says what an operator before this one knew.
    pub fn refuse(&self, resource: &BackupMX, noted: impl FnOnce() -> Option<Validated>) -> Option<Arc<Validated>> {
        let mut all = self.0.lock();
        let known = all.entry(resource.uid().unwrap_or_default()).or_default();
        known.checked = Some((resource.metadata.generation, Use::Unusable));
        if known.last.is_none() {
            known.last = noted().map(Arc::new);
        }
        known.last.clone()
    }

    /// What counts in place of a spec that cannot be used. None: it can, or nothing else is known. `noted` as in
    /// [`Self::refuse`]: what a resource claims counts before its own pass has come.
    #[must_use]
    pub fn in_place(
        &self,
        resource: &BackupMX,
        cluster_domain: &str,
        noted: impl FnOnce() -> Option<Validated>,
    ) -> Option<Arc<Validated>> {
        let mut all = self.0.lock();
        let known = all.entry(resource.uid()?).or_default();
        let generation = resource.metadata.generation;
        let found = match known.checked {
            Some((checked, found)) if checked == generation => found,
            // Another resource's pass came first.
            Some(_) | None => match validate::validate(resource, &somebody(&resource.spec), cluster_domain) {
                Ok(_) => Use::Usable,
                Err(_) => Use::Unusable,
            },
        };
        known.checked = Some((generation, found));
        match found {
            Use::Usable => None,
            Use::Unusable => {
                if known.last.is_none() {
                    known.last = noted().map(Arc::new);
                }
                known.last.clone()
            }
        }
    }

    /// The last that could be used, as far as a pass has come upon it.
    #[must_use]
    pub fn last(&self, uid: &str) -> Option<Arc<Validated>> {
        self.0.lock().get(uid)?.last.clone()
    }

    /// Forgets the resources that are not there any more.
    pub fn retain(&self, there: &HashSet<Option<String>>) {
        self.0.lock().retain(|uid, _| there.contains(&Some(uid.clone())));
    }
}

/// Whether recipients are listed in a ConfigMap.
const fn refers(spec: &BackupMXSpec) -> bool {
    spec.acceptance.recipients.config_map_ref.is_some()
}

/// A list that is there, where there is to be one: whether that is so, the resource's own pass says.
fn somebody(spec: &BackupMXSpec) -> Referred {
    Referred { recipients: if refers(spec) { vec!["postmaster".to_owned()] } else { Vec::new() }, missing: None }
}

#[derive(Serialize)]
struct Noted<'a> {
    generation: Option<i64>,
    spec: &'a BackupMXSpec,
}

#[derive(Deserialize)]
struct Found {
    generation: Option<i64>,
    spec: BackupMXSpec,
}

/// The spec as it is noted. Nothing where it is too long.
#[must_use]
pub fn note(resource: &BackupMX) -> String {
    let noted = Noted { generation: resource.metadata.generation, spec: &resource.spec };
    serde_json::to_string(&noted).ok().filter(|text| text.len() <= LONGEST).unwrap_or_default()
}

/// The last terms that could be used, as the ServiceAccount of the relays has them. `listed` says which recipients its
/// relays have, where they are from a ConfigMap. None: there are no terms of this resource, this build cannot use them, or
/// nobody knows the recipients: no list is not a list of nobody.
#[must_use]
pub fn noted(
    resource: &BackupMX,
    account: &ServiceAccount,
    listed: impl FnOnce(&BackupMX) -> Option<Vec<String>>,
    cluster_domain: &str,
) -> Option<Validated> {
    let Owner { uid, .. } = validate::owner(resource);
    let text =
        account.annotations().get(labels::SPEC).filter(|_| account.labels().get(labels::OWNER_UID) == Some(&uid))?;
    let found: Found = serde_json::from_str(text).ok()?;
    let mut former = BackupMX { spec: found.spec, ..resource.clone() };
    former.metadata.generation = found.generation;
    let recipients = if refers(&former.spec) { listed(&former)? } else { Vec::new() };
    validate::validate(&former, &Referred { recipients, missing: None }, cluster_domain).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::desired::service_account;

    const DOMAIN: &str = "cluster.local";

    fn resource(generation: i64, more: &Value) -> BackupMX {
        let mut spec = json!({
            "domains": ["example.org"],
            "primary": {"hosts": [{"host": "mail.example.org"}]},
            "relays": [{"name": "a", "hostname": "mx1.example.net"}],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let document = json!({
            "apiVersion": "backupmx.io/v1alpha1",
            "kind": "BackupMX",
            "metadata": {"namespace": "mail", "name": "x", "uid": "u", "generation": generation},
            "spec": spec,
        });
        serde_json::from_value(document).unwrap()
    }

    fn wrong(generation: i64) -> BackupMX {
        resource(generation, &json!({"domains": ["example.com"], "hold": {"maxAge": "a while"}}))
    }

    fn checked(resource: &BackupMX, listed: &[&str]) -> Validated {
        let recipients = listed.iter().map(|&one| one.to_owned()).collect();
        validate::validate(resource, &Referred { recipients, missing: None }, DOMAIN).unwrap()
    }

    #[test]
    fn the_last_that_could_be_used_counts_until_one_can() {
        let terms = Terms::default();
        let (first, second) = (resource(1, &json!({})), wrong(2));
        assert_eq!(terms.in_place(&second, DOMAIN, || None), None, "nothing is known");
        assert_eq!(terms.refuse(&second, || None), None);
        let last = terms.accept(checked(&first, &[]));
        assert_eq!(terms.in_place(&first, DOMAIN, || None), None, "it is in use itself");
        assert_eq!(
            terms.in_place(&second, DOMAIN, || None),
            Some(last.clone()),
            "though its own pass did not come yet"
        );
        assert_eq!(terms.refuse(&second, || panic!("it is known")), Some(last.clone()));
        assert_eq!((terms.last("u"), terms.last("v")), (Some(last), None));
        assert_eq!(terms.in_place(&resource(3, &json!({})), DOMAIN, || None), None, "it is mended");
        terms.retain(&HashSet::new());
        assert_eq!(terms.refuse(&second, || None), None, "it is gone");
    }

    #[test]
    fn a_reference_that_is_gone_makes_the_same_spec_unusable() {
        let terms = Terms::default();
        let list = json!({"acceptance": {"recipients": {"mode": "List", "configMapRef": {"name": "n", "key": "k"}}}});
        let one = resource(1, &list);
        let last = terms.accept(checked(&one, &["ann"]));
        assert_eq!(terms.in_place(&one, DOMAIN, || None), None);
        terms.refuse(&one, || None);
        assert_eq!(terms.in_place(&one, DOMAIN, || None), Some(last));
    }

    #[test]
    fn an_operator_that_starts_finds_what_was_noted() {
        let list = json!({"acceptance": {"recipients": {"mode": "List", "configMapRef": {"name": "n", "key": "k"}}}});
        let before = checked(&resource(1, &list), &["ann", "bob"]);
        let account = service_account::build(&before.owner, &before.noted);
        let listed = |former: &BackupMX| {
            assert_eq!(former.spec, resource(1, &list).spec);
            Some(vec!["ann".to_owned(), "bob".to_owned()])
        };
        assert_eq!(noted(&wrong(2), &account, listed, DOMAIN), Some(before), "of its own generation");
        let mut other = wrong(2);
        other.metadata.uid = Some("v".into());
        assert_eq!(noted(&other, &account, listed, DOMAIN), None, "of another resource of that name");
        assert_eq!(noted(&wrong(2), &account, |_| None, DOMAIN), None, "nobody knows who is listed");
    }

    #[test]
    fn what_was_noted_counts_before_the_first_pass() {
        let terms = Terms::default();
        let before = checked(&resource(1, &json!({})), &[]);
        let counts = terms.in_place(&wrong(2), DOMAIN, || Some(before.clone()));
        assert_eq!(counts.as_deref(), Some(&before));
        assert_eq!(terms.in_place(&wrong(2), DOMAIN, || panic!("it is known")), counts);
        assert_eq!(terms.in_place(&resource(3, &json!({})), DOMAIN, || panic!("nobody needs it")), None);
    }

    #[test]
    fn a_spec_that_is_too_long_is_not_noted_and_leaves_no_older_one() {
        let names: Vec<String> = (0..9000).map(|count| format!("somebody-{count}")).collect();
        let long = resource(2, &json!({"acceptance": {"recipients": {"mode": "List", "list": names}}}));
        assert_eq!(note(&long), "");
        let account = service_account::build(&validate::owner(&long), &note(&long));
        assert_eq!(account.annotations()[labels::SPEC], "");
        assert_eq!(noted(&wrong(3), &account, |_| None, DOMAIN), None);
    }
}
