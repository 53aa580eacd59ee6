//! The SMTP engine of BackupMX: takes mail while a domain's own server (the primary) is down, holds it on disk, and
//! hands it over when the primary is back.
//!
//! A message goes one way: [`ingress`] → [`policy`] → [`spool`] → [`queue`] (which asks [`health`] and [`schedule`]) →
//! [`deliver`] → the primary; what can't be delivered goes through [`dsn`] and [`bounce`] back into the spool.
//! What DNS says of a client is looked up by [`observe`], after the answer.
//! `policy`, `health`, `schedule`, `smtp` and `dsn` are pure: no tokio, no clock, no I/O.

pub mod active;
pub mod admin;
pub mod board;
pub mod bounce;
pub mod cli;
pub mod clock;
pub mod deliver;
pub mod demo;
pub mod dsn;
pub mod engine;
pub mod health;
pub mod in_flight;
pub mod ingress;
pub mod message;
pub mod metrics;
pub mod observe;
pub mod outbox;
pub mod policy;
pub mod queue;
pub mod recent;
pub mod resolve;
pub mod schedule;
pub mod serve;
pub mod sink;
mod small_file;
pub mod smtp;
pub mod spool;
