use backupmx_relay_config::BouncePolicy::{Always, Never, UnlessForged};

use super::{Story, envelope, settled};
use crate::{
    bounce::{
        Decision::{AskSpf, Park, Report, Wait},
        Evidence::{NotAsked, Verdict},
        Outcome, PATIENCE, Step, Why, decide, settle, warn,
    },
    message::{MessageId, Origin, SpfVerdict},
};

const VERDICTS: [SpfVerdict; 7] = [
    SpfVerdict::Pass,
    SpfVerdict::Fail,
    SpfVerdict::SoftFail,
    SpfVerdict::Neutral,
    SpfVerdict::None,
    SpfVerdict::TempError,
    SpfVerdict::PermError,
];

#[test]
fn only_a_pass_is_evidence() {
    let envelope = envelope("alice@example.com", 1);
    assert_eq!(decide(UnlessForged, &envelope, NotAsked, Default::default()), AskSpf);
    for verdict in VERDICTS {
        let expected = match verdict {
            SpfVerdict::Pass => Report,
            SpfVerdict::TempError => Wait,
            verdict => Park(Why::NotAuthorised(verdict)),
        };
        assert_eq!(decide(UnlessForged, &envelope, Verdict(verdict), Default::default()), expected);
    }
}

#[test]
fn what_was_recorded_at_receipt_counts_first() {
    for recorded in VERDICTS {
        let story = Story::new(1).refused(0).recorded(recorded);
        let alone = settle(&story.case(), &story.state);
        match recorded {
            SpfVerdict::TempError => assert!(matches!(alone, Step::NeedsSpf), "it says nothing: SPF is asked"),
            SpfVerdict::Pass => assert_eq!(settled(alone).outcome, Outcome::Reported(1)),
            verdict => assert_eq!(settled(alone).outcome, Outcome::Parked(Why::NotAuthorised(verdict))),
        }
        for asked in [SpfVerdict::Pass, SpfVerdict::Fail] {
            let expected = match recorded {
                SpfVerdict::TempError => asked,
                recorded => recorded,
            };
            let expected = match expected {
                SpfVerdict::Pass => Outcome::Reported(1),
                verdict => Outcome::Parked(Why::NotAuthorised(verdict)),
            };
            let story = Story::new(1).refused(0).recorded(recorded).evidence(asked);
            assert_eq!(story.settle().outcome, expected, "{recorded:?} {asked:?}");
        }
    }
}

#[test]
fn what_was_recorded_at_receipt_decides_on_a_warning_too() {
    let warn = |story: &Story| warn(&story.case(), &story.state, story.now, story.now);
    for (recorded, outcome) in [(SpfVerdict::Pass, Outcome::Reported(1)), (SpfVerdict::Fail, Outcome::Nothing)] {
        assert_eq!(settled(warn(&Story::new(1).recorded(recorded))).outcome, outcome, "{recorded:?}");
    }
    assert!(matches!(warn(&Story::new(1)), Step::NeedsSpf));
}

#[test]
fn dns_may_fail_for_a_day() {
    let envelope = envelope("alice@example.com", 1);
    let evidence = Verdict(SpfVerdict::TempError);
    let second = std::time::Duration::from_secs(1);
    assert_eq!(decide(UnlessForged, &envelope, evidence, PATIENCE - second), Wait);
    assert_eq!(decide(UnlessForged, &envelope, evidence, PATIENCE), Park(Why::NotAuthorised(SpfVerdict::TempError)));
}

#[test]
fn no_policy_reports_to_nobody_or_on_a_report() {
    let mut report = envelope("alice@example.com", 1);
    report.origin = Origin::Report { parent: MessageId::from_u64(1), tenant: "example".to_owned() };
    let pass = Verdict(SpfVerdict::Pass);
    for policy in [Always, UnlessForged, Never] {
        let decide = |envelope: &_, evidence| decide(policy, envelope, evidence, Default::default());
        assert_eq!(decide(&envelope("", 1), pass), Park(Why::NullSender));
        assert_eq!(decide(&report, pass), Park(Why::OwnReport));
        assert_eq!(decide(&envelope("alice@[192.0.2.1]", 1), pass), Park(Why::NoDomain));
    }
}

#[test]
fn always_and_never_ask_no_dns() {
    let envelope = envelope("alice@example.com", 1);
    assert_eq!(decide(Always, &envelope, NotAsked, Default::default()), Report);
    assert_eq!(decide(Always, &envelope, Verdict(SpfVerdict::Fail), Default::default()), Report);
    assert_eq!(decide(Never, &envelope, Verdict(SpfVerdict::Pass), Default::default()), Park(Why::Policy));
}
