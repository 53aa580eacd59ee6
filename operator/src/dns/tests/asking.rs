use std::net::SocketAddr;

use super::{
    Dns, ZONE, asking, name,
    seen::set,
    server::{Mode, Server, network},
};
use crate::dns::{
    authority::{Authority, Source},
    lookup::Host,
    ownership::Ownership,
    survey::{Said, View},
};

const WHOLE: &[(u16, &str)] = &[(10, "mail.example.org"), (20, "mx1.backup.example.net")];

fn source(zone: &str) -> Option<Source> {
    Some(Source::Zone(zone.into()))
}

#[tokio::test]
async fn the_zone_s_own_servers_count_and_the_resolver_s_cache_does_not() {
    let dns = Dns::start().await;
    let seen = dns.lookup.mx(&name("example.org")).await;
    assert_eq!(seen.survey.view(), View::Agreed(&Said::Records(set(WHOLE))), "{seen:?}");
    assert_eq!(seen.survey.source, source("example.org"));
    assert_eq!((seen.survey.ttl, seen.survey.answers.len()), (Some(300), 2));
    assert_eq!(seen.ownership, Ownership::Owner("bmx".into()));
    assert!(!dns.resolver.asked().contains(&"MX example.org.".to_owned()));
}

#[tokio::test]
async fn the_servers_of_a_zone_are_found_once() {
    let dns = Dns::start().await;
    for _ in 0..5 {
        dns.lookup.mx(&name("example.org")).await;
    }
    let asked = dns.resolver.asked();
    assert_eq!(asked.iter().filter(|question| *question == "NS example.org.").count(), 1, "{asked:?}");
}

#[tokio::test]
async fn one_server_that_answers_is_enough() {
    let dns = Dns::start().await;
    for (mode, trouble) in [
        (Mode::Lame, "ns2.example.org does not have the zone (a lame delegation)"),
        (Mode::ServFail, "ns2.example.org answers ServFail"),
        (Mode::Silent, "ns2.example.org does not answer"),
    ] {
        dns.two.set_mode(mode);
        let seen = dns.lookup.mx(&name("example.org")).await;
        assert_eq!(seen.survey.view(), View::Agreed(&Said::Records(set(WHOLE))), "{mode:?}");
        assert_eq!(seen.survey.troubles(), [trouble]);
        assert_eq!(seen.ownership, Ownership::Owner("bmx".into()), "{mode:?}");
    }
}

#[tokio::test]
async fn none_that_answers_is_a_failure_and_never_an_absence() {
    let dns = Dns::start().await;
    dns.one.set_mode(Mode::ServFail);
    dns.two.set_mode(Mode::Lame);
    let seen = dns.lookup.mx(&name("example.org")).await;
    assert_eq!(seen.survey.view(), View::Failed);
    assert_eq!(seen.names(&name("mx1.backup.example.net")), None);
    dns.resolver.set_mode(Mode::ServFail);
    let seen = dns.lookup.mx(&name("example.net")).await;
    assert_eq!((seen.survey.view(), &seen.survey.source), (View::Failed, &None));
    assert_eq!(seen.survey.troubles(), [format!("the resolver {} answers ServFail", dns.resolver.address)]);
}

