//! The conditions `DomainConflict` and `HostnameConflict`: names that another has, or that the namespace may not have.

use backupmx_crds::conditions::{ConditionType, Reason};

use super::conditions::Conditions;
use crate::{conflict::Lost, plan::Facts};

/// Notes both.
pub(super) fn conflicts(conditions: &mut Conditions<'_>, lost: &Lost, facts: &Facts) {
    use ConditionType::{DomainConflict, HostnameConflict};
    let taken = |names: &std::collections::BTreeMap<_, crate::validated::Owner>| -> Vec<String> {
        names
            .iter()
            .map(|(name, owner): (&backupmx_relay_config::DomainName, _)| format!("{name} is {owner}'s"))
            .collect()
    };
    match (lost.domains.is_empty(), facts.not_allowed.as_slice()) {
        (false, _) => conditions.set(DomainConflict, true, Reason::OwnedByAnother, taken(&lost.domains).join("; ")),
        (true, [first, ..]) => {
            let message = format!("the operator's allowedDomains do not let this namespace have {first}");
            conditions.set(DomainConflict, true, Reason::NotAllowed, message);
        }
        (true, []) => conditions.set(DomainConflict, false, Reason::NoConflict, "no other resource has the domains"),
    }
    match (lost.hostnames.is_empty(), facts.not_allowed_hosts.as_slice()) {
        (false, _) => conditions.set(HostnameConflict, true, Reason::OwnedByAnother, taken(&lost.hostnames).join("; ")),
        (true, [first, ..]) => {
            let message = format!(
                "the operator's allowedDomains do not let relays of this namespace be {first}: choose a host name below \
                 a domain that it may have, or have it added to the hostnames of its rule; nothing is published for it"
            );
            conditions.set(HostnameConflict, true, Reason::NotAllowed, message);
        }
        (true, []) => {
            conditions.set(HostnameConflict, false, Reason::NoConflict, "no other resource has the host names")
        }
    }
}
