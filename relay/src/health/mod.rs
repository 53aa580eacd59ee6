//! What is known of one primary, and what is to be done about it. Pure: no clock, no network, no chance of its own.
//!
//! There is one [`Health`] for each tenant. Its shell (the queue) hands it an [`Event`] for everything that happens, and
//! executes the [`Effect`]s that come back, in order. After each step it reads [`Health::next_wake`] and sends
//! [`Event::Tick`] at that moment, and [`Health::concurrency`], which says how many deliveries may run at once.

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
pub use settings::Settings;
