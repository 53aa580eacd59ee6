//! What follows from what DNS says of a domain: a reason, and a message that says what to do. Pure.

mod absent;
mod different;
mod leaving;
mod texts;

use std::{collections::BTreeSet, net::IpAddr};

use backupmx_crds::conditions::Reason;
use backupmx_relay_config::DomainName;
use k8s_openapi::jiff::Timestamp;

use super::{
    authority::Source,
    lookup::{MxSeen, SeenMx, seen},
    ownership::ExternalDns,
    survey::{Said, View},
};
use crate::{
    labels,
    status::conditions::Truth,
    validated::{Mx, RelayName},
};
pub use leaving::{Left, leaving};
use texts::{join, not_reading, records};

/// All that a verdict is made of.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// Who writes the records.
    pub writer: Writer<'a>,
    /// The records that there should be. Empty: no relay may be published yet.
    pub wanted: &'a [Mx],
    /// The host names of the resource's relays.
    pub relays: &'a [DomainName],
    /// What DNS says. None: it is being asked.
    pub seen: Option<&'a MxSeen>,
    /// What keeps relays out of the records, or is wrong with those that are in.
    pub obstacles: &'a [Obstacle],
}

/// Who writes the records.
#[derive(Clone, Debug)]
pub enum Writer<'a> {
    /// A person, from the status.
    Person,
    /// external-dns, but the cluster does not serve its DNSEndpoint.
    Nobody,
    /// external-dns.
    ExternalDns(Told<'a>),
}

/// What external-dns was told.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// How it was started.
    pub external_dns: &'a ExternalDns,
    /// The DNSEndpoint's namespace.
    pub namespace: &'a str,
    /// The DNSEndpoint's name.
    pub name: String,
    /// Whether external-dns has read the newest version of it.
    pub reading: Reading,
    /// When it was last changed.
    pub written: Timestamp,
    /// Whether external-dns and the zone's servers have had the time that they are given.
    pub time: Time,
}

/// Whether external-dns and the zone's servers have had the time that they are given, since they were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// They have not.
    Given,
    /// They have.
    Over,
}

/// Whether external-dns has read the newest version of a DNSEndpoint. It says so before it asks any provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It has.
    Current,
    /// It has not.
    Stale,
}

/// What keeps a relay out of the records, or is wrong with one that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The relay.
    pub relay: RelayName,
    /// Its host name.
    pub host: DomainName,
    /// What it is.
    pub hindrance: Hindrance,
    /// What external-dns makes of the DNSEndpoint with the host name's addresses. None: there is no such DNSEndpoint, or
    /// external-dns has read it and had its time.
    pub told: Option<AddressesTold>,
}

/// What external-dns makes of a DNSEndpoint with a host name's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressesTold {
    /// It was told then, and its time is not over yet.
    Lately(Timestamp),
    /// It has had its time, and has not read it.
    Unread {
        /// The DNSEndpoint's namespace.
        namespace: String,
        /// The DNSEndpoint's name.
        name: String,
        /// When it was last changed.
        written: Timestamp,
    },
}

/// What keeps a relay out of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// Its pod is not ready.
    PodNotReady,
    /// The load balancer has given no address.
    NoAddress,
    /// Its host name has no address in DNS; it should have these. Empty: somebody else knows them.
    HostWithoutAddress(Vec<IpAddr>),
    /// Its host name is an alias of that one.
    HostIsAlias(String),
    /// Its host name has the first addresses in DNS; it should have one of the second.
    HostElsewhere(Vec<IpAddr>, Vec<IpAddr>),
    /// Its host name could not be looked up yet.
    HostUnknown,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the records are as they should be.
    pub truth: Truth,
    /// Why.
    pub reason: Reason,
    /// What a person can do.
    pub message: String,
}

impl Verdict {
    fn new(truth: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { truth, reason, message: message.into() }
    }

    fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Truth::False, reason, message)
    }

    fn unknown(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(Truth::Unknown, reason, message)
    }
}

