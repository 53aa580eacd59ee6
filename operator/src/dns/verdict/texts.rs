//! Pieces of messages.

use std::{collections::BTreeSet, fmt::Display};

use k8s_openapi::jiff::Timestamp;

use super::super::{lookup::SeenMx, survey::Said};
use crate::labels;

/// A list as people write it.
pub(super) fn join<T: Display>(list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = list.into_iter().map(|one| one.to_string()).collect();
    list.join(", ")
}

/// MX records as people write them.
pub(super) fn records(records: &BTreeSet<SeenMx>) -> String {
    format!("MX {}", join(records))
}

/// That external-dns does not say that it has read a DNSEndpoint, whose records are of that kind.
pub(super) fn not_reading(namespace: &str, name: &str, written: Timestamp, records: &str) -> String {
    let label = labels::RECORDS;
    format!(
        "external-dns has not read DNSEndpoint {namespace}/{name}, written at {written}. It reads it if it runs with \
         --source=crd, if its --namespace is empty or {namespace}, if its --label-filter lets {label}={records} through, \
         and if it may list DNSEndpoints and write their status; its log says what is wrong"
    )
}

/// What a server says, after "says".
pub(super) fn said(said: &Said<SeenMx>) -> String {
    match said {
        Said::Records(set) => records(set),
        Said::Alias(target) => format!("that it is an alias of {target}"),
        Said::NoRecords => "that there is no MX record".to_owned(),
        Said::NoName => "that the name does not exist".to_owned(),
    }
}
