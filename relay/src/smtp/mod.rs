//! SMTP's own words: paths, parameters, commands, replies and the framing of lines and content. Pure.

mod path;
mod reply;
mod xtext;

pub use path::{ForwardPath, PathError, ReversePath};
pub use reply::{EnhancedCode, Reply, ReplyParseError, ReplyParser};
pub use xtext::XText;
