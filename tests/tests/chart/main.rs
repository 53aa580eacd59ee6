//! The Helm chart and the examples, on a real cluster in which pods run. Needs root.
//!
//! The images are made by `tests/cluster/images`; `tests/cluster/down` takes the cluster down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod a_minute_or_more;
mod alerts;
mod alerts_fire;
mod check_before_uninstall;
mod common;
mod examples;
mod forbidden;
mod generated;
mod gitops;
mod health_check;
mod labels;
mod lifecycle;
mod lint;
mod metric_names;
mod namespaces;
mod people;
mod readme;
mod rights;
mod runbooks;
mod strict;
mod values;
