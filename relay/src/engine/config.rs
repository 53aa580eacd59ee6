//! Putting a new config in force: all of it at once, or none of it.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use backupmx_relay_config::{LoadError, RelayConfig, from_yaml};
use tracing::{error, info};

use super::{Engine, EngineError};
use crate::active::Active;

/// Where a new config came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource<'a> {
    /// This file changed, or SIGHUP came. Its revision may not be lower than the one in force: a mounted ConfigMap
    /// arrives a minute or more after the same document was put by the API.
    File(&'a Path),
    /// `PUT /v1/config`: the revision must be higher than the one in force.
    Api,
}

impl ConfigSource<'_> {
    /// A problem as a person reads it: that of a file with the file's name.
    fn told(self, problem: &EngineError) -> String {
        match self {
            Self::File(file) => format!("{}: {problem}", file.display()),
            Self::Api => problem.to_string(),
        }
    }
}

/// How the config in force came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the file, or the command line.
    File,
    /// By the API, in this run or before.
    Api,
}

impl From<ConfigSource<'_>> for Way {
    fn from(source: ConfigSource<'_>) -> Self {
        match source {
            ConfigSource::File(_) => Self::File,
            ConfigSource::Api => Self::Api,
        }
    }
}

/// How long a file may be older than what the API has put in force before that is told: a mounted ConfigMap is late.
const LATE: Duration = Duration::from_secs(180);

/// What became of the last document that was offered.
#[derive(Debug)]
pub(crate) struct Offers {
    in_force: Way,
    refused: Option<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    problem: String,
    /// When it is told.
    from: Instant,
}

impl Offers {
    /// At the start a config is in force: the file's, the command line's, or what the API had put in force before.
    pub(crate) const fn begun(in_force: Way) -> Self {
        Self { in_force, refused: None }
    }

    /// Why the last document was refused; none after one was taken.
    pub(crate) fn refusal(&self, now: Instant) -> Option<&str> {
        self.refused.as_ref().filter(|refusal| refusal.from <= now).map(|refusal| refusal.problem.as_str())
    }

    fn took(&mut self, source: ConfigSource<'_>) {
        *self = Self::begun(source.into());
    }

    fn refuse(&mut self, problem: &EngineError, source: ConfigSource<'_>, now: Instant) {
        let from = match (problem, Way::from(source), self.in_force) {
            // Whoever put it is told in the answer.
            (EngineError::OldRevision { .. }, Way::Api, _) => return,
            (EngineError::OldRevision { .. }, Way::File, Way::Api) => now + LATE,
            _ => now,
        };
        self.refused = Some(Refusal { problem: source.told(problem), from });
    }
}

pub(super) fn apply(engine: &Engine, document: &str, source: ConfigSource<'_>) -> Result<u64, EngineError> {
    // Held to the end: two documents that arrive together are judged one after the other.
    let mut offers = engine.offers.lock();
    let in_force = engine.config.load_full();
    let outcome = judge(&in_force.config, document, source);
    match outcome {
        Ok(config) if config == in_force.config => {
            offers.took(source);
            Ok(config.revision)
        }
        Ok(config) => {
            let revision = config.revision;
            // First, so that what is said to be in force outlives this process.
            engine.keeper.keep(&config);
            engine.config.store(Arc::new(Active::new(config)));
            engine.on_config.iter().for_each(|renew| renew());
            offers.took(source);
            info!(revision, source = ?Way::from(source), "config in force");
            Ok(revision)
        }
        Err(problem) => {
            refuse(engine, &mut offers, &problem, source);
            Err(problem)
        }
    }
}

/// Says that a config file can't be read; the old config stays.
pub(super) fn unreadable(engine: &Engine, file: &Path, problem: &io::Error) {
    let problem = EngineError::Refused(format!("failed to read it: {problem}"));
    refuse(engine, &mut engine.offers.lock(), &problem, ConfigSource::File(file));
}

fn refuse(engine: &Engine, offers: &mut Offers, problem: &EngineError, source: ConfigSource<'_>) {
    let told = source.told(problem);
    error!(source = ?Way::from(source), "config refused, the old one stays in force: {told}");
    engine.metrics.config_refused.inc();
    offers.refuse(problem, source, Instant::now());
}

