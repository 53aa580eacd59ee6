//! Who may send what to whom, and how much of it. Pure: one directory of domains, one function that decides on a
//! recipient, one count of who has brought how much.

mod directory;
mod rate;
mod source;
mod verdict;

pub use directory::Directory;
pub use rate::{BURST, Rates, TooFast};
pub use source::network;
pub use verdict::{Held, PrimaryFacts, Question, Refusal, Verdict, decide};
