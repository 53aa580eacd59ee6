//! One transaction over the wire: the commands in as few flights as the server allows, then the content.

use super::{
    Fault, Lost, Outcome, Session, SessionEnd, Stage, Transaction, command,
    content::DotStuffer,
    exchange::{Exchange, Next, Step},
    header::HeaderFilter,
    session::State,
    source::Source,
};
use crate::{message::Envelope, spool::Content};

/// Octets of commands in one flight. Less than any socket buffer: while we send, a server that answers each command
/// cannot block on us, nor we on it.
const FLIGHT: usize = 8 << 10;
/// Octets of content read and sent at once.
pub(super) const BLOCK: usize = 64 << 10;

impl Session {
    /// Hands a message over to those of its recipients (positions in the envelope). `trace` goes on top of the content;
    /// Authentication-Results fields in our own name are taken out of it; nothing else changes.
    ///
    /// Never fails as a whole: every recipient has an outcome.
    pub async fn send(
        &mut self,
        envelope: &Envelope,
        recipients: &[usize],
        content: Content,
        trace: &[u8],
    ) -> Transaction {
        if envelope.smtputf8 && !self.capabilities.smtputf8 {
            let outcomes = recipients.iter().map(|position| (*position, Outcome::NeedsSmtpUtf8)).collect();
            return Transaction { outcomes, ended: SessionEnd::Open };
        }
        let mut exchange = Exchange::new(recipients);
        if recipients.is_empty() {
            return exchange.finish();
        }
        self.transactions += 1;
        let sent = self.transfer(&mut exchange, envelope, recipients, content, trace).await;
        let complete = exchange.is_complete();
        let transaction = match sent {
            Ok(()) => exchange.finish(),
            Err(lost) => exchange.lost(lost),
        };
        self.state = match transaction.ended {
            SessionEnd::Open if complete => State::Ready,
            SessionEnd::Open => State::Stale,
            SessionEnd::Closing(_) | SessionEnd::Lost(_) => State::Closed,
        };
        transaction
    }

    async fn transfer(
        &mut self,
        exchange: &mut Exchange,
        envelope: &Envelope,
        recipients: &[usize],
        content: Content,
        trace: &[u8],
    ) -> Result<(), Lost> {
        if self.state == State::Closed {
            return Err(Lost { stage: Stage::Mail, fault: Fault::Closed });
        }
        let steps = self.steps(envelope, recipients, trace.len() as u64);
        let mut steps = steps.as_slice();
        while let Some((flight, rest)) = self.flight(steps) {
            steps = rest;
            let line: String = flight.iter().map(|(_, command)| command.as_str()).collect();
            let stage = flight.first().map_or(Stage::Mail, |(step, _)| step.stage());
            self.wire.send(line.as_bytes(), self.timeouts.block).await.map_err(|fault| Lost { stage, fault })?;
            for (step, _) in flight {
                let stage = step.stage();
                let limit = match stage {
                    Stage::Mail => self.timeouts.mail,
                    Stage::Recipient => self.timeouts.recipient,
                    Stage::Data => self.timeouts.data,
                    _ => self.timeouts.ehlo,
                };
                let reply = self.wire.reply(limit).await.map_err(|fault| Lost { stage, fault })?;
                match exchange.replied(*step, reply) {
                    Next::On => {}
                    Next::Over => return Ok(()),
                    Next::Abandon(lost) => return Err(lost),
                    Next::LoneDot => return self.lone_dot().await,
                    Next::Content => return self.content(exchange, content, trace).await,
                }
            }
            if exchange.is_hopeless() {
                return Ok(());
            }
        }
        // With DATA that was answered above.
        if self.capabilities.chunking { self.chunks(exchange, content, trace).await } else { Ok(()) }
    }

