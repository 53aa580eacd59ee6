//! `backupmx-operator`: the BackupMX controller, and the custom resource definition that it works on.

use std::io::Write as _;

use clap::{Parser, Subcommand};

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Crd => std::io::stdout().write_all(backupmx_crds::to_yaml()?.as_bytes())?,
    }
    Ok(())
}
