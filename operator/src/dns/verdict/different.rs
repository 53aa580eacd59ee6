//! The verdict on a domain whose MX record set is not the one that there should be.

use std::collections::BTreeSet;

use backupmx_crds::conditions::Reason;

use super::{Case, Reading, Time, Told, Verdict, Writer, absent, names, texts::records};
use crate::dns::{
    lookup::{MxSeen, SeenMx, seen as as_seen},
    ownership::{Owned, Registry},
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
    match told.external_dns.owns(&seen.ownership) {
        Owned::Ours | Owned::Hidden => own(case, told, seen, has),
        Owned::Unknown if waits => waiting(case, told, has),
        Owned::Unknown => Verdict::no(Reason::WrongRecords, wrong(case, told, seen, has)),
        // Written a moment ago by an external-dns that keeps no ownership records.
        Owned::Nobodys | Owned::OutsideZone if ours && waits => waiting(case, told, has),
        owned @ (Owned::Anothers(_) | Owned::Nobodys | Owned::OutsideZone) => {
            Verdict::no(Reason::ForeignRecordSet, foreign(case, told, owned, has))
        }
    }
}

fn own(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen, has: &BTreeSet<SeenMx>) -> Verdict {
    match (told.time, told.reading) {
        (Time::Given, _) => waiting(case, told, has),
        (Time::Over, Reading::Stale) => Verdict::no(Reason::ExternalDNSNotReading, absent::not_reading(case, told)),
        (Time::Over, Reading::Current) => Verdict::no(Reason::WrongRecords, wrong(case, told, seen, has)),
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

fn wrong(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen, has: &BTreeSet<SeenMx>) -> String {
    let policy = match told.external_dns.registry {
        // It would delete whatever nobody told it of.
        Registry::Noop => "change records (upsert-only does)",
        Registry::Txt | Registry::Dynamodb | Registry::AwsSd => "change or remove records (sync does)",
    };
    format!(
        "{}: DNS has {}, and DNSEndpoint {}/{}, written at {} and read by external-dns, asks for {}. Perhaps its \
         --policy does not let it {policy}, or its provider cannot{}; its log says why",
        case.domain,
        records(has),
        told.namespace,
        told.name,
        told.written,
        records(&as_seen(case.wanted)),
        hidden(case, told, seen)
    )
}

/// A word where DNS does not show whose the records are.
fn hidden(case: &Case<'_>, told: &Told<'_>, seen: &MxSeen) -> String {
    let record = told.external_dns.record_name(case.domain);
    match (told.external_dns.owns(&seen.ownership), told.external_dns.registry) {
        (Owned::Hidden, Registry::Txt) => format!(
            ", or the records are not its own (their ownership record {record} is encrypted, so only external-dns knows; \
             it takes one that is not: {record}. IN TXT {})",
            told.external_dns.record_text(told.namespace, &told.name)
        ),
        (Owned::Hidden, Registry::Noop | Registry::Dynamodb | Registry::AwsSd) => {
            ", or the records are not its own (its --registry says, and DNS does not)".to_owned()
        }
        (Owned::Ours | Owned::Anothers(_) | Owned::Nobodys | Owned::OutsideZone | Owned::Unknown, _) => String::new(),
    }
}

/// Everybody's first run: there are MX records already, and external-dns leaves alone what is not its own.
fn foreign(case: &Case<'_>, told: &Told<'_>, owned: Owned<'_>, has: &BTreeSet<SeenMx>) -> String {
    let domain = case.domain;
    let record = told.external_dns.record_name(domain);
    let text = told.external_dns.record_text(told.namespace, &told.name);
    let now = format!("{domain}: {}DNS has {}", null(has), records(has));
    let then = format!("it then becomes {}", records(&as_seen(case.wanted)));
    match owned {
        Owned::Anothers(owner) => format!(
            "{now}, which the TXT record {record} gives to the external-dns with the owner id {owner:?}. To hand it \
             over, replace that TXT record by {record}. IN TXT {text}; {then}"
        ),
        Owned::OutsideZone => format!(
            "{now}, which external-dns does not own and so never changes. It could not own it either: its ownership \
             record {record} would be outside of the zone. Give external-dns and the operator a --txt-prefix such as \
             _extdns-%{{record_type}}. (with the dot at its end)"
        ),
        Owned::Ours | Owned::Hidden | Owned::Nobodys | Owned::Unknown => format!(
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
