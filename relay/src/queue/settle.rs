//! What the outcomes of one transaction make of a message. Pure.

use crate::{
    clock::Timestamp,
    message::{MessageState, RecipientOutcome, Speaker, Standing},
    schedule,
    smtp::Reply,
};

/// What the destination said of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It took the message.
    Accepted(Reply),
    /// It took the message and tells nobody of it, and the sender asked to be told.
    Relayed(Reply),
    /// It will take it later, perhaps (4xx).
    Transient(Reply),
    /// It will not take it (5xx).
    Permanent(Reply),
    /// It was not asked: the message goes in a circle. What is held against it, as a reply.
    Circle(Reply),
    /// It did not say: the session was lost.
    Silent,
    /// It was not asked: it does not offer what the message needs. What is missing, as a reply of ours.
    Unfit(Reply),
}

/// What a refusal for good leads to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPermanent {
    /// It is final: the sender is told.
    Report,
    /// It is final, and waits for a person.
    Hold,
    /// It is not final: it waits for the end of the primary's trial.
    Withhold,
}

/// A message after a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Every recipient is served: the message is done.
    Done,
    /// Nothing has failed for good; it goes on in this state.
    Keep(MessageState),
    /// Some recipients failed for good: they are to be reported. The state has the other outcomes in it already.
    Failed {
        /// The state; the failed recipients are still pending in it.
        state: MessageState,
        /// Positions of the failed recipients.
        failed: Vec<usize>,
        /// Whether they failed by running out of time rather than by a refusal.
        expired: bool,
    },
}

/// What bears on how outcomes are taken.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Now.
    pub now: Timestamp,
    /// When the message's hold time ends.
    pub deadline: Timestamp,
    /// What a refusal for good leads to.
    pub on_permanent: OnPermanent,
    /// Whether time that has run out counts: the clock is believed and nothing is suspended.
    pub may_expire: bool,
}

/// Takes the answers of one transaction into a message's state.
///
/// `answers` names recipients by position; those that are not named were not tried. A recipient that is told to come
/// back gets a due time of its own, which never passes the deadline: at the deadline there is one last try. A first
/// lost session gives none, as the primary's state decides when to go on.
#[must_use]
pub fn settle(mut state: MessageState, answers: &[(usize, Answer)], at: Circumstances) -> Settled {
    let over = at.may_expire && at.now >= at.deadline;
    let mut failed = Vec::new();
    let mut come_back = Back::Never;
    let mut expired = false;
    for (position, answer) in answers {
        let Some(recipient) = state.recipients.get_mut(*position) else { continue };
        match answer {
            Answer::Accepted(reply) => {
                recipient.outcome = RecipientOutcome::Delivered;
                recipient.answered(reply, Speaker::Destination);
            }
            Answer::Relayed(reply) => {
                recipient.outcome = RecipientOutcome::Relayed { since: at.now };
                recipient.answered(reply, Speaker::Destination);
            }
            Answer::Permanent(reply) => {
                recipient.answered(reply, Speaker::Destination);
                if at.on_permanent == OnPermanent::Report || (over && at.on_permanent == OnPermanent::Hold) {
                    failed.push(*position);
                }
            }
            Answer::Circle(reply) => {
                recipient.answered(reply, Speaker::Us);
                if over {
                    expired = true;
                    failed.push(*position);
                }
            }
            Answer::Transient(_) | Answer::Silent | Answer::Unfit(_) => {
                match answer {
                    Answer::Transient(reply) => recipient.answered(reply, Speaker::Destination),
                    Answer::Unfit(reply) => recipient.answered(reply, Speaker::Us),
                    _ => {}
                }
                if over {
                    expired = true;
                    failed.push(*position);
                } else {
                    come_back = come_back.max(match answer {
                        Answer::Silent => Back::WithPrimary,
                        // 421 ends the session (RFC 5321 4.2.3): it is about the server, not about the message.
                        Answer::Transient(reply) if reply.code == 421 => Back::WithPrimary,
                        _ => Back::OnOwnTime,
                    });
                }
            }
        }
    }
    let waits = state.pending().any(|position| !failed.contains(&position));
    if come_back != Back::Never {
        state.standing = Standing::Queued;
        state.attempts = state.attempts.saturating_add(1);
        let first_loss = come_back == Back::WithPrimary && state.attempts == 1;
        state.due = (!first_loss).then(|| schedule::message_due(state.attempts, at.now).min(at.deadline.max(at.now)));
    } else if waits && !answers.is_empty() {
        let refused = |position| {
            let is_no = |answer: &Answer| matches!(answer, Answer::Permanent(_) | Answer::Circle(_));
            answers.iter().any(|(answered, answer)| *answered == position && is_no(answer))
        };
        let circles = answers.iter().any(|(_, answer)| matches!(answer, Answer::Circle(_)));
        let waiting: Vec<usize> = state.pending().filter(|position| !failed.contains(position)).collect();
        let (all, any) = (waiting.iter().copied().all(refused), waiting.iter().copied().any(refused));
        if all {
            state.standing = match at.on_permanent {
                _ if circles => Standing::Looping,
                OnPermanent::Withhold => Standing::Withheld,
                OnPermanent::Hold | OnPermanent::Report => Standing::Rejected,
            };
            state.due = None;
        } else if any {
            // Others go another way and were not asked. Those who were refused are not asked again at once.
            state.attempts = state.attempts.saturating_add(1);
            state.due = Some(schedule::message_due(state.attempts, at.now));
        }
    }
    match (failed.is_empty(), waits) {
        (false, _) => Settled::Failed { state, failed, expired },
        (true, true) => Settled::Keep(state),
        // What the sender is told is not decided: that is done when it is kept.
        (true, false) if state.is_untold() => Settled::Keep(state),
        (true, false) => Settled::Done,
    }
}

