//! The mail exchangers of a domain (RFC 5321 5.1, RFC 7505). Pure.

use backupmx_relay_config::DomainName;

/// Where a domain takes its mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxAnswer {
    /// At these hosts, to be tried in this order. Empty where every record names something that is no host.
    Hosts(Vec<DomainName>),
    /// It has no MX record: at the domain's own addresses.
    Implicit(DomainName),
    /// Nowhere: a null MX (RFC 7505).
    Null,
}

/// Sorts MX records, given as preference and exchange without the trailing dot (empty is the root). Those of equal
/// preference are put in the order of `dice`, which the caller throws.
pub(super) fn order(records: &[(u16, String)], mut dice: impl FnMut() -> u64) -> MxAnswer {
    let mut usable: Vec<(u16, u64, DomainName)> = records
        .iter()
        .filter_map(|(preference, exchange)| Some((*preference, dice(), exchange.parse().ok()?)))
        .collect();
    if usable.is_empty() && records.iter().any(|(_, exchange)| exchange.is_empty()) {
        return MxAnswer::Null;
    }
    usable.sort();
    let mut hosts: Vec<DomainName> = Vec::with_capacity(usable.len());
    for (_, _, host) in usable {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    MxAnswer::Hosts(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(records: &[(u16, &str)], dice: &[u64]) -> MxAnswer {
        let records: Vec<(u16, String)> = records.iter().map(|(p, e)| (*p, (*e).to_owned())).collect();
        let mut dice = dice.iter().copied();
        order(&records, || dice.next().unwrap_or_default())
    }

    fn hosts(names: &[&str]) -> MxAnswer {
        MxAnswer::Hosts(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn preference_comes_first_then_chance() {
        let records = [(20, "c.example"), (10, "b.example"), (10, "a.example")];
        assert_eq!(names(&records, &[0, 1, 2]), hosts(&["b.example", "a.example", "c.example"]));
        assert_eq!(names(&records, &[0, 2, 1]), hosts(&["a.example", "b.example", "c.example"]));
    }

    #[test]
    fn what_is_no_host_is_left_out() {
        assert_eq!(names(&[(0, "")], &[]), MxAnswer::Null);
        assert_eq!(names(&[(0, ""), (10, "a.example")], &[]), hosts(&["a.example"]));
        assert_eq!(names(&[(10, "192.0.2.1"), (5, "a b.example")], &[]), hosts(&[]));
        assert_eq!(names(&[(10, "A.example"), (20, "a.example")], &[]), hosts(&["a.example"]));
    }
}