/// What follows from what DNS says of a domain.
#[must_use]
pub fn judge(case: &Case<'_>) -> Verdict {
    let domain = case.domain;
    if !case.wanted.is_empty() && case.seen.is_some_and(|seen| seen.is(case.wanted)) {
        let of_hosts = case.obstacles.iter().find_map(|obstacle| of_host(case, obstacle));
        return of_hosts.or_else(|| left_out(case)).unwrap_or_else(|| published(case));
    }
    if matches!(case.writer, Writer::Nobody) {
        return Verdict::no(
            Reason::DNSEndpointMissing,
            format!(
                "{domain}: nothing can be published, because the cluster has no DNSEndpoint API \
                 (externaldns.k8s.io/v1alpha1); install external-dns with its custom resource definition and \
                 --source=crd, or set dns.mode to Manual and enter the records of status.mxRecords"
            ),
        );
    }
    if case.wanted.is_empty() {
        return unpublished(case);
    }
    let Some(seen) = case.seen else {
        return Verdict::unknown(Reason::Pending, format!("{domain}: DNS is being asked"));
    };
    match seen.survey.view() {
        View::Failed => failed(domain, seen),
        View::Disagree(said) => disagree(domain, &said),
        View::Agreed(Said::Alias(target)) => Verdict::no(
            Reason::DomainIsAlias,
            format!(
                "{domain} is an alias (CNAME) of {target}, and beside an alias no MX record can stand \
                 (RFC 2181 10.1): replace the CNAME record by A and AAAA records, or give the domain of the alias's \
                 target to this resource"
            ),
        ),
        View::Agreed(Said::Records(records)) => different::judge(case, seen, records),
        View::Agreed(Said::NoRecords) => absent::judge(case, seen, absent::Name::Exists),
        View::Agreed(Said::NoName) => absent::judge(case, seen, absent::Name::Missing),
    }
}

fn published(case: &Case<'_>) -> Verdict {
    let domain = case.domain;
    let who = match case.seen.and_then(|seen| seen.survey.source.as_ref()) {
        Some(Source::Zone(zone)) => format!("the servers of the zone {zone}"),
        Some(Source::Named) => "the servers of --nameserver".to_owned(),
        Some(Source::Resolver) | None => "the resolver".to_owned(),
    };
    let mut message = format!("{domain}: {who} answer with {}", records(&seen(case.wanted)));
    let troubles = case.seen.map(|seen| seen.survey.troubles()).unwrap_or_default();
    if !troubles.is_empty() {
        message.push_str(&format!("; but {}", troubles.join(", ")));
    }
    if let Some(out) = case.obstacles.iter().find(|obstacle| !names(&seen(case.wanted), &obstacle.host)) {
        message.push_str(&format!("; relay {} is not among them yet: {}", out.relay, hindrance(case, out)));
    }
    Verdict::new(Truth::True, Reason::Published, message)
}

/// The records are as they can be, but a relay never gets into them, as nobody gives it an address: a backup that a person
/// counts on and that is not there.
fn left_out(case: &Case<'_>) -> Option<Verdict> {
    match &case.writer {
        // Load balancers take their time too.
        Writer::ExternalDns(Told { time: Time::Given, .. }) => return None,
        Writer::ExternalDns(Told { time: Time::Over, .. }) | Writer::Person | Writer::Nobody => {}
    }
    let wanted = seen(case.wanted);
    let is_out = |one: &&Obstacle| one.hindrance == Hindrance::NoAddress && !names(&wanted, &one.host);
    let out = case.obstacles.iter().find(is_out)?;
    let message = format!(
        "{}: the records are out, but relay {} is not among them: {}. Some load balancers take port 25 once for each node \
         (k3s' own does), and then a relay more wants a node more",
        case.domain,
        out.relay,
        hindrance(case, out)
    );
    Some(Verdict::no(Reason::HostWithoutAddress, message))
}

/// Nothing is published before a relay can take mail.
fn unpublished(case: &Case<'_>) -> Verdict {
    if let Some(verdict) = case.obstacles.iter().find_map(|obstacle| of_host(case, obstacle)) {
        return verdict;
    }
    let waits: Vec<String> = case
        .obstacles
        .iter()
        .map(|obstacle| format!("relay {}: {}", obstacle.relay, hindrance(case, obstacle)))
        .collect();
    let waits = if waits.is_empty() { "there is none".to_owned() } else { waits.join("; ") };
    let domain = case.domain;
    Verdict::no(
        Reason::WaitingForRelays,
        format!("{domain}: nothing is published before a relay is ready and its host name has an address: {waits}"),
    )
}

