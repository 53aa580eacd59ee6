//! What is asked of a domain, of a relay's host name and of a load balancer's name.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use backupmx_relay_config::DomainName;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use k8s_openapi::jiff::Timestamp;

use super::{
    authority::{Authority, Source, text},
    ownership::{self, ExternalDns, Ownership},
    survey::{Said, Survey, View, survey},
    wire::Trouble,
};
use crate::validated::Mx;

/// One MX record as it is in DNS. Its host may be a name that no domain can have, such as the root of a null MX.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenMx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host, in lower case and without a trailing dot; the root is a dot.
    pub host: String,
}

/// What DNS says of a domain's MX record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MxSeen {
    /// When it was asked.
    pub at: Timestamp,
    /// What the servers say.
    pub survey: Survey<SeenMx>,
    /// Whose external-dns takes it to be.
    pub ownership: Ownership,
    /// The wildcard that the records come from, if they do.
    pub wildcard: Option<String>,
    /// Whether a name without MX records has addresses. None: it was not asked, or nobody said.
    pub addresses: Option<bool>,
}

/// What DNS says of a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSeen {
    /// What the servers say of its IPv4 addresses.
    pub v4: Survey<IpAddr>,
    /// What the servers say of its IPv6 addresses.
    pub v6: Survey<IpAddr>,
}

/// What a host name is in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// It has these addresses.
    Addresses(BTreeSet<IpAddr>),
    /// It is an alias of that name.
    Alias(String),
    /// It has no address, or does not exist.
    Nothing,
    /// It could not be asked for.
    Unknown,
}

/// What DNS says of a load balancer's name. None: it could not be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancerSeen {
    /// Its addresses.
    pub addresses: Option<Vec<IpAddr>>,
    /// How long they may be kept, in seconds.
    pub ttl: u32,
}

/// Asks.
#[derive(Debug)]
pub struct Lookup {
    /// Whom.
    pub authority: Authority,
    /// Where ownership records are.
    pub external_dns: ExternalDns,
}

impl Lookup {
    /// What DNS says of a domain's MX record set now.
    pub async fn mx(&self, domain: &DomainName) -> MxSeen {
        let at = Timestamp::now();
        let Some(name) = absolute(domain.as_str()) else { return MxSeen::nothing(at) };
        let survey = survey(&self.authority, &name, RecordType::MX, mx).await;
        let (ownership, wildcard, addresses) = match survey.source.clone() {
            Some(source) if !matches!(survey.view(), View::Failed) => {
                let wildcard = self.wildcard(&name, &survey);
                tokio::join!(self.ownership(domain, &source), wildcard, self.addresses(domain, &survey))
            }
            Some(_) | None => (Ownership::Unknown, None, None),
        };
        MxSeen { at, survey, ownership, wildcard, addresses }
    }

    /// What DNS says of a host name now.
    pub async fn host(&self, host: &DomainName) -> HostSeen {
        let Some(name) = absolute(host.as_str()) else {
            return HostSeen { v4: Survey::nothing(), v6: Survey::nothing() };
        };
        let (v4, v6) = tokio::join!(
            survey(&self.authority, &name, RecordType::A, RData::ip_addr),
            survey(&self.authority, &name, RecordType::AAAA, RData::ip_addr)
        );
        HostSeen { v4, v6 }
    }

    /// What DNS says of a load balancer's name now. It may be an alias: only its addresses are of interest.
    pub async fn balancer(&self, name: &str) -> BalancerSeen {
        let found = match absolute(name) {
            Some(name) => self.authority.addresses(&name).await,
            None => Err(Trouble::NoAddress),
        };
        match found {
            Ok((addresses, ttl)) => BalancerSeen { addresses: Some(addresses), ttl },
            Err(_) => BalancerSeen { addresses: None, ttl: 0 },
        }
    }

    /// Whether a name without MX records has addresses: some publishers write no MX beside those of others.
    async fn addresses(&self, domain: &DomainName, seen: &Survey<SeenMx>) -> Option<bool> {
        if seen.view() != View::Agreed(&Said::NoRecords) {
            return None;
        }
        match self.host(domain).await.host() {
            Host::Addresses(_) => Some(true),
            Host::Alias(_) | Host::Nothing => Some(false),
            Host::Unknown => None,
        }
    }

