//! Other people's mail programs.

use std::{net::SocketAddr, process::Command};

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

/// Runs a command to its end.
///
/// # Panics
/// It cannot be started; `tests/run` installs what tests need.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("failed to run {command:?} (tests/run installs what is missing): {error}"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    Output { ok: output.status.success(), code: output.status.code(), out, text }
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
