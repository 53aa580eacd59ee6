use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::dns::{
    ownership::{Ownership, Registry},
    tests::seen::{each, records as seen_records, said, set},
    wire::Trouble,
};

const AT: Timestamp = Timestamp::UNIX_EPOCH;
const WHOLE: &[(u16, &str)] = &[(10, "mail.example.org"), (20, "mx1.backup.example.net")];
const OLD: &[(u16, &str)] = &[(10, "mail.example.org")];

/// A case in which all is well: each test changes what it is about.
struct Given {
    writer: fn(&Given) -> Writer<'_>,
    wanted: Vec<Mx>,
    seen: Option<MxSeen>,
    obstacles: Vec<Obstacle>,
    external_dns: ExternalDns,
    reading: Reading,
    time: Time,
}

impl Given {
    fn new(seen: MxSeen) -> Self {
        Self {
            writer: Self::external_dns,
            wanted: WHOLE.iter().map(|(preference, host)| mx(*preference, host)).collect(),
            seen: Some(seen),
            obstacles: Vec::new(),
            external_dns: ExternalDns {
                registry: Registry::Txt,
                owner_id: "bmx".into(),
                prefix: "_extdns-%{record_type}.".into(),
            },
            reading: Reading::Current,
            time: Time::Over,
        }
    }

    fn external_dns(&self) -> Writer<'_> {
        Writer::ExternalDns(Told {
            external_dns: &self.external_dns,
            namespace: "backupmx",
            name: "mx-example.org".into(),
            reading: self.reading,
            written: AT,
            time: self.time,
        })
    }

    fn owned_by(mut self, ownership: Ownership) -> Self {
        self.seen.as_mut().unwrap().ownership = ownership;
        self
    }

    fn with_addresses(mut self, there: bool) -> Self {
        self.seen.as_mut().unwrap().addresses = Some(there);
        self
    }

    fn kept_in(mut self, registry: Registry) -> Self {
        self.external_dns.registry = registry;
        self
    }

    fn in_zone(mut self, source: Source) -> Self {
        self.seen.as_mut().unwrap().survey.source = Some(source);
        self
    }

    fn just_written(self) -> Self {
        Self { time: Time::Given, ..self }
    }

    fn unread(self) -> Self {
        Self { reading: Reading::Stale, ..self }
    }

    fn by_hand(self) -> Self {
        Self { writer: |_| Writer::Person, ..self }
    }

    fn nothing_wanted(self) -> Self {
        Self { wanted: Vec::new(), ..self }
    }

    fn but(mut self, hindrance: Hindrance) -> Self {
        let host = "mx1.backup.example.net".parse().unwrap();
        self.obstacles.push(Obstacle { relay: "a".parse().unwrap(), host, hindrance, told: None });
        self
    }

    fn told_of_addresses(mut self) -> Self {
        for obstacle in &mut self.obstacles {
            obstacle.told = Some(AddressesTold::Lately(AT));
        }
        self
    }

    fn unread_addresses(mut self) -> Self {
        for obstacle in &mut self.obstacles {
            let (namespace, name) = ("backupmx".to_owned(), "address-mx1.backup.example.net".to_owned());
            obstacle.told = Some(AddressesTold::Unread { namespace, name, written: AT });
        }
        self
    }

    fn judge(&self) -> Verdict {
        judge(&Case {
            domain: &"example.org".parse().unwrap(),
            writer: (self.writer)(self),
            wanted: &self.wanted,
            relays: &["mx1.backup.example.net".parse().unwrap()],
            seen: self.seen.as_ref(),
            obstacles: &self.obstacles,
        })
    }
}

fn mx(preference: u16, host: &str) -> Mx {
    Mx { preference, host: host.parse().unwrap() }
}

fn whole() -> Given {
    Given::new(seen_records(AT, WHOLE))
}

fn old() -> Given {
    Given::new(seen_records(AT, OLD))
}

fn none() -> Given {
    Given::new(said(AT, Said::NoRecords))
}

fn ours() -> Ownership {
    Ownership::Owner("bmx".into())
}

