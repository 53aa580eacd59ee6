//! The operator and its API on a real API server: everything that can be seen without pods.
//!
//! `tests/cluster/up --control-plane-only` starts the API server; `tests/cluster/down` takes it down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod common;
mod dns;
mod smallest;
