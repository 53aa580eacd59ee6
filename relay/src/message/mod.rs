//! A message as every part of the relay knows it: its id, its envelope, what DNS said of its client, and how far
//! its delivery has come.

mod envelope;
mod id;
mod observed;
mod state;

pub use envelope::{BodyType, Client, Envelope, Notify, Origin, Recipient, ReportContent, SpfVerdict, TlsUsed};
pub use id::{MessageId, ParseIdError};
pub use observed::{Observed, ReverseName, SpfIdentity};
pub use state::{MessageState, RecipientOutcome, RecipientState, Speaker, Standing};
