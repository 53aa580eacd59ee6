//! A message's own due time.

use std::time::Duration;

use crate::clock::Timestamp;

const FIRST: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(45 * 60);

/// When a message that was answered 4xx while its primary takes mail is due again: 5 minutes after the first such
/// answer, half as long again after each further one, at most 45 minutes. `attempts` counts this answer too.
#[must_use]
pub fn message_due(attempts: u32, now: Timestamp) -> Timestamp {
    let mut delay = FIRST;
    for _ in 1..attempts {
        if delay >= LONGEST {
            break;
        }
        delay = (delay * 3 / 2).min(LONGEST);
    }
    now + delay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides_from_five_to_forty_five_minutes() {
        let now = Timestamp::from_millis(1_767_225_600_000);
        for (attempts, seconds) in
            [(0, 300), (1, 300), (2, 450), (3, 675), (6, 2278), (7, 2700), (8, 2700), (u32::MAX, 2700)]
        {
            assert_eq!(message_due(attempts, now).since(now).as_secs(), seconds, "after {attempts} attempts");
        }
    }
}
