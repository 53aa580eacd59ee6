//! Which resources have to be looked at again when something changes that is not theirs. Pure.

use std::sync::Arc;

use backupmx_crds::{BackupMX, PrimaryState, conditions::Reason};
use backupmx_relay_config::Host;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{cache::Guarded, validate, validated::Validated};

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

/// The resources of a namespace whose relays hand their mail to that Service. `in_use` says which terms count in place of
/// a spec that cannot be used or read: their relays go on by these.
#[must_use]
pub fn behind(
    all: &[Arc<Guarded>],
    namespace: &str,
    service: &Service<'_>,
    in_use: impl Fn(&Guarded) -> Option<Arc<Validated>>,
) -> Vec<ObjectRef<Guarded>> {
    let is_behind = |one: &Guarded| {
        let by_spec = || one.0.as_ref().is_ok_and(|resource| service.is_primary_of(resource));
        one.namespace().as_deref() == Some(namespace)
            && in_use(one).map_or_else(by_spec, |terms| service.is_in(namespace, &terms))
    };
    let named = |one: &Arc<Guarded>| Some(ObjectRef::new(&one.name_any()).within(&one.namespace()?));
    all.iter().filter(|one| is_behind(one)).filter_map(named).collect()
}

/// Those of them that hold mail for it as it was down when its state was last told. Of one that cannot be read that is
/// not known, and it may.
#[must_use]
pub fn waiting(
    all: &[Arc<Guarded>],
    namespace: &str,
    service: &Service<'_>,
    in_use: impl Fn(&Guarded) -> Option<Arc<Validated>>,
) -> Vec<ObjectRef<Guarded>> {
    let down = |one: &Arc<Guarded>| {
        let Ok(resource) = &one.0 else { return true };
        let primary = resource.status.as_ref().and_then(|status| status.primary.as_ref());
        primary.is_some_and(|primary| primary.state == PrimaryState::Down)
    };
    let down: Vec<_> = all.iter().filter(|one| down(one)).cloned().collect();
    behind(&down, namespace, service, in_use)
}

/// A Service that may be a primary.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// The domain of the cluster's own names.
    pub cluster_domain: &'a str,
}

impl Service<'_> {
    fn is_primary_of(&self, resource: &BackupMX) -> bool {
        resource.spec.primary.service_ref.as_ref().is_some_and(|known| known.name == self.name)
    }

    fn is_in(&self, namespace: &str, terms: &Validated) -> bool {
        let host = validate::service_host(self.name, namespace, self.cluster_domain);
        terms.primary.hosts.iter().any(|known| matches!(&known.host, Host::Name(name) if name.as_str() == host))
    }
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
    use kube::{
        api::ObjectMeta,
        core::{DeserializeGuard, error_boundary::InvalidObject},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::validate::Referred;

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
        assert_eq!(names(&behind(&all, "one", &STALWART, |_| None)), ["one/behind"]);
    }

    const STALWART: Service<'_> = Service { name: "stalwart", cluster_domain: "cluster.local" };

    #[test]
    fn a_service_concerns_whose_relays_hand_over_to_it() {
        let behind_it = json!({"primary": {"serviceRef": {"name": "stalwart"}, "mx": [{"host": "mail.a.test"}]}});
        let Ok(good) = resource("one/x", "a.test", "mx1.test", &behind_it).0.clone() else { panic!() };
        let none = Referred { recipients: Vec::new(), missing: None };
        let terms = Arc::new(validate::validate(&good, &none, STALWART.cluster_domain).unwrap());
        let elsewhere = json!({"primary": {"serviceRef": {"name": "dovecot"}}, "hold": {"maxAge": "a while"}});
        let moved = resource("one/x", "a.test", "mx1.test", &elsewhere);
        let unread = ObjectMeta { name: Some("x".into()), namespace: Some("one".into()), ..ObjectMeta::default() };
        let unread = InvalidObject { error: "wrong".into(), metadata: unread };
        for one in [moved, Arc::new(DeserializeGuard(Err(unread)))] {
            let read = one.0.is_ok();
            let all = [one];
            let of = |service: &Service<'_>, terms: Option<&Arc<Validated>>| {
                (
                    behind(&all, "one", service, |_| terms.cloned()).len(),
                    behind(&all, "two", service, |_| terms.cloned()).len(),
                )
            };
            let dovecot = Service { name: "dovecot", ..STALWART };
            assert_eq!(of(&STALWART, Some(&terms)), (1, 0), "its relays go on by what they had");
            assert_eq!(of(&dovecot, Some(&terms)), (0, 0));
            assert_eq!(of(&dovecot, None), (usize::from(read), 0), "nothing else is known");
            assert_eq!(waiting(&all, "one", &STALWART, |_| Some(terms.clone())).len(), usize::from(!read));
        }
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
