//! Every rule of the state machine, one test each.

mod any_event;
mod bench;
mod config;
mod deferring;
mod loops;
mod probes;
mod recovery;
mod sessions;
mod simulation;
mod storm;
mod storm_restart;
mod world;
