//! The commands that messages tell a person to type. Each stands alone, and can be pasted.

use backupmx_relay_config::DomainName;

use crate::{
    labels, names,
    validated::{Owner, RelayName},
};

/// The program in a relay's pod.
const RELAY: &str = "/usr/bin/backupmx-relay";

/// Runs a command of the relay's own in its pod, such as `status`.
#[must_use]
pub fn in_relay(owner: &Owner, relay: &RelayName, words: &str) -> String {
    in_pod_of(&owner.namespace, &names::relay(owner, relay), words)
}

/// The same by the name of its Deployment.
#[must_use]
pub fn in_pod_of(namespace: &str, deployment: &str, words: &str) -> String {
    format!("kubectl exec -n {namespace} deploy/{deployment} -- {RELAY} {words}")
}

/// Deletes a resource with all the mail that its relays hold.
#[must_use]
pub fn delete_discarding(namespace: &str, name: &str) -> String {
    let policy = "-p '{\"spec\": {\"deletionPolicy\": \"Discard\"}}'";
    format!(
        "kubectl patch backupmx -n {namespace} {name} --type merge {policy} && kubectl delete backupmx -n {namespace} {name}"
    )
}

/// Shows what a relay has logged.
#[must_use]
pub fn logs(owner: &Owner, relay: &RelayName) -> String {
    format!("kubectl logs -n {} deploy/{}", owner.namespace, names::relay(owner, relay))
}

/// Ends a relay's pod in order; the next one reads its config anew.
#[must_use]
pub fn restart(owner: &Owner, relay: &RelayName) -> String {
    let Owner { namespace, uid, .. } = owner;
    let (of_owner, of_relay) = (labels::OWNER_UID, labels::RELAY);
    format!("kubectl delete pod -n {namespace} -l {of_owner}={uid},{of_relay}={relay}")
}

/// Lets a claim go with the mail in it. An older word may stand there.
#[must_use]
pub fn discard(namespace: &str, claim: &str) -> String {
    format!("kubectl annotate pvc -n {namespace} {claim} {}={} --overwrite", labels::RELEASE, labels::DISCARD)
}

/// Lets the mail go that a relay holds for one domain that leaves it, and nothing else.
#[must_use]
pub fn discard_domain(namespace: &str, claim: &str, domain: &DomainName) -> String {
    let (release, discard) = (labels::RELEASE, labels::DISCARD_DOMAIN);
    format!("kubectl annotate pvc -n {namespace} {claim} {release}={discard}{domain} --overwrite")
}

/// The same for all claims of relays in a namespace.
#[must_use]
pub fn discard_all(namespace: &str) -> String {
    let (release, discard) = (labels::RELEASE, labels::DISCARD);
    format!("kubectl annotate pvc -n {namespace} -l {} {release}={discard} --overwrite", of_relays())
}

/// Has a volume outlive its claim, reserved for a claim of the same name, whatever its UID: so a new one of that name
/// cannot get another volume.
#[must_use]
pub fn keep_volume(volume: &str) -> String {
    format!("kubectl patch pv {volume} {KEEP}")
}

/// The same for the volumes of all claims of relays in a namespace.
#[must_use]
pub fn keep_volumes(namespace: &str) -> String {
    let list = format!("kubectl get pvc -n {namespace} -l {} -o jsonpath='{{.items[*].spec.volumeName}}'", of_relays());
    format!("kubectl patch pv $({list}) {KEEP}")
}

const KEEP: &str = "--type merge -p '{\"spec\": {\"persistentVolumeReclaimPolicy\": \"Retain\", \"claimRef\": {\"uid\": \
                    null, \"resourceVersion\": null}}}'";

/// What selects the claims of relays.
fn of_relays() -> String {
    format!("app.kubernetes.io/managed-by={}", labels::MANAGER)
}
