//! Paths and xtext, checked by us and kept as received: what we send on is byte for byte what came in.

use backupmx_relay_config::DomainName;
use serde::{Deserialize, Serialize};

/// A reverse-path (RFC 5321 4.1.2) as received, without the angle brackets; empty is the null sender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReversePath {
    pub(super) text: String,
    pub(super) domain: Option<DomainName>,
}

/// A forward-path (RFC 5321 4.1.2) as received, without the angle brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForwardPath {
    pub(super) text: String,
    pub(super) domain: DomainName,
}

/// An xtext value (RFC 3461 4): checked, and kept encoded as received.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct XText(pub(super) String);

/// Why a text is not a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathError(pub(super) &'static str);

impl ReversePath {
    /// Whether it is `<>`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.text.is_empty()
    }

    /// The path as received, without the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain, as A-labels; none for the null sender and for address literals.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainName> {
        self.domain.as_ref()
    }

    /// The same mailbox as a recipient, for a report to it; none for the null sender and for address literals.
    #[must_use]
    pub fn to_forward(&self) -> Option<ForwardPath> {
        let domain = self.domain.clone()?;
        Some(ForwardPath { text: self.text.clone(), domain })
    }
}

impl ForwardPath {
    /// The path as received, without the brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain, as A-labels.
    #[must_use]
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The local part as received, quotes and all.
    #[must_use]
    pub fn local(&self) -> &str {
        self.text.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl XText {
    /// The value, still encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
