//! Stories of planning, by what they are about.

mod claims;
mod cluster;
mod deletion;
mod dns;
mod domains;
mod leaving_domains;
mod orders;
mod publication;
mod quiet;
mod relays;
mod rights;
mod rollouts;
mod strays;

pub(crate) use cluster::{Cluster, leave};
