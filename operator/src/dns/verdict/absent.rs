//! The verdict on a domain that has no MX record set of its own.

use backupmx_crds::conditions::Reason;

use super::{
    Case, Reading, Time, Told, Verdict, Writer,
    texts::{self, records},
};
use crate::{
    dns::{
        authority::Source,
        lookup::{MxSeen, seen as as_seen},
        ownership::{Owned, Ownership, Registry},
    },
    labels,
};

/// Whether the domain's name is in DNS at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// It is.
    Exists,
    /// It is not (NXDOMAIN).
    Missing,
}

pub(super) fn judge(case: &Case<'_>, seen: &MxSeen, name: Name) -> Verdict {
    let domain = case.domain;
    let source = seen.survey.source.as_ref();
    if let (Name::Missing, Some(zone)) = (name, undelegated(source)) {
        return Verdict::no(
            Reason::NotDelegated,
            format!(
                "{domain} does not exist in DNS: {zone}. Register it, and delegate it to the servers of its zone; if \
                 it is in a zone that only some may see, name that zone's servers with the operator's --nameserver"
            ),
        );
    }
    match &case.writer {
        Writer::Person | Writer::Nobody => Verdict::no(
            Reason::WaitingForPerson,
            format!(
                "{domain} {}: enter those of status.mxRecords, {}",
                match name {
                    Name::Exists => "has no MX records".to_owned(),
                    Name::Missing => format!(
                        "does not exist in DNS{}. Either it is not delegated: then register it and delegate it to the \
                         servers of its zone. Or it is to be a name in that zone",
                        nearest(seen)
                    ),
                },
                records(&as_seen(case.wanted))
            ),
        ),
        Writer::ExternalDns(told) => external_dns(case, told, seen, name),
    }
}

fn external_dns(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen, name: Name) -> Verdict {
    let domain = case.domain;
    let object = format!("DNSEndpoint {}/{}", told.namespace, told.name);
    let written = told.written;
    let (reason, message) = match (told.time, told.reading, name) {
        (Time::Given, Reading::Stale, _) => {
            let message = format!("{domain}: {object} was written at {written}; external-dns has not read it yet");
            (Reason::WaitingForExternalDNS, message)
        }
        (Time::Given, Reading::Current, _) => {
            let message = format!(
                "{domain}: external-dns has read {object}, written at {written}; its records are not in DNS yet"
            );
            (Reason::WaitingForExternalDNS, message)
        }
        (Time::Over, Reading::Stale, _) => (Reason::ExternalDNSNotReading, not_reading(case, told)),
        (Time::Over, Reading::Current, Name::Exists) => (Reason::MXNotManaged, guess(case, told, seen)),
        (Time::Over, Reading::Current, Name::Missing) => (Reason::NotDelegated, undelegated_or_new(case, told, seen)),
    };
    let remark = match &seen.wildcard {
        Some(wildcard) => format!(" (the MX records that it seems to have come from {wildcard})"),
        None => String::new(),
    };
    Verdict::no(reason, message + &remark)
}

fn undelegated_or_new(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen) -> String {
    format!(
        "{} does not exist in DNS{}. Either it is not delegated: then register it and delegate it to the \
         servers of its zone. Or it is to be a name in that zone, and external-dns, which has read DNSEndpoint {}/{} \
         of {}, seems not to write MX records there: see its flags --managed-record-types=MX and --domain-filter, and \
         its log",
        case.domain,
        nearest(seen),
        told.namespace,
        told.name,
        told.written
    )
}

/// The zone that would have a name that does not exist, where it is known.
fn nearest(seen: &MxSeen) -> String {
    match &seen.survey.source {
        Some(Source::Zone(zone)) => format!("; the nearest zone is {zone}"),
        Some(Source::Named | Source::Resolver) | None => String::new(),
    }
}

/// external-dns does not say that it has read the object.
pub(super) fn not_reading(case: &Case<'_>, told: &Told<'_>) -> String {
    let unread = texts::not_reading(told.namespace, &told.name, told.written, labels::RECORDS_MX);
    format!("{}: {unread}", case.domain)
}

/// external-dns has read the object, and there is nothing: it does not say why.
fn guess(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen) -> String {
    let domain = case.domain;
    let read = format!(
        "{domain}: external-dns has read DNSEndpoint {}/{}, written at {}, and created no MX record",
        told.namespace, told.name, told.written
    );
    match (told.external_dns.owns(&seen.ownership), &seen.ownership) {
        (Owned::OutsideZone, _) => format!(
            "{read}. Its ownership record {} would be outside of the domain's zone: give external-dns and the operator \
             a --txt-prefix such as _extdns-%{{record_type}}. (with the dot at its end)",
            told.external_dns.record_name(case.domain)
        ),
        (Owned::Ours | Owned::Hidden, Ownership::Owner(_) | Ownership::Sealed)
            if told.external_dns.registry == Registry::Txt =>
        {
            format!(
                "{read}, although its ownership record {} is there. Perhaps the MX records were removed by hand and \
             external-dns keeps an old list of the zone; its log says more",
                told.external_dns.record_name(case.domain)
            )
        }
        (Owned::Anothers(owner), _) => format!(
            "{read}, as the ownership record {} gives the domain's MX records to the external-dns with the owner id \
             {owner:?}, not {:?}: remove that record, or correct the operator's --txt-owner-id",
            told.external_dns.record_name(case.domain),
            told.external_dns.owner_id
        ),
        (Owned::Ours | Owned::Hidden | Owned::Nobodys | Owned::Unknown, _) => {
            let beside = format!(
                "has A or AAAA records that are not its own (a web site), beside which an instance that manages A creates \
                 no MX: then run one with --managed-record-types=MX and --label-filter={}=mx alone, and another for the \
                 addresses",
                labels::RECORDS
            );
            let flags = "it does not handle MX records (--managed-record-types=MX is not the default), or not this zone \
                         (--domain-filter, the provider's credentials), or its provider cannot write them";
            let log = "Its log, with --log-level=debug, says which";
            match seen.addresses {
                Some(true) => format!("{read}. Most likely as {domain} {beside}. Or {flags}. {log}"),
                Some(false) => format!("{read}. Perhaps {flags}. {log}"),
                None => format!("{read}. Perhaps {flags}, or {domain} {beside}. {log}"),
            }
        }
    }
}

/// What is known of a name that is in no zone below a top-level domain. None: it is in one.
fn undelegated(source: Option<&Source>) -> Option<String> {
    match source {
        Some(Source::Zone(zone)) if !zone.contains('.') => Some(format!("the nearest zone is {zone}")),
        Some(Source::Resolver) => Some("no zone has it".to_owned()),
        Some(Source::Zone(_) | Source::Named) | None => None,
    }
}
