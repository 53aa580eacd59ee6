//! Pieces of messages.

use std::{collections::BTreeSet, fmt::Display};

use super::super::{lookup::SeenMx, survey::Said};

/// A list as people write it.
pub(super) fn join<T: Display>(list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<String> = list.into_iter().map(|one| one.to_string()).collect();
    list.join(", ")
}

/// MX records as people write them.
pub(super) fn records(records: &BTreeSet<SeenMx>) -> String {
    format!("MX {}", join(records))
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
