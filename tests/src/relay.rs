//! The relay as a process.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use backupmx_relay_config::status::{PrimaryState, RelayStatus};
use rustix::process::Signal;

use crate::{Admin, Config, LONG, Output, Place, Process, SHORT, Smtp, wait_until};

/// What the relay logs: all that it does by default, and when it is on disk that a message is done.
const LOG: &str = "info,backupmx_relay::queue::verdicts=debug";

/// A running relay: `backupmx-relay serve --config FILE`. Killed when dropped; its log is shown when the test fails.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    config: Config,
    file: PathBuf,
    log: PathBuf,
    smtp: SocketAddr,
    health: SocketAddr,
}

/// How a relay ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it took from the signal to the end.
    pub took: Duration,
}

impl Relay {
    /// Starts a relay and waits until it takes mail.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    #[must_use]
    #[track_caller]
    pub fn start(place: &Place, config: Config) -> Self {
        Self::start_by(place, config, &mut Command::new(Self::program()))
    }

    /// As [`Self::start`], by a command that ends in the program, such as `prlimit --nofile=64 PROGRAM`.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    #[must_use]
    #[track_caller]
    pub fn start_by(place: &Place, config: Config, command: &mut Command) -> Self {
        let file = place.file("relay.yaml");
        fs::write(&file, config.yaml()).unwrap();
        let log = place.file("relay.log");
        let command = command.arg("serve").arg("--config").arg(&file).env("BACKUPMX_LOG", LOG);
        let process = Process::start(command, &log);
        let mut relay = Self { process, config, file, log, smtp: place.smtp(), health: place.health() };
        relay.wait_ready();
        relay
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        let Self { process, health, log, smtp, .. } = self;
        wait_until("the relay is ready", LONG, || {
            if let Some(status) = process.ended() {
                panic!("the relay ended at its start ({status}):\n{}", crate::process::tail(log, 4000));
            }
            Admin::tcp(*health).get("/readyz").is_some_and(|answer| answer.status == 200)
                && TcpStream::connect(*smtp).is_ok()
        });
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same folder, after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Panics
    /// It still runs, or is not ready in time.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.begin_again();
        self.wait_ready();
    }

    /// As [`Self::start_again`], and waits for nothing.
    ///
    /// # Panics
    /// It still runs.
    #[track_caller]
    pub fn begin_again(&mut self) {
        assert!(self.process.ended().is_some(), "the relay still runs");
        self.process = serve(&self.file, &self.log);
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// It is not over after 20 s.
    #[track_caller]
    pub fn stop(&mut self) -> Exit {
        let start = Instant::now();
        self.process.signal(Signal::TERM);
        let status = self.process.wait(Duration::from_secs(20)).expect("the relay leaves on SIGTERM");
        Exit { status, took: start.elapsed() }
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its config as the test made it.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Replaces its config file, as an editor does (a new file, then a rename). It is not told.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write_config(&mut self, config: Config) {
        self.write_config_text(&config.yaml());
        self.config = config;
    }

    /// As [`Self::write_config`], with the next revision; waits until it is in force.
    ///
    /// # Panics
    /// The file cannot be written, or the relay does not take it.
    #[track_caller]
    pub fn change_config(&mut self, config: Config) {
        let revision = self.status().config_revision + 1;
        self.write_config(config.set("/revision", revision));
        wait_until("the new config is in force", SHORT, || self.status().config_revision == revision);
    }

    /// As [`Self::write_config`], with any text.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write_config_text(&self, text: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A new SMTP session, greeting read.
    #[must_use]
    #[track_caller]
    pub fn connect(&self) -> Smtp {
        Smtp::connect(self.smtp)
    }

    /// A new SMTP session, EHLO said.
    #[must_use]
    #[track_caller]
    pub fn session(&self) -> Smtp {
        Smtp::session(self.smtp)
    }

    /// Its admin API over the Unix socket.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::unix(self.config.spool().join("control.sock"))
    }

    /// What it says of itself.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> RelayStatus {
        let answer = self.admin().get("/v1/status").expect("the relay answers on its socket");
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error} in {}", answer.body))
    }

    /// How many messages it holds for its tenants, whatever they wait for.
    #[must_use]
    #[track_caller]
    pub fn held(&self) -> u64 {
        self.status().tenants.iter().map(|tenant| tenant.queue.messages).sum()
    }

    /// The state of the first tenant's primary.
    #[must_use]
    #[track_caller]
    pub fn primary_state(&self) -> PrimaryState {
        self.status().tenants[0].primary.state
    }

    /// Waits until it holds nothing: no mail, no reports.
    ///
    /// # Panics
    /// It still holds something after `limit`.
    #[track_caller]
    pub fn wait_empty(&self, limit: Duration) {
        wait_until("the relay holds nothing", limit, || self.status().queue.messages == 0);
    }

    /// Waits until it holds that many messages.
    ///
    /// # Panics
    /// It does not within 15 s.
    #[track_caller]
    pub fn wait_held(&self, messages: u64) {
        wait_until(&format!("the relay holds {messages} messages"), SHORT, || self.held() == messages);
    }

    /// Waits until the first tenant's primary is seen in that state.
    ///
    /// # Panics
    /// It is not within a minute.
    #[track_caller]
    pub fn wait_primary(&self, state: PrimaryState) {
        wait_until(&format!("the primary is seen {state:?}"), LONG, || self.primary_state() == state);
    }

    /// The value of a metric, labels and all, such as `backupmx_messages_taken_total{tenant="example"}`; none where it
    /// is not served.
    ///
    /// # Panics
    /// Metrics are not served.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, name: &str) -> Option<f64> {
        let answer = Admin::tcp(self.health).get("/metrics").expect("metrics are served");
        answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// Runs the relay's program with other arguments, its socket given.
    #[must_use]
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(Self::program());
        command.args(arguments).env("BACKUPMX_SOCKET", self.config.spool().join("control.sock"));
        crate::tool::run(&mut command)
    }

    /// The program; see [`crate::program`].
    ///
    /// # Panics
    /// It cannot be built.
    #[must_use]
    pub fn program() -> &'static Path {
        crate::program("backupmx-relay")
    }
}

fn serve(file: &Path, log: &Path) -> Process {
    Process::start(Command::new(Relay::program()).arg("serve").arg("--config").arg(file).env("BACKUPMX_LOG", LOG), log)
}
