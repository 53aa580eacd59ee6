//! A message as every part of the relay knows it: its id, its envelope, and how far its delivery has come.

mod envelope;
mod id;
mod state;

pub use envelope::{BodyType, Client, Envelope, Notify, Origin, Recipient, ReportContent, SpfVerdict, TlsUsed};
pub use id::{MessageId, ParseIdError};
pub use state::{MessageState, RecipientOutcome, RecipientState, Standing};
