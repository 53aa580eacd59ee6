//! SMTP's own words: paths, parameters, commands, replies and the framing of lines and content. Pure.

mod path;
mod reply;

pub use path::{ForwardPath, PathError, ReversePath, XText};
pub use reply::{EnhancedCode, Reply, ReplyParseError};
