//! The relay between other people's programs: Postfix as the primary and as the sender, swaks, Python's smtplib,
//! smtp-source and smtp-sink.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod postfix_as_primary;
mod postfix_as_sender;
mod primary_is_verified;
mod python_smtplib;
mod sink;
mod smtp_source_load;
mod swaks;
