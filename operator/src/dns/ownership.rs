//! The TXT record by which external-dns knows that a record set is its own (its "registry"). Pure.

use backupmx_crds::dnsendpoint::RecordType;
use backupmx_relay_config::DomainName;

/// What external-dns puts where the template says so.
const RECORD_TYPE: &str = "%{record_type}";

/// Where external-dns keeps which record sets are its own: its `--registry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Registry {
    /// In TXT records, `--txt-encrypt` or not.
    #[default]
    Txt,
    /// Nowhere: every record set is its own.
    Noop,
    /// In a table of DynamoDB, which DNS does not show.
    Dynamodb,
    /// In the service itself, which DNS does not show.
    AwsSd,
}

/// How the external-dns that publishes the records was started. All must be as its own flags are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalDns {
    /// Its `--registry`.
    pub registry: Registry,
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
    /// There is one, and only the external-dns with its key can read it (`--txt-encrypt`).
    Sealed,
    /// The record would be outside of the domain's zone, so external-dns cannot write it there.
    OutsideZone,
    /// It could not be asked for.
    Unknown,
}

/// Whether a record set is one that external-dns changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned<'a> {
    /// It is.
    Ours,
    /// Nothing in DNS says so or denies it.
    Hidden,
    /// The external-dns with this owner id does.
    Anothers(&'a str),
    /// Nobody does.
    Nobodys,
    /// Nobody does, and nobody could: the ownership record would be outside of the zone.
    OutsideZone,
    /// It could not be asked for.
    Unknown,
}

impl ExternalDns {
    /// Whether it changes a record set of which DNS says this.
    #[must_use]
    pub fn owns<'a>(&self, said: &'a Ownership) -> Owned<'a> {
        match (self.registry, said) {
            (Registry::Noop, _) => Owned::Ours,
            (Registry::Dynamodb | Registry::AwsSd, _) | (Registry::Txt, Ownership::Sealed) => Owned::Hidden,
            (Registry::Txt, Ownership::Owner(owner)) if *owner == self.owner_id => Owned::Ours,
            (Registry::Txt, Ownership::Owner(owner)) => Owned::Anothers(owner),
            (Registry::Txt, Ownership::Nobody) => Owned::Nobodys,
            (Registry::Txt, Ownership::OutsideZone) => Owned::OutsideZone,
            (Registry::Txt, Ownership::Unknown) => Owned::Unknown,
        }
    }

    /// The name of the ownership record of a domain's MX record set. Without the template in the prefix the type is
    /// put before the first label, which takes the record of a zone's apex out of the zone.
    #[must_use]
    pub fn record_name(&self, domain: &DomainName) -> String {
        self.name_of("mx", domain)
    }

    /// The name of the ownership record of a host name's addresses.
    #[must_use]
    pub fn address_record_name(&self, kind: RecordType, host: &DomainName) -> String {
        let kind = match kind {
            RecordType::A => "a",
            RecordType::AAAA => "aaaa",
            RecordType::MX => "mx",
        };
        self.name_of(kind, host)
    }

    fn name_of(&self, kind: &str, name: &DomainName) -> String {
        let prefix = self.prefix.to_ascii_lowercase();
        if prefix.contains(RECORD_TYPE) {
            format!("{}{name}", prefix.replace(RECORD_TYPE, kind))
        } else {
            format!("{prefix}{kind}-{name}")
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
    let mut sealed = Ownership::Nobody;
    for text in texts {
        if let Some(owner) = owner(text) {
            return Ownership::Owner(owner);
        }
        if is_sealed(text) {
            sealed = Ownership::Sealed;
        }
    }
    sealed
}

/// Whether it looks like what external-dns encrypts: AES-GCM in base64, a nonce and a tag at the least.
fn is_sealed(text: &str) -> bool {
    let text = text.trim_matches('"');
    let body = text.trim_end_matches('=');
    let octets = body.len() * 3 / 4;
    octets >= 12 + 16
        && text.len().is_multiple_of(4)
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'))
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
        let external_dns = ExternalDns { registry: Registry::Txt, owner_id: "bmx".into(), prefix: prefix.into() };
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
        let prefix = "_extdns-%{record_type}.".to_owned();
        let external_dns = ExternalDns { registry: Registry::Txt, owner_id: "bmx".into(), prefix };
        let host = "mx1.example.org".parse().unwrap();
        assert_eq!(external_dns.address_record_name(RecordType::AAAA, &host), "_extdns-aaaa.mx1.example.org");
    }

    #[test]
    fn the_text_is_read_back() {
        let external_dns = ExternalDns { registry: Registry::Txt, owner_id: "bmx".into(), prefix: String::new() };
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

    #[test]
    fn what_is_encrypted_is_seen_to_be() {
        let sealed = "h8fN3gKlyzv2CHnPAPXYcJLS0kAY6nOnHH6QGlsNUZpgO2HpHUGmUZmoVHUvoOaSUKRGyJ6FwdFhBDTbYjfVOA==";
        assert_eq!(read([sealed]), Ownership::Sealed);
        assert_eq!(read(["v=spf1 -all", sealed]), Ownership::Sealed);
        for text in ["aGVsbG8=", "verification 0123456789abcdef0123456789abcdef01234567", &sealed[1..]] {
            assert_eq!(read([text]), Ownership::Nobody, "{text}");
        }
    }

    #[test]
    fn whose_a_set_is_depends_on_where_that_is_kept() {
        let of = |registry, said: &Ownership| {
            let external_dns = ExternalDns { registry, owner_id: "bmx".into(), prefix: String::new() };
            format!("{:?}", external_dns.owns(said))
        };
        let other = Ownership::Owner("other".into());
        for (registry, said, wanted) in [
            (Registry::Txt, Ownership::Owner("bmx".into()), "Ours"),
            (Registry::Txt, other.clone(), "Anothers(\"other\")"),
            (Registry::Txt, Ownership::Nobody, "Nobodys"),
            (Registry::Txt, Ownership::Sealed, "Hidden"),
            (Registry::Noop, Ownership::Nobody, "Ours"),
            (Registry::Noop, other.clone(), "Ours"),
            (Registry::Dynamodb, Ownership::Nobody, "Hidden"),
            (Registry::AwsSd, Ownership::OutsideZone, "Hidden"),
        ] {
            assert_eq!(of(registry, &said), wanted, "{registry:?} {said:?}");
        }
    }
}