/// Judges each, and finds the words in its message.
fn check<const N: usize>(cases: [(&str, Given, Truth, Reason, &[&str]); N]) {
    for (what, given, truth, reason, words) in cases {
        let verdict = given.judge();
        assert_eq!((verdict.truth, verdict.reason), (truth, reason), "{what}: {}", verdict.message);
        for word in words {
            assert!(verdict.message.contains(word), "{what}: {word:?} is not in {:?}", verdict.message);
        }
    }
}

#[test]
fn what_is_there_is_published_whoever_wrote_it() {
    let alone = Given::new(each(AT, vec![Ok(Said::Records(set(WHOLE))), Err(Trouble::Silent)]));
    check([
        ("all agree", whole(), Truth::True, Reason::Published, &["servers of the zone example.org", "10 mail"]),
        ("nobody owns it", whole().owned_by(Ownership::Nobody), Truth::True, Reason::Published, &[]),
        ("entered by hand", whole().by_hand(), Truth::True, Reason::Published, &[]),
        ("nothing was read", whole().unread(), Truth::True, Reason::Published, &[]),
        ("one server answers", alone, Truth::True, Reason::Published, &["ns2.example.org does not answer"]),
        ("no API", Given { writer: |_| Writer::Nobody, ..whole() }, Truth::True, Reason::Published, &["example.org: "]),
    ]);
}

#[test]
fn a_relay_that_is_not_among_the_records_yet_is_named() {
    let mut given = old().but(Hindrance::PodNotReady);
    given.wanted.pop();
    check([("a is not ready", given, Truth::True, Reason::Published, &["relay a is not among them yet: its pod"])]);
}

#[test]
fn a_relay_that_never_gets_an_address_is_no_backup() {
    let without = |given: Given| {
        let mut given = given.but(Hindrance::NoAddress);
        given.wanted.pop();
        given
    };
    let words = &["the records are out, but relay a is not among them", "relays[].addresses can name one", "node more"];
    let waits = &["relay a is not among them yet: the load balancer"];
    check([
        ("for long", without(old()), Truth::False, Reason::HostWithoutAddress, words),
        ("since a moment ago", without(old().just_written()), Truth::True, Reason::Published, waits),
    ]);
}

#[test]
fn nothing_can_be_published_without_the_api() {
    for seen in [None, Some(said(AT, Said::NoRecords))] {
        let given = Given { writer: |_| Writer::Nobody, seen, ..none() };
        let words = &["no DNSEndpoint API", "install external-dns", "dns.mode to Manual"];
        check([("missing", given, Truth::False, Reason::DNSEndpointMissing, words)]);
    }
}

#[test]
fn nothing_is_published_before_a_relay_can_take_mail() {
    let waits = |hindrance| none().nothing_wanted().but(hindrance);
    let address = || vec!["192.0.2.10".parse().unwrap()];
    check([
        ("pod", waits(Hindrance::PodNotReady), Truth::False, Reason::WaitingForRelays, &["relay a: its pod is not"]),
        ("address", waits(Hindrance::NoAddress), Truth::False, Reason::WaitingForRelays, &["relays[].addresses"]),
        ("unknown", waits(Hindrance::HostUnknown), Truth::False, Reason::WaitingForRelays, &["looked up yet"]),
        (
            "no address in DNS",
            waits(Hindrance::HostWithoutAddress(address())),
            Truth::False,
            Reason::HostWithoutAddress,
            &["mx1.backup.example.net has no address", "should have 192.0.2.10", "--managed-record-types"],
        ),
        (
            "no address in DNS, and not ours to publish",
            waits(Hindrance::HostWithoutAddress(Vec::new())),
            Truth::False,
            Reason::HostWithoutAddress,
            &["enter A or AAAA", "dns.addresses is Manual"],
        ),
        (
            "an alias",
            waits(Hindrance::HostIsAlias("lb.example.com".into())),
            Truth::False,
            Reason::HostIsAlias,
            &["alias (CNAME) of lb.example.com", "RFC 2181 10.3"],
        ),
        (
            "elsewhere",
            waits(Hindrance::HostElsewhere(vec!["198.51.100.1".parse().unwrap()], address())),
            Truth::False,
            Reason::HostElsewhere,
            &["has the address 198.51.100.1", "should have 192.0.2.10"],
        ),
    ]);
}

