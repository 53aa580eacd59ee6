//! The content of a message while it comes in.

use backupmx_relay_config::{Limits, RelayConfig};

use super::{Complete, Effect, Phase, Piece, Session, Transaction, Whole, refuse, replies};
use crate::{
    clock::Timestamp,
    ingress::{Context, Reservation, Store},
    message::Envelope,
    smtp::{DataDecoder, DataFault, DataLimits, EnhancedCode, Reply, TraceScan},
    spool::StoreError,
};

/// Octets that are streamed to the store at once, after the first time.
const CHUNK: usize = 64 << 10;

/// A content that is coming in.
#[derive(Debug)]
pub(super) struct Receiving {
    decoder: DataDecoder,
    content: Vec<u8>,
    scan: TraceScan,
    reservation: Reservation,
    /// Content of this length goes to the store.
    spill_at: usize,
    streamed: Streamed,
    trouble: Option<Trouble>,
}

/// Whether content has gone to the store before the message is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streamed {
    Not,
    Partly,
}

/// Why a message can't be kept although it may be well-formed. It is read to its end all the same.
#[derive(Debug)]
enum Trouble {
    Memory,
    Store(StoreError),
}

impl Receiving {
    /// A content that ends with a dot, after DATA.
    pub(super) fn new(transaction: &Transaction, config: &RelayConfig, reservation: Reservation) -> Self {
        let limits = DataLimits { size: transaction.size, line: config.limits.text_line as usize };
        Self::with(DataDecoder::new(limits), transaction, config, reservation)
    }

    /// A content that comes in chunks, after BDAT.
    pub(super) fn chunks(transaction: &Transaction, config: &RelayConfig, reservation: Reservation) -> Self {
        let limits = DataLimits { size: transaction.size, line: config.limits.text_line as usize };
        Self::with(DataDecoder::chunks(limits), transaction, config, reservation)
    }

    fn with(decoder: DataDecoder, transaction: &Transaction, config: &RelayConfig, reservation: Reservation) -> Self {
        let spill_at = usize::try_from(config.limits.stream_above.as_u64()).unwrap_or(usize::MAX);
        let expected = transaction.mail.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        Self {
            decoder,
            content: Vec::with_capacity(expected.clamp(8 << 10, 16 << 10)),
            scan: TraceScan::new(config.hostname.as_str()),
            reservation,
            spill_at,
            streamed: Streamed::Not,
            trouble: None,
        }
    }

    /// What goes to the store now, if it is time.
    pub(super) fn overflow(&mut self) -> Option<Piece> {
        (self.content.len() >= self.spill_at).then(|| self.spill())
    }

    /// Takes what is in memory, to be streamed; the next time comes sooner.
    fn spill(&mut self) -> Piece {
        let octets = std::mem::take(&mut self.content).into();
        match std::mem::replace(&mut self.streamed, Streamed::Partly) {
            Streamed::Not => {
                self.spill_at = self.spill_at.min(CHUNK);
                Piece::First(octets)
            }
            Streamed::Partly => Piece::Next(octets),
        }
    }

    pub(super) fn spoil(&mut self, error: StoreError) {
        self.content = Vec::new();
        self.trouble.get_or_insert(Trouble::Store(error));
    }

    /// Ends a content in chunks.
    pub(super) fn finish(&mut self) {
        self.decoder.finish();
    }

    /// Reads octets; returns how many were used, and whether the end came.
    pub(super) fn push(&mut self, input: &[u8], memory: u64) -> (usize, bool) {
        let known = self.content.len();
        let (used, ended) = self.decoder.push(input, &mut self.content);
        if self.decoder.fault().is_some() || self.trouble.is_some() {
            self.content = Vec::new();
        } else {
            self.scan.push(&self.content[known..]);
            if !self.reservation.grow_to(self.content.len() as u64, memory) {
                self.trouble = Some(Trouble::Memory);
                self.content = Vec::new();
            }
        }
        (used, ended)
    }

