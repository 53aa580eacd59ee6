//! What has room in a relay's document: lists of recipients are the only part of it that grows without end. Pure.

use backupmx_relay_config::{AcceptMode, DomainName, Recipients, RelayConfig, Tenant};

/// The largest document: a ConfigMap holds 1 MiB, and what a relay is handed has the same limit. The rest is for what is
/// changed in a document later, as domains that another resource gets.
pub const LARGEST_DOCUMENT: usize = (1 << 20) - (64 << 10);
/// The largest list of a resource, in octets of a document. The rest is for domains, terms, and the lists of domains that
/// leave.
pub const LARGEST_LIST: usize = 640 << 10;

/// How many octets a list takes in a document.
#[must_use]
pub fn octets(list: &[String]) -> usize {
    // A tenant's list is indented.
    const INDENTATION: usize = 6;
    let text = serde_yaml::to_string(list).map_or(usize::MAX, |text| text.len());
    text.saturating_add(INDENTATION * list.len())
}

/// The same document, small enough: of the domains that leave, each of which has its own copy of who has an address in it,
/// those with the longest lists are answered 451 where not all have room. Mail is never taken without the list that it
/// was taken by.
#[must_use]
pub fn fit(mut document: RelayConfig, leaves: impl Fn(&DomainName) -> bool) -> RelayConfig {
    if listed(&mut document, &leaves).next().is_none() {
        return document;
    }
    let mut size = backupmx_relay_config::to_yaml(&document).map_or(usize::MAX, |text| text.len());
    while size > LARGEST_DOCUMENT {
        let longest = listed(&mut document, &leaves).max_by_key(|tenant| tenant.acceptance.recipients.list.len());
        let Some(tenant) = longest else { break };
        size = size.saturating_sub(octets(&tenant.acceptance.recipients.list));
        tenant.accept = AcceptMode::Defer;
        tenant.acceptance.recipients = Recipients::default();
    }
    document
}

/// The tenants of domains that leave, whose mail is taken by a list.
fn listed(document: &mut RelayConfig, leaves: impl Fn(&DomainName) -> bool) -> impl Iterator<Item = &mut Tenant> {
    document.tenants.iter_mut().filter(move |tenant| {
        tenant.accept == AcceptMode::Active
            && !tenant.acceptance.recipients.list.is_empty()
            && tenant.domains.iter().all(&leaves)
    })
}

#[cfg(test)]
mod tests {
    use backupmx_relay_config::RecipientMode;

    use super::*;
    use crate::desired::{
        document::{LeavingDomain, Tenancy},
        fixture,
    };

    fn list(entries: usize) -> Recipients {
        let part = |number: usize| format!("{number:0>52}");
        Recipients { mode: RecipientMode::List, list: (0..entries).map(part).collect() }
    }

    fn size(document: &RelayConfig) -> usize {
        backupmx_relay_config::check(document).unwrap();
        backupmx_relay_config::to_yaml(document).unwrap().len()
    }

    #[test]
    fn a_list_takes_what_it_is_said_to_take() {
        let mut resource = fixture::validated();
        let tenancy = fixture::tenancy(&resource);
        let mut with = |entries: &[&str]| {
            let list = entries.iter().map(|&entry| entry.to_owned()).collect();
            resource.acceptance.recipients = Recipients { mode: RecipientMode::List, list };
            size(&fixture::document(&resource, &tenancy))
        };
        let entries = ["ann", "7", "o'brien", "\"a b\"@example.org", "true", "b: c", "jörg"];
        let all: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        let bare = with(&["ann"]);
        assert_eq!(with(&entries) - bare, octets(&all) - octets(&all[..1]));
    }

    #[test]
    fn the_longest_list_fits_however_many_domains_leave() {
        let mut resource = fixture::validated();
        resource.acceptance.recipients = list(10_000);
        assert!(octets(&resource.acceptance.recipients.list) <= LARGEST_LIST, "it is accepted");
        let leaving = (0..50).map(|number| LeavingDomain {
            domain: format!("d{number}.example").parse().unwrap(),
            accept: AcceptMode::Active,
            recipients: list(if number == 7 { 9_000 } else { 4_000 }),
        });
        let [org, net] = [&resource.domains[0], &resource.domains[1]].map(Clone::clone);
        let tenancy = Tenancy { serving: vec![org], deferred: vec![net], leaving: leaving.collect() };
        let document = fixture::document(&resource, &tenancy);
        assert!(size(&document) <= LARGEST_DOCUMENT, "{}", size(&document));
        assert_eq!(document.tenants.len(), 52, "none is unknown, which would be a 550");
        let taken = document.tenants.iter().filter(|tenant| tenant.accept == AcceptMode::Active);
        let lists: Vec<usize> = taken.map(|tenant| tenant.acceptance.recipients.list.len()).collect();
        assert_eq!(lists, [10_000, 4_000], "those that stay go first, and none that is taken has lost its list");
    }

    #[test]
    fn what_has_room_stays_as_it_is() {
        let mut resource = fixture::validated();
        resource.acceptance.recipients = list(1_000);
        let leaving = ["a.example", "b.example"].map(|domain| LeavingDomain {
            domain: domain.parse().unwrap(),
            accept: AcceptMode::Active,
            recipients: list(1_000),
        });
        let tenancy = Tenancy { leaving: leaving.into(), ..fixture::tenancy(&resource) };
        let document = fixture::document(&resource, &tenancy);
        let taken = document.tenants.iter().filter(|tenant| tenant.accept == AcceptMode::Active);
        assert!(taken.map(|tenant| tenant.acceptance.recipients.list.len()).eq([1_000; 3]));
    }
}