/// Whether a document may replace the config in force. Pure.
pub(super) fn judge(
    in_force: &RelayConfig,
    document: &str,
    source: ConfigSource<'_>,
) -> Result<RelayConfig, EngineError> {
    let config = from_yaml(document).map_err(|error| EngineError::Refused(error.to_string()))?;
    let stale = match source {
        ConfigSource::File(_) => config.revision < in_force.revision,
        // Put twice it is put: two that hand the same document over at once are both told that it is in force.
        ConfigSource::Api => config.revision <= in_force.revision && config != *in_force,
    };
    if stale {
        return Err(EngineError::OldRevision { offered: config.revision, in_force: in_force.revision });
    }
    for (field, same) in [
        (&["listeners"][..], config.listeners == in_force.listeners),
        (&["spool", "path"], config.spool.path == in_force.spool.path),
        (&["spool", "segmentSize"], config.spool.segment_size == in_force.spool.segment_size),
        (&["admin", "socket"], config.admin.socket == in_force.admin.socket),
        (&["admin", "health"], config.admin.health == in_force.admin.health),
        (
            &["admin", "api", "address"],
            config.admin.api.as_ref().map(|api| api.address) == in_force.admin.api.as_ref().map(|api| api.address),
        ),
    ] {
        if !same {
            let problem = "expected what it was at the start, as changing it takes a restart; nothing was changed";
            return Err(EngineError::Refused(LoadError::of_field(document, field, problem).to_string()));
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

    fn file() -> ConfigSource<'static> {
        ConfigSource::File(Path::new("/etc/relay.yaml"))
    }

    fn verdict(revision: u64, port: u16, source: ConfigSource<'_>) -> Result<u64, EngineError> {
        let in_force = from_yaml(&document(5, 25)).expect("the document in force is right");
        judge(&in_force, &document(revision, port), source).map(|config| config.revision)
    }

    #[test]
    fn the_api_must_raise_the_revision_and_the_file_must_not_lower_it() {
        assert_eq!(verdict(6, 25, ConfigSource::Api), Ok(6));
        assert!(matches!(verdict(5, 26, ConfigSource::Api), Err(EngineError::OldRevision { .. })));
        assert!(matches!(verdict(4, 25, ConfigSource::Api), Err(EngineError::OldRevision { .. })));
        assert_eq!(verdict(5, 25, ConfigSource::Api), Ok(5), "it is in force already");
        assert_eq!(verdict(5, 25, file()), Ok(5));
        assert!(matches!(verdict(4, 25, file()), Err(EngineError::OldRevision { .. })));
    }

    #[test]
    fn a_refusal_is_told_until_a_good_one_comes_and_a_late_file_only_after_a_while() {
        let old = EngineError::OldRevision { offered: 1, in_force: 2 };
        let wrong = EngineError::Refused("line 1".to_owned());
        let now = Instant::now();
        let mut offers = Offers::begun(Way::File);
        offers.refuse(&old, ConfigSource::Api, now);
        assert_eq!(offers.refusal(now), None, "who asked was told");
        offers.refuse(&old, file(), now);
        assert!(offers.refusal(now).is_some_and(|told| told.contains("revision 1 is not higher than 2")));
        offers.took(ConfigSource::Api);
        assert_eq!(offers.refusal(now), None);
        offers.refuse(&old, file(), now);
        assert_eq!(offers.refusal(now), None, "the file may follow what was put");
        assert!(offers.refusal(now + LATE).is_some());
        offers.refuse(&wrong, ConfigSource::Api, now);
        assert_eq!(offers.refusal(now), Some("line 1"));
        offers.refuse(&wrong, file(), now);
        assert_eq!(offers.refusal(now), Some("/etc/relay.yaml: line 1"), "the file is named");
    }

    #[test]
    fn what_takes_a_restart_is_refused_by_name() {
        let error = verdict(6, 26, ConfigSource::Api).expect_err("another port takes a restart");
        assert!(error.to_string().starts_with("line 4: listeners: expected what it was at the start"), "{error}");
    }
}
