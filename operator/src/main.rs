//! `backupmx-operator`: the BackupMX controller, and the custom resource definition that it works on.

use std::io::{IsTerminal as _, Write as _};

use backupmx_operator::{
    args::RunArgs,
    check::{
        install::{self, CheckInstallArgs},
        uninstall::{self, CheckUninstallArgs},
    },
    run,
};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// A backup mail exchange for any domain, on Kubernetes.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the custom resource definition as YAML.
    Crd,
    /// Watch BackupMX resources and make the cluster hold what they ask for.
    Run(Box<RunArgs>),
    /// Look whether the operator is at work: the definitions are there, and one has the lease.
    CheckInstall(CheckInstallArgs),
    /// Look whether the operator may go: fail where mail would be stranded, and say what to do.
    CheckUninstall(CheckUninstallArgs),
}

fn main() -> anyhow::Result<()> {
    let told = match Arguments::parse().command {
        Command::Crd => backupmx_crds::to_yaml()?,
        Command::Run(args) => {
            log();
            runtime()?.block_on(run::run(*args))?;
            String::new()
        }
        Command::CheckInstall(args) => runtime()?.block_on(install::run(&args))? + "\n",
        Command::CheckUninstall(args) => runtime()?.block_on(uninstall::run(&args))? + "\n",
    };
    std::io::stdout().write_all(told.as_bytes())?;
    Ok(())
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// What is logged where `BACKUPMX_LOG` says nothing. kube's client logs every answer that is not good as an error, a
/// conflict that passes too; what fails is logged where it is known what it means.
const LOGGED: &str = "info,kube_client=off";

/// Logs go to standard error: text on a terminal, one JSON object a line otherwise.
fn log() {
    let filter = EnvFilter::try_from_env("BACKUPMX_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { log.init() } else { log.json().with_span_list(false).init() }
}
