//! How much room there is: what the spool takes, what is on its way, and the reserve.
//!
//! New mail must leave the reserve alone. It is kept for done records, states, reports and rewrites: a spool that can't
//! write down what it delivered would deliver it twice.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::volume::{Room, Volume};

/// What the volume said is believed for that long; what we write meanwhile is taken off.
const FRESH: Duration = Duration::from_millis(50);
const MIB: u64 = 1 << 20;
/// Offsets in a segment are of 32 bits, and one batch may go past the size.
const LARGEST_SEGMENT: u64 = 1 << 30;
/// Octets that recording a delivery takes at most, in any but absurd cases.
const RECORD: u64 = 64 << 10;
/// The limit of a spool that may have the whole volume.
const NO_LIMIT: u64 = u64::MAX;

/// The size at which a segment is sealed, on a spool of that size, where the config does not say.
pub(super) fn default_segment_size(size: u64) -> u64 {
    (size / 32).clamp(MIB / 4, 64 * MIB)
}

/// The part of a spool that new mail must leave free: a twentieth, and at least two segments or a quarter.
pub(super) const fn reserve(size: u64, segment_size: u64) -> u64 {
    let part = size / 20;
    // A spool that was made smaller has the segments of a larger one.
    let most = size / 4;
    let segments = if 2 * segment_size > most { most } else { 2 * segment_size };
    if part > segments { part } else { segments }
}

/// The room of a spool.
#[derive(Debug)]
pub(super) struct Space {
    volume: Arc<dyn Volume>,
    folder: PathBuf,
    /// [`NO_LIMIT`] where the config names none.
    limit: AtomicU64,
    segment_size: u64,
    used: AtomicU64,
    coming: AtomicU64,
    quarantined: AtomicU64,
    room: Mutex<(Instant, Room)>,
}

impl Space {
    pub(super) fn new(
        volume: Arc<dyn Volume>,
        folder: PathBuf,
        limit: Option<u64>,
        segment_size: Option<u64>,
    ) -> std::io::Result<Self> {
        let room = volume.room(&folder)?;
        let size = limit.map_or(room.total, |limit| limit.min(room.total));
        Ok(Self {
            volume,
            folder,
            limit: AtomicU64::new(limit.unwrap_or(NO_LIMIT)),
            segment_size: segment_size.unwrap_or_else(|| default_segment_size(size)).min(LARGEST_SEGMENT),
            used: AtomicU64::new(0),
            coming: AtomicU64::new(0),
            quarantined: AtomicU64::new(0),
            room: Mutex::new((Instant::now(), room)),
        })
    }

    pub(super) const fn segment_size(&self) -> u64 {
        self.segment_size
    }

    fn room(&self) -> Room {
        let mut known = self.room.lock();
        if known.0.elapsed() > FRESH
            && let Ok(room) = self.volume.room(&self.folder)
        {
            *known = (Instant::now(), room);
        }
        known.1
    }

    /// The spool's size: the configured one or the volume's, the smaller.
    pub(super) fn size(&self) -> u64 {
        self.limit.load(Relaxed).min(self.room().total)
    }

    /// Takes up a new limit. Where it is passed already, new mail is refused until there is room again; what is held goes
    /// out as before.
    pub(super) fn resize(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(NO_LIMIT), Relaxed);
    }

    /// Octets that the spool takes.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Octets that can still be written for new mail, the reserve with them.
    fn free(&self) -> u64 {
        self.free_up_to(self.limit.load(Relaxed))
    }

    fn free_up_to(&self, limit: u64) -> u64 {
        let room = self.room();
        if limit < room.total { room.free.min(limit.saturating_sub(self.used())) } else { room.free }
    }

    /// Octets that new mail may still take.
    pub(super) fn available(&self) -> u64 {
        let kept = reserve(self.size(), self.segment_size) + self.coming.load(Relaxed);
        self.free().saturating_sub(kept)
    }

    /// Whether so much of the reserve is gone that deliveries could not be recorded.
    pub(super) fn can_record(&self) -> bool {
        // Of the volume, as the limit is for new mail: a spool beyond it empties by delivering.
        self.room().free > RECORD
    }

    /// Whether reports or a rewrite of that many octets may use the reserve: the last quarter is for done records.
    pub(super) fn admits_from_reserve(&self, octets: u64) -> bool {
        let reserve = reserve(self.size(), self.segment_size);
        let limit = self.limit.load(Relaxed).max(self.used().saturating_add(reserve));
        self.free_up_to(limit) > octets.saturating_add(reserve / 4)
    }

    /// Takes room for new mail; `None` where there is too little.
    pub(super) fn lease(self: &Arc<Self>, octets: u64) -> Option<Lease> {
        let lease = self.lease_anyway(octets);
        // Counted first and looked at after, so that two at once can't both take the last of it.
        let kept = reserve(self.size(), self.segment_size);
        let enough = self.free() >= kept.saturating_add(self.coming.load(Relaxed));
        enough.then_some(lease)
    }

    /// Counts octets that are on their way, whether there is room or not.
    pub(super) fn lease_anyway(self: &Arc<Self>, octets: u64) -> Lease {
        self.coming.fetch_add(octets, Relaxed);
        Lease { space: Arc::clone(self), octets }
    }

    /// A file grew, or was made.
    pub(super) fn add(&self, octets: u64) {
        self.used.fetch_add(octets, Relaxed);
        let mut known = self.room.lock();
        known.1.free = known.1.free.saturating_sub(octets);
    }

    /// A file was cut or removed.
    pub(super) fn subtract(&self, octets: u64) {
        let _ = self.used.fetch_update(Relaxed, Relaxed, |used| Some(used.saturating_sub(octets)));
    }

    /// A file was put in quarantine.
    pub(super) fn add_quarantined(&self, files: u64) {
        self.quarantined.fetch_add(files, Relaxed);
    }

    /// A file was removed from quarantine.
    pub(super) fn subtract_quarantined(&self, files: u64) {
        let _ = self.quarantined.fetch_update(Relaxed, Relaxed, |known| Some(known.saturating_sub(files)));
    }

    pub(super) fn quarantined(&self) -> u64 {
        self.quarantined.load(Relaxed)
    }
}

/// Octets that are on their way to the volume; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    space: Arc<Space>,
    octets: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.space.coming.fetch_sub(self.octets, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_the_reserve_fit_the_volume() {
        for (size, segment, kept) in [
            (8 * MIB, MIB / 4, MIB / 2),
            (64 * MIB, 2 * MIB, 4 * MIB),
            (1024 * MIB, 32 * MIB, 64 * MIB),
            (10 * 1024 * MIB, 64 * MIB, 512 * MIB),
        ] {
            assert_eq!(default_segment_size(size), segment, "segment of {size}");
            assert_eq!(reserve(size, segment), kept, "reserve of {size}");
        }
    }
}
