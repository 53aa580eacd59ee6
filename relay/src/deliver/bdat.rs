//! The content in chunks (BDAT, RFC 3030): octets as they are, without dots and without a final line end of ours.
//!
//! The first chunk goes out only when a recipient was accepted. A server that takes no recipient, or no BDAT after all,
//! must read the chunk away; one that does not would take the content, which a stranger wrote, for commands of ours.

use super::{
    Fault, Lost, Session, Stage,
    exchange::{Exchange, Next},
    header::HeaderFilter,
    source::Source,
    transfer::BLOCK,
};
use crate::{smtp::Reply, spool::Content};

/// Octets of a chunk, about: a message that fits is one chunk. Each session holds one chunk in memory, and beside it
/// content of at most `limits.streamAbove`: a thousand sessions (a hundred tenants that recover at once, with ten
/// connections each) are to stay well below a GiB.
pub(super) const CHUNK: usize = 256 << 10;

/// Octets that a chunk may be longer, without the trace before it: a piece, and what the filter of the header held back.
const OVERSHOOT: usize = 2 * BLOCK;

/// Room for `BDAT <octets> LAST` and its line end.
const COMMAND: usize = 32;

/// A chunk with room for its command before it, so that both go out together.
#[derive(Debug)]
struct Chunk(Vec<u8>);

/// Whether a chunk ends the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Within,
    Last,
}

impl Place {
    const fn stage(self) -> Stage {
        match self {
            Self::Within => Stage::Chunk,
            Self::Last => Stage::LastChunk,
        }
    }
}

impl Chunk {
    fn with_capacity(octets: usize) -> Self {
        let mut room = Vec::with_capacity(COMMAND + octets);
        room.resize(COMMAND, 0);
        Self(room)
    }

    fn push(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    fn len(&self) -> usize {
        self.0.len().saturating_sub(COMMAND)
    }

    fn clear(&mut self) {
        self.0.truncate(COMMAND);
    }

    /// The command and the chunk.
    fn wire(&mut self, place: Place) -> &[u8] {
        let last = match place {
            Place::Within => "",
            Place::Last => " LAST",
        };
        let command = format!("BDAT {}{last}\r\n", self.len());
        let from = COMMAND.saturating_sub(command.len());
        self.0[from..COMMAND].copy_from_slice(command.as_bytes());
        &self.0[from..]
    }
}

impl Session {
    /// The content, in chunks.
    pub(super) async fn chunks(&mut self, exchange: &mut Exchange, content: Content, trace: &[u8]) -> Result<(), Lost> {
        let ourselves = self.ourselves.clone();
        let mut source = Source::new(content);
        let mut filter = HeaderFilter::new(&ourselves);
        // All the room at once: a buffer that grows by doubling would take up to twice as much.
        let mut chunk = Chunk::with_capacity(trace.len() + source.left().min(CHUNK + OVERSHOOT));
        chunk.push(trace);
        loop {
            let piece = source
                .next()
                .await
                .map_err(|error| Lost { stage: Stage::Chunk, fault: Fault::Content(error.to_string()) })?;
            let Some(piece) = piece else { break };
            filter.push(&piece, &mut |octets| chunk.push(octets));
            if chunk.len() >= CHUNK {
                if self.chunk(exchange, &mut chunk, Place::Within).await? != Next::On {
                    return Ok(());
                }
                chunk.clear();
            }
        }
        filter.finish(&mut |octets| chunk.push(octets));
        self.chunk(exchange, &mut chunk, Place::Last).await.map(|_| ())
    }

    async fn chunk(&mut self, exchange: &mut Exchange, chunk: &mut Chunk, place: Place) -> Result<Next, Lost> {
        let stage = place.stage();
        let limit = match place {
            Place::Within => self.timeouts.block,
            Place::Last => self.timeouts.end_of_data,
        };
        for block in chunk.wire(place).chunks(BLOCK) {
            if let Err(fault) = self.wire.send(block, self.timeouts.block).await {
                let lost = Lost { stage, fault };
                return Err(self.last_words(exchange, lost, stage).await);
            }
        }
        let reply = self.wire.reply(limit).await.map_err(|fault| Lost { stage, fault })?;
        self.judge(exchange, place, reply)
    }

    fn judge(&self, exchange: &mut Exchange, place: Place, reply: Reply) -> Result<Next, Lost> {
        if is_misunderstood(&reply) {
            self.quirks.never_chunk(self.endpoint().address);
        }
        let next = match place {
            Place::Within => exchange.chunk(reply),
            Place::Last => exchange.ended(reply, Stage::LastChunk),
        };
        match next {
            Next::Abandon(lost) => Err(lost),
            next => Ok(next),
        }
    }
}

/// Whether a server answers that it does not know BDAT, although it offers it. That says nothing of the message, and
/// it may have read the content as commands: the session is of no more use.
pub(super) const fn is_misunderstood(reply: &Reply) -> bool {
    matches!(reply.code, 500..=504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_goes_before_the_octets_as_they_are() {
        let mut chunk = Chunk::with_capacity(0);
        assert_eq!(chunk.wire(Place::Last), b"BDAT 0 LAST\r\n");
        chunk.push(b".\r\n");
        chunk.push(b"no line end");
        assert_eq!(chunk.wire(Place::Within), b"BDAT 14\r\n.\r\nno line end");
        chunk.clear();
        chunk.push(&vec![b'x'; 12_345_678]);
        assert!(chunk.wire(Place::Last).starts_with(b"BDAT 12345678 LAST\r\nxxx"));
    }
}
