//! What is known of one held message.

use crate::{
    message::{MessageId, Standing},
    spool::{
        lane::Millis,
        record::{Maker, Place, SegmentId},
        sorted::Keyed,
    },
};

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::spool) struct Spot {
    pub(in crate::spool) segment: SegmentId,
    pub(in crate::spool) offset: u32,
}

/// A record's place and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spool) struct Extent {
    pub(in crate::spool) spot: Spot,
    pub(in crate::spool) length: u32,
}

/// Segments count from 1, so this names no record.
pub(super) const NOWHERE: Extent = Extent { spot: Spot { segment: 0, offset: 0 }, length: 0 };

/// A held message.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: MessageId,
    pub(super) message: Extent,
    pub(super) state: Extent,
    pub(super) size: u32,
    /// Its lane, or its lanes: see [`super::several::Home`].
    pub(super) home: u32,
    pub(super) arrived: Millis,
    /// Zero: none.
    pub(super) due: Millis,
    /// At most 255 are told apart; the state on disk knows better.
    pub(super) attempts: u8,
    pub(super) standing: Standing,
    pub(super) nature: Nature,
}

/// Where a message's content is and who made the message, in one octet: with two an [`Entry`] would have 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    TakenInline,
    TakenFile,
    MadeInline,
    MadeFile,
}

impl Nature {
    pub(super) const fn new(maker: Maker, place: Place) -> Self {
        match (maker, place) {
            (Maker::Client, Place::Inline) => Self::TakenInline,
            (Maker::Client, Place::File) => Self::TakenFile,
            (Maker::Ourselves, Place::Inline) => Self::MadeInline,
            (Maker::Ourselves, Place::File) => Self::MadeFile,
        }
    }

    pub(super) const fn maker(self) -> Maker {
        match self {
            Self::TakenInline | Self::TakenFile => Maker::Client,
            Self::MadeInline | Self::MadeFile => Maker::Ourselves,
        }
    }

    pub(super) const fn place(self) -> Place {
        match self {
            Self::TakenInline | Self::MadeInline => Place::Inline,
            Self::TakenFile | Self::MadeFile => Place::File,
        }
    }
}

impl Keyed for Entry {
    type Key = MessageId;

    fn key(&self) -> MessageId {
        self.id
    }
}

impl Entry {
    /// Where its state record is, if it has one.
    pub(super) fn state(&self) -> Option<Extent> {
        Some(self.state).filter(|state| *state != NOWHERE)
    }
}
