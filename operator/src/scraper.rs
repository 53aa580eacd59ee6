//! Who may read metrics: pods, by their labels and those of their namespaces.

use std::{collections::BTreeMap, str::FromStr};

/// The pods that may read a relay's metrics. `PODS` or `PODS@NAMESPACES`, each of them `KEY=VALUE`, more of them with
/// commas between, or `*` for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scraper {
    /// The labels that they have. Empty: any.
    pub pods: BTreeMap<String, String>,
    /// The labels that their namespaces have. Empty: any.
    pub namespaces: BTreeMap<String, String>,
}

/// A text that names no pods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a label; expected KEY=VALUE, more of them with commas between, or * for any")]
pub struct NotLabels(String);

impl FromStr for Scraper {
    type Err = NotLabels;

    fn from_str(text: &str) -> Result<Self, NotLabels> {
        // No label has an @.
        let (pods, namespaces) = text.split_once('@').unwrap_or((text, "*"));
        Ok(Self { pods: labels(pods)?, namespaces: labels(namespaces)? })
    }
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, NotLabels> {
    if text == "*" {
        return Ok(BTreeMap::new());
    }
    let pair = |one: &str| {
        let (key, value) = one.split_once('=').filter(|(key, _)| !key.is_empty())?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.split(',').map(|one| pair(one).ok_or_else(|| NotLabels(one.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pods_by_their_labels_and_their_namespaces() {
        for (text, pods, namespaces) in [
            ("app=vmagent", map(&[("app", "vmagent")]), map(&[])),
            ("app=a,tier=b@team=ops", map(&[("app", "a"), ("tier", "b")]), map(&[("team", "ops")])),
            ("*@team=ops", map(&[]), map(&[("team", "ops")])),
            ("*", map(&[]), map(&[])),
            ("app=", map(&[("app", "")]), map(&[])),
        ] {
            assert_eq!(text.parse(), Ok(Scraper { pods, namespaces }), "{text}");
        }
    }

    #[test]
    fn nothing_is_taken_for_anybody() {
        for text in ["", "@", "app", "=a", "a=b,", "app=a@", "a=b@*,c=d"] {
            assert!(text.parse::<Scraper>().is_err(), "{text}");
        }
        let told = "app".parse::<Scraper>().unwrap_err().to_string();
        assert_eq!(told, "'app' is not a label; expected KEY=VALUE, more of them with commas between, or * for any");
    }
}
