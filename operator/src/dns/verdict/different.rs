//! The verdict on a domain whose MX record set is not the one that there should be.

use std::collections::BTreeSet;

use backupmx_crds::conditions::Reason;

use super::{Case, Reading, Time, Told, Verdict, Writer, absent, names, texts::records};
use crate::dns::{
    lookup::{MxSeen, SeenMx, seen as as_seen},
    ownership::Ownership,
};

pub(super) fn judge(case: &Case<'_>, seen: &MxSeen, has: &BTreeSet<SeenMx>) -> Verdict {
    if seen.wildcard.is_some() {
        // The name has no records of its own, so nothing stands in the way of them.
        return absent::judge(case, seen, absent::Name::Exists);
    }
    match &case.writer {
        Writer::Person | Writer::Nobody => person(case, has),
        Writer::ExternalDns(told) => external_dns(case, told, seen, has),
    }
}

fn person(case: &Case<'_>, has: &BTreeSet<SeenMx>) -> Verdict {
    let wanted = as_seen(case.wanted);
    let add: BTreeSet<SeenMx> = wanted.difference(has).cloned().collect();
    let remove: BTreeSet<SeenMx> = has.difference(&wanted).cloned().collect();
    let mut steps = Vec::new();
    if !add.is_empty() {
        steps.push(format!("add {}", records(&add)));
    }
    if !remove.is_empty() {
        steps.push(format!("remove {}", records(&remove)));
    }
    // Where none of the relays is among them, nobody has begun yet.
    let reason = if names_one_of(case, has) { Reason::WrongRecords } else { Reason::WaitingForPerson };
    let text = format!("{}, to get what status.mxRecords lists", steps.join(", and "));
    Verdict::no(reason, format!("{}: {}{text}", case.domain, null(has)))
}

fn external_dns(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen, has: &BTreeSet<SeenMx>) -> Verdict {
    let waits = told.time == Time::Given;
    let ours = names_one_of(case, has);
    match &seen.ownership {
        Ownership::Owner(owner) if *owner == told.external_dns.owner_id => own(case, told, has),
        Ownership::Unknown if waits => waiting(case, told, has),
        Ownership::Unknown => Verdict::no(Reason::WrongRecords, wrong(case, told, has)),
        // Written a moment ago by an external-dns that keeps no ownership records.
        Ownership::Nobody | Ownership::OutsideZone if ours && waits => waiting(case, told, has),
        Ownership::Owner(_) | Ownership::Nobody | Ownership::OutsideZone => {
            Verdict::no(Reason::ForeignRecordSet, foreign(case, told, &seen.ownership, has))
        }
    }
}

fn own(case: &Case<'_>, told: &Told<'_>, has: &BTreeSet<SeenMx>) -> Verdict {
    match (told.time, told.reading) {
        (Time::Given, _) => waiting(case, told, has),
        (Time::Over, Reading::Stale) => Verdict::no(Reason::ExternalDNSNotReading, absent::not_reading(case, told)),
        (Time::Over, Reading::Current) => Verdict::no(Reason::WrongRecords, wrong(case, told, has)),
    }
}

fn waiting(case: &Case<'_>, told: &Told<'_>, has: &BTreeSet<SeenMx>) -> Verdict {
    Verdict::no(
        Reason::WaitingForExternalDNS,
        format!(
            "{}: DNS has {}; DNSEndpoint {}/{}, written at {}, asks for {}",
            case.domain,
            records(has),
            told.namespace,
            told.name,
            told.written,
            records(&as_seen(case.wanted))
        ),
    )
}

fn wrong(case: &Case<'_>, told: &Told<'_>, has: &BTreeSet<SeenMx>) -> String {
    format!(
        "{}: DNS has {}, and DNSEndpoint {}/{}, written at {} and read by external-dns, asks for {}. Perhaps its \
         --policy does not let it change or remove records (sync does), or its provider cannot; its log says why",
        case.domain,
        records(has),
        told.namespace,
        told.name,
        told.written,
        records(&as_seen(case.wanted))
    )
}

/// Everybody's first run: there are MX records already, and external-dns leaves alone what is not its own.
fn foreign(case: &Case<'_>, told: &Told<'_>, ownership: &Ownership, has: &BTreeSet<SeenMx>) -> String {
    let domain = case.domain;
    let record = told.external_dns.record_name(domain);
    let text = told.external_dns.record_text(told.namespace, &told.name);
    let now = format!("{domain}: {}DNS has {}", null(has), records(has));
    let then = format!("it then becomes {}", records(&as_seen(case.wanted)));
    match ownership {
        Ownership::Owner(owner) => format!(
            "{now}, which the TXT record {record} gives to the external-dns with the owner id {owner:?}. To hand it \
             over, replace that TXT record by {record}. IN TXT {text}; {then}"
        ),
        Ownership::OutsideZone => format!(
            "{now}, which external-dns does not own and so never changes. It could not own it either: its ownership \
             record {record} would be outside of the zone. Give external-dns and the operator a --txt-prefix such as \
             _extdns-%{{record_type}}. (with the dot at its end)"
        ),
        Ownership::Nobody | Ownership::Unknown => format!(
            "{now}, which external-dns does not own and so never changes. To hand it over, add this record to the \
             zone: {record}. IN TXT {text}; {then} (its owner id and prefix are the operator's --txt-owner-id and \
             --txt-prefix, which must be those of external-dns)"
        ),
    }
}

/// A word on RFC 7505.
fn null(has: &BTreeSet<SeenMx>) -> &'static str {
    if has.iter().any(|record| record.host == ".") {
        "it says that it takes no mail at all (a null MX, RFC 7505). "
    } else {
        ""
    }
}

fn names_one_of(case: &Case<'_>, has: &BTreeSet<SeenMx>) -> bool {
    case.relays.iter().any(|relay| names(has, relay))
}
