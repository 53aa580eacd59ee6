//! What of a resource's names is another's, or not for its namespace.

use std::collections::BTreeMap;

use backupmx_crds::conditions::{ConditionType, Reason};
use backupmx_relay_config::DomainName;

use super::{conditions::Conditions, some};
use crate::{conflict::Lost, plan::Facts, validated::Owner};

/// Notes both conditions.
pub(super) fn conflicts(conditions: &mut Conditions<'_>, lost: &Lost, facts: &Facts) {
    use ConditionType::{DomainConflict, HostnameConflict};
    let refused = refused(&facts.not_allowed);
    let refused = refused.map(|names| {
        format!(
            "the operator's allowedDomains do not let this namespace have {names}: take it out of spec.domains, or \
             have it added to the namespace's rule in the chart's value allowedDomains; its mail is answered 451 until then"
        )
    });
    conflict(conditions, DomainConflict, &lost.domains, refused, "no other resource has the domains");
    let refused = self::refused(&facts.not_allowed_hosts).map(|names| {
        format!(
            "the operator's allowedDomains do not let relays of this namespace be {names}: choose a host name below a \
             domain that it may have, or have it added to the hostnames of its rule; nothing is published for it"
        )
    });
    conflict(conditions, HostnameConflict, &lost.hostnames, refused, "no other resource has the host names");
}

fn refused(names: &[DomainName]) -> Option<String> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| some(&names, ", "))
}

/// Notes what another has, and what the namespace may not have.
fn conflict(
    conditions: &mut Conditions<'_>,
    kind: ConditionType,
    lost: &BTreeMap<DomainName, Owner>,
    refused: Option<String>,
    none: &str,
) {
    let taken: Vec<String> = lost.iter().map(|(name, owner)| format!("{name} is {owner}'s")).collect();
    let taken = (!taken.is_empty())
        .then(|| format!("{}: take it out of the spec of one of the two, or delete that one", some(&taken, "; ")));
    let reason = if taken.is_some() { Reason::OwnedByAnother } else { Reason::NotAllowed };
    match (taken, refused) {
        (None, None) => conditions.set(kind, false, Reason::NoConflict, none),
        (taken, refused) => {
            let messages: Vec<String> = taken.into_iter().chain(refused).collect();
            conditions.set(kind, true, reason, messages.join("; "));
        }
    }
}
