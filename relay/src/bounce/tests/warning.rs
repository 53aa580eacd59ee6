use backupmx_relay_config::BouncePolicy;

use super::{DAY, Story, kept, settled, text};
use crate::{
    bounce::{Outcome, Settled, Step},
    message::{Notify, SpfVerdict},
};

fn warn(story: &Story) -> Settled {
    settled(crate::bounce::warn(&story.case(), &story.state, story.now, story.now + 6 * DAY))
}

#[test]
fn the_sender_is_warned_once_of_what_is_pending() {
    let story = Story::new(2).delivered(0).evidence(SpfVerdict::Pass);
    let settled = warn(&story);
    assert!(kept(&settled).warned);
    assert_eq!(settled.outcome, Outcome::Reported(1));
    let text = text(&settled.change.reports[0]);
    assert!(text.contains("Action: delayed\r\nStatus: 4.4.1\r\n") && !text.contains("r0@"), "{text}");
    assert!(text.contains("Will-Retry-Until: Thu, 8 Jan 2026 00:00:00 +0000"), "{text}");
    let again = warn(&story.after(&settled));
    assert!(again.change.reports.is_empty());
}

#[test]
fn no_evidence_no_warning_and_the_message_goes_on() {
    let story = Story::new(1);
    assert!(matches!(crate::bounce::warn(&story.case(), &story.state, story.now, story.now + DAY), Step::NeedsSpf));
    for (policy, sender, verdict) in [
        (BouncePolicy::UnlessForged, "alice@example.com", SpfVerdict::Fail),
        (BouncePolicy::UnlessForged, "alice@example.com", SpfVerdict::None),
        (BouncePolicy::Never, "alice@example.com", SpfVerdict::Pass),
        (BouncePolicy::Always, "", SpfVerdict::Pass),
    ] {
        let mut story = Story::new(1).evidence(verdict);
        story.policy = policy;
        story.envelope.sender = sender.parse().unwrap();
        let settled = warn(&story);
        assert!(settled.change.reports.is_empty());
        assert!(kept(&settled).warned, "decided for good");
        assert_eq!((kept(&settled).standing, settled.outcome), (story.state.standing, Outcome::Nothing));
    }
}

#[test]
fn only_who_did_not_ask_otherwise_is_warned() {
    let failure_only = Notify { failure: true, ..Notify::default() };
    let settled = warn(&Story::new(1).notify(0, failure_only));
    assert!(kept(&settled).warned && settled.change.reports.is_empty());
}

#[test]
fn dns_that_fails_leaves_the_warning_open() {
    let story = Story::new(1).evidence(SpfVerdict::TempError);
    let settled = warn(&story);
    assert!(matches!(settled.outcome, Outcome::Waiting(_)));
    assert!(!kept(&settled).warned && settled.change.reports.is_empty());
    let due = story.now;
    let late = Story { now: story.now + DAY, ..story };
    let settled = settled_at(&late, due);
    assert!(kept(&settled).warned && settled.change.reports.is_empty(), "given up after a day");
}

fn settled_at(story: &Story, due: crate::clock::Timestamp) -> Settled {
    settled(crate::bounce::warn(&story.case(), &story.state, due, story.now + DAY))
}
