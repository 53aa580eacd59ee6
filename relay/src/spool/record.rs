//! Records: what a batch of the log is made of. Pure.
//!
//! A record is a fixed part of 16 octets (CRC32C of what follows up to the body, kind, link, lengths of head and body),
//! a head, and a body. The head starts with a *note*, a few binary fields that are all that the index needs, and goes
//! on with JSON: the envelope or the state. The body is a message's content as it came, with a CRC of its own in the
//! head, so that one message can be checked without the batch that it came with.

use std::collections::HashSet;

use backupmx_relay_config::DomainName;
use crc32c::{crc32c, crc32c_append};

use super::wire::{Reader, put_text};
use crate::{
    clock::Timestamp,
    message::{Envelope, MessageId, MessageState, RecipientOutcome, Standing},
};

/// Octets of a record before its head.
pub(super) const FIXED: usize = 16;

/// The id of a segment; also its place in the order of the log.
pub(super) type SegmentId = u32;

/// Where content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the record.
    Inline,
    /// In a file of its own, named by the message's id.
    File,
}

/// Who made a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// A client handed it in.
    Client,
    /// It is our report on another one.
    Ourselves,
}

/// The domains that a message waits for, each once. Each has it in its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Domains {
    /// The one whose recipient comes first.
    pub(super) first: DomainName,
    /// The others with recipients to whom it is to be delivered.
    pub(super) also: Vec<DomainName>,
    /// Those for which it failed and its sender has not been told. Nobody claims it for them while another waits.
    pub(super) untold: Vec<DomainName>,
}

impl Domains {
    /// The domains that a message waits for in that state; none where it waits for nothing.
    pub(super) fn of(envelope: &Envelope, state: &MessageState) -> Option<Self> {
        let mut known = HashSet::new();
        let mut domains = |outcomes: fn(RecipientOutcome) -> bool| -> Vec<DomainName> {
            let those = envelope.recipients.iter().zip(&state.recipients).filter(|(_, state)| outcomes(state.outcome));
            let named = those.map(|(recipient, _)| recipient.path.domain());
            named.filter(|domain| known.insert((*domain).clone())).cloned().collect()
        };
        let mut also = domains(|outcome| outcome == RecipientOutcome::Pending);
        let mut untold = domains(|outcome| matches!(outcome, RecipientOutcome::Unreported { .. }));
        if also.is_empty() {
            // Nobody is left to deliver to: whoever has it decides what its sender is told.
            also = std::mem::take(&mut untold);
            also.extend(domains(|outcome| matches!(outcome, RecipientOutcome::Relayed { .. })));
        }
        if also.is_empty() {
            return None;
        }
        let first = also.remove(0);
        Some(Self { first, also, untold })
    }

    /// Octets that the domains take in a note, at most.
    pub(super) fn length(&self) -> usize {
        let length = |domain: &DomainName| 1 + domain.as_str().len();
        4 + length(&self.first) + self.also.iter().chain(&self.untold).map(length).sum::<usize>()
    }

    pub(super) const fn is_one(&self) -> bool {
        self.also.is_empty() && self.untold.is_empty()
    }

    /// All of them: those to whom it is to be delivered come first.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut DomainName> {
        std::iter::once(&mut self.first).chain(&mut self.also).chain(&mut self.untold)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_text(out, self.first.as_str());
        if self.is_one() {
            return;
        }
        for more in [&self.also, &self.untold] {
            let count = u16::try_from(more.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_le_bytes());
            more.iter().take(usize::from(count)).for_each(|domain| put_text(out, domain.as_str()));
        }
    }

    fn take(kind: u8, from: &mut Reader<'_>) -> Option<Self> {
        let mut domains = Self::from(from.text()?.parse::<DomainName>().ok()?);
        if matches!(kind, MESSAGE_OF_SEVERAL | STATE_OF_SEVERAL) {
            for more in [&mut domains.also, &mut domains.untold] {
                let count = from.u16()?;
                *more = (0..count).map(|_| from.text()?.parse().ok()).collect::<Option<_>>()?;
            }
        }
        Some(domains)
    }
}

