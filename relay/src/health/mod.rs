#![doc = include_str!("README.md")]

mod effect;
mod endpoint;
mod event;
mod lookup;
mod machine;
mod party;
mod phase;
mod probation;
mod query;
mod session;
mod settings;
mod storm;
mod trial;
mod verdict;
mod wake;

#[cfg(test)]
mod tests;

pub use effect::{Effect, StormEnd};
pub use endpoint::{EndpointKey, Listed};
pub use event::{Backlog, Event, Now, OpenFailure, Outcome, Purpose, Transient};
pub use machine::Health;
pub use party::Party;
pub use probation::StormTarget;
pub use settings::Settings;
pub use storm::StormRecord;

pub use crate::spool::Reach;
