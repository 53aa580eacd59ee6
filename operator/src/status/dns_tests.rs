use backupmx_crds::{AddressRecords, DnsMode, dnsendpoint::DNSEndpointStatus};
use backupmx_relay_config::AcceptMode;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time},
    jiff::ToSpan,
};

use super::{
    dns,
    tests::{START, condition, fresh, published, status_of},
    *,
};
use crate::{
    desired::fixture,
    dns::{lookup::Host, pace::Pace, survey::Said, tests::seen},
    labels,
    plan::{EndpointApi, tests::Cluster},
};

fn message(status: &BackupMXStatus, kind: ConditionType) -> String {
    let found = status.conditions.iter().find(|known| known.type_ == kind.as_str());
    found.map(|known| known.message.clone()).unwrap_or_default()
}

const DNS: ConditionType = ConditionType::DNSPublished;

/// All is written and nothing is in DNS.
fn written() -> Cluster {
    let mut cluster = Cluster::settled();
    for domain in cluster.resource.domains.clone() {
        cluster.facts.dns.mx.insert(domain, seen::said(cluster.facts.now, Said::NoRecords));
    }
    cluster
}

/// The status as it is when the API server holds what was applied `ago` seconds before, and external-dns has read it.
fn after(cluster: &Cluster, ago: i64) -> BackupMXStatus {
    let mut planned = cluster.plan();
    let time = cluster.facts.now.checked_sub(ago.seconds()).unwrap();
    for set in &mut planned.mx {
        set.metadata.generation = Some(4);
        set.metadata.managed_fields = Some(vec![ManagedFieldsEntry {
            manager: Some(labels::MANAGER.into()),
            time: Some(Time(time)),
            ..ManagedFieldsEntry::default()
        }]);
        set.status = Some(DNSEndpointStatus { observed_generation: Some(4) });
    }
    let all = Applied { relays: Vec::new(), leaving: Vec::new(), mx: planned.mx, mx_missing: Vec::new() };
    let before = Before { status: &BackupMXStatus::default(), generation: Some(3), now: cluster.facts.now };
    applied(before, &cluster.resource, &cluster.facts, &all, &fixture::settings(), Hindered::default())
}

#[test]
fn external_dns_has_its_time_from_the_last_change() {
    let cluster = written();
    assert_eq!(condition(&after(&cluster, 299), DNS), "False WaitingForExternalDNS");
    assert_eq!(condition(&after(&cluster, 301), DNS), "False MXNotManaged");
    let settings = fixture::settings();
    assert_eq!(dns::overdue(&after(&cluster, 299), &settings), Some(std::time::Duration::from_secs(301)));
    assert_eq!(dns::overdue(&after(&cluster, 301), &settings), None);
    assert!(message(&after(&cluster, 301), DNS).contains("2027-01-15T07:54:59Z"), "a time, and no age that changes");
}

