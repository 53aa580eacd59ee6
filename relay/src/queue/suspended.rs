//! Whose deliveries a person has suspended: by domain, as mail is held by domain. A tenant may get another name.

use std::{collections::BTreeSet, io, path::Path};

use backupmx_relay_config::DomainName;

use crate::small_file::Kept;

/// The domains whose deliveries are suspended, in memory and on disk.
#[derive(Debug)]
pub(super) struct Suspended(Kept<BTreeSet<DomainName>>);

impl Suspended {
    /// Reads the list.
    pub(super) fn load(spool: &Path) -> Self {
        Self(Kept::load(spool.join("suspended.json"), "nothing is suspended"))
    }

    /// Whether a tenant with those domains is suspended: one of them is enough, as a tenant's mail goes out together.
    pub(super) fn holds(&self, domains: &[DomainName]) -> bool {
        self.0.look(|suspended| domains.iter().any(|domain| suspended.contains(domain)))
    }

    /// Adds or takes off domains, and makes the list durable.
    pub(super) fn change(&self, domains: &[DomainName], suspend: bool) -> io::Result<()> {
        self.0.change(|suspended| {
            for domain in domains {
                if suspend {
                    suspended.insert(domain.clone());
                } else {
                    suspended.remove(domain);
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn domains(names: &[&str]) -> Vec<DomainName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_list_survives_a_restart() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        Suspended::load(folder.path()).change(&domains(&["a.example", "b.example"]), true)?;
        Suspended::load(folder.path()).change(&domains(&["a.example"]), false)?;
        let read = Suspended::load(folder.path());
        assert!(!read.holds(&domains(&["a.example", "c.example"])));
        assert!(read.holds(&domains(&["c.example", "b.example"])));
        Ok(())
    }

    #[test]
    fn a_damaged_list_counts_as_empty() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("suspended.json"), "{")?;
        assert!(!Suspended::load(folder.path()).holds(&domains(&["a.example"])));
        Ok(())
    }
}
