//! A child process whose output goes to a file.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A child process whose output goes to a file; killed when this is dropped. Its log is shown when the test fails.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a program; its output is appended to `log`.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        Self { child, log: log.to_owned(), status: None }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal; nothing where it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // Between the check and this it may have ended by itself, which the caller sees at its next wait.
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended; none while it runs.
    ///
    /// # Panics
    /// The system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits until it ends; none where it does not within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if start.elapsed() > limit {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// `kill -9`, and waits for the end.
    ///
    /// # Panics
    /// It outlives that.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert!(self.wait(Duration::from_secs(30)).is_some(), "a process outlived kill -9");
    }

    /// Whether it was ended by that signal.
    #[must_use]
    pub fn was_killed_by(&self, signal: i32) -> bool {
        self.status.is_some_and(|status| status.signal() == Some(signal))
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- {} (its end)\n{}\n---", self.log.display(), tail(&self.log, 6000));
        }
    }
}

/// The last octets of a file, as text.
pub(crate) fn tail(path: &Path, octets: u64) -> String {
    let Ok(mut file) = File::open(path) else { return "(no such file)".to_owned() };
    let length = file.metadata().map_or(0, |about| about.len());
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(length.saturating_sub(octets))).and_then(|_| file.read_to_end(&mut bytes)).is_err() {
        return "(unreadable)".to_owned();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
