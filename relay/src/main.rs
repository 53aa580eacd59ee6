//! The relay of BackupMX.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(backupmx_relay::cli::run(std::env::args_os())),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: failed to start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}
