//! The operator as a process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{Admin, LONG, Place, Process, program, wait_until};

/// How an operator is started.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    /// The operator's own namespace: its Lease and the DNSEndpoints.
    pub namespace: String,
    /// The only namespace that it watches. None: all of them.
    pub watch: Option<String>,
    /// How it reaches the API server.
    pub kubeconfig: PathBuf,
    /// By this the Lease says who leads.
    pub identity: String,
    /// The image of the relay pods.
    pub relay_image: String,
    /// What its relays' tokens are derived from; operators that take turns share it.
    pub master_key: String,
    /// More arguments of `run`.
    pub arguments: Vec<String>,
    /// Its soft limit on open files, as its container would have it. None: that of the test.
    pub open_files: Option<u32>,
}

impl OperatorOptions {
    /// With a name, an image and a key that do for most tests.
    #[must_use]
    pub fn new(namespace: &str, watch: Option<&str>, kubeconfig: &Path) -> Self {
        Self {
            namespace: namespace.to_owned(),
            watch: watch.map(str::to_owned),
            kubeconfig: kubeconfig.to_owned(),
            identity: "operator-a".to_owned(),
            relay_image: "localhost/backupmx-relay:test".to_owned(),
            master_key: "the master key of all operators of tests".to_owned(),
            arguments: Vec::new(),
            open_files: None,
        }
    }
}

/// A running `backupmx-operator run`. Killed when dropped; its log is shown when the test fails.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    options: OperatorOptions,
    place: Place,
}

impl Operator {
    /// Starts it and waits until it says that it is ready: its caches are filled.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    #[must_use]
    #[track_caller]
    pub fn start(options: OperatorOptions) -> Self {
        let mut operator = Self::begin(options);
        operator.wait_ready();
        operator
    }

    /// Starts it, and waits for nothing.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    #[track_caller]
    pub fn begin(options: OperatorOptions) -> Self {
        let place = Place::new();
        fs::write(place.file("master.key"), &options.master_key).unwrap();
        let process = run(&options, &place);
        Self { process, options, place }
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        wait_until(&format!("{} is ready", self.options.identity), LONG, || {
            if let Some(status) = self.process.ended() {
                panic!("the operator ended at its start ({status}):\n{}", self.log());
            }
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Waits until it has the lease.
    ///
    /// # Panics
    /// It ends, or does not get it in time.
    #[track_caller]
    pub fn wait_leads(&mut self) {
        wait_until(&format!("{} leads", self.options.identity), LONG, || {
            if let Some(status) = self.process.ended() {
                panic!("the operator ended ({status}):\n{}", self.log());
            }
            self.leads()
        });
    }

    /// Whether it says that it has the lease.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.metric("backupmx_operator_leader") == Some(1.0)
    }

    /// The value of a metric, labels and all, such as `backupmx_operator_passes_total{result="ok"}`; none where it is
    /// not served.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// What it answers on its port for health and metrics: the status code and the body; none where nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = Admin::tcp(self.place.health()).get(path)?;
        Some((answer.status, answer.body))
    }

    /// SIGTERM, and waits for the end. Says how it ended and how long that took.
    ///
    /// # Panics
    /// It is not over after 20 s.
    #[track_caller]
    pub fn stop(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.process.signal(Signal::TERM);
        (self.wait_ended(), start.elapsed())
    }

    /// Waits for the end, after SIGTERM, and says how it ended.
    ///
    /// # Panics
    /// It is not over after 20 s.
    #[track_caller]
    pub fn wait_ended(&mut self) -> ExitStatus {
        self.process.wait(Duration::from_secs(20)).expect("the operator leaves on SIGTERM")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// How it ended; none while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// Starts it again, after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Panics
    /// It still runs, or is not ready in time.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.ended().is_some(), "the operator still runs");
        self.process = run(&self.options, &self.place);
        self.wait_ready();
    }

    /// What it was started with; changes count at the next start.
    pub fn options(&mut self) -> &mut OperatorOptions {
        &mut self.options
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn run(options: &OperatorOptions, place: &Place) -> Process {
    let mut command = match options.open_files {
        None => Command::new(program("backupmx-operator")),
        Some(files) => {
            let mut limited = Command::new("prlimit");
            limited.arg(format!("--nofile={files}:")).arg(program("backupmx-operator"));
            limited
        }
    };
    command
        .arg("run")
        .args(["--namespace", &options.namespace, "--identity", &options.identity])
        .args(["--relay-image", &options.relay_image, "--http", &place.health().to_string()])
        .arg("--master-key-file")
        .arg(place.file("master.key"))
        .env("KUBECONFIG", &options.kubeconfig)
        .env("BACKUPMX_LOG", "info,backupmx_operator=debug");
    if let Some(namespace) = &options.watch {
        command.args(["--watch-namespace", namespace]);
    }
    // Nothing asks the machine's own resolver, even where a test does without DNS.
    if !options.arguments.iter().any(|argument| argument == "--nameserver") {
        command.args(["--nameserver", &place.dns().to_string()]);
    }
    command.args(&options.arguments);
    Process::start(&mut command, &place.file("operator.log"))
}
