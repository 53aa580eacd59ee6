//! What was told of a status that the API server has not taken yet.

use crate::events::Event;

/// The Events of a status that could not be written: they are not told at every try.
#[derive(Clone, Debug, Default)]
pub(super) struct Untaken(Vec<Event>);

impl Untaken {
    /// Those of a status's Events that were not told yet. What it does not tell of any more has passed.
    pub(super) fn news(&mut self, of_status: Vec<Event>) -> Vec<Event> {
        self.keep(&of_status);
        let news: Vec<Event> = of_status.into_iter().filter(|event| !self.0.contains(event)).collect();
        self.0.extend(news.iter().cloned());
        news
    }

    /// What a status tells of. All else has passed, and is told anew when it comes again.
    pub(super) fn keep(&mut self, of_status: &[Event]) {
        self.0.retain(|event| of_status.contains(event));
    }

    /// The status was taken.
    pub(super) fn taken(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Reason;

    fn drained() -> Vec<Event> {
        vec![Event::new(Reason::Drained, "no mail is held any more")]
    }

    #[test]
    fn a_status_that_is_not_taken_is_told_once() {
        let mut untaken = Untaken::default();
        assert_eq!(untaken.news(drained()), drained());
        assert_eq!(untaken.news(drained()), [], "at the next try");
        untaken.taken();
        assert_eq!(untaken.news(drained()), drained(), "on another day");
    }

    #[test]
    fn what_has_passed_before_the_status_was_taken_is_told_when_it_comes_again() {
        let mut untaken = Untaken::default();
        untaken.news(drained());
        untaken.keep(&drained());
        assert_eq!(untaken.news(drained()), [], "it is still so");
        untaken.keep(&[]);
        assert_eq!(untaken.news(drained()), drained());
    }

    #[test]
    fn what_comes_and_goes_while_no_status_is_taken_is_told_each_time() {
        let down = || vec![Event::new(Reason::PrimaryDown, "the primary is down")];
        let mut untaken = Untaken::default();
        for _ in 0..3 {
            assert_eq!(untaken.news(down()), down());
            assert_eq!(untaken.news([down(), drained()].concat()), drained());
            assert_eq!(untaken.news(drained()), [], "it is up again, and the other goes on");
            assert_eq!(untaken.0.len(), 1, "what has passed is not kept");
            assert_eq!(untaken.news(Vec::new()), []);
        }
    }
}