impl From<DomainName> for Domains {
    fn from(first: DomainName) -> Self {
        Self { first, also: Vec::new(), untold: Vec::new() }
    }
}

/// What the index needs of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageNote {
    pub(super) id: MessageId,
    pub(super) arrived: Timestamp,
    /// Octets of content.
    pub(super) size: u64,
    pub(super) place: Place,
    pub(super) maker: Maker,
    /// CRC32C of the content.
    pub(super) crc: u32,
    /// The lanes it starts in.
    pub(super) domains: Domains,
}

/// What the index needs of a message's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateNote {
    pub(super) id: MessageId,
    pub(super) standing: Standing,
    pub(super) due: Option<Timestamp>,
    pub(super) attempts: u32,
    /// The lanes it is in from now on.
    pub(super) domains: Domains,
}

/// That a message is done, and which segments hold records of it that must not bring it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DoneNote {
    pub(super) id: MessageId,
    pub(super) segments: Vec<SegmentId>,
}

/// What the index needs of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Message(MessageNote),
    State(StateNote),
    Done(DoneNote),
}

/// Whether a record stands alone. Linked records are one step: all of them count or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The last of its step, or alone.
    Last,
    /// The next record belongs to the same step.
    More,
}

const MESSAGE: u8 = 1;
const STATE: u8 = 2;
const DONE: u8 = 3;
/// As [`MESSAGE`] and [`STATE`], for several domains: few have them, and the others' records stay as they were.
const MESSAGE_OF_SEVERAL: u8 = 4;
const STATE_OF_SEVERAL: u8 = 5;
const NO_DUE: u64 = u64::MAX;

impl Note {
    pub(super) const fn id(&self) -> MessageId {
        match self {
            Self::Message(note) => note.id,
            Self::State(note) => note.id,
            Self::Done(note) => note.id,
        }
    }

    /// The number that stands for the kind of record.
    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::Message(note) if note.domains.is_one() => MESSAGE,
            Self::Message(_) => MESSAGE_OF_SEVERAL,
            Self::State(note) if note.domains.is_one() => STATE,
            Self::State(_) => STATE_OF_SEVERAL,
            Self::Done(_) => DONE,
        }
    }

    /// Adds the note to some octets.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id().as_u64().to_le_bytes());
        match self {
            Self::Message(note) => {
                out.extend_from_slice(&note.arrived.as_millis().to_le_bytes());
                out.extend_from_slice(&note.size.to_le_bytes());
                out.push(u8::from(note.place == Place::File));
                out.push(u8::from(note.maker == Maker::Ourselves));
                out.extend_from_slice(&note.crc.to_le_bytes());
                note.domains.put(out);
            }
            Self::State(note) => {
                out.push(match note.standing {
                    Standing::Queued => 0,
                    Standing::Rejected => 1,
                    Standing::Looping => 2,
                    Standing::Parked => 3,
                    Standing::Withheld => 4,
                });
                out.extend_from_slice(&note.due.map_or(NO_DUE, Timestamp::as_millis).to_le_bytes());
                out.extend_from_slice(&note.attempts.to_le_bytes());
                note.domains.put(out);
            }
            Self::Done(note) => {
                out.push(u8::try_from(note.segments.len()).unwrap_or(u8::MAX));
                for segment in note.segments.iter().take(usize::from(u8::MAX)) {
                    out.extend_from_slice(&segment.to_le_bytes());
                }
            }
        }
    }

    /// Takes a note off the front of some octets.
    pub(super) fn take(kind: u8, from: &mut Reader<'_>) -> Option<Self> {
        let id = MessageId::from_u64(from.u64()?);
        Some(match kind {
            MESSAGE | MESSAGE_OF_SEVERAL => Self::Message(MessageNote {
                id,
                arrived: Timestamp::from_millis(from.u64()?),
                size: from.u64()?,
                place: match from.u8()? {
                    0 => Place::Inline,
                    1 => Place::File,
                    _ => return None,
                },
                maker: match from.u8()? {
                    0 => Maker::Client,
                    1 => Maker::Ourselves,
                    _ => return None,
                },
                crc: from.u32()?,
                domains: Domains::take(kind, from)?,
            }),
            STATE | STATE_OF_SEVERAL => Self::State(StateNote {
                id,
                standing: match from.u8()? {
                    0 => Standing::Queued,
                    1 => Standing::Rejected,
                    2 => Standing::Looping,
                    3 => Standing::Parked,
                    4 => Standing::Withheld,
                    _ => return None,
                },
                due: Some(from.u64()?).filter(|due| *due != NO_DUE).map(Timestamp::from_millis),
                attempts: from.u32()?,
                domains: Domains::take(kind, from)?,
            }),
            DONE => {
                let count = from.u8()?;
                let segments = (0..count).map(|_| from.u32()).collect::<Option<_>>()?;
                Self::Done(DoneNote { id, segments })
            }
            _ => return None,
        })
    }
}

