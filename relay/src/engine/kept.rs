//! The config in force, kept in the spool folder, beside the mail that was taken under it.
//!
//! A file that an orchestrator mounts may be minutes older than what the API has put in force. A relay that was told to
//! take no more mail, has said that it holds none, and then starts anew on such a file would take mail again, while
//! whoever asked is about to delete the volume. So what is in force is durable in that very volume before it is said to
//! be: whatever starts on it runs on that config or on a later one, however late the file is.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use backupmx_relay_config::{RelayConfig, TokenHash, to_yaml};
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use super::config::{ConfigSource, Way, judge};
use crate::small_file::Kept;

const FILE: &str = "config.json";

/// Keeps the config in force. Without an admin API nothing can be put in force but the file, and nothing is kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    kept: Kept<Option<Copy>>,
    failing: AtomicBool,
}

/// A config that was in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Copy {
    /// Whoever knows the token counts the revisions. A volume may come to another, whose count begins anew.
    token: TokenHash,
    revision: u64,
    document: String,
}

impl Keeper {
    /// Reads what the last run kept in the spool folder.
    pub(crate) fn load(spool: &Path) -> Self {
        let kept = Kept::load(spool.join(FILE), "the relay starts on the config file, which may be late");
        Self { kept, failing: AtomicBool::new(false) }
    }

    /// What to start on: the file, or what was in force when the last run ended, where that is later.
    pub(crate) fn at_start(&self, file: RelayConfig) -> (RelayConfig, Way) {
        let later = self.kept.look(|kept| later(&file, kept.as_ref()?));
        match later {
            Some(kept) => {
                info!(
                    file = file.revision,
                    kept = kept.revision,
                    "the file is older than the config that was in force"
                );
                (kept, Way::Api)
            }
            None => (file, Way::File),
        }
    }

    /// Makes a config durable. Where that fails it is told once, and the caller goes on: a full disk must not keep a
    /// relay from being told where its mail goes. [`Self::revision`] says what is durable.
    pub(crate) fn keep(&self, config: &RelayConfig) {
        let Some(token) = token(config).filter(|_| self.revision(config) != Some(config.revision)) else { return };
        let document = match to_yaml(config) {
            Ok(document) => document,
            Err(problem) => return self.failed(&problem),
        };
        match self.kept.change(|kept| *kept = Some(Copy { token, revision: config.revision, document })) {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            Err(problem) => self.failed(&problem),
        }
    }

    fn failed(&self, problem: &dyn std::fmt::Display) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            error!("failed to keep the config in {FILE} of the spool folder, it is tried again: {problem}");
        }
    }

    /// The revision that is durable, by the count of the config in force; none where nothing is kept.
    pub(crate) fn revision(&self, in_force: &RelayConfig) -> Option<u64> {
        let token = token(in_force)?;
        self.kept.look(|kept| kept.as_ref().filter(|kept| kept.token == token).map(|kept| kept.revision))
    }
}

fn token(config: &RelayConfig) -> Option<TokenHash> {
    config.admin.api.as_ref().map(|api| api.token_sha256)
}

/// What was kept, where it might follow the file by the API: it is of a higher revision, by the same count, and nothing
/// in it takes another start. Pure.
fn later(file: &RelayConfig, kept: &Copy) -> Option<RelayConfig> {
    let same = token(file) == Some(kept.token);
    // One that the file has too is the file's.
    judge(file, &kept.document, ConfigSource::Api).ok().filter(|kept| same && kept.revision > file.revision)
}

#[cfg(test)]
mod tests {
    use backupmx_relay_config::from_yaml;

    use super::*;

    fn config(revision: u64, token: &str, port: u16) -> RelayConfig {
        let api = format!("api: {{address: '127.0.0.1:{port}', tokenSha256: '{}'}}", token.repeat(64));
        let text = format!(
            "{{contractVersion: 1, revision: {revision}, hostname: mx1.example.net, listeners: [{{address: '127.0.0.1:25'}}],
              spool: {{path: /x}}, admin: {{{api}}}}}"
        );
        from_yaml(&text).unwrap()
    }

    #[test]
    fn a_start_is_on_the_later_of_the_two() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::load(folder.path());
        keeper.keep(&config(5, "a", 1));
        for (what, file, wanted) in [
            ("the file is late", config(4, "a", 1), (5, Way::Api)),
            ("the file has it too", config(5, "a", 1), (5, Way::File)),
            ("the file is later", config(6, "a", 1), (6, Way::File)),
            ("another counts now", config(1, "b", 1), (1, Way::File)),
            ("it takes another start", config(4, "a", 2), (4, Way::File)),
        ] {
            let (config, source) = Keeper::load(folder.path()).at_start(file);
            assert_eq!((config.revision, source), wanted, "{what}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_not_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::load(&folder.path().join("gone"));
        keeper.keep(&config(5, "a", 1));
        assert_eq!(keeper.revision(&config(5, "a", 1)), None);
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        keeper.keep(&config(5, "a", 1));
        assert_eq!(keeper.revision(&config(6, "a", 1)), Some(5));
        assert_eq!(keeper.revision(&config(6, "b", 1)), None, "another has kept nothing");
    }

    #[test]
    fn without_an_admin_api_the_file_alone_counts() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::load(folder.path());
        let mut alone = config(5, "a", 1);
        alone.admin.api = None;
        keeper.keep(&alone);
        assert_eq!(Keeper::load(folder.path()).revision(&config(5, "a", 1)), None);
    }
}
