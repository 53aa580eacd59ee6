//! How full a volume is, in the steps that are told of.

use backupmx_relay_config::status::{Accepting, RelayStatus, StorageStatus};

/// How full a volume is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Less than half.
    #[default]
    Low,
    /// Half, or more.
    Half,
    /// Three quarters, or more: it grows where it may.
    ThreeQuarters,
    /// Nine tenths, or more.
    NineTenths,
}

impl Level {
    /// Of a volume. One of which nothing is known is none to be full.
    #[must_use]
    pub fn of(storage: &StorageStatus) -> Self {
        Self::at(percent(storage))
    }

    /// At so many percent.
    #[must_use]
    pub const fn at(percent: u8) -> Self {
        match percent {
            0..50 => Self::Low,
            50..75 => Self::Half,
            75..90 => Self::ThreeQuarters,
            90.. => Self::NineTenths,
        }
    }
}

/// How much is taken of what may be, in percent, rounded down; 0 where nothing is known. The reserve, and what the file
/// system has for itself, are not mail's to take: a volume that takes none any more is full.
#[must_use]
pub fn percent(storage: &StorageStatus) -> u8 {
    if storage.size == 0 {
        return 0;
    }
    let (used, available) = (u128::from(storage.used), u128::from(storage.available));
    let share = (used * 100).checked_div(used + available).unwrap_or(100);
    u8::try_from(share).unwrap_or(100)
}

/// Less room than that is none: an ordinary message is refused already.
const LEAST_ROOM: u64 = 64 << 10;

/// Whether a relay refuses mail, as its volume has no room for it.
#[must_use]
pub fn is_full(report: &RelayStatus) -> bool {
    let storage = &report.storage;
    report.accepting == Accepting::StorageFull || (storage.size > 0 && storage.available < LEAST_ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        for (used, available, size, wanted) in [
            (0, 0, 0, Level::Low),
            (9, 0, 0, Level::Low),
            (0, 100, 110, Level::Low),
            (49, 51, 110, Level::Low),
            (50, 50, 110, Level::Half),
            (749, 251, 1100, Level::Half),
            (75, 25, 110, Level::ThreeQuarters),
            (90, 10, 110, Level::NineTenths),
            (70, 0, 110, Level::NineTenths),
            (0, 0, 110, Level::NineTenths),
            (u64::MAX, u64::MAX, u64::MAX, Level::Half),
        ] {
            let storage = StorageStatus { used, available, size, quarantined: 0 };
            assert_eq!(Level::of(&storage), wanted, "{storage:?}");
        }
    }
}
