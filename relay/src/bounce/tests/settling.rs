use backupmx_relay_config::BouncePolicy;
use proptest::prelude::*;

use super::{DAY, Story, is_done, kept, text};
use crate::{
    bounce::{Outcome, Step, Why},
    dsn::{Cause, Incident},
    message::{Notify, Origin, RecipientOutcome, Speaker, SpfVerdict, Standing},
    smtp::Reply,
};

const PARKED: Outcome = Outcome::Parked(Why::NotAuthorised(SpfVerdict::Fail));

#[test]
fn all_delivered_is_done_and_silent() {
    let settled = Story::new(2).delivered(0).delivered(1).settle();
    assert!(is_done(&settled) && settled.change.reports.is_empty());
    assert_eq!(settled.outcome, Outcome::Nothing);
}

#[test]
fn a_deferred_message_is_kept_as_it_is() {
    let story = Story::new(2).delivered(0);
    let settled = story.settle();
    assert_eq!(kept(&settled), &story.state);
}

#[test]
fn one_of_three_failed_is_reported_while_the_rest_goes_on() {
    let settled = Story::new(3).delivered(0).refused(1).evidence(SpfVerdict::Pass).settle();
    assert_eq!(settled.outcome, Outcome::Reported(1));
    assert_eq!(settled.change.reports.len(), 1);
    let state = kept(&settled);
    assert_eq!(state.standing, Standing::Queued);
    assert_eq!(state.pending().collect::<Vec<_>>(), [2]);
    assert_eq!(state.recipients[1].outcome, RecipientOutcome::Failed);
    let report = &settled.change.reports[0];
    let text = text(report);
    assert!(text.contains("r1@example.org") && !text.contains("r0@") && !text.contains("r2@"), "{text}");
    assert!(matches!(&report.envelope.origin, Origin::Report { tenant, .. } if tenant == "example"));
    assert_eq!(report.envelope.arrived, Story::new(1).now);
}

#[test]
fn the_last_failure_ends_the_message_with_its_report() {
    let settled = Story::new(2).delivered(0).refused(1).evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&settled));
    assert_eq!(settled.change.reports.len(), 1);
    let all = Story::new(2).refused(0).refused(1).evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&all));
    assert_eq!(all.change.reports.len(), 1, "one report on both");
    assert_eq!(all.outcome, Outcome::Reported(2));
}

#[test]
fn a_forged_sender_is_not_told_and_the_message_is_parked() {
    let story = Story::new(1).refused(0);
    assert!(matches!(crate::bounce::settle(&story.case(), &story.state), Step::NeedsSpf));
    let settled = story.evidence(SpfVerdict::Fail).settle();
    assert_eq!(settled.outcome, PARKED);
    assert!(settled.change.reports.is_empty());
    assert_eq!(kept(&settled).standing, Standing::Parked);
    assert_eq!(kept(&settled).recipients[0].last.as_ref().map(|reply| reply.code), Some(550));
}

#[test]
fn a_null_sender_is_parked_whatever_the_policy() {
    for policy in [BouncePolicy::Always, BouncePolicy::UnlessForged, BouncePolicy::Never] {
        let mut story = Story::new(1).refused(0);
        story.envelope.sender = Default::default();
        story.policy = policy;
        let settled = story.settle();
        assert_eq!(settled.outcome, Outcome::Parked(Why::NullSender));
        assert_eq!(kept(&settled).standing, Standing::Parked);
        assert!(settled.change.reports.is_empty());
    }
}

#[test]
fn a_failure_without_evidence_is_remembered_while_others_are_pending() {
    let story = Story::new(2).refused(0).evidence(SpfVerdict::Fail);
    let failed = story.now;
    let first = story.settle();
    assert_eq!(kept(&first).standing, Standing::Queued);
    assert_eq!(kept(&first).unreported().collect::<Vec<_>>(), [(0, story.now)]);
    let mut later = story.after(&first).delivered(1).evidence(SpfVerdict::Fail);
    later.now = later.now + DAY;
    let second = later.settle();
    assert_eq!(kept(&second).standing, Standing::Parked);
    assert_eq!(crate::bounce::parked_since(kept(&second)), Some(failed));
    let third = later.after(&second).evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&third), "released by evidence");
    assert!(text(&third.change.reports[0]).contains("550 5.1.1 no such user"));
}

#[test]
fn dns_that_fails_is_asked_again_for_a_day() {
    let mut story = Story::new(1).refused(0).evidence(SpfVerdict::TempError);
    let start = story.now;
    for _ in 0..200 {
        let settled = story.settle();
        let Outcome::Waiting(until) = settled.outcome else {
            assert_eq!(settled.outcome, Outcome::Parked(Why::NotAuthorised(SpfVerdict::TempError)));
            assert_eq!(kept(&settled).standing, Standing::Parked);
            assert_eq!(story.now.since(start), DAY);
            return;
        };
        assert_eq!((kept(&settled).standing, kept(&settled).due), (Standing::Queued, Some(until)));
        assert!(settled.change.reports.is_empty());
        story = story.after(&settled).evidence(SpfVerdict::TempError);
        story.now = until;
    }
    panic!("it waits for ever");
}

