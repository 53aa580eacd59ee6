use backupmx_relay_config::BouncePolicy::{Always, Never, UnlessForged};

use super::{client, envelope};
use crate::{
    bounce::{
        Decision::{AskSpf, Park, Report, Wait},
        Evidence::{NotAsked, Verdict},
        PATIENCE, Why, decide,
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
    let mut envelope = envelope("alice@example.com", 1);
    for recorded in VERDICTS {
        envelope.origin = client(Some(recorded));
        for evidence in [NotAsked, Verdict(SpfVerdict::Pass), Verdict(SpfVerdict::Fail)] {
            let decision = decide(UnlessForged, &envelope, evidence, Default::default());
            let expected = match (recorded, evidence) {
                (SpfVerdict::Pass, _) => Report,
                (SpfVerdict::TempError, NotAsked) => AskSpf,
                (SpfVerdict::TempError, Verdict(SpfVerdict::Pass)) => Report,
                (SpfVerdict::TempError, Verdict(verdict)) => Park(Why::NotAuthorised(verdict)),
                (recorded, _) => Park(Why::NotAuthorised(recorded)),
            };
            assert_eq!(decision, expected, "{recorded:?} {evidence:?}");
        }
    }
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