    /// Why the message is refused whatever may follow, and the word for it.
    pub(super) fn refusal(&self) -> Option<(Reply, &'static str)> {
        if let Some(fault) = self.decoder.fault() {
            let malformed = || Reply::new(554, Some(EnhancedCode(5, 6, 0)), fault.to_string());
            return Some(match fault {
                DataFault::BareLineEnd => (malformed(), "bare_line_end"),
                DataFault::LineTooLong => (malformed(), "line_too_long"),
                DataFault::TooLarge => (replies::too_large(), "too_large"),
            });
        }
        self.trouble.as_ref().map(|trouble| match trouble {
            Trouble::Memory => (replies::no_memory(), "memory"),
            Trouble::Store(error) => (replies::store_failed(error), replies::store_reason(error)),
        })
    }

    /// Why the complete message is refused, and the word for it.
    fn last_refusal(&mut self, transaction: &Transaction, limits: &Limits) -> Option<(Reply, &'static str)> {
        if let Some(refusal) = self.refusal() {
            return Some(refusal);
        }
        self.scan.finish();
        let domains = transaction.recipients.iter().map(|recipient| recipient.path.domain().as_str());
        if self.scan.is_circle(limits.received_lines, domains) {
            let text = "The message goes in a circle: too many Received fields";
            return Some((Reply::new(554, Some(EnhancedCode(5, 4, 6)), text), "loop"));
        }
        None
    }
}

impl Session {
    /// Reads content. None where the message ended with its reply.
    pub(super) fn content<S: Store>(
        &mut self,
        input: &[u8],
        context: &Context<S>,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> (usize, Option<Effect>) {
        let Phase::Content(_, receiving) = &mut self.phase else { return (0, None) };
        let (used, ended) = receiving.push(input, limits.memory.as_u64());
        if !ended {
            return (used, Some(receiving.overflow().map_or(Effect::Read, Effect::Spill)));
        }
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Content(transaction, receiving) => {
                (used, self.conclude(*transaction, *receiving, context, limits, out))
            }
            _ => (used, None),
        }
    }

    /// Decides on a message that has come to its end. None where the reply is written.
    pub(super) fn conclude<S: Store>(
        &mut self,
        transaction: Transaction,
        mut receiving: Receiving,
        context: &Context<S>,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> Option<Effect> {
        if let Some((reply, reason)) = receiving.last_refusal(&transaction, limits) {
            self.turn_down(&transaction, &receiving, context, out, &reply, reason);
            return None;
        }
        self.phase = Phase::Storing;
        Some(Effect::Store(Box::new(self.complete(transaction, receiving, context))))
    }

    /// Refuses a message for its content.
    pub(super) fn turn_down<S>(
        &mut self,
        transaction: &Transaction,
        receiving: &Receiving,
        context: &Context<S>,
        out: &mut Vec<u8>,
        reply: &Reply,
        reason: &'static str,
    ) {
        tracing::info!(
            client = %self.peer,
            sender = transaction.mail.sender.as_str(),
            recipients = transaction.recipients.len(),
            size = receiving.decoder.size(),
            reason,
            reply = %reply,
            "message refused"
        );
        self.messages += 1;
        refuse(context, out, reply, reason);
    }

    fn complete<S>(&self, transaction: Transaction, receiving: Receiving, context: &Context<S>) -> Complete {
        let Transaction { mail, recipients, passage, .. } = transaction;
        let active = context.config.load();
        let first = recipients.first().and_then(|first| active.directory.tenant(&active.config, first.path.domain()));
        Complete {
            // The domain may have left the config since RCPT; what was taken is kept and reported all the same.
            tenant: first.map_or_else(String::new, |tenant| tenant.name.clone()),
            envelope: Envelope {
                arrived: Timestamp::default(),
                origin: self.client(),
                sender: mail.sender,
                body: mail.body,
                smtputf8: mail.smtputf8,
                ret: mail.ret,
                envid: mail.envid,
                recipients,
                size: receiving.decoder.size(),
            },
            content: match receiving.streamed {
                Streamed::Not => Whole::Here(receiving.content.into()),
                Streamed::Partly => Whole::Rest(receiving.content.into()),
            },
            reservation: receiving.reservation,
            passage,
        }
    }
}
