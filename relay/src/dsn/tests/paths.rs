//! Paths for tests, hostile ones too: read as the spool reads them, so nothing checks them.

use serde_json::{from_value, json};

use crate::smtp::{ForwardPath, ReversePath, XText};

pub(crate) fn forward(text: &str) -> ForwardPath {
    let domain = text.rsplit_once('@').map_or("example.org", |(_, domain)| domain);
    let domain = if domain.parse::<backupmx_relay_config::DomainName>().is_ok() { domain } else { "example.org" };
    from_value(json!({"text": text, "domain": domain})).unwrap()
}

pub(crate) fn reverse(text: &str) -> ReversePath {
    if text.is_empty() {
        return ReversePath::default();
    }
    let domain = text.rsplit_once('@').map_or("example.com", |(_, domain)| domain);
    let domain = if domain.starts_with('[') {
        None
    } else if domain.parse::<backupmx_relay_config::DomainName>().is_ok() {
        Some(domain)
    } else {
        Some("example.com")
    };
    from_value(json!({"text": text, "domain": domain})).unwrap()
}

pub(crate) fn xtext(text: &str) -> XText {
    from_value(json!(text)).unwrap()
}