#[test]
fn who_wants_no_report_gets_none_and_the_message_ends() {
    let story = Story::new(1).refused(0).notify(0, Notify::default());
    let settled = story.settle();
    assert!(is_done(&settled), "DNS is not asked for it");
    assert!(settled.change.reports.is_empty());
    assert_eq!(settled.unwanted, [0]);
    let mixed = Story::new(2).refused(0).refused(1).notify(0, Notify::default()).evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&mixed));
    assert_eq!((mixed.outcome, mixed.unwanted.as_slice()), (Outcome::Reported(1), &[0][..]));
    assert!(!text(&mixed.change.reports[0]).contains("r0@"));
}

#[test]
fn a_failure_is_reported_once() {
    let mut story = Story::new(2).refused(0).evidence(SpfVerdict::Pass);
    let first = story.settle();
    story.state = kept(&first).clone();
    let second = story.settle();
    assert!(second.change.reports.is_empty());
    assert_eq!(second.outcome, Outcome::Nothing);
    assert_eq!(kept(&second), kept(&first));
}

#[test]
fn a_message_that_was_held_for_a_person_expires_like_any_other() {
    for standing in [Standing::Rejected, Standing::Looping] {
        let mut story = Story::new(1).evidence(SpfVerdict::Pass);
        story.state.standing = standing;
        story.incidents = vec![Incident {
            recipient: 0,
            cause: Cause::Expired(None),
            remote: None,
            last_attempt: None,
            speaker: Speaker::Destination,
        }];
        let settled = story.settle();
        assert!(is_done(&settled));
        assert!(text(&settled.change.reports[0]).contains("Status: 4.4.7"));
    }
}

fn outcome() -> impl Strategy<Value = RecipientOutcome> {
    prop_oneof![
        Just(RecipientOutcome::Pending),
        Just(RecipientOutcome::Delivered),
        Just(RecipientOutcome::Failed),
        Just(RecipientOutcome::Unreported { since: super::now() }),
    ]
}

fn verdict() -> impl Strategy<Value = SpfVerdict> {
    prop_oneof![
        Just(SpfVerdict::Pass),
        Just(SpfVerdict::Fail),
        Just(SpfVerdict::TempError),
        Just(SpfVerdict::None),
        Just(SpfVerdict::Neutral),
    ]
}

proptest! {
    /// Whatever comes together: nobody is forgotten, told twice, told without evidence, or kept for nothing.
    #[test]
    fn nobody_is_lost(
        before in prop::collection::vec((outcome(), prop::option::of(prop::array::uniform3(any::<bool>()))), 1..5),
        incidents in prop::collection::vec((0usize..6, any::<bool>()), 0..5),
        verdict in verdict(),
        policy in prop_oneof![
            Just(BouncePolicy::Always), Just(BouncePolicy::UnlessForged), Just(BouncePolicy::Never)
        ],
        null in any::<bool>(),
    ) {
        let mut story = Story::new(before.len()).evidence(verdict);
        story.policy = policy;
        if null {
            story.envelope.sender = Default::default();
        }
        for (position, (outcome, notify)) in before.iter().enumerate() {
            story.state.recipients[position].outcome = *outcome;
            story.envelope.recipients[position].notify =
                notify.map(|[success, failure, delay]| Notify { success, failure, delay });
        }
        for (recipient, rejected) in incidents {
            let cause =
                if rejected { Cause::Rejected(Reply::new(550, None, "no")) } else { Cause::Expired(None) };
            story.incidents.push(Incident { recipient, cause, remote: None, last_attempt: None, speaker: Speaker::Destination });
        }
        let settled = story.settle();
        let may_report = !null && match policy {
            BouncePolicy::Always => true,
            BouncePolicy::UnlessForged => verdict == SpfVerdict::Pass,
            BouncePolicy::Never => false,
        };
        prop_assert!(settled.change.reports.len() <= usize::from(may_report));
        let report = settled.change.reports.first().map(text).unwrap_or_default();
        for (position, (outcome, notify)) in before.iter().enumerate() {
            let failed_now = story.incidents.iter().any(|incident| incident.recipient == position);
            let wanted = notify.is_none_or(|[_, failure, _]| failure);
            let told = report.contains(&format!("Final-Recipient: rfc822; r{position}@example.org"));
            let after = match &settled.change.then {
                crate::spool::Then::Keep(state) => Some(state.recipients[position].outcome),
                crate::spool::Then::Done => None,
            };
            match outcome {
                RecipientOutcome::Delivered | RecipientOutcome::Failed => {
                    prop_assert!(!told);
                    prop_assert!(after.is_none_or(|after| after == *outcome));
                }
                RecipientOutcome::Pending if !failed_now => {
                    prop_assert!(!told);
                    prop_assert_eq!(after, Some(RecipientOutcome::Pending));
                }
                RecipientOutcome::Pending if !wanted => {
                    prop_assert!(!told && settled.unwanted.contains(&position));
                    prop_assert!(after.is_none_or(|after| after == RecipientOutcome::Failed));
                }
                RecipientOutcome::Pending | RecipientOutcome::Unreported { .. } if wanted => {
                    prop_assert_eq!(told, may_report);
                    if !may_report {
                        let remembered = matches!(after, Some(RecipientOutcome::Unreported { .. }));
                        prop_assert!(remembered);
                    }
                }
                _ => prop_assert!(!told),
            }
        }
        if let crate::spool::Then::Keep(state) = &settled.change.then {
            let pending = state.pending().count();
            let unreported = state.unreported().count();
            prop_assert!(pending + unreported > 0);
            if pending == 0 {
                prop_assert!(state.standing == Standing::Parked || state.due.is_some());
            }
        }
    }
}