    /// Every command of the transaction, in order.
    fn steps(&self, envelope: &Envelope, recipients: &[usize], trace: u64) -> Vec<(Step, String)> {
        let offered = &self.capabilities;
        let mut steps = Vec::with_capacity(recipients.len() + 3);
        if self.state == State::Stale {
            steps.push((Step::Reset, "RSET\r\n".to_owned()));
        }
        steps.push((Step::Mail, command::mail(envelope, offered, envelope.size.saturating_add(trace))));
        for (slot, position) in recipients.iter().enumerate() {
            if let Some(recipient) = envelope.recipients.get(*position) {
                steps.push((Step::Recipient(slot), command::recipient(recipient, offered)));
            }
        }
        if !offered.chunking {
            steps.push((Step::Data, "DATA\r\n".to_owned()));
        }
        steps
    }

    /// The commands that may go out together, and the rest.
    #[expect(clippy::type_complexity, reason = "a slice cut in two")]
    fn flight<'s>(&self, steps: &'s [(Step, String)]) -> Option<(&'s [(Step, String)], &'s [(Step, String)])> {
        if steps.is_empty() {
            return None;
        }
        let mut octets = 0;
        let fitting = steps
            .iter()
            .take_while(|(_, command)| {
                octets += command.len();
                octets <= FLIGHT
            })
            .count();
        let count = if self.capabilities.pipelining { fitting.max(1) } else { 1 };
        Some(steps.split_at(count))
    }

    async fn lone_dot(&mut self) -> Result<(), Lost> {
        let lost = |fault| Lost { stage: Stage::Data, fault };
        self.wire.send(b".\r\n", self.timeouts.block).await.map_err(lost)?;
        self.wire.reply(self.timeouts.end_of_data).await.map_err(lost)?;
        Ok(())
    }

    /// The content and its final dot.
    async fn content(&mut self, exchange: &mut Exchange, content: Content, trace: &[u8]) -> Result<(), Lost> {
        if let Err(lost) = self.send_content(content, trace).await {
            return Err(self.last_words(exchange, lost, Stage::EndOfData).await);
        }
        let limit = self.timeouts.end_of_data;
        let reply = self.wire.reply(limit).await.map_err(|fault| Lost { stage: Stage::EndOfData, fault })?;
        match exchange.ended(reply, Stage::EndOfData) {
            Next::Abandon(lost) => Err(lost),
            _ => Ok(()),
        }
    }

    /// A server that closes in the middle of the content has mostly said why: that refusal is worth more than the error.
    pub(super) async fn last_words(&mut self, exchange: &mut Exchange, lost: Lost, stage: Stage) -> Lost {
        if lost.fault == Fault::Closed
            && let Ok(reply) = self.wire.reply(self.timeouts.quit).await
            && (reply.is_transient() || reply.is_permanent())
        {
            exchange.ended(reply, stage);
        }
        lost
    }

    async fn send_content(&mut self, content: Content, trace: &[u8]) -> Result<(), Lost> {
        let ourselves = self.ourselves.clone();
        let mut source = Source::new(content);
        let mut filter = HeaderFilter::new(&ourselves);
        let mut stuffer = DotStuffer::new();
        let mut out = Vec::with_capacity(trace.len() + source.expected() + 256);
        stuffer.push(trace, &mut out);
        loop {
            let piece = source
                .next()
                .await
                .map_err(|error| Lost { stage: Stage::Content, fault: Fault::Content(error.to_string()) })?;
            let Some(piece) = piece else { break };
            filter.push(&piece, &mut |octets| stuffer.push(octets, &mut out));
            if out.len() >= BLOCK {
                let sent = self.wire.send(&out, self.timeouts.block).await;
                sent.map_err(|fault| Lost { stage: Stage::Content, fault })?;
                out.clear();
            }
        }
        filter.finish(&mut |octets| stuffer.push(octets, &mut out));
        stuffer.finish(&mut out);
        // From here on the dot may arrive whatever we are told.
        self.wire.send(&out, self.timeouts.block).await.map_err(|fault| Lost { stage: Stage::EndOfData, fault })
    }
}
