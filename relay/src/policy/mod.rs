//! Who may send what to whom. Pure: one directory of domains, one function that decides on a recipient.

mod directory;
mod verdict;

pub use directory::Directory;
pub use verdict::{Held, PrimaryFacts, Question, Refusal, Verdict, decide};
