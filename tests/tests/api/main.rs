//! The operator and its API on a real API server: everything that can be seen without pods.
//!
//! `tests/cluster/up --control-plane-only` starts the API server; `tests/cluster/down` takes it down.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod a_minute_or_more;
mod allowed_domains;
mod another_master_key;
mod api_server_restarts;
mod claim_deleted;
mod claim_lost;
mod closed_for_good;
mod columns;
mod common;
mod config_refused;
mod config_undelivered;
mod conflicts;
mod contract_upgrade;
mod copies;
mod deletion;
mod dns;
mod dns_leaving;
mod dns_reasons;
mod dns_scene;
mod draining_counts;
mod event_survives_kill;
mod events;
mod examples;
mod explain;
mod faults;
mod flush;
mod foreign_fields;
mod foreign_objects;
mod given_cluster;
mod invalid_spec;
mod kstatus;
mod leader;
mod leaving_repaired;
mod long_lists;
mod malformed;
mod old_leader;
mod one_domain_of_two;
mod one_domain_ordered;
mod only_what_changed;
mod open_files;
mod operator_restarts;
mod pod_reason;
mod pod_resources;
mod primary_ready_meanwhile;
mod primary_reasons;
mod queue_reasons;
mod quota;
mod reference_missing;
mod refused;
mod relay_removed;
mod release_spent;
mod restarts_in_retirement;
mod schema;
mod server_side_apply;
mod settled;
mod smallest;
mod stale_cache;
mod standby;
mod stays_ready;
mod suspended;
mod taken;
mod upkeep;
