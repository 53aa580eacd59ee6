//! How long parked mail is kept. Pure.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    message::{MessageId, MessageState},
};

/// Parked mail may take this part of the volume: one fifth.
const SHARE: u64 = 5;

/// Parked mail is kept so long at least, so that a person sees it in the listing even where it was parked because its
/// hold time had ended.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// A parked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its id; ids are in the order of arrival.
    pub id: MessageId,
    /// Its octets.
    pub size: u64,
    /// See [`kept_until`].
    pub kept_until: Timestamp,
}

/// A parked message that goes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The message.
    pub id: MessageId,
    /// Why.
    pub cause: RemovalCause,
}

/// Why a parked message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemovalCause {
    /// Its time was up.
    Expired,
    /// It is among the oldest, and parked mail takes more than its part of the volume.
    Crowded,
}

/// Since when a message waits for its end: since the first of its recipients failed whose sender may not be told.
#[must_use]
pub fn parked_since(state: &MessageState) -> Option<Timestamp> {
    state.unreported().map(|(_, since)| since).min()
}

/// Until when a message is kept that is parked since `parked`, and whose hold time ends at `hold_ends`.
#[must_use]
pub fn kept_until(hold_ends: Timestamp, parked: Timestamp) -> Timestamp {
    hold_ends.max(parked + GRACE)
}

/// The parked messages that go now, in the order in which they go: those whose time is up, then the oldest until the
/// rest takes at most a fifth of the volume's `volume` octets.
#[must_use]
pub fn parked_to_remove(parked: &[Parked], volume: u64, now: Timestamp) -> Vec<Removal> {
    let (expired, mut kept): (Vec<Parked>, Vec<Parked>) = parked.iter().partition(|message| message.kept_until <= now);
    let mut removals: Vec<Removal> =
        expired.iter().map(|message| Removal { id: message.id, cause: RemovalCause::Expired }).collect();
    removals.sort_by_key(|removal| removal.id);
    kept.sort_by_key(|message| message.id);
    let mut octets: u128 = kept.iter().map(|message| u128::from(message.size)).sum();
    for message in kept {
        if octets <= u128::from(volume / SHARE) {
            break;
        }
        octets -= u128::from(message.size);
        removals.push(Removal { id: message.id, cause: RemovalCause::Crowded });
    }
    removals
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(id: u64, size: u64, kept_until: u64) -> Parked {
        Parked { id: MessageId::from_u64(id), size, kept_until: Timestamp::from_millis(kept_until) }
    }

    #[test]
    fn what_is_over_time_goes_then_the_oldest() {
        use RemovalCause::{Crowded, Expired};
        let now = Timestamp::from_millis(100);
        for (parked, volume, gone) in [
            (vec![], 0, vec![]),
            (vec![message(1, 10, 101), message(2, 10, 200)], 100, vec![]),
            (vec![message(2, 10, 100), message(1, 10, 99), message(3, 10, 101)], 100, vec![(1, Expired), (2, Expired)]),
            (vec![message(2, 10, 200), message(1, 10, 200), message(3, 10, 200)], 100, vec![(1, Crowded)]),
            (vec![message(1, 10, 200), message(2, 15, 50)], 50, vec![(2, Expired)]),
            (vec![message(1, 10, 200), message(2, 15, 150)], 50, vec![(1, Crowded), (2, Crowded)]),
            (vec![message(1, u64::MAX, 200), message(2, u64::MAX, 200)], 0, vec![(1, Crowded), (2, Crowded)]),
        ] {
            let removals: Vec<_> =
                parked_to_remove(&parked, volume, now).iter().map(|r| (r.id.as_u64(), r.cause)).collect();
            assert_eq!(removals, gone, "{parked:?} on {volume}");
        }
    }

    #[test]
    fn parked_mail_is_seen_before_it_goes() {
        let hour = Duration::from_secs(3600);
        let parked = Timestamp::from_millis(1_000_000_000);
        assert_eq!(kept_until(parked + 100 * hour, parked), parked + 100 * hour);
        assert_eq!(kept_until(parked + hour, parked), parked + 24 * hour);
        assert_eq!(kept_until(Timestamp::default(), parked), parked + 24 * hour);
    }

    proptest! {
        #[test]
        fn what_stays_fits_and_no_more_goes_than_must(
            sizes in prop::collection::vec((0u64..100, 0u64..200), 0..30), volume in 0u64..2000
        ) {
            let now = Timestamp::from_millis(100);
            let parked: Vec<_> =
                sizes.iter().zip(1..).map(|((size, until), id)| message(id, *size, *until)).collect();
            let removals = parked_to_remove(&parked, volume, now);
            let gone = |id| removals.iter().any(|removal| removal.id == id);
            let stays: u64 = parked.iter().filter(|m| !gone(m.id)).map(|m| m.size).sum();
            prop_assert!(stays <= volume / 5);
            prop_assert!(parked.iter().all(|m| m.kept_until > now || gone(m.id)));
            if let Some(last) = removals.last().filter(|removal| removal.cause == RemovalCause::Crowded) {
                let size = parked.iter().find(|m| m.id == last.id).map_or(0, |m| m.size);
                prop_assert!(stays + size > volume / 5);
            }
        }
    }
}
