//! Which namespace may claim which domain: the chart's `allowedDomains`. Pure.

use backupmx_relay_config::DomainName;
use serde::{Deserialize, Serialize};

/// The rules. No rules at all: any namespace may claim any domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AllowedDomains(pub Vec<Rule>);

/// These namespaces may claim these domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Namespaces by name; `*` is any.
    pub namespaces: Vec<String>,
    /// Domains: `example.org` is that domain alone, `*.example.org` all below it, `*` any.
    pub domains: Vec<String>,
}

impl AllowedDomains {
    /// Whether the namespace may claim the domain.
    #[must_use]
    pub fn allows(&self, namespace: &str, domain: &DomainName) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|rule| {
                rule.namespaces.iter().any(|name| name == "*" || name == namespace)
                    && rule.domains.iter().any(|pattern| covers(pattern, domain))
            })
    }
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

    #[test]
    fn bounds_who_claims_what() {
        let rules = AllowedDomains(vec![
            Rule { namespaces: vec!["one".into()], domains: vec!["example.org".into(), "*.example.net".into()] },
            Rule { namespaces: vec!["*".into()], domains: vec!["bücher.example".into()] },
            Rule { namespaces: vec!["all".into()], domains: vec!["*".into()] },
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
    fn without_rules_all_is_allowed() {
        assert!(AllowedDomains::default().allows("any", &"example.org".parse().unwrap()));
    }
}