/// A record's octets up to its body, of which `body` octets follow.
pub(super) fn encode(note: &Note, json: &[u8], body: usize, link: Link) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIXED + 64 + json.len());
    out.extend_from_slice(&[0; FIXED]);
    note.put(&mut out);
    out.extend_from_slice(json);
    let head = u32::try_from(out.len() - FIXED).unwrap_or(u32::MAX);
    let body = u32::try_from(body).unwrap_or(u32::MAX);
    out[4] = note.kind();
    out[5] = u8::from(link == Link::More);
    out[8..12].copy_from_slice(&head.to_le_bytes());
    out[12..16].copy_from_slice(&body.to_le_bytes());
    seal(&mut out);
    out
}

/// Makes a whole record one that stands alone.
pub(super) fn unlink(record: &mut [u8]) {
    if let Some(fixed) = Fixed::parse(record)
        && let Some(head) = record.get_mut(..FIXED + fixed.head)
    {
        head[5] = 0;
        seal(head);
    }
}

fn seal(head: &mut [u8]) {
    let crc = crc32c(&head[4..]);
    head[..4].copy_from_slice(&crc.to_le_bytes());
}

/// The fixed part of a record; nothing in it can be trusted before the CRC was checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    crc: u32,
    kind: u8,
    link: u8,
    /// Octets of the head.
    pub(super) head: usize,
    /// Octets of the body.
    pub(super) body: usize,
}

impl Fixed {
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets);
        let crc = from.u32()?;
        let (kind, link) = (from.u8()?, from.u8()?);
        from.bytes(2)?;
        Some(Self { crc, kind, link, head: from.u32()? as usize, body: from.u32()? as usize })
    }

    /// Whether it says that it is the last of its step.
    pub(super) const fn link_is_last(&self) -> bool {
        self.link == 0
    }

    /// Octets of the whole record.
    pub(super) const fn length(&self) -> usize {
        FIXED + self.head + self.body
    }
}

/// A record whose head was checked.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) note: Note,
    pub(super) link: Link,
    /// The envelope or the state; empty for a done record.
    pub(super) json: &'a [u8],
    /// The content, not checked; empty where it is elsewhere.
    pub(super) body: &'a [u8],
    /// Octets of the whole record.
    pub(super) length: usize,
}

