//! Putting a new config in force: all of it at once, or none of it.

use std::sync::Arc;

use backupmx_relay_config::{RelayConfig, from_yaml};
use tracing::{error, info};

use super::{Engine, EngineError};
use crate::active::Active;

/// Where a new config came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The file changed, or SIGHUP came. Its revision may not be lower than the one in force: a mounted ConfigMap
    /// arrives a minute or more after the same document was put by the API.
    File,
    /// `PUT /v1/config`: the revision must be higher than the one in force.
    Api,
}

pub(super) fn apply(engine: &Engine, document: &str, source: ConfigSource) -> Result<u64, EngineError> {
    // Held to the end: two documents that arrive together are judged one after the other.
    let mut refused = engine.config_error.lock();
    let in_force = engine.config.load_full();
    let outcome = judge(&in_force.config, document, source);
    match outcome {
        Ok(config) if config == in_force.config => {
            *refused = None;
            Ok(config.revision)
        }
        Ok(config) => {
            let revision = config.revision;
            engine.config.store(Arc::new(Active::new(config)));
            engine.on_config.iter().for_each(|renew| renew());
            *refused = None;
            info!(revision, source = ?source, "config in force");
            Ok(revision)
        }
        Err(problem) => {
            error!(source = ?source, "config refused, the old one stays in force: {problem}");
            engine.metrics.config_refused.inc();
            // A late copy of an older document is no news to anybody.
            if !matches!(problem, EngineError::OldRevision { .. }) {
                *refused = Some(problem.to_string());
            }
            Err(problem)
        }
    }
}

/// Whether a document may replace the config in force. Pure.
fn judge(in_force: &RelayConfig, document: &str, source: ConfigSource) -> Result<RelayConfig, EngineError> {
    let config = from_yaml(document).map_err(|error| EngineError::Refused(error.to_string()))?;
    let stale = match source {
        ConfigSource::File => config.revision < in_force.revision,
        ConfigSource::Api => config.revision <= in_force.revision,
    };
    if stale {
        return Err(EngineError::OldRevision { offered: config.revision, in_force: in_force.revision });
    }
    for (field, same) in [
        ("listeners", config.listeners == in_force.listeners),
        ("spool", config.spool == in_force.spool),
        ("admin.socket", config.admin.socket == in_force.admin.socket),
        ("admin.health", config.admin.health == in_force.admin.health),
        (
            "admin.api.address",
            config.admin.api.as_ref().map(|api| api.address) == in_force.admin.api.as_ref().map(|api| api.address),
        ),
    ] {
        if !same {
            return Err(EngineError::Refused(format!("{field}: changing it takes a restart; nothing was changed")));
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(revision: u64, port: u16) -> String {
        format!(
            "contractVersion: 1\nrevision: {revision}\nhostname: mx1.example.net\n\
             listeners: [{{address: '127.0.0.1:{port}'}}]\nspool: {{path: /x}}\n"
        )
    }

    fn verdict(revision: u64, port: u16, source: ConfigSource) -> Result<u64, EngineError> {
        let in_force = from_yaml(&document(5, 25)).expect("the document in force is right");
        judge(&in_force, &document(revision, port), source).map(|config| config.revision)
    }

    #[test]
    fn the_api_must_raise_the_revision_and_the_file_must_not_lower_it() {
        assert_eq!(verdict(6, 25, ConfigSource::Api), Ok(6));
        assert!(matches!(verdict(5, 25, ConfigSource::Api), Err(EngineError::OldRevision { .. })));
        assert_eq!(verdict(5, 25, ConfigSource::File), Ok(5));
        assert!(matches!(verdict(4, 25, ConfigSource::File), Err(EngineError::OldRevision { .. })));
    }

    #[test]
    fn what_takes_a_restart_is_refused_by_name() {
        let error = verdict(6, 26, ConfigSource::Api).expect_err("another port takes a restart");
        assert!(error.to_string().starts_with("listeners: changing it takes a restart"), "{error}");
    }
}
