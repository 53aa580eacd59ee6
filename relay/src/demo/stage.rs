//! The stage: a temporary folder, free ports, and the processes that play.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use backupmx_relay_config::{
    AdminConfig, BouncePolicy, CONTRACT_VERSION, Host, HostPort, Limits, Listener, Primary, PrimaryHost, RelayConfig,
    ReportConfig, ResolverConfig, Span, SpoolConfig, Tenant, Timeouts, to_yaml,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

/// The domain whose primary goes away.
pub(super) const DOMAIN: &str = "example.org";
/// The domain of the person who writes.
pub(super) const SENDER_DOMAIN: &str = "sender.example";
/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One of the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The relay that the demo is about.
    Relay,
    /// The primary of [`DOMAIN`].
    Primary,
    /// The server of [`SENDER_DOMAIN`], which takes the bounce.
    SenderServer,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Primary => "primary",
            Self::SenderServer => "sender-server",
        }
    }
}

/// Folder, ports and processes.
pub(super) struct Stage {
    folder: PathBuf,
    kept: bool,
    program: PathBuf,
    relay_port: u16,
    primary_port: u16,
    sender_port: u16,
    playing: Vec<(Role, Child)>,
    stop: CancellationToken,
}

impl Stage {
    /// Makes the folder, picks ports, writes both configs. Starts nothing. Nothing is waited for once `stop` is cancelled.
    pub(super) fn build(stop: CancellationToken) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("backupmx-demo-{}", std::process::id()));
        fs::create_dir_all(folder.join("mailbox")).with_context(|| format!("failed to create {}", folder.display()))?;
        let [relay_port, primary_port, sender_port] = free_ports()?;
        let stage = Self {
            folder,
            kept: false,
            program: std::env::current_exe().context("failed to find this program")?,
            relay_port,
            primary_port,
            sender_port,
            playing: Vec::new(),
            stop,
        };
        let mut relay = stage.config(Role::Relay, "mx1.backup.example", DOMAIN, relay_port, primary_port)?;
        relay.tenants[0].bounce.policy = BouncePolicy::Always;
        relay.reports.smarthost = Some(HostPort { host: loopback(), port: sender_port });
        stage.write_config(Role::Relay, &relay)?;
        // Nothing listens on port 9 (discard): the sender's server keeps what it gets, where it can be looked at.
        let sender = stage.config(Role::SenderServer, "mail.sender.example", SENDER_DOMAIN, sender_port, 9)?;
        stage.write_config(Role::SenderServer, &sender)?;
        Ok(stage)
    }

    fn config(&self, role: Role, hostname: &str, domain: &str, port: u16, primary: u16) -> anyhow::Result<RelayConfig> {
        let mut tenant = Tenant {
            name: domain.to_owned(),
            domains: vec![domain.parse()?],
            accept: Default::default(),
            primary: Primary {
                hosts: vec![PrimaryHost { host: loopback(), port: primary, preference: 10 }],
                tls: Default::default(),
            },
            acceptance: Default::default(),
            hold: Default::default(),
            delivery: Default::default(),
            bounce: Default::default(),
            quota: Default::default(),
        };
        tenant.delivery.retry.min = Span::seconds(1);
        tenant.delivery.retry.max = Span::seconds(2);
        Ok(RelayConfig {
            contract_version: CONTRACT_VERSION,
            revision: 1,
            hostname: hostname.parse()?,
            listeners: vec![Listener { address: ([127, 0, 0, 1], port).into() }],
            tls: None,
            spool: SpoolConfig { path: self.folder.join(role.name()), size: None, segment_size: None },
            admin: AdminConfig::default(),
            resolver: ResolverConfig { nameservers: Vec::new(), allow_private: vec!["127.0.0.0/8".parse()?] },
            postmaster: None,
            reports: ReportConfig::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            tenants: vec![tenant],
        })
    }

    fn write_config(&self, role: Role, config: &RelayConfig) -> anyhow::Result<()> {
        let path = self.config_path(role);
        fs::write(&path, to_yaml(config)?).with_context(|| format!("failed to write {}", path.display()))
    }

    fn config_path(&self, role: Role) -> PathBuf {
        self.folder.join(format!("{}.yaml", role.name()))
    }

    /// The folder of everything.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the primary puts what it takes.
    pub(super) fn mailbox(&self) -> PathBuf {
        self.folder.join("mailbox")
    }

    /// The relay's SMTP port.
    pub(super) const fn relay_port(&self) -> u16 {
        self.relay_port
    }

    /// The primary's SMTP port.
    pub(super) const fn primary_port(&self) -> u16 {
        self.primary_port
    }

    /// Starts a process and waits until it takes connections.
    pub(super) fn enter(&mut self, role: Role) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.join(format!("{}.log", role.name())))?;
        let mut command = Command::new(&self.program);
        let port = match role {
            Role::Primary => {
                command.args(["sink", "--listen", &format!("127.0.0.1:{}", self.primary_port)]);
                command.args(["--hostname", "mail.example.org", "--refuse", "nobody", "--directory"]);
                command.arg(self.mailbox());
                self.primary_port
            }
            Role::Relay | Role::SenderServer => {
                command.args(["serve", "--config"]).arg(self.config_path(role));
                if role == Role::Relay { self.relay_port } else { self.sender_port }
            }
        };
        // In a group of its own, so that Ctrl-C on the terminal reaches the demo alone, which ends them in order. The pipe
        // tells it when the demo is no more, whatever ended that.
        command.arg("--while-stdin").stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("failed to start {}", role.name()))?;
        self.playing.push((role, child));
        self.wait(&format!("{} to take connections", role.name()), |stage| {
            if let Some((_, child)) = stage.playing.iter_mut().find(|(playing, _)| *playing == role)
                && let Some(status) = child.try_wait()?
            {
                bail!("{} ended at once: {status}", role.name());
            }
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        })
    }

    /// Kills a process as a power cut would (SIGKILL).
    pub(super) fn kill(&mut self, role: Role) -> anyhow::Result<()> {
        let position = self.playing.iter().position(|(playing, _)| *playing == role).context("it is not running")?;
        let (_, mut child) = self.playing.swap_remove(position);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Runs this program's command line against a role's socket.
    pub(super) fn command(&self, role: Role, arguments: &[&str]) -> anyhow::Result<String> {
        let socket = self.folder.join(role.name()).join("control.sock");
        let mut command = Command::new(&self.program);
        let output = command.args(arguments).arg("--socket").arg(socket).process_group(0).output()?;
        ensure!(
            output.status.success(),
            "`backupmx-relay {}` failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The held messages of a role.
    pub(super) fn queue(&self, role: Role) -> anyhow::Result<Vec<serde_json::Value>> {
        let text = self.command(role, &["queue", "list", "--json"])?;
        let listing: serde_json::Value = serde_json::from_str(&text)?;
        let messages = listing.get("messages").unwrap_or(&listing);
        Ok(messages.as_array().context("the queue's listing is not a list")?.clone())
    }

    /// Waits for something to become true.
    pub(super) fn wait(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        while !done(self)? {
            ensure!(!self.stop.is_cancelled(), "interrupted");
            ensure!(start.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Keeps the folder when the stage is torn down, and says where it is.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.kept = true;
        self.folder.clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (_, child) in &self.playing {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        for (_, child) in &mut self.playing {
            let patience = Instant::now() + Duration::from_secs(3);
            while Instant::now() < patience && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn loopback() -> Host {
    Host::Address(std::net::Ipv4Addr::LOCALHOST.into())
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
