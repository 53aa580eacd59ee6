//! The asking, against real name servers.

pub(crate) mod seen;