#[test]
fn the_message_is_the_same_at_every_pass() {
    let mut cluster = written();
    let first = after(&cluster, 400);
    cluster.later(60);
    assert_eq!(
        after(&cluster, 460).conditions,
        first
            .conditions
            .clone()
            .into_iter()
            .map(|mut known| {
                known.last_transition_time = Time(cluster.facts.now);
                known
            })
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_worst_domain_is_told_and_the_others_are_named() {
    let mut cluster = published();
    let net = cluster.resource.domains[1].clone();
    cluster.facts.dns.mx.insert(net, seen::said(cluster.facts.now, Said::Alias("x.test".into())));
    let status = fresh(&cluster);
    assert_eq!(condition(&status, DNS), "False DomainIsAlias");
    let message = message(&status, DNS);
    assert!(
        message.starts_with("example.net is an alias") && message.ends_with("[example.org: Published]"),
        "{message}"
    );
    assert_eq!(condition(&status, ConditionType::Ready), "True Available", "it was published once");
}

#[test]
fn what_was_known_stays_until_dns_was_asked() {
    let mut cluster = published();
    let before = fresh(&cluster);
    cluster.facts.dns.hosts.clear();
    let restarted = status_of(&cluster, &before, START);
    assert_eq!(restarted, before);
    cluster.facts.dns.mx.clear();
    assert_eq!(status_of(&cluster, &before, START), before);
    let mut older = before.clone();
    for known in &mut older.conditions {
        known.observed_generation = Some(2);
    }
    let changed = status_of(&cluster, &older, START);
    assert_eq!(condition(&changed, DNS), "Unknown Pending", "of another spec nothing is known");
    assert_eq!(condition(&changed, ConditionType::Ready), "True Available");
}

#[test]
fn without_the_api_it_says_so() {
    let mut cluster = written();
    cluster.facts.endpoint_api = EndpointApi::Missing;
    cluster.facts.mx.clear();
    assert_eq!(condition(&fresh(&cluster), DNS), "False DNSEndpointMissing");
}

#[test]
fn a_relay_s_host_name_may_be_what_is_wrong() {
    let mut cluster = written();
    cluster.facts.mx.clear();
    // External-dns was told of no address a moment ago.
    cluster.facts.relays.values_mut().for_each(|live| live.addresses = None);
    for (seen, wanted) in [
        (Host::Nothing, "False HostWithoutAddress"),
        (Host::Alias("lb.test".into()), "False HostIsAlias"),
        (Host::Addresses(["198.51.100.1".parse().unwrap()].into()), "False HostElsewhere"),
        (Host::Unknown, "False WaitingForRelays"),
    ] {
        for relay in cluster.resource.relays.clone() {
            cluster.facts.dns.hosts.insert(relay.hostname, seen.clone());
        }
        assert_eq!(condition(&fresh(&cluster), DNS), wanted);
    }
}

fn by_hand() -> Cluster {
    let mut cluster = published();
    cluster.resource.dns.mode = DnsMode::Manual;
    cluster.facts.mx.clear();
    cluster
}

#[test]
fn by_hand_all_records_are_listed() {
    let mut cluster = by_hand();
    cluster.resource.domains.pop();
    let wanted = [
        "example.org. 300 IN MX 10 mail.example.org.",
        "example.org. 300 IN MX 20 mx1.backup.example.net.",
        "example.org. 300 IN MX 30 mx2.backup.example.net.",
        "mx1.backup.example.net. 300 IN A 192.0.2.10",
        "mx2.backup.example.net. 300 IN A 192.0.2.10",
    ];
    let status = fresh(&cluster);
    assert_eq!(status.mx_records, wanted);
    assert_eq!(condition(&status, DNS), "True Published");
    for live in cluster.facts.relays.values_mut() {
        live.balancer.clear();
    }
    let later = status_of(&cluster, &status, START);
    assert_eq!((later.mx_records, later.relays), (status.mx_records, status.relays), "the last addresses stay");
    cluster.facts.life = Life::Leaving;
    assert_eq!(fresh(&cluster).mx_records, wanted[..1], "what the domain is to be left with");
}

#[test]
fn by_hand_the_record_to_remove_is_named() {
    let mut cluster = by_hand();
    cluster.resource.relays.pop();
    cluster.pass();
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Draining), "True WaitingForRecords");
    let message = message(&status, ConditionType::Draining);
    assert!(
        message.contains("example.net MX mx2.backup.example.net; example.org MX mx2.backup.example.net."),
        "{message}"
    );
    assert_eq!(condition(&status, DNS), "False WrongRecords");
}

#[test]
fn by_hand_the_records_of_a_domain_that_leaves_are_named() {
    let mut cluster = by_hand();
    cluster.resource.domains.pop();
    cluster.pass();
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Draining), "True WaitingForRecords");
    let message = message(&status, ConditionType::Draining);
    assert!(message.contains("example.net MX mx1.backup.example.net; example.net MX mx2"), "{message}");
    assert_eq!(dns::pace(&status), Pace::Awaited, "though all that stays is published");
    let net = "example.net".parse().unwrap();
    cluster.facts.dns.mx.insert(net, seen::records(cluster.facts.now, &[(10, "mail.example.org")]));
    cluster.pass();
    let status = fresh(&cluster);
    assert_eq!(condition(&status, ConditionType::Draining), "True WaitingForCaches");
    assert_eq!(dns::pace(&status), Pace::Settled);
}