/// When a message comes back: the larger wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Back {
    Never,
    WithPrimary,
    OnOwnTime,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(code: u16) -> Reply {
        Reply::new(code, None, "text")
    }

    fn at(on_permanent: OnPermanent) -> Circumstances {
        let now = Timestamp::from_millis(1_000_000);
        Circumstances { now, deadline: now + Duration::from_secs(3600), on_permanent, may_expire: true }
    }

    fn over() -> Circumstances {
        Circumstances { deadline: Timestamp::from_millis(0), ..at(OnPermanent::Hold) }
    }

    #[test]
    fn all_accepted_is_done() {
        let answers = [(0, Answer::Accepted(reply(250))), (1, Answer::Accepted(reply(250)))];
        assert_eq!(settle(MessageState::new(2), &answers, at(OnPermanent::Report)), Settled::Done);
    }

    #[test]
    fn a_failure_that_was_not_reported_outlives_the_last_delivery() {
        let mut state = MessageState::new(2);
        state.recipients[0].outcome = RecipientOutcome::Unreported { since: Timestamp::from_millis(1) };
        let settled = settle(state, &[(1, Answer::Accepted(reply(250)))], at(OnPermanent::Report));
        assert!(matches!(settled, Settled::Keep(state) if state.unreported().count() == 1));
    }

    #[test]
    fn a_delivery_that_is_to_be_told_is_kept_until_it_is() {
        let answers = [(0, Answer::Relayed(reply(250))), (1, Answer::Accepted(reply(250)))];
        let settled = settle(MessageState::new(2), &answers, at(OnPermanent::Report));
        let Settled::Keep(state) = settled else { panic!("it was not kept") };
        assert_eq!(state.relayed().collect::<Vec<_>>(), [(0, at(OnPermanent::Report).now)]);
        assert_eq!((state.pending().count(), state.recipients[0].last.as_ref()), (0, Some(&reply(250))));
    }

    #[test]
    fn one_of_three_deferred_comes_back_alone() {
        let answers =
            [(0, Answer::Accepted(reply(250))), (1, Answer::Transient(reply(450))), (2, Answer::Accepted(reply(250)))];
        let Settled::Keep(state) = settle(MessageState::new(3), &answers, at(OnPermanent::Report)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.pending().collect::<Vec<_>>(), [1]);
        assert_eq!((state.standing, state.attempts), (Standing::Queued, 1));
        assert!(state.due.is_some_and(|due| due > at(OnPermanent::Report).now));
    }

    #[test]
    fn a_first_421_waits_for_the_primary_and_a_second_for_its_own_time() {
        let answers = [(0, Answer::Transient(reply(421)))];
        let mut state = MessageState::new(1);
        for own_time in [false, true] {
            let Settled::Keep(kept) = settle(state, &answers, at(OnPermanent::Report)) else {
                panic!("it was not kept")
            };
            assert_eq!(kept.due.is_some(), own_time);
            assert_eq!(kept.recipients[0].last, Some(reply(421)));
            state = kept;
        }
    }

    #[test]
    fn a_refusal_is_final_or_withheld() {
        let answers = [(0, Answer::Permanent(reply(550)))];
        let settled = settle(MessageState::new(1), &answers, at(OnPermanent::Report));
        assert!(matches!(settled, Settled::Failed { ref failed, expired: false, .. } if failed == &[0]));
        let Settled::Keep(state) = settle(MessageState::new(1), &answers, at(OnPermanent::Withhold)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.standing, Standing::Withheld);
        assert_eq!(state.recipients[0].last, Some(reply(550)));
        let Settled::Keep(state) = settle(MessageState::new(1), &answers, at(OnPermanent::Hold)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.standing, Standing::Rejected);
    }

    #[test]
    fn a_withheld_refusal_beside_a_deferral_is_tried_again_with_it() {
        let answers = [(0, Answer::Permanent(reply(550))), (1, Answer::Transient(reply(451)))];
        let Settled::Keep(state) = settle(MessageState::new(2), &answers, at(OnPermanent::Withhold)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.standing, Standing::Queued);
        assert_eq!(state.pending().count(), 2);
    }

    #[test]
    fn it_is_known_whose_words_the_last_answer_is() {
        let unfit = [(0, Answer::Unfit(reply(450)))];
        let Settled::Keep(state) = settle(MessageState::new(1), &unfit, at(OnPermanent::Report)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.recipients[0].speaker, Speaker::Us);
        let Settled::Keep(state) = settle(state, &[(0, Answer::Transient(reply(451)))], at(OnPermanent::Report)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.recipients[0].speaker, Speaker::Destination);
    }

    #[test]
    fn a_refusal_beside_a_recipient_of_another_primary_is_not_repeated_at_once() {
        for on_permanent in [OnPermanent::Hold, OnPermanent::Withhold] {
            let answers = [(0, Answer::Permanent(reply(550)))];
            let Settled::Keep(state) = settle(MessageState::new(2), &answers, at(on_permanent)) else {
                panic!("it was not kept")
            };
            assert!(state.due.is_some_and(|due| due > at(on_permanent).now));
        }
    }

    #[test]
    fn past_the_deadline_a_failed_try_is_the_last() {
        for answer in [Answer::Transient(reply(450)), Answer::Silent, Answer::Permanent(reply(550))] {
            let settled = settle(MessageState::new(1), &[(0, answer)], over());
            assert!(matches!(settled, Settled::Failed { .. }));
        }
        let accepted = settle(MessageState::new(1), &[(0, Answer::Accepted(reply(250)))], over());
        assert_eq!(accepted, Settled::Done);
    }

    #[test]
    fn a_circle_is_held_and_ends_with_its_hold_time_whatever_the_primary() {
        for on_permanent in [OnPermanent::Report, OnPermanent::Hold, OnPermanent::Withhold] {
            let answers = [(0, Answer::Circle(reply(554)))];
            let Settled::Keep(state) = settle(MessageState::new(1), &answers, at(on_permanent)) else {
                panic!("it was not kept")
            };
            assert_eq!((state.standing, state.due, state.attempts), (Standing::Looping, None, 0));
            let over = Circumstances { on_permanent, ..over() };
            assert!(matches!(settle(state, &answers, over), Settled::Failed { expired: true, .. }));
        }
    }

    #[test]
    fn nothing_expires_while_the_clock_is_not_believed() {
        let at = Circumstances { may_expire: false, ..over() };
        let settled = settle(MessageState::new(1), &[(0, Answer::Transient(reply(450)))], at);
        assert!(matches!(settled, Settled::Keep(_)));
    }

    #[test]
    fn a_first_lost_session_waits_for_the_primary_and_a_second_for_its_own_time() {
        let lost = [(0, Answer::Silent)];
        let Settled::Keep(state) = settle(MessageState::new(1), &lost, at(OnPermanent::Report)) else {
            panic!("it was not kept")
        };
        assert_eq!(state.due, None);
        let Settled::Keep(state) = settle(state, &lost, at(OnPermanent::Report)) else { panic!("it was not kept") };
        assert!(state.due.is_some());
    }

    #[test]
    fn the_due_time_never_passes_the_deadline() {
        let now = Timestamp::from_millis(1_000_000);
        let deadline = now + Duration::from_secs(2);
        let at = Circumstances { now, deadline, on_permanent: OnPermanent::Report, may_expire: true };
        let Settled::Keep(state) = settle(MessageState::new(1), &[(0, Answer::Transient(reply(450)))], at) else {
            panic!("it was not kept")
        };
        assert_eq!(state.due, Some(deadline));
    }
}