#[test]
fn addresses_that_external_dns_was_just_told_of_are_waited_for() {
    let address = || vec!["192.0.2.10".parse().unwrap()];
    let other = || vec!["198.51.100.1".parse().unwrap()];
    let (no, wait) = (Truth::False, Reason::WaitingForExternalDNS);
    let told = &["told at 1970-01-01T00:00:00Z that mx1.backup.example.net has the address 192.0.2.10"];
    check([
        (
            "none",
            none().but(Hindrance::HostWithoutAddress(address())).nothing_wanted().told_of_addresses(),
            no,
            wait,
            told,
        ),
        ("old", whole().but(Hindrance::HostElsewhere(other(), address())).told_of_addresses(), no, wait, told),
        (
            "unread",
            none().but(Hindrance::HostWithoutAddress(address())).nothing_wanted().unread_addresses(),
            no,
            Reason::ExternalDNSNotReading,
            &[
                "mx1.backup.example.net has no address",
                "DNSEndpoint backupmx/address-mx1",
                "backupmx.io/records=address",
            ],
        ),
        (
            "another's, and unread",
            whole().but(Hindrance::HostElsewhere(other(), address())).unread_addresses(),
            no,
            Reason::HostElsewhere,
            &["has the address 198.51.100.1"],
        ),
        (
            "an alias, which no time will change",
            whole().but(Hindrance::HostIsAlias("x.test".into())).told_of_addresses(),
            no,
            Reason::HostIsAlias,
            &[],
        ),
        (
            "by hand",
            none().nothing_wanted().but(Hindrance::HostWithoutAddress(address())).by_hand(),
            no,
            Reason::HostWithoutAddress,
            &["enter 192.0.2.10 for it, as status.mxRecords lists"],
        ),
    ]);
}

#[test]
fn records_that_are_right_need_hosts_that_are_right() {
    check([
        ("alias", whole().but(Hindrance::HostIsAlias("x.test".into())), Truth::False, Reason::HostIsAlias, &[]),
        (
            "no address",
            whole().but(Hindrance::HostWithoutAddress(Vec::new())),
            Truth::False,
            Reason::HostWithoutAddress,
            &[],
        ),
        ("not known", whole().but(Hindrance::HostUnknown), Truth::True, Reason::Published, &[]),
    ]);
}

#[test]
fn a_look_up_that_fails_is_never_a_no() {
    let dead = Given::new(each(AT, vec![Err(Trouble::Code("ServFail".into())), Err(Trouble::Silent)]));
    check([
        ("not asked yet", Given { seen: None, ..none() }, Truth::Unknown, Reason::Pending, &["is being asked"]),
        (
            "failed",
            dead,
            Truth::Unknown,
            Reason::LookupFailed,
            &["ns1.example.org answers ServFail", "ns2.example.org does not answer", "port 53", "--nameserver"],
        ),
    ]);
}

#[test]
fn servers_that_disagree_are_quoted() {
    let given = Given::new(each(AT, vec![Ok(Said::Records(set(WHOLE))), Ok(Said::NoRecords)]));
    let words = &["ns1.example.org says MX 10 mail.example.org, 20 mx1", "ns2.example.org says that there is no MX"];
    check([("two", given, Truth::False, Reason::ServersDisagree, words)]);
}

#[test]
fn an_alias_at_the_domain_leaves_no_room_for_mx_records() {
    let given = Given::new(said(AT, Said::Alias("www.example.com".into())));
    let words = &["example.org is an alias (CNAME) of www.example.com", "RFC 2181 10.1"];
    check([("alias", given, Truth::False, Reason::DomainIsAlias, words)]);
}

