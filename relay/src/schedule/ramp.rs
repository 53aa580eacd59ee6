//! How many deliveries run at once.

/// How fast a ramp grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Five times as wide at each step: nothing has gone wrong yet.
    Fast,
    /// One wider at each step: the primary has named its limit.
    Careful,
}

/// How many deliveries run at once: 1, 5, 25, … up to a bound, one step after as many accepted messages as the ramp is
/// wide. Halved where the primary closes connections because there are too many; from then on it grows by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    width: u32,
    max: u32,
    /// Accepted since the last step.
    accepted: u32,
    pace: Pace,
}

impl Ramp {
    /// A ramp that starts with one delivery and ends with `max` (at least one).
    #[must_use]
    pub const fn new(max: u32) -> Self {
        let max = if max == 0 { 1 } else { max };
        Self { width: 1, max, accepted: 0, pace: Pace::Fast }
    }

    /// Deliveries that may run at once: 1 to the bound.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Starts over with one delivery.
    pub const fn restart(&mut self) {
        *self = Self::new(self.max);
    }

    /// The primary accepted a message.
    pub fn accepted(&mut self) {
        self.accepted = self.accepted.saturating_add(1);
        if self.accepted < self.width {
            return;
        }
        self.accepted = 0;
        let wider = match self.pace {
            Pace::Fast => self.width.saturating_mul(5),
            Pace::Careful => self.width.saturating_add(1),
        };
        self.width = wider.min(self.max);
    }

    /// The primary closed a connection with 421 while `others` more were held: there were `others + 1`, and half of
    /// them, at least one, may stay. Several 421 that answer the same crowd halve once: while more are held than the
    /// ramp is wide, the last halving has not taken effect yet.
    pub fn halve(&mut self, others: u32) {
        let held = others.saturating_add(1);
        if held > self.width {
            return;
        }
        self.width = (held / 2).max(1);
        self.accepted = 0;
        self.pace = Pace::Careful;
    }

    /// Puts another bound in force.
    pub fn set_max(&mut self, max: u32) {
        self.max = max.max(1);
        self.width = self.width.min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn widths(ramp: &mut Ramp, acceptances: u32) -> Vec<u32> {
        let mut widths = vec![ramp.width()];
        for _ in 0..acceptances {
            ramp.accepted();
            if widths.last() != Some(&ramp.width()) {
                widths.push(ramp.width());
            }
        }
        widths
    }

    #[test]
    fn grows_by_five_up_to_its_bound() {
        assert_eq!(widths(&mut Ramp::new(100), 500), [1, 5, 25, 100]);
        assert_eq!(widths(&mut Ramp::new(10), 500), [1, 5, 10]);
        assert_eq!(widths(&mut Ramp::new(1), 500), [1]);
        assert_eq!(widths(&mut Ramp::new(0), 500), [1]);
    }

    #[test]
    fn steps_after_as_many_acceptances_as_it_is_wide() {
        let mut ramp = Ramp::new(100);
        assert_eq!(widths(&mut ramp, 1), [1, 5]);
        assert_eq!(widths(&mut ramp, 4), [5]);
        assert_eq!(widths(&mut ramp, 1), [5, 25]);
    }

    #[test]
    fn halves_what_is_held_once_for_a_crowd_and_then_grows_with_care() {
        let mut ramp = Ramp::new(10);
        let _ = widths(&mut ramp, 6);
        assert_eq!(ramp.width(), 10);
        for others in [9, 8, 7, 6, 5] {
            ramp.halve(others);
            assert_eq!(ramp.width(), 5, "with {others} others");
        }
        assert_eq!(widths(&mut ramp, 11), [5, 6, 7]);
        ramp.restart();
        assert_eq!(widths(&mut ramp, 6), [1, 5, 10]);
    }

    proptest! {
        #[test]
        fn stays_between_one_and_its_bound(
            max in 1_u32..200, steps in prop::collection::vec((0_u8..4, 0_u32..200), 0..300)
        ) {
            let mut ramp = Ramp::new(max);
            let mut bound = max;
            for (step, number) in steps {
                let before = ramp.width();
                match step {
                    0 | 1 => {
                        ramp.accepted();
                        prop_assert!(ramp.width() >= before);
                    }
                    2 => {
                        ramp.halve(number);
                        prop_assert!(ramp.width() <= before);
                        let held = number + 1;
                        prop_assert!(held > before || ramp.width() == (held / 2).max(1));
                    }
                    _ => {
                        bound = number.max(1);
                        ramp.set_max(number);
                    }
                }
                prop_assert!((1..=bound).contains(&ramp.width()));
            }
        }
    }
}
