//! A sender that asked to be told of deliveries, where the server will not tell (RFC 3461 5.2.2).

use backupmx_relay_config::BouncePolicy;

use super::{DAY, Story, is_done, kept, text};
use crate::{
    bounce::{Outcome, Step},
    message::{Notify, RecipientOutcome, SpfVerdict, Standing},
    smtp::{EnhancedCode, Reply},
};

const SUCCESS: Notify = Notify { success: true, failure: true, delay: false };

impl Story {
    /// That recipient has the message, from a server that tells nobody, and the sender wants to know.
    fn relayed(mut self, recipient: usize) -> Self {
        let entry = &mut self.state.recipients[recipient];
        entry.outcome = RecipientOutcome::Relayed { since: self.now };
        entry.last = Some(Reply::new(250, Some(EnhancedCode(2, 6, 0)), "taken"));
        self.notify(recipient, SUCCESS)
    }
}

#[test]
fn the_report_and_the_end_are_one_step() {
    let story = Story::new(2).relayed(0).delivered(1);
    assert!(matches!(crate::bounce::settle(&story.case(), &story.state), Step::NeedsSpf));
    let settled = story.evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&settled));
    assert_eq!((settled.outcome, settled.relayed, settled.change.reports.len()), (Outcome::Nothing, 1, 1));
    let report = text(&settled.change.reports[0]);
    assert!(report.contains("Action: relayed\r\nStatus: 2.6.0\r\n"), "{report}");
    assert!(report.contains("r0@example.org") && !report.contains("r1@example.org"), "{report}");
}

#[test]
fn without_evidence_nobody_is_told_and_nothing_is_parked() {
    for verdict in [SpfVerdict::Fail, SpfVerdict::None, SpfVerdict::Neutral] {
        let settled = Story::new(1).relayed(0).evidence(verdict).settle();
        assert!(is_done(&settled));
        assert_eq!((settled.outcome, settled.relayed, settled.change.reports.len()), (Outcome::Nothing, 0, 0));
    }
    let mut never = Story::new(1).relayed(0);
    never.policy = BouncePolicy::Never;
    assert!(is_done(&never.settle()));
}

#[test]
fn while_dns_does_not_answer_it_waits_for_a_day() {
    let mut story = Story::new(1).relayed(0).evidence(SpfVerdict::TempError);
    let settled = story.settle();
    let Outcome::Waiting(until) = settled.outcome else { panic!("{:?}", settled.outcome) };
    assert_eq!((kept(&settled).standing, kept(&settled).due), (Standing::Queued, Some(until)));
    assert_eq!(kept(&settled).recipients, story.state.recipients);
    story = story.after(&settled).evidence(SpfVerdict::TempError);
    story.now = story.now + DAY;
    let settled = story.settle();
    assert!(is_done(&settled) && settled.change.reports.is_empty());
}

#[test]
fn others_go_on_and_it_is_told_once() {
    let story = Story::new(2).relayed(0).evidence(SpfVerdict::Pass);
    let first = story.settle();
    assert_eq!((kept(&first).standing, first.change.reports.len()), (Standing::Queued, 1));
    assert_eq!(kept(&first).recipients[0].outcome, RecipientOutcome::Delivered);
    let second = story.after(&first).delivered(1).evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&second) && second.change.reports.is_empty());
}

#[test]
fn what_failed_is_another_report_in_the_same_step() {
    let settled = Story::new(2).relayed(0).refused(1).evidence(SpfVerdict::Pass).settle();
    assert!(is_done(&settled));
    assert_eq!((settled.outcome, settled.relayed), (Outcome::Reported(1), 1));
    let reports: Vec<String> = settled.change.reports.iter().map(text).collect();
    assert!(reports.iter().any(|report| report.contains("Action: relayed") && !report.contains("Action: failed")));
    assert!(reports.iter().any(|report| report.contains("Action: failed") && !report.contains("Action: relayed")));
}

#[test]
fn a_failure_that_may_not_be_told_does_not_keep_the_delivery_waiting() {
    let settled = Story::new(2).relayed(0).refused(1).evidence(SpfVerdict::Fail).settle();
    assert_eq!(kept(&settled).standing, Standing::Parked);
    assert_eq!(kept(&settled).recipients[0].outcome, RecipientOutcome::Delivered);
}
