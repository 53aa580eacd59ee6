//! The kit's own parts, against each other: what the other tests lean on must itself hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod dns;
mod postfix;
mod primary;