    async fn ownership(&self, domain: &DomainName, source: &Source) -> Ownership {
        let record = self.external_dns.record_name(domain);
        let Some(name) = absolute(&record) else { return Ownership::OutsideZone };
        match source {
            Source::Zone(zone) if !absolute(zone).is_some_and(|zone| zone.zone_of(&name)) => {
                return Ownership::OutsideZone;
            }
            Source::Zone(_) | Source::Named | Source::Resolver => {}
        }
        let texts = survey(&self.authority, &name, RecordType::TXT, txt).await;
        let found = texts.said().filter_map(|said| match said {
            Said::Records(texts) => Some(texts),
            Said::Alias(_) | Said::NoRecords | Said::NoName => None,
        });
        let found: BTreeSet<&str> = found.flatten().map(String::as_str).collect();
        match texts.view() {
            View::Failed => Ownership::Unknown,
            View::Agreed(_) | View::Disagree(_) => ownership::read(found),
        }
    }

    /// The wildcard beside a name whose records are the same: the name has none of its own then.
    async fn wildcard(&self, name: &Name, seen: &Survey<SeenMx>) -> Option<String> {
        let View::Agreed(said @ Said::Records(_)) = seen.view() else { return None };
        // The apex of a zone is never made of a wildcard.
        if seen.source == Some(Source::Zone(text(name))) || name.num_labels() < 2 {
            return None;
        }
        let wildcard = name.base_name().prepend_label("*").ok()?;
        let beside = survey(&self.authority, &wildcard, RecordType::MX, mx).await;
        (beside.view() == View::Agreed(said)).then(|| text(&wildcard))
    }
}

impl MxSeen {
    /// Nobody was asked, or not in time.
    #[must_use]
    pub const fn nothing(at: Timestamp) -> Self {
        Self { at, survey: Survey::nothing(), ownership: Ownership::Unknown, wildcard: None, addresses: None }
    }

    /// Whether it says the same of DNS as the other.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.survey.says_the_same(&other.survey)
            && self.ownership == other.ownership
            && self.wildcard == other.wildcard
            && self.addresses == other.addresses
    }

    /// Whether all servers that answered say exactly these records.
    #[must_use]
    pub fn is(&self, wanted: &[Mx]) -> bool {
        match self.survey.view() {
            View::Agreed(Said::Records(records)) => *records == seen(wanted),
            View::Agreed(Said::Alias(_) | Said::NoRecords | Said::NoName) | View::Disagree(_) | View::Failed => false,
        }
    }

    /// Whether a server says that this host takes the domain's mail. None: no server answered.
    #[must_use]
    pub fn names(&self, host: &DomainName) -> Option<bool> {
        let mut said = self.survey.said().peekable();
        said.peek()?;
        Some(said.any(|said| match said {
            Said::Records(records) => records.iter().any(|record| record.host == host.as_str()),
            // What it is an alias of may name it.
            Said::Alias(_) => true,
            Said::NoRecords | Said::NoName => false,
        }))
    }
}

impl HostSeen {
    /// What the host name is.
    #[must_use]
    pub fn host(&self) -> Host {
        let said = || self.v4.said().chain(self.v6.said());
        let alias = said().find_map(|said| match said {
            Said::Alias(target) => Some(target.clone()),
            Said::Records(_) | Said::NoRecords | Said::NoName => None,
        });
        if let Some(target) = alias {
            return Host::Alias(target);
        }
        let addresses: BTreeSet<IpAddr> = said()
            .filter_map(|said| match said {
                Said::Records(addresses) => Some(addresses.iter().copied()),
                Said::Alias(_) | Said::NoRecords | Said::NoName => None,
            })
            .flatten()
            .collect();
        match (addresses.is_empty(), self.v4.view(), self.v6.view()) {
            (false, _, _) => Host::Addresses(addresses),
            (true, View::Failed, _) | (true, _, View::Failed) => Host::Unknown,
            (true, View::Agreed(_) | View::Disagree(_), View::Agreed(_) | View::Disagree(_)) => Host::Nothing,
        }
    }

    /// Whether it says the same of DNS as the other.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.v4.says_the_same(&other.v4) && self.v6.says_the_same(&other.v6)
    }
}

/// Records as they would be seen.
#[must_use]
pub fn seen(wanted: &[Mx]) -> BTreeSet<SeenMx> {
    wanted.iter().map(|mx| SeenMx { preference: mx.preference, host: mx.host.to_string() }).collect()
}

impl fmt::Display for SeenMx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.preference, self.host)
    }
}

fn mx(data: &RData) -> Option<SeenMx> {
    match data {
        RData::MX(mx) => Some(SeenMx { preference: mx.preference, host: text(&mx.exchange) }),
        _ => None,
    }
}

fn txt(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    }
}

fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name.trim_end_matches('.')).ok()?;
    name.set_fqdn(true);
    Some(name)
}
