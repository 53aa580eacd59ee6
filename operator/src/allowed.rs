//! Which namespace may claim which domain and which relay host name: the chart's `allowedDomains`. Pure.

use backupmx_relay_config::DomainName;
use serde::{Deserialize, Serialize};

/// The rules. No rules at all: any namespace may claim any domain, and any host name for its relays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AllowedDomains(pub Vec<Rule>);

/// These namespaces may claim these domains, and have relays of these host names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Namespaces by name; `*` is any.
    pub namespaces: Vec<String>,
    /// Domains: `example.org` is that domain alone, `*.example.org` all below it, `*` any.
    pub domains: Vec<String>,
    /// Host names of relays, written as domains are. Absent: those below the domains, and none that is a domain itself.
    /// Whose host name is published has an address there, and with it what an address proves: a certificate, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostnames: Option<Vec<String>>,
}

impl AllowedDomains {
    /// Whether the namespace may claim the domain.
    #[must_use]
    pub fn allows(&self, namespace: &str, domain: &DomainName) -> bool {
        self.0.is_empty() || self.of(namespace).any(|rule| rule.domains.iter().any(|pattern| covers(pattern, domain)))
    }

    /// Whether a relay of the namespace may have the host name.
    #[must_use]
    pub fn allows_hostname(&self, namespace: &str, hostname: &DomainName) -> bool {
        self.0.is_empty()
            || self.of(namespace).any(|rule| match &rule.hostnames {
                Some(hostnames) => hostnames.iter().any(|pattern| covers(pattern, hostname)),
                None => rule.domains.iter().any(|pattern| pattern == "*" || below(pattern, hostname)),
            })
    }

    fn of(&self, namespace: &str) -> impl Iterator<Item = &Rule> {
        let named = move |rule: &&Rule| rule.namespaces.iter().any(|name| name == "*" || name == namespace);
        self.0.iter().filter(named)
    }
}

/// Whether a name is below the domain that a pattern names, or below which it begins.
fn below(pattern: &str, name: &DomainName) -> bool {
    let domain = pattern.strip_prefix("*.").unwrap_or(pattern);
    covers(&format!("*.{domain}"), name)
}

fn covers(pattern: &str, domain: &DomainName) -> bool {
    match pattern.strip_prefix("*.") {
        _ if pattern == "*" => true,
        // A pattern may be written as a U-label; one that is no name covers nothing.
        Some(parent) => parent.parse().is_ok_and(|parent: DomainName| {
            domain.as_str().strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
        }),
        None => pattern.parse().is_ok_and(|pattern: DomainName| pattern == *domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(namespace: &str, domains: &[&str], hostnames: Option<&[&str]>) -> Rule {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Rule { namespaces: vec![namespace.into()], domains: owned(domains), hostnames: hostnames.map(owned) }
    }

    #[test]
    fn bounds_who_claims_what() {
        let rules = AllowedDomains(vec![
            rule("one", &["example.org", "*.example.net"], None),
            rule("*", &["bücher.example"], None),
            rule("all", &["*"], None),
        ]);
        for (namespace, domain, allowed) in [
            ("one", "example.org", true),
            ("one", "sub.example.org", false),
            ("one", "sub.example.net", true),
            ("one", "a.b.example.net", true),
            ("one", "example.net", false),
            ("one", "evilexample.net", false),
            ("two", "example.org", false),
            ("two", "xn--bcher-kva.example", true),
            ("all", "anything.test", true),
        ] {
            assert_eq!(rules.allows(namespace, &domain.parse().unwrap()), allowed, "{namespace} {domain}");
        }
    }

    #[test]
    fn bounds_the_host_names_of_relays() {
        let rules = AllowedDomains(vec![
            rule("one", &["example.org", "*.example.net"], None),
            rule("two", &["example.org"], Some(&["mx1.relays.example", "*.two.relays.example"])),
            rule("none", &["example.org"], Some(&[])),
            rule("all", &["*"], None),
        ]);
        for (namespace, hostname, allowed) in [
            ("one", "mx1.example.org", true),
            ("one", "mx1.backup.example.net", true),
            ("one", "example.org", false),
            ("one", "login.corp.example", false),
            ("one", "mx1.evilexample.org", false),
            ("two", "mx1.relays.example", true),
            ("two", "a.two.relays.example", true),
            ("two", "mx2.relays.example", false),
            ("two", "mx1.example.org", false),
            ("none", "mx1.example.org", false),
            ("all", "login.corp.example", true),
            ("other", "mx1.example.org", false),
        ] {
            assert_eq!(rules.allows_hostname(namespace, &hostname.parse().unwrap()), allowed, "{namespace} {hostname}");
        }
    }

    #[test]
    fn a_rules_file_may_name_host_names_or_not() {
        let text =
            "- namespaces: [one]\n  domains: [example.org]\n- {namespaces: [two], domains: ['*'], hostnames: []}\n";
        let rules: AllowedDomains = serde_yaml::from_str(text).unwrap();
        assert_eq!(rules.0, [rule("one", &["example.org"], None), rule("two", &["*"], Some(&[]))]);
    }

    #[test]
    fn without_rules_all_is_allowed() {
        assert!(AllowedDomains::default().allows_hostname("any", &"login.corp.example".parse().unwrap()));
        assert!(AllowedDomains::default().allows("any", &"example.org".parse().unwrap()));
    }
}
