//! The relay as a process: one behaviour a file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod common;

mod admin_api;
mod answers_451_to_all;
mod bounce_on_5xx;
mod bounds;
mod certificate_reload;
mod chunking;
mod clock_doubt;
mod config_errors;
mod config_reload_under_load;
mod crash_after_250;
mod damaged_spool;
mod dead_resolver;
mod defer;
mod drain_order;
mod etrn_and_flush;
mod expiry;
mod expiry_after_a_week_off;
mod extend_until;
mod flapping;
mod full_volume;
mod greylisting;
mod held_then_delivered;
mod loops;
mod metrics_and_status;
mod mx_points_at_loopback;
mod no_bounce_to_forged;
mod null_sender;
mod one_of_three_deferred;
mod oversize;
mod own_due_time;
mod pipelining;
mod poison_message;
mod postmaster;
mod primary_abilities;
mod primary_dies_at_each_step;
mod private_files;
mod queue_commands;
mod quick_serve;
mod quota;
mod quoted_and_xtext;
mod reject_storm;
mod relayed;
mod retry_slides;
mod several_hosts;
mod sigterm_under_load;
mod slow_clients;
mod smuggling;
mod starttls_injection;
mod suspension_outlives_a_rename;
mod two_processes_one_spool;
mod unknown_domain;
mod warning;