#[tokio::test]
async fn servers_that_disagree_are_heard_each() {
    let dns = Dns::start().await;
    dns.two.set_zones(&[("example.org.", "example.org. 60 IN MX 10 mail.example.org.")]);
    let seen = dns.lookup.mx(&name("example.org")).await;
    let (one, two) = (Said::Records(set(WHOLE)), Said::Records(set(&WHOLE[..1])));
    assert_eq!(seen.survey.view(), View::Disagree(vec![("ns1.example.org", &one), ("ns2.example.org", &two)]));
    assert_eq!(seen.names(&name("mx1.backup.example.net")), Some(true), "one of them names it still");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let dns = Dns::start().await;
    for (domain, zone, wanted) in [
        ("bare.example.org", source("example.org"), Said::NoRecords),
        ("nowhere.example.org", source("example.org"), Said::NoName),
        ("alias.example.org", source("example.org"), Said::Alias("mail.example.org".into())),
        ("example.invalid", Some(Source::Resolver), Said::NoName),
    ] {
        let seen = dns.lookup.mx(&name(domain)).await;
        assert_eq!((seen.survey.view(), &seen.survey.source), (View::Agreed(&wanted), &zone), "{domain}");
        assert_eq!(seen.ownership, Ownership::Nobody, "{domain}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_over_tcp() {
    let dns = Dns::start().await;
    let records: Vec<(u16, String)> =
        (0..60).map(|count| (count, format!("mx{count}.{}.example.org", "long".repeat(12)))).collect();
    let zone: String =
        records.iter().map(|(preference, host)| format!("example.org. 300 IN MX {preference} {host}.\n")).collect();
    for server in [&dns.one, &dns.two] {
        server.set_zones(&[("example.org.", &zone)]);
    }
    let seen = dns.lookup.mx(&name("example.org")).await;
    let wanted: Vec<(u16, &str)> = records.iter().map(|(preference, host)| (*preference, host.as_str())).collect();
    assert_eq!(seen.survey.view(), View::Agreed(&Said::Records(set(&wanted))));
    assert!(dns.one.over_tcp() > 0 && dns.two.over_tcp() > 0);
}

#[tokio::test]
async fn records_of_a_wildcard_are_not_the_name_s_own() {
    let dns = Dns::start().await;
    let seen = dns.lookup.mx(&name("any.wild.example.org")).await;
    assert_eq!(seen.survey.view(), View::Agreed(&Said::Records(set(&WHOLE[..1]))));
    assert_eq!(seen.wildcard.as_deref(), Some("*.wild.example.org"));
    assert_eq!(dns.lookup.mx(&name("example.org")).await.wildcard, None);
}

#[tokio::test]
async fn an_ownership_record_outside_of_the_zone_is_not_looked_for() {
    let mut dns = Dns::start().await;
    dns.lookup.external_dns.prefix = String::new();
    assert_eq!(dns.lookup.mx(&name("example.org")).await.ownership, Ownership::OutsideZone);
    assert_eq!(dns.lookup.mx(&name("bare.example.org")).await.ownership, Ownership::Nobody);
}

#[tokio::test]
async fn a_host_name_has_addresses_or_is_an_alias_or_is_nothing() {
    let dns = Dns::start().await;
    let both = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()].into();
    for (host, wanted) in [
        ("mail.example.org", Host::Addresses(both)),
        ("alias.example.org", Host::Alias("mail.example.org".into())),
        ("bare.example.org", Host::Nothing),
        ("nowhere.example.org", Host::Nothing),
        ("www.example.org", Host::Nothing),
    ] {
        assert_eq!(dns.lookup.host(&name(host)).await.host(), wanted, "{host}");
    }
    dns.one.set_mode(Mode::ServFail);
    dns.two.set_mode(Mode::ServFail);
    assert_eq!(dns.lookup.host(&name("mail.example.org")).await.host(), Host::Unknown);
}

#[tokio::test]
async fn a_load_balancer_s_alias_is_followed_to_its_addresses() {
    let dns = Dns::start().await;
    let seen = dns.lookup.balancer("lb.example.org").await;
    assert_eq!((seen.addresses, seen.ttl), (Some(vec!["198.51.100.7".parse().unwrap()]), 60));
    assert_eq!(dns.lookup.balancer("nowhere.example.org").await.addresses, Some(Vec::new()));
    dns.resolver.set_mode(Mode::ServFail);
    assert_eq!(dns.lookup.balancer("lb.example.org").await.addresses, None);
}

#[tokio::test]
async fn named_servers_are_the_truth_and_each_answers_for_what_it_has() {
    let net = network();
    let inner = Server::start(SocketAddr::new(net(1), 0), &[("example.org.", ZONE)]).await;
    let other =
        Server::start(SocketAddr::new(net(2), 0), &[("example.net.", "mx1.backup.example.net. 300 IN A 192.0.2.10")])
            .await;
    let lookup = asking(Authority::with(vec![inner.address, other.address], Vec::new(), 53));
    let seen = lookup.mx(&name("example.org")).await;
    assert_eq!(seen.survey.view(), View::Agreed(&Said::Records(set(WHOLE))));
    assert_eq!(seen.survey.source, Some(Source::Named));
    assert_eq!(seen.survey.troubles(), [format!("{} answers Refused", other.address)]);
    let host = lookup.host(&name("mx1.backup.example.net")).await.host();
    assert_eq!(host, Host::Addresses(["192.0.2.10".parse().unwrap()].into()));
    assert_eq!(lookup.mx(&name("example.invalid")).await.survey.view(), View::Failed, "both refuse it");
}

#[tokio::test]
async fn a_name_without_mx_records_is_asked_for_its_addresses() {
    let dns = Dns::start().await;
    for (domain, addresses) in [
        ("mail.example.org", Some(true)),
        ("bare.example.org", Some(false)),
        ("example.org", None),
        ("nothing.example.org", None),
    ] {
        assert_eq!(dns.lookup.mx(&name(domain)).await.addresses, addresses, "{domain}");
    }
}
