//! The id of a held message.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The id of a held message: unique in a spool for ever, and ordered by arrival.
///
/// The microseconds since 1970 at which it was given, moved on where two would be equal. Shown as 11 characters of
/// Crockford's Base32 in lower case, most significant first, so that text sorts as the number does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 11;
const BITS: u32 = 5 * LENGTH as u32;

impl MessageId {
    /// The largest id.
    pub const MAX: Self = Self((1 << BITS) - 1);

    /// An id of that number; numbers past [`Self::MAX`] are cut to it.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        if number > Self::MAX.0 { Self::MAX } else { Self(number) }
    }

    /// The id as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; LENGTH];
        for (position, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(self.0 >> (5 * position)) as usize & 31];
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// What is wrong with a text that should be a [`MessageId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a message id: 11 digits and letters, as `queue list` shows them; got {0:?}")]
pub struct ParseIdError(String);

impl FromStr for MessageId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseIdError(text.to_owned());
        if text.len() != LENGTH {
            return Err(wrong());
        }
        text.bytes()
            .try_fold(0, |number, byte| {
                let digit = DIGITS.iter().position(|digit| *digit == byte.to_ascii_lowercase())?;
                Some((number << 5) | digit as u64)
            })
            .map(Self)
            .ok_or_else(wrong)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_reads_back_and_sorts_as_the_number(a in 0..=MessageId::MAX.0, b in 0..=MessageId::MAX.0) {
            let (a, b) = (MessageId(a), MessageId(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in ["", "0", "0000000000u", "000000000000", "../etc/passw"] {
            assert!(text.parse::<MessageId>().is_err(), "{text:?} was taken");
        }
    }
}
