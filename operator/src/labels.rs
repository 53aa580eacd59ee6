//! Labels and annotations of the objects that the operator makes.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::validated::{Owner, RelayName};

/// The field manager of every server-side apply, and the value of `app.kubernetes.io/managed-by`.
pub const MANAGER: &str = "backupmx-operator";

/// Label: the UID of the BackupMX that an object was made for. An object with another's UID is never touched.
pub const OWNER_UID: &str = "backupmx.io/owner-uid";

/// Label: the relay that an object belongs to.
pub const RELAY: &str = "backupmx.io/relay";

/// Label: which records a DNSEndpoint holds, for external-dns' `--label-filter`.
pub const RECORDS: &str = "backupmx.io/records";

/// The value of [`RECORDS`] for a domain's MX records.
pub const RECORDS_MX: &str = "mx";

/// The value of [`RECORDS`] for the addresses of relay host names.
pub const RECORDS_ADDRESS: &str = "address";

/// Annotation: `namespace/name` of the BackupMX that an object was made for. A resource's name may be longer than a
/// label's value.
pub const OWNER: &str = "backupmx.io/owner";

/// Annotation of a claim: the domains whose mail it may hold, with commas between.
pub const DOMAINS: &str = "backupmx.io/domains";

/// Annotation of a claim: the domains whose MX records were seen in DNS once, and whose records its relay is in, with commas
/// between.
pub const PUBLISHED: &str = "backupmx.io/published";

/// Annotation of a claim: the largest TTL, in seconds, that senders may have the domains' records with; where one that is
/// smaller was published since then, until when.
pub const TTL: &str = "backupmx.io/published-ttl";

/// Annotation of a claim, and of addresses that no relay has any more: what is leaving, as [`crate::lifecycle`] keeps it.
pub const RETIRING: &str = "backupmx.io/retiring";

/// Annotation of a claim: the one before it was gone though nobody had let it go, as [`crate::plan::Loss`] says. A person
/// who has seen it takes it off.
pub const LOST: &str = "backupmx.io/lost";

/// Annotation of a ConfigMap: whether its relay's claim was let go, as [`crate::desired::config_map::Claim`] says.
pub const CLAIM: &str = "backupmx.io/claim";

/// Annotation of a ConfigMap: the revision of its document.
pub const REVISION: &str = "backupmx.io/revision";

/// Annotation of a ServiceAccount: the last spec that could be used, and its generation, as [`crate::terms`] reads it.
pub const SPEC: &str = "backupmx.io/spec";

/// Annotation of a pod template: what of the config takes a restart.
pub const RESTART: &str = "backupmx.io/restart";

/// Annotation of a BackupMX that a person sets to a new value to have all held mail tried at once.
pub const FLUSH: &str = "backupmx.io/flush";

/// Annotation of a claim that a person sets to `discard` to let the held mail go of all that leaves, to `discard:DOMAIN` for
/// one domain that leaves, or to `withdrawn` to say that no MX record names the relay any more.
pub const RELEASE: &str = "backupmx.io/release";

/// The value of [`RELEASE`] that lets held mail go.
pub const DISCARD: &str = "discard";

/// Before the domain that a value of [`RELEASE`] lets held mail go of: what is held for any other stays, and so does the
/// relay.
pub const DISCARD_DOMAIN: &str = "discard:";

/// The value of [`RELEASE`] that says that no record names the relay any more.
pub const WITHDRAWN: &str = "withdrawn";

/// The value of [`RELEASE`] that the operator writes over an order in the very write that notes which domains it is for,
/// before it takes the annotation off: whatever fails in between, the order is for those and nothing else.
pub const NOTED: &str = "noted";

/// Finalizer of a claim that may hold accepted mail.
pub const HELD_MAIL: &str = "backupmx.io/held-mail";

/// Finalizer of a BackupMX whose relays are still to be retired.
pub const RETIRE: &str = "backupmx.io/retire";

const NAME: &str = "app.kubernetes.io/name";

/// What selects the pods of all relays of a resource.
#[must_use]
pub fn select_all(owner: &Owner) -> BTreeMap<String, String> {
    strings([(NAME, "backupmx-relay"), (OWNER_UID, &owner.uid)])
}

/// What selects the pod of one relay. A Deployment's selector can never change, so nothing here may.
#[must_use]
pub fn select(owner: &Owner, relay: &RelayName) -> BTreeMap<String, String> {
    let mut labels = select_all(owner);
    labels.insert(RELAY.into(), relay.to_string());
    labels
}

/// The labels of what all relays of a resource share.
#[must_use]
pub fn shared(owner: &Owner) -> BTreeMap<String, String> {
    let mut labels = select_all(owner);
    labels.extend(strings([("app.kubernetes.io/managed-by", MANAGER)]));
    labels
}

/// The labels of one relay's objects.
#[must_use]
pub fn relay(owner: &Owner, relay: &RelayName) -> BTreeMap<String, String> {
    let mut labels = shared(owner);
    labels.insert(RELAY.into(), relay.to_string());
    labels
}

/// The annotation that names the owner.
#[must_use]
pub fn owner(owner: &Owner) -> BTreeMap<String, String> {
    [(OWNER.to_owned(), owner.to_string())].into()
}

/// Whose an object is, by its annotation and label; none where it is not of our making.
#[must_use]
pub fn owner_of<K: ResourceExt>(object: &K) -> Option<Owner> {
    let (namespace, name) = object.annotations().get(OWNER)?.split_once('/')?;
    let uid = object.labels().get(OWNER_UID)?.clone();
    Some(Owner { namespace: namespace.to_owned(), name: name.to_owned(), uid })
}

/// Whether an object is a copy: it says that it was made for a resource of another namespace, as a restore into another
/// namespace leaves it. Nothing but DNSEndpoints is ever made there.
#[must_use]
pub fn is_copy<K: ResourceExt>(object: &K) -> bool {
    let owner = object.annotations().get(OWNER).and_then(|owner| owner.split_once('/'));
    owner.is_some_and(|(namespace, _)| object.namespace().as_deref() != Some(namespace))
}

/// A map of owned strings.
#[must_use]
pub fn strings<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