#[test]
fn a_foreign_record_set_is_handed_over_by_one_record() {
    let text = "_extdns-mx.example.org. IN TXT \"heritage=external-dns,external-dns/owner=bmx,\
                external-dns/resource=crd/backupmx/mx-example.org\"";
    let null = Given::new(seen_records(AT, &[(0, ".")]));
    let reason = Reason::ForeignRecordSet;
    check([
        ("nobody's", old(), Truth::False, reason, &[text, "DNS has MX 10 mail.example.org", "it then becomes MX 10"]),
        ("at once", old().just_written(), Truth::False, reason, &[text]),
        ("before it was read", old().just_written().unread(), Truth::False, reason, &[text]),
        (
            "another external-dns'",
            old().owned_by(Ownership::Owner("other".into())),
            Truth::False,
            reason,
            &["the owner id \"other\"", "replace that TXT record", text],
        ),
        (
            "whose ownership has no place",
            old().owned_by(Ownership::OutsideZone),
            Truth::False,
            reason,
            &["outside of the zone", "--txt-prefix"],
        ),
        ("a null MX", null, Truth::False, reason, &["takes no mail at all", "RFC 7505", text]),
    ]);
}

#[test]
fn external_dns_is_given_time_and_then_suspected() {
    let object = "DNSEndpoint backupmx/mx-example.org";
    let (no, wait) = (Truth::False, Reason::WaitingForExternalDNS);
    check([
        (
            "just written",
            none().just_written().unread(),
            no,
            wait,
            &[object, "written at 1970-01-01T00:00:00Z", "not read it yet"],
        ),
        ("just read", none().just_written(), no, wait, &["has read", object]),
        (
            "never read",
            none().unread(),
            no,
            Reason::ExternalDNSNotReading,
            &["written at 1970", "--source=crd", "--namespace is empty or backupmx", "--label-filter"],
        ),
        (
            "read, and nothing came of it",
            none(),
            no,
            Reason::MXNotManaged,
            &["Perhaps", "--managed-record-types=MX", "--domain-filter"],
        ),
        (
            "read, and the domain has addresses of its own",
            none().with_addresses(true),
            no,
            Reason::MXNotManaged,
            &["Most likely as example.org has A or AAAA records", "--label-filter=backupmx.io/records=mx alone"],
        ),
        (
            "read, and it cannot be owned",
            none().owned_by(Ownership::OutsideZone),
            no,
            Reason::MXNotManaged,
            &["_extdns-mx.example.org would be outside", "--txt-prefix such as _extdns-%{record_type}."],
        ),
        (
            "owned, and gone",
            none().owned_by(ours()),
            no,
            Reason::MXNotManaged,
            &["although its ownership record _extdns-mx.example.org is there"],
        ),
        (
            "another's, and gone",
            none().owned_by(Ownership::Owner("other".into())),
            no,
            Reason::MXNotManaged,
            &["owner id \"other\"", "--txt-owner-id"],
        ),
        ("a change, just written", old().owned_by(ours()).just_written(), no, wait, &["asks for MX 10"]),
        ("a change, never read", old().owned_by(ours()).unread(), no, Reason::ExternalDNSNotReading, &[]),
        (
            "a change that is not carried out",
            old().owned_by(ours()),
            no,
            Reason::WrongRecords,
            &["DNS has MX 10 mail.example.org", "asks for MX 10 mail.example.org, 20 mx1", "--policy"],
        ),
        (
            "a change by an external-dns without ownership records",
            Given::new(seen_records(AT, &[(10, "mail.example.org"), (30, "mx1.backup.example.net")])).just_written(),
            no,
            wait,
            &[],
        ),
        ("whose, is not known", old().owned_by(Ownership::Unknown).just_written(), no, wait, &[]),
        ("whose, is not known for long", old().owned_by(Ownership::Unknown), no, Reason::WrongRecords, &[]),
    ]);
}

