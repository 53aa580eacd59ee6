//! The verdict on domains that leave: whether DNS still names the relays. Pure.

use backupmx_crds::conditions::Reason;
use backupmx_relay_config::DomainName;

use super::{Verdict, texts};
use crate::dns::{lookup::MxSeen, survey::View};

/// A domain that leaves, and what DNS says of it.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// What DNS says. None: it is being asked.
    pub seen: Option<&'a MxSeen>,
}

/// What DNS still says of domains whose relays, of these host names, leave. None: there is nothing to say it of.
#[must_use]
pub fn leaving(domains: &[Left<'_>], hosts: &[DomainName]) -> Option<Verdict> {
    let names = |left: &&Left<'_>, wanted: Option<bool>| {
        let all: Vec<Option<bool>> = hosts.iter().map(|host| left.seen.and_then(|seen| seen.names(host))).collect();
        match wanted {
            Some(true) => all.contains(&Some(true)),
            Some(false) => !all.contains(&Some(true)) && !all.contains(&None),
            None => !all.contains(&Some(true)) && all.contains(&None),
        }
    };
    let of =
        |wanted| -> Vec<String> { domains.iter().filter(|left| names(left, wanted)).map(|left| says(left)).collect() };
    let (standing, unknown, gone) = (of(Some(true)), of(None), of(Some(false)));
    let verdict = if !standing.is_empty() {
        let message = format!("DNS still names a relay that leaves: {}", standing.join("; "));
        Verdict::no(Reason::StillPublished, message)
    } else if !unknown.is_empty() {
        let message = format!("whether DNS still names a relay that leaves is not known: {}", unknown.join("; "));
        Verdict::unknown(Reason::LookupFailed, message)
    } else if !gone.is_empty() {
        Verdict::no(Reason::Withdrawn, format!("no MX record names a relay any more: {}", gone.join("; ")))
    } else {
        return None;
    };
    Some(verdict)
}

fn says(left: &Left<'_>) -> String {
    let domain = left.domain;
    let Some(seen) = left.seen else { return format!("{domain} is being asked for") };
    match seen.survey.view() {
        View::Agreed(said) => format!("{domain} has {}", texts::said(said)),
        View::Disagree(said) => {
            let each: Vec<String> =
                said.iter().map(|(server, said)| format!("{server} says {}", texts::said(said))).collect();
            format!("{domain}: {}", each.join(", "))
        }
        View::Failed => format!("{domain} could not be looked up ({})", seen.survey.troubles().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::{
        dns::{
            survey::Said,
            tests::seen::{each, records, said},
            wire::Trouble,
        },
        status::conditions::Truth,
    };

    #[test]
    fn what_dns_still_says_is_told() {
        let at = Timestamp::UNIX_EPOCH;
        let domain: DomainName = "example.org".parse().unwrap();
        let host: DomainName = "mx1.example.net".parse().unwrap();
        let still = records(at, &[(10, "mail.example.org"), (20, "mx1.example.net")]);
        let primary = records(at, &[(10, "mail.example.org")]);
        let silent = each(at, vec![Err(Trouble::Silent)]);
        let judge = |all: &[Option<&MxSeen>]| {
            let left: Vec<Left<'_>> = all.iter().map(|seen| Left { domain: &domain, seen: *seen }).collect();
            leaving(&left, std::slice::from_ref(&host)).map(|verdict| (verdict.truth, verdict.reason, verdict.message))
        };
        for (what, seen, truth, reason, word) in [
            (
                "one of two",
                vec![Some(&primary), Some(&still)],
                Truth::False,
                Reason::StillPublished,
                "20 mx1.example.net",
            ),
            ("none", vec![Some(&primary)], Truth::False, Reason::Withdrawn, "example.org has MX 10 mail.example.org"),
            ("nothing", vec![Some(&said(at, Said::NoName))], Truth::False, Reason::Withdrawn, "does not exist"),
            ("silence", vec![Some(&primary), Some(&silent)], Truth::Unknown, Reason::LookupFailed, "not known"),
            ("not asked", vec![None], Truth::Unknown, Reason::LookupFailed, "is being asked for"),
        ] {
            let (found, why, message) = judge(&seen).unwrap();
            assert_eq!((found, why), (truth, reason), "{what}: {message}");
            assert!(message.contains(word), "{what}: {message}");
        }
        assert_eq!(judge(&[]), None);
    }
}
