//! The test kit of BackupMX: it starts the real programs as processes and talks to them over real sockets.
//!
//! Each test makes a [`Place`] of its own (a folder and a loopback address), so tests run side by side. Nothing leaves
//! the machine: all addresses are in 127.0.0.0/8, or in a [`cluster`] of the machine, and all names are reserved ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot be set up must fail at that line, and say so"
)]

mod admin;
mod certificate;
pub mod cluster;
mod config;
mod dns;
mod mail;
mod place;
mod postfix;
mod primary;
mod process;
mod program;
mod relay;
mod smtp;
mod tool;
mod volume;
mod wait;
mod watchdog;

pub use admin::Admin;
pub use certificate::Certificate;
pub use config::Config;
pub use dns::{Dns, Mode};
pub use mail::{Mail, results, same_content, without_trace};
pub use place::Place;
pub use postfix::{Postfix, Role};
pub use primary::{Answer, Received, ScriptedPrimary, Step, Visit};
pub use process::Process;
pub use program::program;
pub use relay::{Exit, Relay};
pub use smtp::{Reply, Smtp, Tls};
pub use tool::{Output, go, python, run, run_on, smtp_source, swaks};
pub use volume::Volume;
pub use wait::{LONG, SHORT, stays, wait_until, wait_value};
