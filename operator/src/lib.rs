//! The BackupMX controller.
//!
//! A resource goes one way: `dereference → validate → build → apply → status`. What decides is pure (no client, no
//! clock); only the first step and the last two hold a client.

pub mod allowed;
pub mod apply;
pub mod args;
pub mod cache;
pub mod check;
pub mod claims;
pub mod commands;
pub mod conflict;
pub mod controller;
pub mod dereference;
pub mod desired;
pub mod dns;
pub mod endpoints;
pub mod error;
pub mod events;
pub mod gate;
pub mod http;
pub mod labels;
pub mod lease;
pub mod lifecycle;
pub mod listed;
pub mod master_key;
pub mod metrics;
pub mod names;
pub mod open_files;
pub mod open_writes;
pub mod plan;
pub mod pod_trouble;
pub mod poll;
pub mod recipients;
pub mod relay_api;
pub mod run;
pub mod scraper;
pub mod settings;
pub mod status;
pub mod terms;
pub mod token;
pub mod validate;
pub mod validated;
