//! A real Postfix: an instance of its own in a temporary folder, with its own ports.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Certificate, LONG, Place, Smtp, tool::run, wait_until};

/// What an instance of Postfix is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The primary of `example.org`: takes all its mail but that for `nosuch@example.org`, and offers STARTTLS.
    Primary,
    /// A sender: takes any mail and sends it to that server, trying again every second or two.
    Sender(SocketAddr),
}

/// An instance of Postfix; stopped when this is dropped. Its log is shown when the test fails.
#[derive(Debug)]
pub struct Postfix {
    folder: PathBuf,
    address: SocketAddr,
    runs: bool,
}

const SERVICES: &str = "\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n -  0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -  - trivial-rewrite
bounce    unix  - - n -  0 bounce
defer     unix  - - n -  0 bounce
trace     unix  - - n -  0 bounce
verify    unix  - - n -  1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n -  - proxymap
smtp      unix  - - n -  - smtp
relay     unix  - - n -  - smtp
error     unix  - - n -  - error
retry     unix  - - n -  - error
discard   unix  - - n -  - discard
virtual   unix  - n n -  - virtual
anvil     unix  - - n -  1 anvil
scache    unix  - - n -  1 scache
postlog   unix-dgram n - n - 1 postlogd
";

impl Postfix {
    /// Makes an instance and starts it at that address.
    ///
    /// # Panics
    /// It takes root, and the Debian package `postfix`.
    #[must_use]
    #[track_caller]
    pub fn start(place: &Place, address: SocketAddr, role: Role) -> Self {
        let mut instance = Self::make(place, address, role);
        instance.start_again();
        instance
    }

    /// Makes an instance that does not run yet.
    ///
    /// # Panics
    /// It takes root, and the Debian package `postfix`.
    #[must_use]
    #[track_caller]
    pub fn make(place: &Place, address: SocketAddr, role: Role) -> Self {
        assert!(rustix::process::geteuid().is_root(), "Postfix starts as root only: run this test as root");
        let folder = place.file(&format!("postfix-{}", address.port()));
        for (name, owner) in [("etc", "root"), ("queue", "root"), ("data", "postfix"), ("mail", "nobody")] {
            let path = folder.join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            if owner != "root" {
                chown(&path, Some(user_id(owner)), None).unwrap();
            }
        }
        let etc = folder.join("etc");
        let certificate = Certificate::new("primary.example.org");
        certificate.write(&etc);
        fs::write(etc.join("main.cf"), main_cf(&folder, role)).unwrap();
        fs::write(etc.join("mailboxes"), "!/^nosuch@/ all/\n").unwrap();
        fs::write(etc.join("master.cf"), format!("{address} inet n - n - - smtpd\n{SERVICES}")).unwrap();
        Self { folder, address, runs: false }
    }

    /// Sets a parameter of its `main.cf`, before it starts.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn set(&self, name: &str, value: &str) {
        let path = self.folder.join("etc/main.cf");
        let text = fs::read_to_string(&path).unwrap();
        // One that stands there twice is warned of by each program that starts: where these are more at once than the log
        // service's socket holds, the service waits for itself for ever.
        let others = text.lines().filter(|line| line.split_once(" =").is_none_or(|(known, _)| known != name));
        let text: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(path, format!("{text}{name} = {value}\n")).unwrap();
    }

    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn start_again(&mut self) {
        let output = self.control("start");
        assert!(output.ok, "Postfix does not start: {}", output.text);
        self.runs = true;
        wait_until("Postfix answers", LONG, || {
            Smtp::try_open(self.address)
                .and_then(|mut session| session.try_reply())
                .is_ok_and(|reply| reply.code == 220)
        });
    }

    /// Stops it.
    pub fn stop(&mut self) {
        if std::mem::take(&mut self.runs) {
            let output = self.control("stop");
            if !output.ok {
                eprintln!("Postfix does not stop: {}", output.text);
            }
        }
    }

    /// Its own folder, with its configuration in `etc`: to run it by other means than [`Self::start_again`].
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it takes mail.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The messages that it put in its mailbox (every recipient's is the same), in no order.
    ///
    /// # Panics
    /// The mailbox cannot be read.
    #[must_use]
    pub fn mailbox(&self) -> Vec<Vec<u8>> {
        let folder = self.folder.join("mail/all/new");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        entries.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    /// How many messages are in its mailbox.
    #[must_use]
    pub fn count(&self) -> usize {
        fs::read_dir(self.folder.join("mail/all/new")).map_or(0, Iterator::count)
    }

    /// How many messages wait in its queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        ["incoming", "active", "deferred"].iter().map(|name| files(&self.folder.join("queue").join(name))).sum()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn control(&self, verb: &str) -> crate::Output {
        run(Command::new("postfix").arg("-c").arg(self.folder.join("etc")).arg(verb))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- Postfix at {} (its log's end)", self.address);
            eprintln!("{}\n---", crate::process::tail(&self.folder.join("log"), 4000));
        }
    }
}

fn main_cf(folder: &Path, role: Role) -> String {
    let folder = folder.display();
    let common = format!(
        "compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop
inet_protocols = ipv4
inet_interfaces = loopback-only
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
header_size_limit = 1048576
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtputf8_enable = yes
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_cert_file = {folder}/etc/tls.crt
smtpd_tls_key_file = {folder}/etc/tls.key
"
    );
    let own = match role {
        Role::Primary => format!(
            "myhostname = primary.example.org
virtual_mailbox_domains = example.org
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = regexp:{folder}/etc/mailboxes
virtual_uid_maps = static:{0}
virtual_gid_maps = static:{0}
smtpd_recipient_restrictions = reject_unauth_destination
",
            user_id("nobody")
        ),
        Role::Sender(next) => format!(
            "myhostname = mail.sender.test
relayhost = [{}]:{}
smtp_tls_security_level = may
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
smtp_line_length_limit = 0
",
            next.ip(),
            next.port()
        ),
    };
    common + &own
}

/// The id of a user of this machine.
fn user_id(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name);
    user.unwrap_or_else(|| panic!("no user {name}; the Debian package postfix makes its own"))[2].parse().unwrap()
}

/// Regular files in a folder and below.
fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(_) => 1,
            Err(_) => 0,
        })
        .sum()
}
