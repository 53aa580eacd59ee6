//! Which resources have to be looked at again when something changes that is not theirs. Pure.

use std::sync::Arc;

use backupmx_crds::{BackupMX, PrimaryState, conditions::Reason};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::cache::Guarded;

/// The resources of a namespace whose recipients are in that ConfigMap.
#[must_use]
pub fn readers(all: &[Arc<Guarded>], namespace: &str, config_map: &str) -> Vec<ObjectRef<Guarded>> {
    let reads = |resource: &BackupMX| {
        let reference = resource.spec.acceptance.recipients.config_map_ref.as_ref();
        resource.namespace().as_deref() == Some(namespace)
            && reference.is_some_and(|reference| reference.name == config_map)
    };
    those(all, reads)
}

/// The resources of a namespace whose primary is that Service.
#[must_use]
pub fn behind(all: &[Arc<Guarded>], namespace: &str, service: &str) -> Vec<ObjectRef<Guarded>> {
    those(all, |resource| is_behind(resource, namespace, service))
}

/// Those of them that hold mail for it as it was down when its state was last told.
#[must_use]
pub fn waiting(all: &[Arc<Guarded>], namespace: &str, service: &str) -> Vec<ObjectRef<Guarded>> {
    let down = |resource: &BackupMX| {
        let primary = resource.status.as_ref().and_then(|status| status.primary.as_ref());
        primary.is_some_and(|primary| primary.state == PrimaryState::Down)
    };
    those(all, |resource| is_behind(resource, namespace, service) && down(resource))
}

fn is_behind(resource: &BackupMX, namespace: &str, service: &str) -> bool {
    let reference = resource.spec.primary.service_ref.as_ref();
    resource.namespace().as_deref() == Some(namespace) && reference.is_some_and(|known| known.name == service)
}

/// The resources that claim a domain or a host name of `changed`, and those that have lost one to whomever: what it
/// gives up is in its spec no more, and one of them has it now.
#[must_use]
pub fn rivals(all: &[Arc<Guarded>], changed: &BackupMX) -> Vec<ObjectRef<Guarded>> {
    let shares = |other: &BackupMX| {
        let spec = &changed.spec;
        let domain = |name: &String| spec.domains.iter().any(|known| known.eq_ignore_ascii_case(name));
        let host = |name: &String| spec.relays.iter().any(|known| known.hostname == *name);
        other.spec.domains.iter().any(domain) || other.spec.relays.iter().any(|relay| host(&relay.hostname))
    };
    those(all, |other| other.uid() != changed.uid() && (shares(other) || has_lost(other)))
}

/// Whether a resource says that another has one of its names.
fn has_lost(resource: &BackupMX) -> bool {
    let conditions = resource.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|known| known.status == "True" && known.reason == Reason::OwnedByAnother.as_str())
}

fn those(all: &[Arc<Guarded>], wanted: impl Fn(&BackupMX) -> bool) -> Vec<ObjectRef<Guarded>> {
    let named = |guarded: &Arc<Guarded>| {
        let resource = guarded.0.as_ref().ok().filter(|resource| wanted(resource))?;
        Some(ObjectRef::new(&resource.name_any()).within(&resource.namespace()?))
    };
    all.iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};

    use super::*;

    fn resource(path: &str, domain: &str, hostname: &str, more: &Value) -> Arc<Guarded> {
        let (namespace, name) = path.split_once('/').unwrap();
        let mut spec = json!({
            "domains": [domain],
            "primary": {"hosts": [{"host": "mail.example.org"}]},
            "relays": [{"name": "a", "hostname": hostname}],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let document = json!({
            "apiVersion": "backupmx.io/v1alpha1",
            "kind": "BackupMX",
            "metadata": {"namespace": namespace, "name": name, "uid": path},
            "spec": spec,
        });
        Arc::new(DeserializeGuard(Ok(serde_json::from_value(document).unwrap())))
    }

    fn names(found: &[ObjectRef<Guarded>]) -> Vec<String> {
        found.iter().map(|one| format!("{}/{}", one.namespace.as_deref().unwrap(), one.name)).collect()
    }

    #[test]
    fn a_config_map_concerns_who_reads_it() {
        let list =
            json!({"acceptance": {"recipients": {"mode": "List", "configMapRef": {"name": "people", "key": "k"}}}});
        let all = [
            resource("one/reads", "a.test", "mx1.test", &list),
            resource("two/reads", "b.test", "mx2.test", &list),
            resource("one/other", "c.test", "mx3.test", &json!({})),
        ];
        assert_eq!(names(&readers(&all, "one", "people")), ["one/reads"]);
        assert_eq!(names(&readers(&all, "one", "kube-root-ca.crt")), Vec::<String>::new());
    }

    #[test]
    fn a_service_concerns_whose_primary_it_is() {
        let behind_it = json!({"primary": {"serviceRef": {"name": "stalwart"}, "mx": [{"host": "mail.a.test"}]}});
        let all = [
            resource("one/behind", "a.test", "mx1.test", &behind_it),
            resource("two/behind", "b.test", "mx2.test", &behind_it),
            resource("one/other", "c.test", "mx3.test", &json!({})),
        ];
        assert_eq!(names(&behind(&all, "one", "stalwart")), ["one/behind"]);
    }

    #[test]
    fn who_claims_the_same_is_looked_at_again() {
        let all = [
            resource("one/first", "a.test", "mx1.test", &json!({})),
            resource("one/domain", "A.test", "mx2.test", &json!({})),
            resource("two/host", "b.test", "mx1.test", &json!({})),
            resource("two/none", "c.test", "mx3.test", &json!({})),
        ];
        let first = all[0].0.as_ref().unwrap();
        assert_eq!(names(&rivals(&all, first)), ["one/domain", "two/host"]);
    }

    #[test]
    fn who_lost_a_name_is_looked_at_again_whatever_its_owner_gives_up() {
        let loser = |status: &str| {
            let Ok(mut resource) = resource("two/loser", "b.test", "mx2.test", &json!({})).0.clone() else { panic!() };
            let conflict = json!({
                "type": "DomainConflict", "status": status, "reason": "OwnedByAnother", "message": "",
                "lastTransitionTime": "2027-01-15T08:00:00Z",
            });
            resource.status = serde_json::from_value(json!({"conditions": [conflict]})).unwrap();
            Arc::new(DeserializeGuard(Ok(resource)))
        };
        let owner = resource("one/owner", "a.test", "mx1.test", &json!({}));
        let owner = owner.0.as_ref().unwrap();
        assert_eq!(names(&rivals(&[loser("True")], owner)), ["two/loser"]);
        assert_eq!(names(&rivals(&[loser("False")], owner)), Vec::<String>::new());
    }
}