impl<'a> Record<'a> {
    /// The record at the front of some octets; `None` where its head is damaged or it is cut short.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let fixed = Fixed::parse(octets)?;
        let head = octets.get(FIXED..)?.get(..fixed.head)?;
        let body = octets.get(FIXED + fixed.head..)?.get(..fixed.body)?;
        if crc32c_append(crc32c(&octets[4..FIXED]), head) != fixed.crc {
            return None;
        }
        let link = match fixed.link {
            0 => Link::Last,
            1 => Link::More,
            _ => return None,
        };
        let mut from = Reader::new(head);
        let note = Note::take(fixed.kind, &mut from)?;
        Some(Self { note, link, json: from.rest(), body, length: fixed.length() })
    }

    /// Whether the content in the record, if any, is what was stored.
    pub(super) fn is_whole(&self) -> bool {
        match &self.note {
            Note::Message(note) if note.place == Place::Inline => {
                self.body.len() as u64 == note.size && crc32c(self.body) == note.crc
            }
            _ => self.body.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(name: &str) -> DomainName {
        name.parse().unwrap()
    }

    fn domains() -> impl Strategy<Value = Domains> {
        let more = || prop::sample::subsequence(vec![domain("example.net"), domain("a.example")], 0..=2);
        (more(), more()).prop_map(|(also, untold)| Domains { first: domain("example.org"), also, untold })
    }

    fn notes() -> impl Strategy<Value = Note> {
        let id = (1u64..1 << 55).prop_map(MessageId::from_u64);
        let standing =
            prop::sample::select(vec![Standing::Queued, Standing::Rejected, Standing::Looping, Standing::Parked]);
        let due = prop::option::of((0u64..1 << 50).prop_map(Timestamp::from_millis));
        prop_oneof![
            (id.clone(), 0u64..1 << 50, any::<bool>(), any::<u32>(), domains()).prop_map(
                |(id, arrived, file, crc, domains)| {
                    let place = if file { Place::File } else { Place::Inline };
                    let arrived = Timestamp::from_millis(arrived);
                    Note::Message(MessageNote { id, arrived, size: 7, place, maker: Maker::Ourselves, crc, domains })
                }
            ),
            (id.clone(), standing, due, any::<u32>(), domains()).prop_map(|(id, standing, due, attempts, domains)| {
                Note::State(StateNote { id, standing, due, attempts, domains })
            }),
            (id, prop::collection::vec(any::<u32>(), 0..255))
                .prop_map(|(id, segments)| Note::Done(DoneNote { id, segments })),
        ]
    }

    proptest! {
        #[test]
        fn reads_back_what_was_written(note in notes(), json in prop::collection::vec(any::<u8>(), 0..200),
                                       body in prop::collection::vec(any::<u8>(), 0..200), more in any::<bool>()) {
            let link = if more { Link::More } else { Link::Last };
            let mut octets = encode(&note, &json, body.len(), link);
            octets.extend_from_slice(&body);
            let length = octets.len();
            octets.extend_from_slice(b"the next");
            let record = Record::parse(&octets).unwrap();
            prop_assert_eq!((&record.note, record.link, record.length), (&note, link, length));
            prop_assert_eq!((record.json, record.body), (&json[..], &body[..]));
            unlink(&mut octets);
            prop_assert_eq!(Record::parse(&octets).unwrap().link, Link::Last);
        }

        #[test]
        fn a_flipped_bit_in_the_head_is_seen(note in notes(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut octets = encode(&note, b"{}", 0, Link::Last);
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
            prop_assert!(Record::parse(&octets).is_none());
        }

        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::parse(&octets).map(|record| record.is_whole());
        }
    }

    #[test]
    fn a_flipped_bit_in_the_content_is_seen() {
        let note = MessageNote {
            id: MessageId::from_u64(1),
            arrived: Timestamp::default(),
            size: 5,
            maker: Maker::Client,
            place: Place::Inline,
            crc: crc32c(b"hello"),
            domains: domain("example.org").into(),
        };
        let mut octets = encode(&Note::Message(note), b"{}", 5, Link::Last);
        octets.extend_from_slice(b"hello");
        assert!(Record::parse(&octets).unwrap().is_whole());
        *octets.last_mut().unwrap() ^= 1;
        assert!(!Record::parse(&octets).unwrap().is_whole());
    }
}
