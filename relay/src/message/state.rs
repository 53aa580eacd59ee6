//! How far the delivery of a message has come.

use serde::{Deserialize, Serialize};

use super::Observed;
use crate::{clock::Timestamp, smtp::Reply};

/// How far the delivery of a message has come. Written to the spool as a whole at every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// What the message waits for.
    pub standing: Standing,
    /// One for each recipient of the envelope, in its order.
    pub recipients: Vec<RecipientState>,
    /// When this message may next be tried, where it has a due time of its own (a 4xx while the primary was up). None:
    /// as soon as its destination takes mail.
    pub due: Option<Timestamp>,
    /// Tries that ended in a 4xx for at least one recipient.
    pub attempts: u32,
    /// The sender was told that the mail is late, or it was decided that it is not to be told.
    pub warned: bool,
    /// What DNS said of the client; entered by the spool when it is known, and kept from then on.
    #[serde(default, skip_serializing_if = "Observed::is_empty")]
    pub observed: Observed,
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// For its destination.
    Queued,
    /// For a person: its destination rejected it, and `onReject` is `Hold`.
    Rejected,
    /// For the end of its destination's trial: it was rejected while no reject was final.
    Withheld,
    /// For a person: it goes in a circle, as was found when it was to be delivered.
    Looping,
    /// For its end: it can't be delivered, and its sender may not be told.
    Parked,
}

/// How far delivery to one recipient has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientState {
    /// The outcome, where there is one.
    pub outcome: RecipientOutcome,
    /// The last answer for this recipient.
    pub last: Option<Reply>,
    /// Whose answer that is.
    #[serde(default, skip_serializing_if = "Speaker::is_destination")]
    pub speaker: Speaker,
}

/// Whose words an answer for a recipient is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speaker {
    /// The destination's.
    #[default]
    Destination,
    /// Ours: the destination was not asked, and this is why.
    Us,
}

impl Speaker {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_destination(&self) -> bool {
        *self == Self::Destination
    }
}

impl RecipientState {
    /// No outcome, and no answer.
    #[must_use]
    pub fn new() -> Self {
        Self { outcome: RecipientOutcome::Pending, last: None, speaker: Speaker::Destination }
    }

    /// Notes the last answer.
    pub fn answered(&mut self, reply: &Reply, speaker: Speaker) {
        (self.last, self.speaker) = (Some(reply.clone()), speaker);
    }
}

impl Default for RecipientState {
    fn default() -> Self {
        Self::new()
    }
}

/// The outcome for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientOutcome {
    /// None yet.
    Pending,
    /// The destination took the message.
    Delivered,
    /// As `Delivered`, by a server that tells nobody of it (it does not offer DSN), and its sender, who asked to be told
    /// (`NOTIFY=SUCCESS`), has not been told: whether it may be is not known yet.
    Relayed {
        /// When it was delivered.
        since: Timestamp,
    },
    /// The destination refused it for good, or its time was up; its sender has been told, or did not want to be.
    Failed,
    /// As `Failed`, but its sender has not been told: whether it may be is not known yet, or it may not be.
    Unreported {
        /// When it failed.
        since: Timestamp,
    },
}

impl MessageState {
    /// The state of a message that has just arrived.
    #[must_use]
    pub fn new(recipients: usize) -> Self {
        Self {
            standing: Standing::Queued,
            recipients: vec![RecipientState::new(); recipients],
            due: None,
            attempts: 0,
            warned: false,
            observed: Observed::default(),
        }
    }

    /// The positions of the recipients that failed without their sender's knowing, and since when.
    pub fn unreported(&self) -> impl Iterator<Item = (usize, Timestamp)> + '_ {
        self.recipients.iter().enumerate().filter_map(|(position, recipient)| match recipient.outcome {
            RecipientOutcome::Unreported { since } => Some((position, since)),
            RecipientOutcome::Pending
            | RecipientOutcome::Delivered
            | RecipientOutcome::Relayed { .. }
            | RecipientOutcome::Failed => None,
        })
    }

    /// The positions of the recipients that have the message without their sender's knowing, who asked to be told, and
    /// since when.
    pub fn relayed(&self) -> impl Iterator<Item = (usize, Timestamp)> + '_ {
        self.recipients.iter().enumerate().filter_map(|(position, recipient)| match recipient.outcome {
            RecipientOutcome::Relayed { since } => Some((position, since)),
            RecipientOutcome::Pending
            | RecipientOutcome::Delivered
            | RecipientOutcome::Failed
            | RecipientOutcome::Unreported { .. } => None,
        })
    }

    /// Whether its sender is to be told of something and was not: it is still to be decided whether it may be.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        self.unreported().next().is_some() || self.relayed().next().is_some()
    }

    /// The positions of the recipients that have no outcome yet.
    pub fn pending(&self) -> impl Iterator<Item = usize> + '_ {
        self.recipients
            .iter()
            .enumerate()
            .filter(|(_, recipient)| recipient.outcome == RecipientOutcome::Pending)
            .map(|(position, _)| position)
    }
}
