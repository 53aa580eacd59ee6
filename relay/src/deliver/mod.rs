//! The SMTP client: one [`Session`] with one server, any number of transactions in it.
//!
//! [`Session::open`] connects, reads the greeting, says EHLO and starts TLS as the mode asks. [`Session::send`] hands
//! one message over and says what became of each recipient. Nothing here retries, waits for a due time or knows a
//! tenant: that is the queue's business. What a reply means is judged by [`classify`], which is pure, as are the
//! commands ([`command`]), the state of a transaction ([`exchange`]) and what is done to the content on its way
//! ([`content`], [`header`], [`mod@trace`], [`results`]).

mod bdat;
mod capabilities;
mod classify;
mod command;
mod content;
mod exchange;
#[cfg(test)]
pub(crate) mod fake;
mod fault;
mod header;
mod hurry;
mod quirks;
mod results;
mod session;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod tls;
mod trace;
mod transfer;
mod wire;

pub use capabilities::Capabilities;
pub use classify::{Class, classify};
pub use exchange::{Outcome, SessionEnd, Transaction};
pub use fault::{Fault, Lost, OpenError, Stage};
pub use hurry::Hurry;
pub use quirks::Quirks;
pub use session::Session;
pub use settings::{Endpoint, Settings, Timeouts};
pub use tls::{ClientTls, ClientTlsError};
pub use trace::trace;
