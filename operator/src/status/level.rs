//! How full a volume is, in the steps that are told of.

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
    /// Of so many octets used and there. A size that is not known is none to be full.
    #[must_use]
    pub fn of(used: u64, size: u64) -> Self {
        Self::at(percent(used, size))
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

/// How much is used, in percent, rounded down, 100 at most; 0 where the size is not known.
#[must_use]
pub fn percent(used: u64, size: u64) -> u8 {
    let share = (u128::from(used) * 100).checked_div(u128::from(size)).unwrap_or(0);
    u8::try_from(share.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        for (used, size, wanted) in [
            (0, 0, Level::Low),
            (9, 0, Level::Low),
            (49, 100, Level::Low),
            (50, 100, Level::Half),
            (749, 1000, Level::Half),
            (75, 100, Level::ThreeQuarters),
            (90, 100, Level::NineTenths),
            (300, 100, Level::NineTenths),
            (u64::MAX, u64::MAX, Level::NineTenths),
        ] {
            assert_eq!(Level::of(used, size), wanted, "{used} of {size}");
        }
    }
}
