//! DNS: the addresses of a host, the mail exchangers of a domain, the names of an address, and which addresses a
//! stranger's record may point us at. Nothing that a client waits for uses it: DNS that does not answer never delays
//! taking mail.

#[cfg(test)]
pub(crate) mod fake;
mod mx;
mod reach;
mod resolver;
mod shared;
#[cfg(test)]
mod tests;

pub use mx::MxAnswer;
pub use reach::{is_public, may_reach};
pub use resolver::{ResolveError, Resolver};
pub use shared::SharedResolver;
