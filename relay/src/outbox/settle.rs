//! What the outcomes of a try mean for a report. Pure.

use crate::{
    clock::Timestamp,
    deliver::{Class, Outcome},
    message::{MessageState, RecipientOutcome, Speaker},
    schedule::message_due,
    smtp::Reply,
};

/// What becomes of a report after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// What is recorded.
    pub(super) then: Step,
    /// What speaks against the destination itself: it closed the session, or the session was lost.
    pub(super) broken: Option<String>,
    /// Recipients delivered to.
    pub(super) delivered: u64,
    /// Recipients refused for good.
    pub(super) refused: u64,
    /// Recipients to be tried again.
    pub(super) deferred: u64,
}

/// What is recorded after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is delivered.
    Delivered,
    /// It is given up, and why.
    GivenUp(String),
    /// It is tried again.
    Again(MessageState),
    /// Nothing: nobody was asked.
    Nothing,
}

/// Whether a report may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// It may.
    Left,
    /// This was its last try.
    Over,
}

/// Judges a try.
pub(super) fn settle(before: &MessageState, outcomes: &[(usize, Outcome)], now: Timestamp, time: Time) -> Settled {
    let mut state = before.clone();
    let mut settled = Settled { then: Step::Nothing, broken: None, delivered: 0, refused: 0, deferred: 0 };
    let mut why = None;
    for (position, outcome) in outcomes {
        let Some(recipient) = state.recipients.get_mut(*position) else { continue };
        let mut ends = |outcome: RecipientOutcome, reply: &Reply| {
            recipient.outcome = outcome;
            recipient.answered(reply, Speaker::Destination);
        };
        match outcome {
            Outcome::Accepted(reply) => {
                ends(RecipientOutcome::Delivered, reply);
                settled.delivered += 1;
            }
            Outcome::Permanent(reply, stage) => {
                ends(RecipientOutcome::Failed, reply);
                settled.refused += 1;
                why = Some(format!("refused at {stage}: {reply}"));
            }
            Outcome::NeedsSmtpUtf8 => {
                recipient.outcome = RecipientOutcome::Failed;
                settled.refused += 1;
                why = Some("it needs SMTPUTF8, which the server does not offer".to_owned());
            }
            Outcome::Transient(reply, stage) if outcome.class() == Some(Class::ServiceClosing) => {
                settled.broken = Some(format!("closed at {stage}: {reply}"));
            }
            Outcome::Transient(reply, stage) => {
                ends(RecipientOutcome::Pending, reply);
                settled.deferred += 1;
                why = Some(format!("deferred at {stage}: {reply}"));
            }
            Outcome::Lost(lost) => settled.broken = Some(lost.to_string()),
        }
    }
    settled.then = if state.pending().next().is_none() {
        match why {
            Some(why) if settled.refused > 0 => Step::GivenUp(why),
            _ => Step::Delivered,
        }
    } else if time == Time::Over {
        let last = why.or_else(|| settled.broken.clone()).unwrap_or_default();
        Step::GivenUp(format!("its time is over; {last}"))
    } else if settled.deferred > 0 {
        state.attempts = state.attempts.saturating_add(1);
        state.due = Some(message_due(state.attempts, now));
        Step::Again(state)
    } else if settled.broken.is_some() {
        // The first time that is the server's affair. A report that breaks every session must not stand before others.
        state.attempts = state.attempts.saturating_add(1);
        state.due = (state.attempts > 1).then(|| message_due(state.attempts, now));
        Step::Again(state)
    } else if state != *before {
        Step::Again(state)
    } else {
        Step::Nothing
    };
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::{Fault, Lost, Stage};

    fn reply(code: u16) -> Reply {
        Reply::new(code, None, "text")
    }

    fn lost() -> Outcome {
        Outcome::Lost(Lost { stage: Stage::EndOfData, fault: Fault::Closed })
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn try_once(outcomes: &[Outcome], now: u64) -> Settled {
        let outcomes: Vec<(usize, Outcome)> = outcomes.iter().cloned().enumerate().collect();
        let time = if now < 1_000_000 { Time::Left } else { Time::Over };
        settle(&MessageState::new(outcomes.len()), &outcomes, at(now), time)
    }

    #[test]
    fn delivered_and_refused_reports_are_done() {
        let settled = try_once(&[Outcome::Accepted(reply(250))], 0);
        assert_eq!((settled.then, settled.delivered), (Step::Delivered, 1));
        let settled = try_once(&[Outcome::Permanent(reply(550), Stage::Recipient)], 0);
        assert_eq!((settled.then, settled.refused), (Step::GivenUp("refused at RCPT: 550 text".to_owned()), 1));
        assert!(matches!(try_once(&[Outcome::NeedsSmtpUtf8], 0).then, Step::GivenUp(_)));
    }

    #[test]
    fn a_deferred_report_has_its_own_due_time() {
        let deferred = Outcome::Transient(reply(450), Stage::Recipient);
        let settled = try_once(std::slice::from_ref(&deferred), 5);
        let Step::Again(state) = settled.then else { panic!("{settled:?}") };
        assert_eq!((state.attempts, state.due), (1, Some(message_due(1, at(5)))));
        assert_eq!(state.recipients[0].last, Some(reply(450)));
        assert_eq!(settled.broken, None);
        assert!(matches!(try_once(&[deferred], 1_000_000).then, Step::GivenUp(_)));
    }

    #[test]
    fn a_broken_session_is_the_servers_affair_the_first_time() {
        for outcome in [lost(), Outcome::Transient(reply(421), Stage::Mail)] {
            let settled = try_once(std::slice::from_ref(&outcome), 0);
            assert!(settled.broken.is_some());
            let Step::Again(state) = settled.then else { panic!("{settled:?}") };
            assert_eq!((state.attempts, state.due), (1, None));
            let settled = settle(&state, &[(0, outcome.clone())], at(0), Time::Left);
            let Step::Again(state) = settled.then else { panic!("{settled:?}") };
            assert_eq!((state.attempts, state.due), (2, Some(message_due(2, at(0)))));
            assert!(matches!(try_once(&[outcome], 1_000_000).then, Step::GivenUp(_)));
        }
    }

    #[test]
    fn what_is_known_of_one_recipient_is_kept_while_another_waits() {
        let settled = try_once(&[Outcome::Permanent(reply(550), Stage::Recipient), lost()], 0);
        let Step::Again(state) = settled.then else { panic!("{settled:?}") };
        assert_eq!(state.recipients[0].outcome, RecipientOutcome::Failed);
        assert_eq!(state.pending().collect::<Vec<_>>(), [1]);
        assert_eq!((state.attempts, state.due), (1, None));
    }
}