#[test]
fn a_domain_that_does_not_exist_is_not_delegated_or_new() {
    let missing = || Given::new(said(AT, Said::NoName));
    let zone = |name: &str| Source::Zone(name.into());
    let (no, reason) = (Truth::False, Reason::NotDelegated);
    check([
        ("a zone of one label", missing().in_zone(zone("org")).just_written(), no, reason, &["nearest zone is org"]),
        ("no zone at all", missing().in_zone(Source::Resolver).just_written(), no, reason, &["no zone has it"]),
        ("by hand", missing().in_zone(zone("org")).by_hand(), no, reason, &["delegate it", "--nameserver"]),
        (
            "a name in a zone, just written",
            missing().in_zone(zone("up.test")).just_written(),
            no,
            Reason::WaitingForExternalDNS,
            &[],
        ),
        (
            "a name in a zone, long ago",
            missing().in_zone(zone("co.test")),
            no,
            reason,
            &["the nearest zone is co.test", "Either", "Or it is to be a name in that zone"],
        ),
        (
            "a name in a zone, by hand",
            missing().in_zone(zone("co.test")).by_hand(),
            no,
            Reason::WaitingForPerson,
            &["does not exist in DNS; the nearest zone is co.test", "register it", "enter those"],
        ),
        (
            "a name that a server knows nothing of, by hand",
            missing().in_zone(Source::Named).by_hand(),
            no,
            Reason::WaitingForPerson,
            &["example.org does not exist in DNS. Either", "register it", "enter those"],
        ),
    ]);
}

#[test]
fn records_of_a_wildcard_are_nobody_s() {
    let mut given = old().just_written();
    given.seen.as_mut().unwrap().wildcard = Some("*.org".into());
    check([("wildcard", given, Truth::False, Reason::WaitingForExternalDNS, &["seems to have come from *.org"])]);
}

#[test]
fn a_person_is_told_what_to_add_and_what_to_remove() {
    let no = Truth::False;
    let other = Given::new(seen_records(AT, &[(5, "other.example.com"), (10, "mail.example.org")]));
    let half = Given::new(seen_records(AT, &[(10, "mail.example.org"), (15, "mx1.backup.example.net")]));
    check([
        ("nothing", none().by_hand(), no, Reason::WaitingForPerson, &["enter those of status.mxRecords", "20 mx1"]),
        (
            "the primary alone",
            old().by_hand(),
            no,
            Reason::WaitingForPerson,
            &["add MX 20 mx1.backup.example.net, to get"],
        ),
        (
            "another's",
            other.by_hand(),
            no,
            Reason::WaitingForPerson,
            &["add MX 20 mx1.backup.example.net, and remove MX 5 other.example.com"],
        ),
        (
            "a wrong preference",
            half.by_hand(),
            no,
            Reason::WrongRecords,
            &["add MX 20 mx1.backup.example.net, and remove MX 15 mx1.backup.example.net"],
        ),
    ]);
}

#[test]
fn every_message_names_its_domain_or_host_and_fits_into_a_condition() {
    for given in [whole(), old(), none(), none().unread(), none().by_hand(), old().by_hand(), none().nothing_wanted()] {
        let message = given.judge().message;
        assert!(message.contains("example.org") && message.len() < 1024, "{message}");
    }
}

#[test]
fn what_dns_does_not_show_is_not_called_foreign() {
    let wrong = (Truth::False, Reason::WrongRecords);
    let waits = (Truth::False, Reason::WaitingForExternalDNS);
    check([
        (
            "noop",
            old().kept_in(Registry::Noop),
            wrong.0,
            wrong.1,
            &["--policy does not let it change records (upsert-only does)"],
        ),
        ("noop, soon", old().kept_in(Registry::Noop).just_written(), waits.0, waits.1, &[]),
        (
            "noop, another's mark",
            old().kept_in(Registry::Noop).owned_by(Ownership::Owner("x".into())),
            wrong.0,
            wrong.1,
            &[],
        ),
        ("encrypted", old().owned_by(Ownership::Sealed), wrong.0, wrong.1, &["is encrypted", "IN TXT \"heritage="]),
        ("encrypted, soon", old().owned_by(Ownership::Sealed).just_written(), waits.0, waits.1, &[]),
        ("a table", old().kept_in(Registry::Dynamodb), wrong.0, wrong.1, &["its --registry says"]),
    ]);
    check([
        (
            "noop, nothing there",
            none().kept_in(Registry::Noop).owned_by(Ownership::OutsideZone),
            Truth::False,
            Reason::MXNotManaged,
            &["--managed-record-types=MX"],
        ),
        (
            "encrypted, nothing there",
            none().owned_by(Ownership::Sealed),
            Truth::False,
            Reason::MXNotManaged,
            &["although its ownership record _extdns-mx.example.org is there"],
        ),
    ]);
}