#[test]
fn by_hand_the_records_of_a_domain_whose_mail_was_ordered_to_go_are_named_until_they_are_gone() {
    let mut cluster = by_hand();
    cluster.resource.domains.pop();
    cluster.pass();
    for live in cluster.facts.relays.values_mut() {
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(labels::RELEASE.into(), labels::DISCARD.into());
    }
    for wait in [0, 0, 0, 0, 10 * 24 * 3600] {
        cluster.later(wait);
        cluster.pass();
        let status = fresh(&cluster);
        assert_eq!(condition(&status, ConditionType::Draining), "True WaitingForRecords");
        let message = message(&status, ConditionType::Draining);
        assert!(message.contains("remove them: example.net MX mx1.backup.example.net"), "{message}");
        assert_eq!(dns::pace(&status), Pace::Awaited);
    }
    let answers_451 = |cluster: &Cluster| {
        let document = cluster.facts.relays.values().next().unwrap().document.clone().unwrap();
        let mut tenants = document.tenants.into_iter();
        tenants.any(|tenant| tenant.accept == AcceptMode::Defer && tenant.domains[0].as_str() == "example.net")
    };
    let message = message(&fresh(&cluster), ConditionType::Draining);
    let fading = "relay a answers 451 to mail for example.net until a day after its MX records are gone";
    assert!(message.contains(fading) && answers_451(&cluster), "{message}");
    let (mut seen, mut told) = (cluster.clone(), cluster);
    let net = "example.net".parse().unwrap();
    seen.facts.dns.mx.insert(net, seen::records(seen.facts.now, &[(10, "mail.example.org")]));
    for live in told.facts.relays.values_mut() {
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(labels::RELEASE.into(), "withdrawn".into());
    }
    for cluster in [&mut seen, &mut told] {
        cluster.pass();
        // The word was noted, and does not stay.
        for live in cluster.facts.relays.values_mut() {
            live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap().remove(labels::RELEASE);
        }
        cluster.later(24 * 3600 + 899);
        cluster.pass();
        assert_eq!(condition(&fresh(cluster), ConditionType::Draining), "False NotDraining");
        assert!(answers_451(cluster), "caches have them still");
        cluster.later(1);
        cluster.pass();
        assert!(!answers_451(cluster));
    }
}

#[test]
fn what_external_dns_still_holds_is_told_to_the_person_who_took_over() {
    let mut cluster = published();
    cluster.resource.dns.mode = DnsMode::Manual;
    let message = message(&fresh(&cluster), DNS);
    assert!(message.contains("DNSEndpoint backupmx/mx-example.org is left from before dns.mode"), "{message}");
    let host = cluster.resource.relays[0].hostname.clone();
    let left = format!("DNSEndpoint backupmx/address-{host} is left from before dns.mode was Manual");
    assert!(message.contains(&left) && message.contains(&format!("_extdns-a.{host}")), "{message}");
}

#[test]
fn addresses_that_a_person_took_over_are_told_of_and_nothing_else() {
    let mut cluster = published();
    let before = message(&fresh(&cluster), DNS);
    assert!(!before.contains("is left from before"), "{before}");
    cluster.resource.dns.addresses = AddressRecords::Manual;
    let message = message(&fresh(&cluster), DNS);
    assert!(message.contains("is left from before dns.addresses was Manual"), "{message}");
    assert!(!message.contains("DNSEndpoint backupmx/mx-"), "{message}");
}

#[test]
fn every_reason_is_in_the_manual() {
    let manual = include_str!("../../README.md");
    for reason in Reason::ALL {
        let (conditions, _) = reason.meaning().split_once(": ").unwrap();
        let ours = conditions.split(", ").any(|condition| condition == DNS.as_str());
        assert!(!ours || manual.contains(&format!("`{reason}`")), "operator/README.md does not say what {reason} is");
    }
}
