//! Other people's mail programs.

use std::{
    io::Read,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use crate::watchdog;

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it printed to standard output.
    pub out: String,
    /// What it printed to either.
    pub text: String,
}

/// No command of a test takes so long: one that does hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs a command to its end, and until nobody holds its output any more.
///
/// # Panics
/// It cannot be started (`tests/run` installs what tests need), or it is not over after five minutes: then the message
/// has what runs below it, and it is killed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_on(command, Stdio::null())
}

/// As [`run`], with this to read.
///
/// # Panics
/// As [`run`].
#[track_caller]
pub fn run_on(command: &mut Command, input: impl Into<Stdio>) -> Output {
    watchdog::begin();
    within(command.stdin(input), LIMIT)
}

/// As [`run`], within that limit.
#[track_caller]
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Output {
    within(command.stdin(Stdio::null()), limit)
}

#[track_caller]
fn within(command: &mut Command, limit: Duration) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("failed to run {command:?} (tests/run installs what is missing): {error}"));
    let end = Instant::now() + limit;
    let (out, err) = (whole(child.stdout.take()), whole(child.stderr.take()));
    let left = || end.saturating_duration_since(Instant::now());
    let ended = (out.recv_timeout(left()).ok(), err.recv_timeout(left()).ok(), status(&mut child, end));
    let (Some(out), Some(err), Some(status)) = ended else {
        let below = children(child.id());
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} was not over after {} s; it, and what ran below it:\n{below}", limit.as_secs());
    };
    let out = String::from_utf8_lossy(&out).into_owned();
    let text = format!("{out}{}", String::from_utf8_lossy(&err));
    Output { ok: status.success(), code: status.code(), out, text }
}

/// A Go program of `tests/chart`, compiled once into the folder of other tools.
///
/// # Panics
/// It cannot be compiled.
#[must_use]
#[track_caller]
pub fn go(name: &str) -> Command {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = tests.join("../target/tools").join(name);
    let built = run(Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .env("CGO_ENABLED", "0")
        .current_dir(tests.join("chart").join(name)));
    assert!(built.ok, "{}", built.text);
    Command::new(program)
}

/// All that comes out of a pipe, once it is closed by everybody.
fn whole(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (give, take) = mpsc::channel();
    thread::spawn(move || {
        let mut octets = Vec::new();
        // What was read until the pipe broke is what there is.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut octets));
        // Nobody takes it where the limit is over.
        let _ = give.send(octets);
    });
    take
}

/// How a child ended; none where it still runs at `end`.
fn status(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().expect("the system says how a child ended") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A process and all below it, with what each waits for in the kernel.
pub(crate) fn children(id: u32) -> String {
    let Ok(all) = Command::new("ps").args(["-e", "-o", "pid=,ppid=,stat=,etime=,wchan:24=,args="]).output() else {
        return "(ps cannot be run)".to_owned();
    };
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    let number = |line: &str, field: usize| line.split_whitespace().nth(field).and_then(|text| text.parse().ok());
    let mut family = vec![id];
    // Parents come before their children but where numbers have begun anew.
    for _ in 0..8 {
        for line in all.lines() {
            if let (Some(own), Some(parent)) = (number(line, 0), number(line, 1))
                && family.contains(&parent)
                && !family.contains(&own)
            {
                family.push(own);
            }
        }
    }
    let of = |line: &&str| number(line, 0).is_some_and(|own| family.contains(&own));
    all.lines().filter(of).collect::<Vec<_>>().join("\n")
}

/// Runs Postfix' load generator against a server with these arguments.
#[track_caller]
pub fn smtp_source(server: SocketAddr, arguments: &[&str]) -> Output {
    run(Command::new("smtp-source").args(arguments).arg(format!("inet:{server}")))
}

/// Runs swaks against a server with these arguments.
#[track_caller]
pub fn swaks(server: SocketAddr, arguments: &[&str]) -> Output {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    run(Command::new("swaks").args(["--server", &host, "--port", &port]).args(arguments))
}

/// Runs a Python program with these arguments.
#[track_caller]
pub fn python(program: &str, arguments: &[&str]) -> Output {
    run(Command::new("python3").arg("-c").arg(program).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_was_printed_and_how_it_ended() {
        let output = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        assert_eq!((output.ok, output.code), (false, Some(3)));
        assert_eq!((output.out.as_str(), output.text.as_str()), ("out\n", "out\nerr\n"));
    }

    #[test]
    #[should_panic(expected = "sleep 60")]
    fn says_what_runs_below_a_command_that_hangs() {
        run_within(Command::new("sh").args(["-c", "sleep 60; true"]), Duration::from_millis(200));
    }

    #[test]
    #[should_panic(expected = "was not over after")]
    fn waits_for_whoever_holds_the_output() {
        run_within(Command::new("sh").args(["-c", "sleep 5 &"]), Duration::from_millis(200));
    }
}
