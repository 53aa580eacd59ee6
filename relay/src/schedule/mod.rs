//! When things happen: the back-off of probes, a message's own due time, how wide a drain runs, when mail expires, and
//! whether the wall clock is believed. Pure: time comes in as a parameter, and so does chance.

mod backoff;
mod clock_watch;
mod expiry;
mod message;
mod ramp;

pub use backoff::{Backoff, BackoffError, Jitter};
pub use clock_watch::{ClockTrust, ClockWatch, Jump};
pub use expiry::{Evidence, ExpiryInput, Handover, deadline, may_expire, warn_at, warn_due};
pub use message::message_due;
pub use ramp::Ramp;
