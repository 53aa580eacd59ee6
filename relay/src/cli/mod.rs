//! The command line: reads it, runs the relay or one of its companions, or talks to a relay that runs.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong command line or config.

mod args;
mod client;
mod config;
mod logging;
mod output;
mod queue;
mod quick;
mod status;
mod surroundings;
mod text;

use std::{ffi::OsString, path::Path, process::ExitCode};

use backupmx_relay_config::RelayConfig;
use clap::Parser as _;

pub use args::{Cli, Command, ConfigCommand, Preset, QueueCommand, RelayArgs, ServeArgs, SinkArgs, StateFilter};
pub use client::{Client, ClientError};
pub use quick::{QuickError, quick_config};
pub use surroundings::{IpFamilies, Surroundings, User};

use crate::{demo, serve, sink};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line or the config is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was tried and failed: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// What was to be said has been said: exit code 1.
    #[error("")]
    Said,
    /// Standard output was closed, as by `| head`: not an error.
    #[error("")]
    Closed,
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Usage(problem) => Self::Usage(problem),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the command that the arguments (the program's name first) spell.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // `--help` and `--version` come this way too, with code 0.
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match dispatch(cli.command).await {
        Ok(()) | Err(CliError::Closed) => ExitCode::SUCCESS,
        Err(CliError::Said) => ExitCode::FAILURE,
        Err(error @ CliError::Failed(_)) => {
            output::complain(&error);
            ExitCode::FAILURE
        }
        Err(error @ CliError::Usage(_)) => {
            output::complain(&error);
            ExitCode::from(2)
        }
    }
}

async fn dispatch(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(args) => {
            logging::init();
            let config = serve_config(&args)?;
            Ok(serve::run(config, args.config).await?)
        }
        Command::Config(command) => config::run(&command),
        Command::Status(args) => status::run(&args).await,
        Command::Queue(command) => queue::run(command).await,
        Command::Sink(args) => {
            logging::init();
            let options = sink::Options {
                listen: args.listen,
                directory: args.directory,
                hostname: args.hostname.to_string(),
                refuse: args.refuse,
            };
            Ok(sink::run(&options)?)
        }
        Command::Demo => Ok(demo::run().await?),
    }
}

fn serve_config(args: &ServeArgs) -> Result<RelayConfig, CliError> {
    match &args.config {
        Some(file) => config::load(file),
        None => quick_config(args, &Surroundings::read()).map_err(|error| CliError::Usage(error.to_string())),
    }
}

/// A file's name as errors show it.
fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}
