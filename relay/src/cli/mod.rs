//! The command line: reads it, runs the relay or one of its companions, or talks to a relay that runs.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong command line or config, 128 and a signal's number where that ended a demo.

mod args;
mod client;
mod config;
mod lifeline;
mod logging;
mod messages;
mod output;
mod quarantine;
mod queue;
mod quick;
mod status;
mod surroundings;
mod text;

use std::{ffi::OsString, path::Path, process::ExitCode};

use backupmx_relay_config::RelayConfig;
use clap::Parser as _;

pub use args::{
    Cli, Command, ConfigCommand, Preset, QuarantineCommand, QueueCommand, RelayArgs, ServeArgs, SinkArgs, StateFilter,
};
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
    /// A signal of that number ended it: exit code 128 and that number, as a shell has it.
    #[error("")]
    Interrupted(u8),
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
        Err(CliError::Interrupted(signal)) => ExitCode::from(128 + signal),
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
            if args.while_stdin {
                lifeline::end_with_stdin();
            }
            let config = serve_config(&args)?;
            Ok(serve::run(config, args.config).await?)
        }
        Command::Config(command) => config::run(&command),
        Command::Status(args) => status::run(&args).await,
        Command::Queue(command) => queue::run(command).await,
        Command::Quarantine(command) => quarantine::run(command).await,
        Command::Sink(args) => {
            logging::init();
            if args.while_stdin {
                lifeline::end_with_stdin();
            }
            let options = sink::Options {
                listen: args.listen,
                directory: args.directory,
                hostname: args.hostname.to_string(),
                refuse: args.refuse,
            };
            Ok(sink::run(&options).map_err(anyhow::Error::from)?)
        }
        Command::Demo => match demo::run().await? {
            demo::End::Played => Ok(()),
            demo::End::Interrupted(signal) => Err(CliError::Interrupted(signal)),
        },
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_help_with_an_example() {
        fn look(command: &clap::Command, path: &str) {
            if command.get_subcommands().next().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Example") && help.contains("backupmx-relay"), "{path} has no example");
                assert!(command.get_about().is_some(), "{path} does not say what it does");
            }
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                look(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        let command = Cli::command();
        command.clone().debug_assert();
        look(&command, "backupmx-relay");
    }

    #[test]
    fn no_example_is_too_wide_for_a_terminal() {
        fn look(command: &clap::Command) {
            let help = command.get_after_help().map(|help| help.to_string()).unwrap_or_default();
            // Broken where it happens to end, a command can no longer be copied.
            let wide: Vec<_> = help.lines().filter(|line| line.starts_with(' ') && line.len() > 79).collect();
            assert_eq!(wide, Vec::<&str>::new(), "{}", command.get_name());
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }

    #[test]
    fn a_count_of_nothing_says_what_is_expected() {
        for count in ["0", "-1", "ten"] {
            let words = ["backupmx-relay", "queue", "list", &format!("--limit={count}")].map(str::to_owned);
            let error = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains("expected a whole number, 1 or more"), "{error}");
        }
    }

    #[test]
    fn the_examples_in_the_help_are_right() {
        fn look(command: &clap::Command, lines: &mut Vec<String>) {
            let help = command.get_after_help().map(|help| help.to_string()).unwrap_or_default();
            lines.extend(help.replace("\\\n", " ").lines().map(ToOwned::to_owned));
            command.get_subcommands().for_each(|inner| look(inner, lines));
        }
        let mut lines = Vec::new();
        look(&Cli::command(), &mut lines);
        let examples: Vec<_> = lines.iter().filter_map(|line| line.trim().strip_prefix("backupmx-relay ")).collect();
        assert!(examples.len() > 15, "{lines:#?}");
        for example in examples {
            let words = example.split_whitespace().take_while(|word| !["|", ">"].contains(word));
            let parsed = Cli::try_parse_from(std::iter::once("backupmx-relay").chain(words));
            assert!(parsed.is_ok(), "{example}: {}", parsed.map(|_| ()).unwrap_err());
        }
    }

    #[tokio::test]
    async fn exit_codes_tell_failed_from_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wrong.yaml");
        std::fs::write(&file, "contractVersion: 2").unwrap();
        let (file, folder) = (file.display().to_string(), folder.path().display().to_string());
        for (words, code) in [
            (vec!["--version"], 0),
            (vec!["queue", "--help"], 0),
            (vec!["config", "check", &file], 2),
            (vec!["serve", "--config", &file], 2),
            (vec!["serve", "--config", "/nonexistent/relay.yaml"], 2),
            (vec!["serve"], 2),
            (vec!["queue", "suspend"], 2),
            (vec!["queue", "show", "nonsense"], 2),
            (vec!["status", "--url", "https://a.example", "--token-file", &file], 2),
            (vec!["status", "--spool", &folder], 1),
            (vec!["queue", "flush", "--spool", &folder], 1),
        ] {
            let words = std::iter::once("backupmx-relay").chain(words.iter().copied());
            let found = run(words.clone().map(OsString::from)).await;
            assert_eq!(format!("{found:?}"), format!("{:?}", ExitCode::from(code)), "{:?}", words.collect::<Vec<_>>());
        }
    }
}
