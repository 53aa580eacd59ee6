//! Which primaries are in a storm of rejects: without it a restart would let go of mail that the storm keeps beyond its
//! time. By domain, as mail is held by domain.

use std::{io, path::Path};

use backupmx_relay_config::DomainName;
use serde::{Deserialize, Serialize};

use crate::health::StormRecord;
use crate::small_file::Kept;

/// The storms that are on, in memory and on disk.
#[derive(Debug)]
pub(super) struct Storms(Kept<Vec<Entry>>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    domains: Vec<DomainName>,
    storm: StormRecord,
}

impl Entry {
    fn is_of(&self, domains: &[DomainName]) -> bool {
        self.domains.iter().any(|domain| domains.contains(domain))
    }
}

impl Storms {
    /// Reads what the last run left.
    pub(super) fn load(spool: &Path) -> Self {
        Self(Kept::load(spool.join("storms.json"), "no storm of rejects is known"))
    }

    /// The storm that is on for one of those domains.
    pub(super) fn of(&self, domains: &[DomainName]) -> Option<StormRecord> {
        self.0.look(|entries| entries.iter().find(|entry| entry.is_of(domains)).map(|entry| entry.storm))
    }

    /// Notes that a storm is on for those domains, or that none is, and makes it durable.
    pub(super) fn note(&self, domains: &[DomainName], storm: Option<StormRecord>) -> io::Result<()> {
        self.0.change(|entries| {
            entries.retain(|entry| !entry.is_of(domains));
            entries.extend(storm.map(|storm| Entry { domains: domains.to_vec(), storm }));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::StormTarget;

    fn domains(names: &[&str]) -> Vec<DomainName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_storm_survives_a_restart_until_it_ends() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let storm = StormRecord { target: StormTarget::Content, away_minutes: Some(7) };
        let other = StormRecord { target: StormTarget::Recipients, away_minutes: None };
        let storms = Storms::load(folder.path());
        storms.note(&domains(&["a.example", "b.example"]), Some(storm))?;
        storms.note(&domains(&["c.example"]), Some(other))?;
        let storms = Storms::load(folder.path());
        assert_eq!(storms.of(&domains(&["b.example", "x.example"])), Some(storm));
        assert_eq!(storms.of(&domains(&["c.example"])), Some(other));
        assert_eq!(storms.of(&domains(&["x.example"])), None);
        storms.note(&domains(&["a.example", "b.example"]), None)?;
        let storms = Storms::load(folder.path());
        assert_eq!(storms.of(&domains(&["a.example"])), None);
        assert_eq!(storms.of(&domains(&["c.example"])), Some(other));
        Ok(())
    }
}
