//! One transaction as a state machine: replies in, an outcome for each recipient out. Pure.

use super::{Class, Fault, Lost, Stage, bdat::is_misunderstood, classify};
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

impl Transaction {
    /// Whether nothing but an idle connection was lost: the server had ended it before it took anything of the message.
    /// That is no news of the server, and nothing was handed over: a new session may be tried at once.
    #[must_use]
    pub fn ended_idle(&self) -> bool {
        let idle = |stage: Stage| matches!(stage, Stage::Reset | Stage::Mail);
        match &self.ended {
            SessionEnd::Open => false,
            SessionEnd::Lost(lost) => idle(lost.stage),
            SessionEnd::Closing(_) => {
                self.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Transient(_, at) if idle(*at)))
            }
        }
    }
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

    /// The reply to a chunk that is not the last.
    pub(super) fn chunk(&mut self, reply: Reply) -> Next {
        if classify(&reply, Stage::Chunk) == Class::Accepted { Next::On } else { self.ended(reply, Stage::Chunk) }
    }

    /// The reply to the content: to the final dot or the last chunk, or the refusal of another chunk.
    pub(super) fn ended(&mut self, reply: Reply, stage: Stage) -> Next {
        let is_chunk = matches!(stage, Stage::Chunk | Stage::LastChunk);
        if reply.is_intermediate() || (is_chunk && is_misunderstood(&reply)) {
            return Next::Abandon(Lost { stage, fault: Fault::Unexpected(reply) });
        }
        if reply.is_positive() {
            self.complete = true;
            self.settle_open(&Outcome::Accepted(reply));
            return Next::Over;
        }
        self.settle_open(&Outcome::refused(reply.clone(), stage));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(code: u16) -> Reply {
        Reply::new(code, None, "text")
    }

    /// Plays replies to a transaction with so many recipients; then the connection is lost, unless it ended before.
    fn play(recipients: usize, codes: &[u16], last: u16) -> (Transaction, Option<Next>) {
        let positions: Vec<usize> = (0..recipients).map(|position| position * 2).collect();
        let mut exchange = Exchange::new(&positions);
        let mut steps = vec![Step::Mail];
        steps.extend((0..recipients).map(Step::Recipient));
        steps.push(Step::Data);
        let mut end = None;
        for (step, code) in steps.into_iter().zip(codes) {
            let next = exchange.replied(step, reply(*code));
            if next != Next::On {
                end = Some(next);
                break;
            }
        }
        let transaction = match &end {
            Some(Next::Content) => {
                assert!(!exchange.is_hopeless());
                match exchange.ended(reply(last), Stage::EndOfData) {
                    Next::Abandon(lost) => exchange.lost(lost),
                    _ => exchange.finish(),
                }
            }
            Some(Next::Abandon(lost)) => exchange.lost(lost.clone()),
            Some(_) => exchange.finish(),
            None => exchange.lost(Lost { stage: Stage::Data, fault: Fault::Closed }),
        };
        (transaction, end)
    }

    #[test]
    fn a_transaction_that_was_lost_at_its_first_answer_ended_idle() {
        let lost = |stage| Exchange::new(&[0]).lost(Lost { stage, fault: Fault::Closed });
        assert!(lost(Stage::Mail).ended_idle() && lost(Stage::Reset).ended_idle());
        assert!(!lost(Stage::Recipient).ended_idle() && !lost(Stage::EndOfData).ended_idle());
        assert!(play(2, &[421], 250).0.ended_idle());
        assert!(!play(2, &[250, 421], 250).0.ended_idle());
        assert!(!play(2, &[250, 550, 421], 250).0.ended_idle());
        assert!(!play(2, &[250, 250, 250, 354], 250).0.ended_idle());
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_each_recipient_has_one_outcome_and_only_the_taken_are_accepted(
            recipients in 1..5usize,
            codes in prop::collection::vec(prop::sample::select(vec![250, 251, 354, 421, 450, 452, 503, 550, 552]), 0..8),
            last in prop::sample::select(vec![250, 354, 421, 451, 554]),
        ) {
            let (transaction, end) = play(recipients, &codes, last);
            let positions: Vec<usize> = transaction.outcomes.iter().map(|(position, _)| *position).collect();
            prop_assert_eq!(positions, (0..recipients).map(|position| position * 2).collect::<Vec<_>>());
            for (slot, (_, outcome)) in transaction.outcomes.iter().enumerate() {
                if let Outcome::Accepted(_) = outcome {
                    prop_assert_eq!(end.as_ref(), Some(&Next::Content));
                    prop_assert_eq!(last, 250);
                    prop_assert!(matches!(codes[slot + 1], 250 | 251), "{outcome:?} after {}", codes[slot + 1]);
                }
                if let Outcome::Permanent(reply, _) = outcome {
                    prop_assert!(reply.is_permanent());
                }
            }
        }
    }
}
