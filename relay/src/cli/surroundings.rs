//! What the command line takes from the machine: read once, so that the defaults are a pure function of it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// What the command line takes from the machine.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Who runs the program.
    pub user: User,
    /// Whether the machine speaks IPv6.
    pub ip: IpFamilies,
    /// The machine's node name, as `uname -n` prints it.
    pub node: String,
    /// `/etc/hosts`, where the node name's long form may stand.
    pub hosts: String,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$BACKUPMX_SOCKET`.
    pub socket: Option<PathBuf>,
}

/// Who runs the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum User {
    /// May bind port 25 and write to `/var/lib`.
    Root,
    /// Anyone else.
    #[default]
    Other,
}

/// What the machine speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpFamilies {
    /// Both.
    #[default]
    Both,
    /// IPv4 alone, as in many containers.
    V4Only,
}

impl Surroundings {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            user: if rustix::process::geteuid().is_root() { User::Root } else { User::Other },
            // No such file: the kernel has no IPv6, and binding `[::]` fails.
            ip: if Path::new("/proc/net").is_dir() && !Path::new("/proc/net/if_inet6").exists() {
                IpFamilies::V4Only
            } else {
                IpFamilies::Both
            },
            node: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            hosts: fs::read_to_string("/etc/hosts").unwrap_or_default(),
            state_home: variable("XDG_STATE_HOME").filter(|path| path.is_absolute()),
            home: variable("HOME"),
            socket: variable("BACKUPMX_SOCKET"),
        }
    }

    /// The spool folder where none is named.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        match (self.user, &self.state_home, &self.home) {
            (User::Root, ..) => PathBuf::from("/var/lib/backupmx"),
            (User::Other, Some(state), _) => state.join("backupmx"),
            (User::Other, None, Some(home)) => home.join(".local/state/backupmx"),
            (User::Other, None, None) => PathBuf::from("backupmx-spool"),
        }
    }

    /// The machine's full name: the node name if it has a dot, else its long form in `/etc/hosts`, else as it is.
    #[must_use]
    pub fn full_name(&self) -> &str {
        if self.node.contains('.') {
            return &self.node;
        }
        self.hosts
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .filter_map(|line| {
                let names: Vec<&str> = line.split_whitespace().skip(1).collect();
                let ours = names.iter().any(|name| *name == self.node);
                names.into_iter().find(|name| ours && name.contains('.') && !name.starts_with("localhost"))
            })
            .next()
            .unwrap_or(&self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_is_where_a_person_would_look() {
        let home = Surroundings { home: Some("/home/ann".into()), ..Surroundings::default() };
        assert_eq!(home.spool(), Path::new("/home/ann/.local/state/backupmx"));
        let state = Surroundings { state_home: Some("/state".into()), ..home.clone() };
        assert_eq!(state.spool(), Path::new("/state/backupmx"));
        assert_eq!(Surroundings { user: User::Root, ..state }.spool(), Path::new("/var/lib/backupmx"));
        assert_eq!(Surroundings::default().spool(), Path::new("backupmx-spool"));
    }

    #[test]
    fn the_full_name_is_found_in_the_hosts_file() {
        let hosts = "127.0.0.1 localhost\n# 192.0.2.1 wrong.example mx1\n127.0.1.1\tmx1.example.net mx1 # me\n";
        for (node, name) in [("mx1", "mx1.example.net"), ("other", "other"), ("a.example", "a.example")] {
            let here = Surroundings { node: node.to_owned(), hosts: hosts.to_owned(), ..Surroundings::default() };
            assert_eq!(here.full_name(), name);
        }
    }
}
