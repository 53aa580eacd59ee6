//! BDAT: content in chunks (RFC 3030).

use std::sync::Arc;

use backupmx_relay_config::Limits;

use super::{Effect, Phase, Session, receiving::Receiving, refuse, replies, replies::say, transaction::Transaction};
use crate::{
    active::Active,
    ingress::{Context, Store},
    smtp::{Chunk, EnhancedCode, Reply},
};

/// What is left of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    octets: u64,
    chunk: Chunk,
}

/// A chunk that is refused. Its octets are read all the same: else they would be taken for commands.
#[derive(Debug)]
pub(super) struct Unwanted {
    octets: u64,
    reply: Reply,
    reason: &'static str,
}

impl Rest {
    /// Takes what belongs to the chunk off the front of some input.
    fn split<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        take(&mut self.octets, input)
    }
}

fn take<'a>(octets: &mut u64, input: &'a [u8]) -> &'a [u8] {
    let count = usize::try_from(*octets).map_or(input.len(), |octets| octets.min(input.len()));
    *octets -= count as u64;
    &input[..count]
}

impl Session {
    pub(super) fn bdat<S: Store>(
        &mut self,
        octets: u64,
        chunk: Chunk,
        active: &Arc<Active>,
        context: &Context<S>,
    ) -> Option<Effect> {
        let unwanted = |code, enhanced, text, reason| {
            Phase::Unwanted(Unwanted { octets, reply: Reply::new(code, Some(enhanced), text), reason })
        };
        let rest = Rest { octets, chunk };
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Chunks(transaction, receiving) => Phase::Chunk(transaction, receiving, rest),
            Phase::Transaction(transaction) if !transaction.recipients.is_empty() => {
                match context.budget.reserve(active.config.limits.memory.as_u64()) {
                    Some(reservation) => {
                        let receiving = Receiving::chunks(&transaction, &active.config, reservation);
                        Phase::Chunk(transaction, Box::new(receiving), rest)
                    }
                    None => Phase::Unwanted(Unwanted { octets, reply: replies::no_memory(), reason: "memory" }),
                }
            }
            Phase::Transaction(_) => unwanted(554, EnhancedCode(5, 5, 1), "No valid recipients", "sequence"),
            _ => unwanted(503, EnhancedCode(5, 5, 1), "Say MAIL and RCPT first", "sequence"),
        };
        None
    }

    /// Reads a chunk. None where it ended with its reply.
    pub(super) fn chunk<S: Store>(
        &mut self,
        input: &[u8],
        context: &Context<S>,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> (usize, Option<Effect>) {
        let Phase::Chunk(_, receiving, rest) = &mut self.phase else { return (0, None) };
        let octets = rest.split(input);
        receiving.push(octets, limits.memory.as_u64());
        let used = octets.len();
        if rest.octets > 0 {
            return (used, Some(receiving.overflow().map_or(Effect::Read, Effect::Spill)));
        }
        let Phase::Chunk(transaction, mut receiving, rest) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return (used, None);
        };
        let effect = match rest.chunk {
            Chunk::Last => {
                receiving.finish();
                self.conclude(*transaction, *receiving, context, limits, out)
            }
            Chunk::More => self.more(transaction, receiving, context, out),
        };
        (used, effect)
    }

    /// Answers for a chunk that is not the last. A message that can't become good is refused now.
    fn more<S>(
        &mut self,
        transaction: Box<Transaction>,
        mut receiving: Box<Receiving>,
        context: &Context<S>,
        out: &mut Vec<u8>,
    ) -> Option<Effect> {
        if let Some((reply, reason)) = receiving.refusal() {
            self.turn_down(&transaction, &receiving, context, out, &reply, reason);
            return None;
        }
        say(out, format_args!("250 2.0.0 Ok"));
        let piece = receiving.overflow();
        self.phase = Phase::Chunks(transaction, receiving);
        piece.map(Effect::Spill)
    }

    /// Reads over a chunk that is refused.
    pub(super) fn unwanted<S>(
        &mut self,
        input: &[u8],
        context: &Context<S>,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> (usize, Option<Effect>) {
        let Phase::Unwanted(chunk) = &mut self.phase else { return (0, None) };
        let used = take(&mut chunk.octets, input).len();
        if chunk.octets > 0 {
            return (used, Some(Effect::Read));
        }
        let Phase::Unwanted(Unwanted { reply, reason, .. }) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return (used, None);
        };
        (used, self.complain(limits, context, out, |out| refuse(context, out, &reply, reason)))
    }
}
