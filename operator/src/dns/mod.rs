//! What DNS says of the domains and of the relay host names.
//!
//! external-dns' own status says only that it has read an object, so publication is believed when the zone's own
//! servers answer with the records, and not before:
//!
//! | module | |
//! |---|---|
//! | [`wire`] | one question to one server: UDP, then TCP |
//! | [`authority`] | whom to ask: the zone's own servers, or those of the command line |
//! | [`survey`] | what several servers say of one record set |
//! | [`ownership`] | external-dns' ownership record: its name and its text; pure |
//! | [`lookup`] | what is asked of a domain, of a host name and of a load balancer's name |
//! | [`pace`] | how soon to ask again; pure |
//! | [`asker`] | asks beside the passes, which take the newest answer that is known |
//! | [`verdict`] | what follows from it all, as a reason and a message; pure |

pub mod asker;
pub mod authority;
pub mod lookup;
pub mod ownership;
pub mod pace;
pub mod survey;
pub mod verdict;
pub mod wire;

#[cfg(test)]
pub(crate) mod tests;