/// The verdict that a relay's host name alone brings.
fn of_host(case: &Case<'_>, obstacle: &Obstacle) -> Option<Verdict> {
    let host = &obstacle.host;
    let reason = match (&obstacle.hindrance, &obstacle.told) {
        (
            Hindrance::HostWithoutAddress(wanted) | Hindrance::HostElsewhere(_, wanted),
            Some(AddressesTold::Lately(told)),
        ) => {
            let message = format!(
                "external-dns was told at {told} that {host} has the address {}, which is not in DNS yet",
                join(wanted)
            );
            return Some(Verdict::no(Reason::WaitingForExternalDNS, message));
        }
        (Hindrance::HostWithoutAddress(_), Some(AddressesTold::Unread { namespace, name, written })) => {
            let unread = not_reading(namespace, name, *written, labels::RECORDS_ADDRESS);
            let message = format!("{host} has no address in DNS: {unread}");
            return Some(Verdict::no(Reason::ExternalDNSNotReading, message));
        }
        (Hindrance::HostWithoutAddress(_), None) => Reason::HostWithoutAddress,
        // Who made these records is to be asked first.
        (Hindrance::HostElsewhere(_, _), Some(AddressesTold::Unread { .. }) | None) => Reason::HostElsewhere,
        (Hindrance::HostIsAlias(_), _) => Reason::HostIsAlias,
        (Hindrance::PodNotReady | Hindrance::NoAddress | Hindrance::HostUnknown, _) => return None,
    };
    Some(Verdict::no(reason, hindrance(case, obstacle)))
}

fn hindrance(case: &Case<'_>, obstacle: &Obstacle) -> String {
    let host = &obstacle.host;
    match &obstacle.hindrance {
        Hindrance::PodNotReady => "its pod is not ready".to_owned(),
        Hindrance::NoAddress => {
            "the load balancer has given it no address (relays[].addresses can name one)".to_owned()
        }
        Hindrance::HostUnknown => format!("its host name {host} could not be looked up yet"),
        Hindrance::HostWithoutAddress(wanted) if wanted.is_empty() => format!(
            "{host} has no address in DNS: enter A or AAAA records for it, as dns.addresses is Manual, or set that to \
             Publish"
        ),
        Hindrance::HostWithoutAddress(wanted) if matches!(case.writer, Writer::Person) => {
            format!("{host} has no address in DNS: enter {} for it, as status.mxRecords lists", join(wanted))
        }
        Hindrance::HostWithoutAddress(wanted) => format!(
            "{host} has no address in DNS, and should have {}: external-dns writes it if it handles A and AAAA records \
             (--managed-record-types) in that zone; else enter it and set dns.addresses to Manual",
            join(wanted)
        ),
        Hindrance::HostIsAlias(target) => format!(
            "{host} is an alias (CNAME) of {target}, and an MX record must not point at one (RFC 2181 10.3): replace \
             the CNAME record by A and AAAA records"
        ),
        Hindrance::HostElsewhere(has, wanted) => format!(
            "{host} has the address {} in DNS, where another server would get the mail, and should have {}: if the \
             records were entered by hand, correct or remove them; if the address is one that a router translates, \
             name it in relays[].addresses or set dns.addresses to Manual",
            join(has),
            join(wanted)
        ),
    }
}

fn failed(domain: &DomainName, seen: &MxSeen) -> Verdict {
    let troubles = seen.survey.troubles().join(", ");
    let troubles = if troubles.is_empty() { "nobody could be asked".to_owned() } else { troubles };
    Verdict::unknown(
        Reason::LookupFailed,
        format!(
            "{domain}: its MX records could not be looked up ({troubles}); nothing is changed over this. If it stays, \
             see whether the operator may send DNS queries (port 53, UDP and TCP) to the zone's servers; --nameserver \
             names others"
        ),
    )
}

fn disagree(domain: &DomainName, said: &[(&str, &Said<SeenMx>)]) -> Verdict {
    let each: Vec<String> = said.iter().map(|(server, said)| format!("{server} says {}", texts::said(said))).collect();
    Verdict::no(
        Reason::ServersDisagree,
        format!(
            "{domain}: the zone's servers do not agree: {}. If it stays, their zone transfers are broken, or one of \
             them does not belong to the zone any more",
            each.join("; ")
        ),
    )
}

fn names(records: &BTreeSet<SeenMx>, host: &DomainName) -> bool {
    records.iter().any(|record| record.host == host.as_str())
}

#[cfg(test)]
mod tests;
