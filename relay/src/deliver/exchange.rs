//! One transaction as a state machine: replies in, an outcome for each recipient out. Pure.

use super::{Class, Fault, Lost, Stage, classify};
use crate::smtp::Reply;

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took the message for it.
    Accepted(Reply),
    /// Not now.
    Transient(Reply, Stage),
    /// Not at all.
    Permanent(Reply, Stage),
    /// The connection was lost; [`Lost::in_doubt`] says whether the message may have been delivered all the same.
    Lost(Lost),
    /// The message needs SMTPUTF8 (RFC 6531) and the server does not offer it. Nothing was sent.
    NeedsSmtpUtf8,
}

impl Outcome {
    /// What the outcome says about the server; none where there was no reply.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Accepted(_) => Some(Class::Accepted),
            Self::Transient(reply, stage) | Self::Permanent(reply, stage) => Some(classify(reply, *stage)),
            Self::Lost(_) | Self::NeedsSmtpUtf8 => None,
        }
    }

    fn refused(reply: Reply, stage: Stage) -> Self {
        if classify(&reply, stage) == Class::Permanent {
            Self::Permanent(reply, stage)
        } else {
            Self::Transient(reply, stage)
        }
    }
}

/// What became of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// It can be used again.
    Open,
    /// The server ended it with 421.
    Closing(Reply),
    /// It was lost.
    Lost(Lost),
}

/// What became of a message in one session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transaction {
    /// An outcome for each recipient that was asked for, by its position in the envelope, in the order asked.
    pub outcomes: Vec<(usize, Outcome)>,
    /// What became of the session.
    pub ended: SessionEnd,
}

/// A command of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Reset,
    Mail,
    /// The recipient in that slot.
    Recipient(usize),
    Data,
}

impl Step {
    pub(super) const fn stage(self) -> Stage {
        match self {
            Self::Reset => Stage::Reset,
            Self::Mail => Stage::Mail,
            Self::Recipient(_) => Stage::Recipient,
            Self::Data => Stage::Data,
        }
    }
}

/// What to do after a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on with the next command or reply.
    On,
    /// Send the content, then its final dot.
    Content,
    /// The server wants content although it took no recipient: send a lone dot (RFC 2920 3.1) and forget the answer.
    LoneDot,
    /// The transaction is over.
    Over,
    /// The session cannot be trusted any more: close it.
    Abandon(Lost),
}

#[derive(Clone, Debug)]
enum Slot {
    Waiting,
    Taken,
    Settled(Outcome),
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Exchange {
    slots: Vec<(usize, Slot)>,
    sender_taken: bool,
    closing: Option<Reply>,
    complete: bool,
}

impl Exchange {
    pub(super) fn new(recipients: &[usize]) -> Self {
        let slots = recipients.iter().map(|position| (*position, Slot::Waiting)).collect();
        Self { slots, sender_taken: false, closing: None, complete: false }
    }

    /// A reply to a command.
    pub(super) fn replied(&mut self, step: Step, reply: Reply) -> Next {
        let stage = step.stage();
        if reply.code == 421 {
            self.settle_open(&Outcome::Transient(reply.clone(), stage));
            self.closing = Some(reply);
            return Next::Over;
        }
        let accepted = classify(&reply, stage) == Class::Accepted;
        match step {
            Step::Reset if accepted => Next::On,
            Step::Reset => Next::Abandon(Lost { stage, fault: Fault::Unexpected(reply) }),
            Step::Mail => {
                self.sender_taken = accepted;
                if !accepted {
                    self.settle_open(&Outcome::refused(reply, stage));
                }
                Next::On
            }
            Step::Recipient(slot) => {
                if let Some((_, slot @ Slot::Waiting)) = self.slots.get_mut(slot) {
                    *slot = if accepted { Slot::Taken } else { Slot::Settled(Outcome::refused(reply, stage)) };
                }
                Next::On
            }
            Step::Data if accepted && self.any_taken() => Next::Content,
            // Without a sender and with recipients the server would make a message of the lone dot.
            Step::Data if accepted && !self.sender_taken => {
                Next::Abandon(Lost { stage, fault: Fault::Unexpected(reply) })
            }
            Step::Data if accepted => Next::LoneDot,
            Step::Data if reply.is_positive() || reply.is_intermediate() => {
                Next::Abandon(Lost { stage, fault: Fault::Unexpected(reply) })
            }
            Step::Data => {
                self.settle_open(&Outcome::refused(reply, stage));
                Next::Over
            }
        }
    }

    /// The reply to the final dot.
    pub(super) fn ended(&mut self, reply: Reply) -> Next {
        if reply.is_intermediate() {
            return Next::Abandon(Lost { stage: Stage::EndOfData, fault: Fault::Unexpected(reply) });
        }
        if reply.is_positive() {
            self.complete = true;
            self.settle_open(&Outcome::Accepted(reply));
            return Next::Over;
        }
        self.settle_open(&Outcome::refused(reply.clone(), Stage::EndOfData));
        if reply.code == 421 {
            self.closing = Some(reply);
        }
        Next::Over
    }

    /// Whether sending more commands is of use: the sender stands, or has not been judged yet.
    pub(super) fn is_hopeless(&self) -> bool {
        self.slots.iter().all(|(_, slot)| matches!(slot, Slot::Settled(_)))
    }

    /// Whether a transaction that has ended leaves nothing behind at the server that RSET must clear.
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    fn any_taken(&self) -> bool {
        self.slots.iter().any(|(_, slot)| matches!(slot, Slot::Taken))
    }

    /// The outcome of every recipient that has none yet.
    fn settle_open(&mut self, outcome: &Outcome) {
        for (_, slot) in &mut self.slots {
            if !matches!(slot, Slot::Settled(_)) {
                *slot = Slot::Settled(outcome.clone());
            }
        }
    }

    /// The end, with the connection as it is.
    pub(super) fn finish(self) -> Transaction {
        let never = Lost { stage: Stage::Mail, fault: Fault::Closed };
        let ended = self.closing.map_or(SessionEnd::Open, SessionEnd::Closing);
        let outcomes = self.slots.into_iter().map(|(position, slot)| match slot {
            Slot::Settled(outcome) => (position, outcome),
            Slot::Waiting | Slot::Taken => (position, Outcome::Lost(never.clone())),
        });
        Transaction { outcomes: outcomes.collect(), ended }
    }

    /// The end, with the connection lost: recipients that were refused before stay refused.
    pub(super) fn lost(mut self, lost: Lost) -> Transaction {
        self.settle_open(&Outcome::Lost(lost.clone()));
        Transaction { ended: SessionEnd::Lost(lost), ..self.finish() }
    }
}
