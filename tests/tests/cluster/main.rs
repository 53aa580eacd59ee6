//! The operator and its relays on a real cluster: pods, volumes, load balancers, external-dns and a DNS server, all of
//! them real.
//!
//! `tests/cluster/up --dns` starts the cluster; `tests/cluster/down` takes it down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails at the line that is wrong, and shows what the cluster has then"
)]

mod api_server_restarts;
mod certificate_later;
mod claim_deleted;
mod config_change;
mod contract_version;
mod dns_life_cycle;
mod domain_removed;
mod eviction;
mod external_dns;
mod external_dns_flags;
mod external_dns_silent;
mod failover;
mod first_thread;
mod flush;
mod foreign_records;
mod forwarder;
mod full_volume;
mod keep_apart;
mod latch;
mod leaving;
mod manual;
mod namespace_deleted;
mod network_policy;
mod real_postfix;
mod registries;
mod relay_removed;
mod restricted;
mod rollout;
mod servfail;
mod service_missing;
mod stage;
mod when_published;
