//! The TXT record by which external-dns knows that a record set is its own (its "registry"). Pure.

use backupmx_relay_config::DomainName;

/// What external-dns puts where the template says so.
const RECORD_TYPE: &str = "%{record_type}";

/// How the external-dns that publishes the records was started. Both must be as its own flags are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalDns {
    /// Its `--txt-owner-id`.
    pub owner_id: String,
    /// Its `--txt-prefix`.
    pub prefix: String,
}

/// What the ownership record of an MX record set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// There is none.
    Nobody,
    /// The record set belongs to the external-dns with this owner id.
    Owner(String),
    /// The record would be outside of the domain's zone, so external-dns cannot write it there.
    OutsideZone,
    /// It could not be asked for.
    Unknown,
}

impl ExternalDns {
    /// The name of the ownership record of a domain's MX record set. Without the template in the prefix the type is
    /// put before the first label, which takes the record of a zone's apex out of the zone.
    #[must_use]
    pub fn record_name(&self, domain: &DomainName) -> String {
        let prefix = self.prefix.to_ascii_lowercase();
        if prefix.contains(RECORD_TYPE) {
            format!("{}{domain}", prefix.replace(RECORD_TYPE, "mx"))
        } else {
            format!("{prefix}mx-{domain}")
        }
    }

    /// The text of the ownership record, with its quotes, that gives a record set to this external-dns for the
    /// DNSEndpoint of that namespace and name.
    #[must_use]
    pub fn record_text(&self, namespace: &str, name: &str) -> String {
        let owner = &self.owner_id;
        format!("\"heritage=external-dns,external-dns/owner={owner},external-dns/resource=crd/{namespace}/{name}\"")
    }
}

/// What the TXT records at that name say.
#[must_use]
pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Ownership {
    texts.into_iter().find_map(owner).map_or(Ownership::Nobody, Ownership::Owner)
}

fn owner(text: &str) -> Option<String> {
    let pairs = || text.trim_matches('"').split(',').filter_map(|pair| pair.split_once('='));
    pairs().find(|pair| *pair == ("heritage", "external-dns"))?;
    // One without an owner belongs to nobody that we could name.
    Some(pairs().find(|(key, _)| *key == "external-dns/owner").map_or_else(String::new, |(_, owner)| owner.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(prefix: &str, domain: &str) -> String {
        let external_dns = ExternalDns { owner_id: "bmx".into(), prefix: prefix.into() };
        external_dns.record_name(&domain.parse().unwrap())
    }

    #[test]
    fn the_name_is_the_one_that_external_dns_makes() {
        for (prefix, domain, wanted) in [
            ("_extdns-%{record_type}.", "example.org", "_extdns-mx.example.org"),
            ("%{record_type}-", "example.org", "mx-example.org"),
            ("", "example.org", "mx-example.org"),
            ("", "mail.example.org", "mx-mail.example.org"),
            ("own.", "example.org", "own.mx-example.org"),
            ("OWN-", "example.org", "own-mx-example.org"),
        ] {
            assert_eq!(named(prefix, domain), wanted, "{prefix}");
        }
    }

    #[test]
    fn the_text_is_read_back() {
        let external_dns = ExternalDns { owner_id: "bmx".into(), prefix: String::new() };
        let text = external_dns.record_text("backupmx", "mx-example.org");
        assert_eq!(
            text,
            "\"heritage=external-dns,external-dns/owner=bmx,external-dns/resource=crd/backupmx/mx-example.org\""
        );
        assert_eq!(read([text.as_str()]), Ownership::Owner("bmx".into()));
        assert_eq!(read([text.trim_matches('"')]), Ownership::Owner("bmx".into()));
    }

    #[test]
    fn other_texts_give_it_to_nobody() {
        for text in ["v=spf1 -all", "heritage=mate,mate/owner=x", "external-dns/owner=x", ""] {
            assert_eq!(read([text]), Ownership::Nobody, "{text}");
        }
        assert_eq!(read(["v=spf1 -all", "heritage=external-dns,external-dns/owner=x"]), Ownership::Owner("x".into()));
        assert_eq!(read(["heritage=external-dns"]), Ownership::Owner(String::new()));
    }
}
