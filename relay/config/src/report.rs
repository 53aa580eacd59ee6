//! How reports to senders (DSNs, RFC 3464) are sent.

use serde::{Deserialize, Serialize};

use crate::{HostPort, Span};

/// How reports to senders (DSNs, RFC 3464) are sent, for all tenants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReportConfig {
    /// Where reports go first, instead of to the sender's MX. A tenant's own `bounce.smarthost` comes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smarthost: Option<HostPort>,
    /// How long a report is tried before it is given up. Default 2d.
    pub give_up_after: Span,
    /// At most so many reports to one domain in a minute. Default 30.
    pub per_domain_per_minute: u32,
    /// How many sessions to the outside there may be at once. Default 10.
    pub max_connections: u32,
    /// The port of a foreign MX. Default 25; another only where tests stand in for the Internet.
    pub mx_port: u16,
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            smarthost: None,
            give_up_after: Span::days(2),
            per_domain_per_minute: 30,
            max_connections: 10,
            mx_port: 25,
        }
    }
}
