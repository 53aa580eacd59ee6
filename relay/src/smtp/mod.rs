//! SMTP's own words: paths, parameters, commands, replies and the framing of lines and content. Pure.

mod command;
mod data;
mod line;
mod path;
mod reply;
mod trace;
mod xtext;

pub use command::{Chunk, Command, CommandError, Mail, Rcpt, RcptTo};
pub use data::{DataDecoder, DataFault, DataLimits};
pub use line::{Line, LineFault, LineSplitter};
pub use path::{ForwardPath, PathError, ReversePath};
pub use reply::{EnhancedCode, Reply, ReplyParseError, ReplyParser};
pub use trace::TraceScan;
pub use xtext::XText;
